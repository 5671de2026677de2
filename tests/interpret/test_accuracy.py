"""The number of cells that a stated error asks for."""

import numpy as np
import pytest

from lucid_rl.errors import InputError, SettingsError
from lucid_rl.interpret.accuracy import settings_within, total_error
from lucid_rl.interpret.attribution import (
    AttributionSettings,
    attribute,
    logit,
    value,
)
from lucid_rl.interpret.nmf import NMF


@pytest.fixture(scope="module")
def observations(golden):
    return golden["obs_u8"][:4]


class TestTotalError:
    def test_by_hand(self):
        """Errors of either sign at two positions, over changes of mean 2."""
        reference = np.zeros((2, 1, 2, 3), np.float32)
        values = reference.copy()
        values[0, 0, :, 1] = [0.5, -0.1]
        values[1, 0, :, 2] = [-0.1, -0.1]
        found = total_error(values, reference, np.array([1.0, -3.0]))
        assert found == pytest.approx((0.4 + 0.2) / 2 / 2)

    def test_of_features_and_their_residual(self):
        features = NMF.from_directions(np.eye(2, 3, dtype=np.float32))
        reference = np.ones((1, 1, 1, 3), np.float32)
        for channel in range(3):  # the last is in no feature
            values = reference.copy()
            values[..., channel] += 0.25
            found = total_error(values, reference, np.array([0.5]), features)
            assert found == pytest.approx(0.5)

    def test_of_several_outputs_the_worst(self):
        reference = np.zeros((2, 1, 1, 1, 1), np.float32)
        values = np.array([0.1, 0.2], np.float32).reshape(2, 1, 1, 1, 1)
        found = total_error(values, reference, np.array([[1.0], [10.0]]))
        assert found == pytest.approx(0.1)


class TestSettingsWithin:
    def test_fewest_that_suffice(self, model_a, observations):
        settings, error = settings_within(0.02, model_a, observations, "4a")
        assert settings.n_steps > 1 and error <= 0.02
        fewer = AttributionSettings(n_steps=settings.n_steps - 1)
        many = AttributionSettings(n_steps=64)
        values, reference = (
            attribute(model_a, observations, "4a", settings=s).values
            for s in (fewer, many)
        )
        totals = attribute(model_a, observations, "4a", settings=many).totals
        assert total_error(values, reference, totals) > 0.02

    def test_stricter_takes_more(self, model_a, observations):
        numbers = [
            settings_within(error, model_a, observations, "3a", [value(), logit(3)])[
                0
            ].n_steps
            for error in (0.2, 0.02)
        ]
        assert numbers[0] < numbers[1]

    def test_the_articles_method_needs_more(self, model_a, observations, golden):
        features = NMF.from_directions(golden["nmf4a_attr_channel_dirs"], layer="4a")
        ours, article = (
            settings_within(
                0.05,
                model_a,
                observations,
                "4a",
                settings=AttributionSettings(method=method),
                features=features,
            )[0]
            for method in ("difference_quotients", "integrated_gradients")
        )
        assert article.method == "integrated_gradients"
        assert article.n_steps > ours.n_steps

    def test_what_cannot_be_met_is_told(self, model_a, observations):
        settings, error = settings_within(1e-9, model_a, observations[:1], "4a")
        assert settings.n_steps == 32 and error > 1e-9

    @pytest.mark.parametrize("stated", [0, -1, float("nan")])
    def test_no_error(self, model_a, observations, stated):
        with pytest.raises(SettingsError, match="tolerance"):
            settings_within(stated, model_a, observations, "4a")

    def test_no_observations(self, model_a, observations):
        with pytest.raises(InputError, match="there are none"):
            settings_within(0.1, model_a, observations[:0], "4a")

    def test_methods_without_nodes(self, model_a, observations):
        settings = AttributionSettings(method="gradient")
        with pytest.raises(SettingsError, match="no number of steps"):
            settings_within(0.1, model_a, observations, "4a", settings=settings)

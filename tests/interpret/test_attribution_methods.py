"""Occlusion and multi-path attribution against what they are defined to be."""

import itertools

import numpy as np
import pytest

from lucid_rl.errors import InputError, SettingsError
from lucid_rl.interpret.attribution import (
    AttributionSettings,
    attribute,
    logit,
    value,
)
from lucid_rl.interpret.multi_path import (
    MultiPathSettings,
    attribute_along_paths,
    leading_halves,
)
from lucid_rl.interpret.nmf import NMF

ARTICLE_PATHS = MultiPathSettings(method="integrated_gradients", max_paths=None)


@pytest.fixture(scope="module")
def features(golden):
    return NMF.from_directions(golden["nmf2b_attr_channel_dirs"], layer="2b")


class TestOcclusion:
    def scores(self, model, points):
        function = model.layer_function("4a", [value().tensor])
        return function.values(points)[0]

    def test_channels_by_hand(self, model_a, observations):
        settings = AttributionSettings(method="occlusion")
        found = attribute(model_a, observations[:3], "4a", settings=settings)
        assert found.values.shape == (3, 1, 1, 32)
        points = model_a.activations(observations[:3], ["4a"])["4a"]
        for channel in (0, 17):
            without = points.copy()
            without[..., channel] = 0
            lost = self.scores(model_a, points) - self.scores(model_a, without)
            np.testing.assert_allclose(found.by_channel()[:, channel], lost, atol=1e-6)

    def test_mean_by_hand(self, model_a, observations):
        settings = AttributionSettings(method="occlusion", occlude_with="mean")
        found = attribute(model_a, observations[:3], "4a", settings=settings)
        points = model_a.activations(observations[:3], ["4a"])["4a"]
        without = points.copy()
        without[..., 5] = points[..., 5].mean()
        lost = self.scores(model_a, points) - self.scores(model_a, without)
        np.testing.assert_allclose(found.by_channel()[:, 5], lost, atol=1e-6)

    def test_features_by_hand(self, model_a, golden, observations):
        features = NMF.from_directions(golden["nmf4a_attr_channel_dirs"], layer="4a")
        settings = AttributionSettings(method="occlusion")
        found = attribute(
            model_a, observations[:2], "4a", settings=settings, features=features
        )
        assert found.values.shape == (2, 1, 1, 4)
        points = model_a.activations(observations[:2], ["4a"])["4a"]
        amounts = features.transform(points)
        without = points - amounts[..., 2:3] * features.directions[2]
        lost = self.scores(model_a, points) - self.scores(model_a, without)
        np.testing.assert_allclose(found.by_channel()[:, 2], lost, atol=1e-6)

    def test_outputs_together(self, model_a, observations):
        settings = AttributionSettings(method="occlusion")
        both = attribute(
            model_a, observations[:2], "4a", [value(), logit(1)], settings=settings
        )
        alone = attribute(model_a, observations[:2], "4a", logit(1), settings=settings)
        np.testing.assert_allclose(both.values[1], alone.values, atol=1e-6)

    def test_features_of_another_layer(self, model_a, observations, features):
        settings = AttributionSettings(method="occlusion")
        with pytest.raises(InputError, match="16"):
            attribute(
                model_a, observations[:2], "1a", settings=settings, features=features
            )

    def test_features_are_for_occlusion_only(self, model_a, observations, features):
        with pytest.raises(SettingsError, match="occlusion"):
            attribute(model_a, observations[:2], "2b", features=features)


class TestLeadingHalves:
    @pytest.mark.parametrize(("n", "expected"), [(2, 2), (3, 6), (4, 6), (5, 20)])
    def test_all_paths(self, n, expected):
        leads = leading_halves(n, None, np.random.default_rng(0))
        assert len(leads) == expected
        np.testing.assert_array_equal(leads[1::2], ~leads[::2])
        if n % 2 == 0:  # each split once
            assert len({tuple(lead) for lead in leads}) == expected
            halves = {frozenset(c) for c in itertools.combinations(range(n), n // 2)}
            assert {frozenset(np.flatnonzero(lead)) for lead in leads} == halves

    def test_drawn_paths(self):
        leads = leading_halves(8, 5, np.random.default_rng(1))
        assert leads.shape == (5, 8)
        np.testing.assert_array_equal(leads[1], ~leads[0])
        again = leading_halves(8, 5, np.random.default_rng(1))
        np.testing.assert_array_equal(leads, again)

    def test_one_feature_is_refused(self):
        with pytest.raises(SettingsError, match="at least 2"):
            leading_halves(1, None, np.random.default_rng(0))


class TestMultiPath:
    @pytest.mark.parametrize(
        ("name", "layer", "output", "n_steps"),
        [
            ("multipath_value_2b_steps10", "2b", value(), 10),
            ("multipath_value_2b_steps3", "2b", value(), 3),
            ("multipath_logit3_4a_steps10", "4a", logit(3), 10),
        ],
    )
    def test_parity(self, model_a, golden, observations, name, layer, output, n_steps):
        expected = golden[name]
        features = NMF.from_directions(golden[f"nmf{layer}_attr_channel_dirs"])
        settings = MultiPathSettings(
            method="integrated_gradients", n_steps=n_steps, max_paths=None
        )
        found = attribute_along_paths(
            model_a,
            observations[: len(expected)],
            layer,
            features,
            np.random.default_rng(0),
            output,
            settings,
        )
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found.values, expected, rtol=0, atol=2e-4 * scale)
        assert found.relative_gap() > 1e-3

    def test_difference_quotients_add_up_and_is_the_limit(
        self, model_a, observations, features
    ):
        rng = np.random.default_rng(0)
        args = (model_a, observations[:2], "2b", features, rng)
        few = attribute_along_paths(
            *args, settings=MultiPathSettings(n_steps=6, max_paths=None)
        )
        assert few.relative_gap() < 1e-4
        many = attribute_along_paths(
            *args,
            settings=MultiPathSettings(
                "integrated_gradients", n_steps=96, max_paths=None
            ),
        )
        coarse = attribute_along_paths(
            *args,
            settings=MultiPathSettings(
                "integrated_gradients", n_steps=6, max_paths=None
            ),
        )

        def distance(found):
            error = np.abs(found.values - many.values).sum()
            return error / np.abs(many.values).sum()

        assert distance(few) < 0.5 * distance(coarse)

    def test_memory_bound_changes_nothing(self, model_a, observations, features):
        results = [
            attribute_along_paths(
                model_a,
                observations[:3],
                "2b",
                features,
                np.random.default_rng(0),
                [value(), logit(2)],
                MultiPathSettings(n_steps=3, max_paths=2, memory_bytes=n_bytes),
            ).values
            for n_bytes in (1, 2**28)
        ]
        assert results[0].shape == (2, 3, 32, 32, 32)
        np.testing.assert_allclose(results[0], results[1], atol=1e-6)

    @pytest.mark.parametrize(
        "change", [{"n_steps": 0}, {"max_paths": 0}, {"method": "occlusion"}]
    )
    def test_settings(self, change):
        with pytest.raises(SettingsError, match=next(iter(change))):
            MultiPathSettings(**change)

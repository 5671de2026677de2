import dataclasses

import numpy as np
import pytest

from lucid_rl.errors import InputError, ModelError, SettingsError
from lucid_rl.interpret.attribution import (
    AttributionSettings,
    attribute,
    custom,
    direction,
    logit,
    logits,
    value,
)

LAYERS = ("1a", "2a", "2b", "3a", "4a")
# GOLDEN.md's tolerance, of the largest attribution; measured: 5e-5 or less.
TOLERANCE = 1e-4
ARTICLE = AttributionSettings(method="integrated_gradients", n_steps=10)


def assert_close(found, expected, tolerance=TOLERANCE):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


class TestParity:
    """The article's rule gives the original code's numbers."""

    @pytest.mark.parametrize("layer", LAYERS)
    def test_value(self, model_a, golden, observations, layer):
        expected = golden[f"attr_value_{layer}_steps10"]
        found = attribute(
            model_a, observations[: len(expected)], layer, settings=ARTICLE
        )
        assert_close(found.values, expected)

    def test_single_step_is_gradient_times_activation(
        self, model_a, golden, observations
    ):
        expected = golden["attr_value_2b_steps1"]
        rows = observations[: len(expected)]
        one = dataclasses.replace(ARTICLE, n_steps=1)
        assert_close(attribute(model_a, rows, "2b", settings=one).values, expected)
        method = AttributionSettings(method="gradient_x_activation")
        assert_close(attribute(model_a, rows, "2b", settings=method).values, expected)

    def test_logit(self, model_a, golden, observations):
        expected = golden["attr_logit3_2b_steps10"]
        rows = observations[: len(expected)]
        found = attribute(model_a, rows, "2b", logit(3), settings=ARTICLE)
        assert_close(found.values, expected)

    def test_direction_at_positions_of_a_later_layer(
        self, model_a, golden, observations
    ):
        expected = golden["attr_actdir_2b_3a"]
        output = direction("3a", golden["actdir_dir"], golden["actdir_poses"])
        found = attribute(model_a, observations[:4], "2b", output, settings=ARTICLE)
        assert_close(found.values, expected)

    @pytest.mark.parametrize(
        ("name", "layer", "output"),
        [
            ("grad_value_input", "input", value()),
            ("grad_logit3_input", "input", logit(3)),
            ("grad_value_2b", "2b", value()),
        ],
    )
    def test_gradients(self, model_a, golden, observations, name, layer, output):
        expected = golden[name]
        settings = AttributionSettings(method="gradient")
        found = attribute(
            model_a, observations[: len(expected)], layer, output, settings=settings
        )
        # Where a pool's window is all but 0, its slope hangs on the last digits.
        assert_close(found.values, expected, 1e-3)
        error = np.abs(found.values - expected).sum()
        assert error < 1e-5 * np.abs(expected).sum()

    def test_gradient_of_a_direction(self, model_a, golden, observations):
        output = direction("3a", golden["actdir_dir"], golden["actdir_poses"])
        settings = AttributionSettings(method="gradient")
        found = attribute(model_a, observations[:4], "input", output, settings=settings)
        assert_close(found.values, golden["grad_actdir_3a_input"])


class TestCompleteness:
    @pytest.mark.parametrize("layer", ["input", *LAYERS])
    @pytest.mark.parametrize("n_steps", [1, 3])
    def test_secant_attributions_add_up(self, model_a, observations, layer, n_steps):
        settings = AttributionSettings(n_steps=n_steps)
        found = attribute(model_a, observations[:3], layer, settings=settings)
        assert found.relative_gap() < 1e-4
        _, values = model_a(observations[:3])
        starts = model_a.layer_function(layer, [value().tensor]).values_at_zero[0]
        np.testing.assert_allclose(found.totals, values - starts, atol=1e-5)

    def test_gap_is_the_sum_less_the_total(self, model_a, observations):
        found = attribute(model_a, observations[:3], "2b", settings=ARTICLE)
        sums = found.values.sum(axis=(1, 2, 3))
        np.testing.assert_allclose(
            found.completeness_gap, sums - found.totals, atol=1e-6
        )
        assert found.relative_gap() > 1e-3

    def test_more_nodes_leave_a_smaller_gap(self, model_a, observations):
        gaps = [
            attribute(
                model_a,
                observations[:4],
                "3a",
                settings=AttributionSettings(
                    method="integrated_gradients", quadrature="midpoint", n_steps=n
                ),
            ).relative_gap()
            for n in (4, 256)
        ]
        assert gaps[1] < 0.2 * gaps[0]

    def test_methods_that_do_not_add_up_have_no_gap(self, model_a, observations):
        settings = AttributionSettings(method="gradient")
        found = attribute(model_a, observations[:1], "2b", settings=settings)
        assert found.completeness_gap is None
        with pytest.raises(SettingsError):
            found.relative_gap()


class TestConvergence:
    @pytest.mark.parametrize("layer", ["1a", "2b", "4a"])
    def test_methods_agree_in_the_limit(self, model_a, observations, layer):
        rows = observations[:2]
        n = 24 if layer == "1a" else 64

        def found(n_steps, method="integrated_gradients", **options):
            settings = AttributionSettings(method, n_steps, **options)
            return attribute(model_a, rows, layer, settings=settings).values

        reference = found(4 * n, quadrature="midpoint")
        size = np.abs(reference).sum()
        assert np.abs(found(n, "difference_quotients") - reference).sum() < 0.03 * size
        assert (
            np.abs(found(n, quadrature="gauss_legendre") - reference).sum()
            < 0.03 * size
        )
        # For the same number of steps, difference quotients come closer than points.
        coarse = np.abs(found(4, "difference_quotients") - reference).sum()
        assert coarse < np.abs(found(4) - reference).sum()


class TestSeveralOutputs:
    def test_equal_one_at_a_time(self, model_a, observations):
        outputs = [value(), logit(0), logits((0, 2)), logit(2)]
        for settings in (ARTICLE, AttributionSettings(n_steps=2)):
            together = attribute(
                model_a, observations[:3], "3a", outputs, settings=settings
            )
            assert together.values.shape == (4, 3, 16, 16, 32)
            assert together.completeness_gap.shape == together.totals.shape == (4, 3)
            for i, output in enumerate(outputs):
                alone = attribute(
                    model_a, observations[:3], "3a", output, settings=settings
                )
                assert_close(together.values[i], alone.values, 1e-5)
                np.testing.assert_allclose(together.totals[i], alone.totals, atol=1e-5)

    def test_groups_add_up(self, model_a, observations):
        outputs = [logit(0), logit(2), logits((0, 2))]
        one, other, both = attribute(model_a, observations[:2], "2b", outputs).values
        assert_close(one + other, both, 1e-5)

    def test_custom_scores(self, model_a, observations):
        import tensorflow.compat.v1 as tf

        probability = custom("logits", lambda t: tf.nn.softmax(t)[:, 4], "p4")
        settings = AttributionSettings(
            method="integrated_gradients", quadrature="midpoint", n_steps=200
        )
        found = attribute(
            model_a, observations[:3], "4a", probability, settings=settings
        )
        assert found.targets == ("p4",)
        logits, _ = model_a(observations[:3])
        ends = np.exp(logits)[:, 4] / np.exp(logits).sum(axis=1)
        starts = found.totals - ends
        np.testing.assert_allclose(starts, starts[0], atol=1e-5)
        assert found.relative_gap() < 0.05


class TestLayersTogether:
    def test_equal_one_at_a_time(self, model_a, observations):
        together = attribute(model_a, observations[:3], ("2b", "4a"))
        for layer, found in together.items():
            alone = attribute(model_a, observations[:3], layer)
            np.testing.assert_allclose(found.values, alone.values, atol=1e-6)

    def test_full_tensor_names_work(self, model_a, observations):
        name = "ppo2_model/pi/2b/Relu"
        found = attribute(model_a, observations[:2], name)
        short = attribute(model_a, observations[:2], "2b")
        assert found.layer == name
        np.testing.assert_array_equal(found.values, short.values)


class TestBatches:
    @pytest.mark.parametrize(
        "settings",
        [
            AttributionSettings(n_steps=3),
            ARTICLE,
            AttributionSettings(method="gradient"),
            AttributionSettings(method="occlusion"),
        ],
    )
    def test_results_do_not_depend_on_batch_size(self, model_a, observations, settings):
        rows = observations[:7]
        results = [
            attribute(
                model_a,
                rows,
                "3a",
                settings=dataclasses.replace(settings, batch_size=size),
            )
            for size in (1, 3, 7)
        ]
        for other in results[1:]:
            assert_close(other.values, results[0].values, 1e-5)
            np.testing.assert_allclose(other.totals, results[0].totals, atol=1e-5)

    def test_tight_memory_takes_nodes_in_turns(self, model_a, observations):
        tight = dataclasses.replace(ARTICLE, memory_bytes=1)
        found = attribute(model_a, observations[:2], "2b", settings=tight)
        expected = attribute(model_a, observations[:2], "2b", settings=ARTICLE)
        assert_close(found.values, expected.values, 1e-5)

    @pytest.mark.parametrize(
        "change",
        [
            {},
            {"method": "integrated_gradients", "quadrature": "midpoint", "n_steps": 10},
            {"method": "occlusion"},
        ],
    )
    def test_passes_do_not_grow_with_the_observations(
        self, model_a, observations, monkeypatch, change
    ):
        fed = []
        run = model_a.session.run

        def noting(fetches, feed):
            fed.append(max(np.size(array) for array in feed.values()))
            return run(fetches, feed)

        monkeypatch.setattr(model_a.session, "run", noting)
        settings = AttributionSettings(memory_bytes=2**22, **change)
        largest = []
        for n in (24, 64):
            fed.clear()
            attribute(model_a, observations[:n], "4a", settings=settings)
            largest.append(max(fed))
        assert largest[0] == largest[1] < 2**22 / 4

    def test_no_observations(self, model_a, observations):
        found = attribute(model_a, observations[:0], "2b")
        assert found.values.shape == (0, 32, 32, 32)
        assert found.completeness_gap.shape == (0,)

    def test_uint8_and_floats_agree(self, model_a, observations):
        floats = observations[:2] / np.float32(255)
        found = attribute(model_a, floats, "4a").values
        expected = attribute(model_a, observations[:2], "4a").values
        np.testing.assert_array_equal(found, expected)


class TestBadInput:
    def test_nan(self, model_a, observations):
        floats = observations[:5].astype(np.float32) / 255
        floats[3, 0, 0, 0] = np.nan
        with pytest.raises(InputError, match="number 3"):
            attribute(model_a, floats, "2b", settings=AttributionSettings(batch_size=2))

    @pytest.mark.parametrize(
        ("shape", "hint"),
        [((64, 64, 3), "leading axis"), ((2, 32, 32, 3), "64"), ((2, 64, 64, 1), "64")],
    )
    def test_shapes(self, model_a, shape, hint):
        with pytest.raises(InputError, match=hint):
            attribute(model_a, np.zeros(shape, np.uint8), "2b")

    def test_floats_of_0_to_255(self, model_a, observations):
        with pytest.raises(InputError, match="divide"):
            attribute(model_a, observations[:2].astype(np.float32), "2b")

    def test_other_types(self, model_a, observations):
        with pytest.raises(InputError, match="int64"):
            attribute(model_a, observations[:2].astype(np.int64), "2b")
        with pytest.raises(InputError, match="observations are str"):
            attribute(model_a, "observations.npy", "2b")

    def test_unknown_layer_lists_layers(self, model_a, observations):
        with pytest.raises(ModelError, match="1a, 2a, 2b, 3a, 4a"):
            attribute(model_a, observations[:2], "5a")

    def test_unknown_output_lists_outputs(self, model_a, observations):
        with pytest.raises(ModelError, match="value"):
            attribute(model_a, observations[:2], "2b", custom("advantage"))

    def test_unknown_action(self, model_a, observations):
        with pytest.raises(InputError, match="0 to 14"):
            attribute(model_a, observations[:2], "2b", logit(15))

    @pytest.mark.parametrize("outputs", [[], 3, "value", ["value"], [value(), 3]])
    def test_what_is_no_output(self, model_a, observations, outputs):
        with pytest.raises(InputError, match=r"value\(\), logit\(i\)"):
            attribute(model_a, observations[:2], "2b", outputs)

    def test_no_layers(self, model_a, observations):
        with pytest.raises(InputError, match="no layer"):
            attribute(model_a, observations[:2], ())

    def test_a_tensor_without_rows_for_observations(self, model_a, observations):
        kernel = "ppo2_model/pi/2a/conv2d/kernel"
        with pytest.raises(ModelError, match=r"\(5, 5, 16, 32\)"):
            attribute(model_a, observations[:2], kernel)
        with pytest.raises(ModelError, match="row of known shape for each"):
            model_a.activations(observations[:2], [kernel])

    @pytest.mark.parametrize("score", [lambda t: 3, lambda t: t[0, 0]])
    def test_scores_that_lose_the_batch(self, model_a, observations, score):
        with pytest.raises(InputError, match="row for each observation"):
            attribute(model_a, observations[:2], "2b", custom("logits", score))

    @pytest.mark.parametrize("given", [(max,), ("logits", 3)])
    def test_custom_scores_of_another_type(self, given):
        with pytest.raises(InputError, match="a tensor's name"):
            custom(*given)

    @pytest.mark.parametrize("actions", [(), (0.5,), "x", None, 3])
    def test_actions_that_are_no_numbers(self, actions):
        with pytest.raises(InputError, match="numbers of actions"):
            logits(actions)

    @pytest.mark.parametrize("vector", [np.full(32, np.nan), "x", None])
    def test_a_direction_that_is_not_finite(self, vector):
        with pytest.raises(InputError, match="finite"):
            direction("3a", vector)

    @pytest.mark.parametrize(
        "target", [direction("2b", np.ones(32)), custom("1a")], ids=["2b", "1a"]
    )
    def test_targets_before_the_layer(self, model_a, observations, target):
        with pytest.raises(InputError, match="layer 3a comes after"):
            attribute(model_a, observations[:2], "3a", target)

    def test_ragged_observations(self, model_a):
        with pytest.raises(InputError, match="not an array"):
            attribute(model_a, [[1, 2], [3]], "2b")

    def test_direction_of_another_length(self, model_a, observations):
        with pytest.raises(InputError, match="32 channels"):
            attribute(model_a, observations[:2], "2b", direction("3a", np.ones(16)))

    @pytest.mark.parametrize(
        "positions", [np.zeros((2, 3), int), np.full((2, 2), 16), np.zeros((1, 2), int)]
    )
    def test_positions_that_do_not_fit(self, model_a, observations, positions):
        output = direction("3a", np.ones(32), positions)
        with pytest.raises(InputError, match="position"):
            attribute(model_a, observations[:2], "2b", output)

    @pytest.mark.parametrize(
        "change",
        [
            {"n_steps": 0},
            {"n_steps": 2.5},
            {"n_steps": "4"},
            {"batch_size": 0},
            {"memory_bytes": 0},
            {"quadrature": "simpson"},
            {"method": "lime"},
            {"occlude_with": "noise"},
        ],
    )
    def test_settings(self, change):
        with pytest.raises(SettingsError, match=next(iter(change))):
            AttributionSettings(**change)

"""Straight lines from 0: the affine prefix, and short cuts against plain gradients."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from lucid_rl.interpret.quadrature import quadrature
from lucid_rl.interpret.targets import logit, value
from lucid_rl.model.affine_prefix import affine_ends, nonlinear_parts
from lucid_rl.model.architectures import build_graph_def
from lucid_rl.model.layers import GraphIndex
from lucid_rl.model.model import Model
from tests.model.numpy_networks import random_params

VALUE = "ppo2_model/strided_slice"


@pytest.fixture(scope="module")
def models(model_a):
    made = {
        name: Model(build_graph_def(random_params(name), name))
        for name in ("impala", "impala_torch", "nature")
    }
    return {"clear": model_a, **made}


CASES = [
    ("clear", "1a"),
    ("clear", "2a"),
    ("clear", "2b"),
    ("clear", "4a"),
    ("impala", "layer_5"),
    ("impala", "layer_8"),  # inside a residual block
    ("impala_torch", "layer_5"),
    ("impala_torch", "layer_10"),
    ("nature", "c2"),
    ("nature", "input"),
]


def points_and_function(models, golden, architecture, layer, outputs=None):
    model = models[architecture]
    floats = golden["obs_u8"][:3] / np.float32(255)
    points = model.activations(floats, [layer])[layer]
    targets = [output.tensor for output in outputs or [value()]]
    return floats, points, model.layer_function(layer, targets)


class TestShortCuts:
    @pytest.mark.parametrize(("architecture", "layer"), CASES)
    def test_weighted_sums_of_gradients(self, models, golden, architecture, layer):
        floats, points, function = points_and_function(
            models, golden, architecture, layer
        )
        nodes, weights = quadrature("gauss_legendre", 8)
        seeds = [np.array([1.0, -2.0, 0.5], np.float32)]
        (found,) = function.line_gradients(points, nodes, weights, seeds, floats)
        expected = sum(
            weight * function.gradients(points * np.float32(node), seeds, floats)[0]
            for node, weight in zip(nodes, weights, strict=True)
        )
        attributions, exact = points * found, points * expected
        errors = np.abs(attributions - exact)
        # L2 pooling's 1e-8 under the root departs from straight lines; elsewhere a
        # ReLU's input of nearly 0 may be rounded to either side.
        largest = 3e-4 if architecture == "clear" else 1e-3
        assert errors.max() < largest * np.abs(exact).max()
        assert errors.sum() < 1e-4 * np.abs(exact).sum()

    @pytest.mark.parametrize(("architecture", "layer"), CASES)
    @pytest.mark.parametrize("n_steps", [1, 2])
    def test_quotients_add_up(self, models, golden, architecture, layer, n_steps):
        floats, points, function = points_and_function(
            models, golden, architecture, layer, [value(), logit(1)]
        )
        seeds = [
            np.ones(3, np.float32),
            np.random.default_rng(0).normal(size=(3, 15)).astype(np.float32),
        ]
        quotients, starts, ends = function.line_quotients(
            points, n_steps, seeds, floats
        )
        for found, start, end, seed in zip(quotients, starts, ends, seeds, strict=True):
            change = (seed * (end - start)).reshape(3, -1).sum(axis=1)
            sums = (points * found).reshape(3, -1).sum(axis=1)
            np.testing.assert_allclose(sums, change, atol=1e-4 * np.abs(change).max())

    @pytest.mark.parametrize("architecture", ["clear", "nature"])
    def test_paths_along_a_line_are_lines(self, models, golden, architecture):
        layer = {"clear": "4a", "nature": "c3"}[architecture]
        floats, points, function = points_and_function(
            models, golden, architecture, layer
        )
        seeds = [np.ones(3, np.float32)]
        path = np.stack([points * np.float32(alpha) for alpha in (0, 0.5, 1)])
        (steps,) = function.path_quotients(path, seeds, floats)
        assert steps.shape == (2, *points.shape)
        (change,) = (
            end - start
            for end, start in zip(
                function.values(points, floats),
                function.starts(points, floats),
                strict=True,
            )
        )
        sums = (np.diff(path, axis=0) * steps).sum(axis=(0, 2, 3, 4))
        np.testing.assert_allclose(sums, change, atol=1e-4)

    def test_more_steps_come_closer(self, models, golden):
        floats, points, function = points_and_function(models, golden, "clear", "4a")
        seeds = [np.ones(3, np.float32)]
        nodes, weights = quadrature("midpoint", 256)
        (exact,) = function.line_gradients(points, nodes, weights, seeds, floats)
        errors = [
            np.abs(
                function.line_quotients(points, n, seeds, floats)[0][0] - exact
            ).sum()
            for n in (1, 4, 16)
        ]
        assert errors[0] > 2 * errors[1] > 4 * errors[2]

    def test_costs_grow_with_nodes(self, models):
        function = models["clear"].layer_function("4a", [value().tensor])
        dense = 4 * 4 * 32 * 256  # straight: from 4a's pool to the first dense layer
        rest = 256 * 512 + 512
        assert function.line_gradients.multiplications(1) == 2 * dense + 2 * rest
        assert function.line_gradients.multiplications(5) == 2 * dense + 10 * rest
        twice = function.line_quotients.multiplications(2)
        assert twice - function.line_quotients.multiplications(1) >= 2 * rest
        assert function.line_quotients.bytes_per_observation(
            8
        ) > function.line_quotients.bytes_per_observation(4)


class TestAffineEnds:
    @pytest.mark.parametrize(
        ("layer", "end"),
        [
            ("1a", "ppo2_model/pi/2a/conv2d/BiasAdd"),
            ("2a", "ppo2_model/pi/2b/conv2d/BiasAdd"),
            ("2b", "ppo2_model/pi/3a/conv2d/BiasAdd"),
            ("4a", "ppo2_model/pi/dense/BiasAdd"),
        ],
    )
    def test_straight_up_to_the_next_bias(self, model_a, layer, end):
        node = model_a.node_name(layer)
        ends = affine_ends(model_a.index, node, "Placeholder", [VALUE])
        assert ends == (end,)
        later = nonlinear_parts(model_a.index, ends, [VALUE])
        assert later[-1] == "ppo2_model/pi/dense_1/BiasAdd"
        assert end not in later

    def test_residual_paths_end_in_several_nodes(self, models):
        model = models["impala"]
        node = model.node_name("layer_2")
        ends = affine_ends(model.index, node, "Placeholder", [VALUE])
        assert set(ends) == {
            "ppo2_model/pi/add",
            "ppo2_model/pi/layer_3/BiasAdd",
        }

    def test_a_nonlinearity_at_once(self):
        with tf.Graph().as_default() as graph:
            x = tf.placeholder(tf.float32, (None, 3), name="x")
            tf.tanh(tf.identity(x, name="layer"), name="end")
        index = GraphIndex(graph.as_graph_def())
        assert affine_ends(index, "layer", "x", ["end"]) == ("layer",)

"""Any Lucid model as a graph that is read, fed and differentiated."""

import gc
import os
import weakref

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from lucid_rl.errors import FileFormatError, InputError, ModelError
from lucid_rl.model import lucid_bridge
from lucid_rl.model.lucid_network import (
    LucidNetwork,
    gradient_override_map,
    lucid_model,
    network_of,
)

VALUE = "ppo2_model/strided_slice"
RELU_4A = "ppo2_model/pi/4a/Relu"


def total(scores):
    return tf.reduce_sum(scores, axis=list(range(1, len(scores.shape))))


@pytest.fixture(scope="module")
def floats(golden):
    return golden["obs_u8"] / np.float32(255)


@pytest.fixture(scope="module")
def network(model_a):
    return network_of(model_a)


class TestModels:
    def test_kinds(self, model_a, golden_folder):
        made = lucid_model(model_a)
        assert lucid_model(model_a) is made
        assert lucid_model(made) is made
        for name in ("checkpoint_A.model.pb", "checkpoint_A.jd"):
            path = golden_folder / name
            assert hasattr(lucid_model(path), "import_graph")
            assert lucid_model(str(path)) is lucid_model(path)

    def test_what_is_none(self, tmp_path):
        with pytest.raises(InputError, match="got int"):
            lucid_model(3)
        with pytest.raises(FileFormatError):
            lucid_model(tmp_path / "none.model.pb")

    def test_a_file_that_changed_is_read_again(self, model_a, tmp_path):
        path = tmp_path / "x.model.pb"
        model_a.save(path)
        first = lucid_model(path)
        os.utime(path, ns=(0, 0))
        assert lucid_model(path) is not first

    def test_networks_are_made_once_for_each_model_and_override(self, model_a):
        override = {"Relu": lambda op, gradient: gradient}
        assert network_of(model_a) is network_of(model_a)
        assert network_of(model_a, override) is network_of(model_a, override)
        assert network_of(model_a, override) is not network_of(model_a)

    def test_networks_go_with_their_models(self, model_a):
        model = lucid_bridge.as_lucid_model(model_a.graph_def())
        network = weakref.ref(network_of(model))
        assert network() is not None
        del model
        gc.collect()
        assert network() is None

    def test_a_new_graph_makes_a_new_network(self, model_a):
        model = lucid_bridge.as_lucid_model(model_a.graph_def())
        first = network_of(model)
        lazy = "_graph_def" if hasattr(model, "_graph_def") else "graph_def"
        setattr(model, lazy, model_a.graph_def())
        assert network_of(model) is not first


class TestActivations:
    def test_reference(self, network, golden, floats):
        found = network.activations(RELU_4A, floats[:16])
        np.testing.assert_allclose(found, golden["acts_4a"], atol=1e-5)
        assert network.tensor("input") is network.tensor(None)

    def test_a_constant(self, network, checkpoint_a):
        name = "ppo2_model/pi/3a/conv2d/kernel"
        np.testing.assert_array_equal(
            network.constant(name), checkpoint_a.params[f"{name}:0"]
        )

    def test_unknown_tensor_lists_the_nearest(self, network, floats):
        with pytest.raises(ModelError, match="ppo2_model/pi/4a/Relu"):
            network.activations("ppo2_model/pi/4a/relu", floats[:1])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda x: x[0], "N, H, W, C"),
            (lambda x: x[:0], "at least one"),
            (lambda x: (x * 255).astype(np.uint8), "divide uint8 by 255"),
            (lambda x: x * np.nan, "NaN"),
        ],
    )
    def test_bad_observations(self, network, floats, change, message):
        with pytest.raises(InputError, match=message):
            network.activations(VALUE, change(floats[:2]))


class TestGradients:
    def test_equal_to_the_graph_models(self, network, model_a, floats):
        from lucid_rl.interpret.targets import value

        points = model_a.activations(floats[:3], ["4a"])["4a"]
        found = network.gradient(VALUE, RELU_4A, floats[:3], points, score=total)
        function = model_a.layer_function("4a", [value().tensor])
        (expected,) = function.gradients(points, [np.ones(3, np.float32)])
        np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_direction_at_positions_by_hand(self, network, floats):
        """The gradient of a tensor with respect to itself is the direction."""
        points = network.activations(RELU_4A, floats[:2])
        direction = np.arange(32, dtype=np.float32)
        found = network.gradient(
            RELU_4A,
            RELU_4A,
            floats[:2],
            points,
            score=total,
            direction=direction,
            positions=np.array([[1, 2], [7, 0]]),
        )
        expected = np.zeros_like(points)
        expected[0, 1, 2] = expected[1, 7, 0] = direction
        np.testing.assert_array_equal(found, expected)

    def test_overrides(self, floats, golden_folder):
        """ReLUs that pass everything leave the last layers' product of kernels."""
        path = golden_folder / "checkpoint_A.jd"
        name = "ppo2_model/pi/dense/Relu"
        plain = network_of(path)
        passing = network_of(path, {"Relu": lambda op, gradient: gradient})
        points = plain.activations(name, floats[:2])
        found = passing.gradient(VALUE, name, floats[:2], points, score=total)
        dense = plain.constant("ppo2_model/pi/dense_1/kernel")
        head = plain.constant("ppo2_model/vf/w")
        np.testing.assert_allclose(found, np.tile((dense @ head).T, (2, 1)), rtol=1e-4)
        assert not np.allclose(
            plain.gradient(VALUE, name, floats[:2], points, score=total), found
        )

    def test_many_scores_do_not_pile_up(self, model_a, floats):
        network = LucidNetwork(lucid_model(model_a))
        points = network.activations(RELU_4A, floats[:1])
        sizes = []
        for i in range(40):
            network.gradient(
                "ppo2_model/pi_1/add",
                RELU_4A,
                floats[:1],
                points,
                score=lambda t, i=i: t[..., i % 15],
            )
            sizes.append(len(network.graph.get_operations()))
        assert max(sizes[20:]) <= max(sizes[:20])

    def test_a_score_must_keep_the_batch(self, network, floats):
        points = network.activations(RELU_4A, floats[:1])
        with pytest.raises(InputError, match="reduces the batch"):
            network.gradient(VALUE, RELU_4A, floats[:1], points, score=tf.reduce_sum)

    def test_what_does_not_depend(self, network, floats):
        points = network.activations(VALUE, floats[:1])
        with pytest.raises(ModelError, match="does not depend"):
            network.gradient(RELU_4A, VALUE, floats[:1], points, score=total)


def test_override_map_takes_functions_and_registered_names():
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(-2.0)
        gradients = {}
        for name, override in {
            "function": lambda op, gradient: 7 * gradient,
            "name": "ReluGrad6",
        }.items():
            if name == "name":
                tf.RegisterGradient("ReluGrad6")(lambda op, gradient: 6 * gradient)
            with gradient_override_map({"Relu": override}):
                y = tf.nn.relu(x)
            (gradients[name],) = tf.gradients(y, x)
        assert session.run(gradients) == {"function": 7.0, "name": 6.0}

"""The graphs against independent networks in numpy, and their nodes' names."""

import numpy as np
import pytest

from lucid_rl.checkpoints.architectures import ARCHITECTURES
from lucid_rl.errors import ModelError
from lucid_rl.model.architectures import build_graph_def
from lucid_rl.model.lucid_model import read_model_and_metadata
from lucid_rl.model.model import Model
from tests.model.numpy_networks import forward, random_params


@pytest.mark.parametrize("n_actions", [15, 7])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_equal_to_numpy(architecture, n_actions):
    params = random_params(architecture, n_actions)
    model = Model(build_graph_def(params, architecture))
    observations = np.random.default_rng(1).random((3, 64, 64, 3), np.float32)
    expected = forward(params, architecture, observations)
    assert set(model.layers) == set(expected) - {"logits", "value"}
    assert model.n_actions == n_actions
    found = model.activations(observations, expected)
    for name, values in expected.items():
        assert found[name].shape == values.shape
        tolerance = 1e-5 * np.abs(values).max()
        np.testing.assert_allclose(found[name], values, atol=tolerance, err_msg=name)


def test_nodes_are_those_of_the_articles_files(checkpoint_a, golden_folder):
    """Names, operations and wiring of a `.model.pb` that the article's code made."""
    saved, _ = read_model_and_metadata(golden_folder / "checkpoint_A.model.pb")
    built = build_graph_def(checkpoint_a.params, "clear")
    ours = {node.name: node for node in built.node}
    for node in saved.node:
        assert node.name in ours
        assert ours[node.name].op == node.op
        assert ours[node.name].input == node.input


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_keep_their_names(architecture):
    params = random_params(architecture)
    names = {node.name for node in build_graph_def(params, architecture).node}
    assert {name.removesuffix(":0") for name in params} <= names
    assert {"Placeholder", "ppo2_model/pi_1/add", "ppo2_model/strided_slice"} <= names


def test_a_missing_parameter_is_named():
    params = random_params("clear")
    del params["ppo2_model/pi/3a/conv2d/bias:0"]
    with pytest.raises(ModelError, match="ppo2_model/pi/3a/conv2d/bias:0"):
        build_graph_def(params, "clear")


def test_parameters_that_do_not_fit_each_other():
    params = random_params("clear")
    params["ppo2_model/pi/2b/conv2d/kernel:0"] = np.zeros((5, 5, 31, 32), np.float32)
    with pytest.raises(ModelError, match="do not make"):
        build_graph_def(params, "clear")


def test_unknown_architecture_lists_the_known():
    with pytest.raises(ModelError, match=r"clear.*impala.*nature"):
        build_graph_def({}, "resnet")

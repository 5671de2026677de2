"""Agents of PyTorch as checkpoints: their outputs are those that PyTorch computed."""

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from lucid_rl.checkpoints.from_torch import find_weights, import_torch, parameters
from lucid_rl.checkpoints.torch_files import read_torch
from lucid_rl.errors import CheckpointError, InputError, SettingsError
from lucid_rl.model.loading import load
from tests.checkpoints.test_torch_files import NAMES, TORCH_FILES


def _drawn(shapes):
    """Parameters as make_files.py draws them, in PyTorch's names and shapes."""
    rng = np.random.default_rng(0)
    found = {}
    for name, shape in shapes.items():
        size = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
        found[name] = (size * rng.normal(size=shape)).astype(np.float32)
    return found


def _with_biases(kernels):
    shapes = {}
    for name, shape in kernels.items():
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]
    return shapes


def impala_weights(n_actions=15):
    """A state dictionary in the manner of CleanRL."""
    kernels = {}
    for i, (n_in, n_out) in enumerate(((3, 16), (16, 32), (32, 32))):
        kernels[f"network.{i}.conv"] = (n_out, n_in, 3, 3)
        for block in range(2):
            for conv in range(2):
                name = f"network.{i}.res_block{block}.conv{conv}"
                kernels[name] = (n_out, n_out, 3, 3)
    kernels["network.5"] = (256, 2048)
    kernels |= {"actor": (n_actions, 256), "critic": (1, 256)}
    return _drawn(_with_biases(kernels))


def nature_weights():
    """A state dictionary in the manner of Stable-Baselines3, shared parts repeated."""
    body = {
        "cnn.0": (32, 3, 8, 8),
        "cnn.2": (64, 32, 4, 4),
        "cnn.4": (64, 64, 3, 3),
        "linear.0": (512, 1024),
    }
    kernels = {f"features_extractor.{name}": shape for name, shape in body.items()}
    kernels |= {"action_net": (15, 512), "value_net": (1, 512)}
    weights = _drawn(_with_biases(kernels))
    copies = {f"pi_{k}": a for k, a in weights.items() if k.startswith("features")}
    return {**weights, **copies}


@pytest.mark.parametrize(
    ("architecture", "weights"),
    [("impala_torch", impala_weights), ("nature", nature_weights)],
)
def test_outputs_are_those_of_pytorch(architecture, weights, tmp_path):
    from lucid_rl.checkpoints.checkpoint import Checkpoint

    params, found = parameters(weights(), "it")
    assert found == architecture
    save_checkpoint(Checkpoint(params, {"cnn": found}), tmp_path / "it.jd")
    model = load(load_checkpoint(tmp_path / "it.jd"))
    with np.load(TORCH_FILES / "outputs.npz") as outputs:
        logits, values = model(outputs["observations"])
        for ours, name in ((logits, "logits"), (values, "value")):
            theirs = outputs[f"{architecture}_{name}"]
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_pools_of_tensorflow_would_give_other_outputs():
    from lucid_rl.checkpoints.checkpoint import Checkpoint

    params, _ = parameters(impala_weights(), "it")
    model = load(Checkpoint(params, {"cnn": "impala"}))
    with np.load(TORCH_FILES / "outputs.npz") as outputs:
        logits, _ = model(outputs["observations"])
        theirs = outputs["impala_torch_logits"]
    assert np.abs(logits - theirs).max() > 0.01 * np.abs(theirs).max()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("state_dict.pt", ""),
        ("module.pt", ""),
        ("training.pt", "agent/weights"),
        ("stable_baselines3.zip", ""),
    ],
)
def test_where_the_state_dictionary_is(file, name):
    content = read_torch(TORCH_FILES / file)
    for found in (find_weights(content, "it"), find_weights(content, "it", name)):
        assert list(found) == NAMES
    with pytest.raises(InputError, match="no state dictionary 'elsewhere', but"):
        find_weights(content, "it", "elsewhere")


def test_none_or_several_state_dictionaries():
    with pytest.raises(CheckpointError, match="holds a dict with the keys a, b"):
        find_weights({"a": 1, "b": np.zeros(3)}, "it")
    with pytest.raises(CheckpointError, match="a list"):
        find_weights([], "it")
    both = {"online": impala_weights(), "target": impala_weights()}
    with pytest.raises(CheckpointError, match=r"several .*, online, target: name one"):
        find_weights(both, "it")
    assert find_weights(both, "it", "target") is not None


def test_a_layer_without_bias_has_none():
    weights = impala_weights()
    del weights["network.1.conv.bias"]
    params, _ = parameters(weights, "it")
    assert not params["ppo2_model/pi/layer_5/bias:0"].any()
    assert params["ppo2_model/pi/layer_0/bias:0"].any()


def test_other_heads_have_to_be_named_or_ignored():
    weights = impala_weights() | _drawn(_with_biases({"other.critic": (1, 256)}))
    with pytest.raises(
        CheckpointError, match=r"more than one head of the value .*: critic, other\."
    ):
        parameters(weights, "it")
    with pytest.raises(CheckpointError, match=r"none of the network's: other\.critic"):
        parameters(weights, "it", value="critic")
    expected, _ = parameters(impala_weights(), "it")
    found, _ = parameters(weights, "it", ignored=["other."])
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    found, _ = parameters(weights, "it", value="other.critic", ignored=["critic"])
    np.testing.assert_array_equal(
        found["ppo2_model/vf/w:0"], weights["other.critic.weight"].T
    )
    for policy in ("nobody", "critic"):
        with pytest.raises(InputError, match=f"the policy '{policy}', but actor"):
            parameters(weights, "it", policy=policy)
    with pytest.raises(InputError, match=r"function 'actor', but critic, other\."):
        parameters(weights, "it", value="actor")
    with pytest.raises(InputError, match="begins with 'nothing'"):
        parameters(weights, "it", ignored=["nothing"])


def _changed(**changes):
    weights = impala_weights()
    for name, array in changes.items():
        key = name.replace("__", ".")
        if array is None:
            del weights[key]
        else:
            weights[key] = array
    return weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            _changed(network__0__conv__weight=None),
            r"14 convolutions, .*\(16, 16, 3, 3\)",
        ),
        (
            _changed(network__0__conv__weight=np.zeros((16, 3, 5, 5), np.float32)),
            r"15 convolutions.*\(16, 3, 5, 5\)",
        ),
        (
            _changed(network__5__weight=np.zeros((256, 3872), np.float32)),
            r"no dense layer from 2048 to 256 .*network\.5 \(3872, 256\)",
        ),
        (_changed(critic__weight=None), "no head of the value function, from 256 to 1"),
        (
            _changed(gru__weight_ih_l0=np.ones((768, 256), np.float32)),
            r"none of the network's: gru\.weight_ih_l0\. Recurrent",
        ),
        (
            _changed(norm__running_mean=np.ones(16, np.float32)),
            r"norm\.running_mean",
        ),
        ({}, "0 convolutions"),
    ],
)
def test_networks_that_are_not_known(weights, message):
    with pytest.raises(CheckpointError, match=message):
        parameters(weights, "it")


def test_settings_of_the_checkpoint(monkeypatch):
    from lucid_rl.checkpoints import from_torch
    from lucid_rl.games.registry import game_settings

    monkeypatch.setattr(from_torch, "read_torch", lambda path: impala_weights(9))
    found = import_torch("agent.pt")
    assert (found.architecture, found.n_actions) == ("impala_torch", 9)
    with pytest.raises(SettingsError, match="--game"):
        game_settings(found.args)
    found = import_torch(
        "agent.pt",
        args={"env_name": "maze", "distribution_mode": "easy", "gamma": 0.99},
    )
    game = game_settings(found.args)
    assert (game.name, game.distribution_mode) == ("maze", "easy")
    assert found.args["gamma"] == 0.99

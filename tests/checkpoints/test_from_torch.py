"""Agents of PyTorch as checkpoints: their outputs are those that PyTorch computed."""

import json
import os
import pathlib
import zipfile

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from lucid_rl.checkpoints.from_torch import import_torch, parameters
from lucid_rl.checkpoints.torch_files import read_torch
from lucid_rl.checkpoints.torch_weights import find_weights
from lucid_rl.errors import (
    CheckpointError,
    FileFormatError,
    InputError,
    SettingsError,
)
from lucid_rl.model.loading import load
from tests.checkpoints.test_torch_files import NAMES, TORCH_FILES, write_archive


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

    network = parameters(weights())
    assert network.settings["cnn"] == architecture
    save_checkpoint(Checkpoint(network.params, network.settings), tmp_path / "it.jd")
    model = load(load_checkpoint(tmp_path / "it.jd"))
    with np.load(TORCH_FILES / "outputs.npz") as outputs:
        logits, values = model(outputs["observations"])
        for ours, name in ((logits, "logits"), (values, "value")):
            theirs = outputs[f"{architecture}_{name}"]
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("ppg", {}, {"cnn": "impala_torch"}),
        ("bound", {}, {"cnn": "impala_torch"}),
        ("odd_pools", {}, {"image_size": [84, 84], "frame_stack": 4}),
        ("dqn", {}, {"cnn": "nature", "q_network": True, "image_size": [84, 84]}),
        ("batch_norm", {}, {"cnn": "nature", "image_size": [96, 96]}),
        ("own_layers", {"activation": "tanh"}, {"hidden_activation": "tanh"}),
    ],
)
def test_small_agents_of_many_kinds(name, options, expected, tmp_path):
    """Normalization, own layers, Q-values, prefixes, sizes: as PyTorch has them."""
    checkpoint = import_torch(TORCH_FILES / f"{name}.pt", **options)
    assert expected.items() <= checkpoint.args.items()
    save_checkpoint(checkpoint, tmp_path / "it.jd")
    model = load(tmp_path / "it.jd")
    with np.load(TORCH_FILES / "small_outputs.npz") as outputs:
        observations = outputs[f"{name}_observations"]
        assert model.image_shape == observations.shape[1:]
        for ours, kind in zip(model(observations), ("logits", "value"), strict=True):
            theirs = outputs[f"{name}_{kind}"]
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def archive_of_stable_baselines3(path, weights, **data):
    write_archive(path, weights)
    policy = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", json.dumps(data))
        archive.writestr("policy.pth", policy)
    return path


def test_what_stable_baselines3_tells_beside_the_parameters(tmp_path, monkeypatch):
    weights = {k: a for k, a in nature_weights().items() if "_net" not in k}
    own = {"mlp_extractor.policy_net.0": (16, 512), "action_net": (15, 16)}
    own |= {"mlp_extractor.value_net.0": (8, 512), "value_net": (1, 8)}
    weights |= _drawn(_with_biases(own))
    data = {
        "gamma": 0.98,
        "gae_lambda": 0.9,
        "observation_space": {":serialized:": "gAS", "_shape": [3, 64, 64]},
        "policy_kwargs": {"net_arch": {"pi": [16], "vf": [8]}},
        "policy_class": {"__module__": "stable_baselines3.common.policies"},
    }
    path = tmp_path / "it.zip"
    found = import_torch(archive_of_stable_baselines3(path, weights, **data))
    assert found.sizes.hidden == ((), (16,), (8,))
    told = {"gamma": 0.98, "lambda": 0.9, "image_size": [64, 64]}
    assert told.items() <= found.args.items()
    assert found.args["hidden_activation"] == "tanh" and "assumed" not in found.extra
    kwargs = data["policy_kwargs"]
    kwargs["activation_fn"] = "<class 'torch.nn.modules.activation.ReLU'>"
    found = import_torch(archive_of_stable_baselines3(path, weights, **data))
    assert found.args["hidden_activation"] == "relu"
    kwargs["activation_fn"] = "<class 'torch.nn.modules.activation.ELU'>"
    with pytest.raises(FileFormatError, match=r"activation 'ELU'.* ONNX"):
        import_torch(archive_of_stable_baselines3(path, weights, **data))
    kwargs |= {"activation_fn": None, "normalize_images": False}
    with pytest.raises(FileFormatError, match="not divided by 255"):
        import_torch(archive_of_stable_baselines3(path, weights, **data))


def test_what_was_assumed_is_said():
    said = import_torch(TORCH_FILES / "ppg.pt").extra["assumed"]
    assert said == [
        "auxiliary head aux_critic is left out",
        "observations of 64 by 64 pixels",
    ]
    said = import_torch(TORCH_FILES / "dqn.pt", image_size=(84, 84)).extra["assumed"]
    assert len(said) == 1 and "Q-network" in said[0] and "greedy" in said[0]
    said = import_torch(TORCH_FILES / "batch_norm.pt").extra["assumed"]
    assert "body.1 is taken to follow body.0" in said[0]
    with pytest.raises(CheckpointError, match="activation: give relu or tanh"):
        import_torch(TORCH_FILES / "own_layers.pt")
    with pytest.raises(CheckpointError, match="does not fit observations of 64 by 64"):
        import_torch(TORCH_FILES / "dqn.pt", image_size=(64, 64))


REAL_AGENTS = pathlib.Path(
    os.environ.get(
        "LUCID_RL_REAL_AGENTS",
        pathlib.Path(__file__).parents[3] / "shared" / "real_agents",
    )
)


@pytest.mark.skipif(
    not REAL_AGENTS.is_dir(), reason="no folder of real agents (LUCID_RL_REAL_AGENTS)"
)
def test_real_agents_are_imported_at_the_first_try():
    files = sorted(REAL_AGENTS.glob("*.p*"))
    assert len(files) >= 6
    rng = np.random.default_rng(0)
    observations = rng.integers(0, 256, (4, 64, 64, 3)).astype(np.uint8)
    for path in files:
        checkpoint = import_torch(path)
        assert (checkpoint.n_actions, checkpoint.image_shape) == (15, (64, 64, 3))
        logits, values = load(checkpoint)(observations)
        assert np.isfinite(values).all() and np.ptp(logits) > 0.1


def test_pools_of_tensorflow_would_give_other_outputs():
    from lucid_rl.checkpoints.checkpoint import Checkpoint

    params = parameters(impala_weights()).params
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
    for found in (find_weights(content), find_weights(content, name)):
        assert list(found) == NAMES
    with pytest.raises(InputError, match="no state dictionary 'elsewhere', but"):
        find_weights(content, "elsewhere")


def test_none_or_several_state_dictionaries():
    with pytest.raises(CheckpointError, match="holds a dict with the keys a, b"):
        find_weights({"a": 1, "b": np.zeros(3)})
    with pytest.raises(CheckpointError, match="a list"):
        find_weights([])
    both = {"online": impala_weights(), "target": impala_weights()}
    with pytest.raises(CheckpointError, match=r"several .*, online, target: name one"):
        find_weights(both)
    assert find_weights(both, "target") is not None


def test_a_layer_without_bias_has_none():
    weights = impala_weights()
    del weights["network.1.conv.bias"]
    params = parameters(weights).params
    assert not params["ppo2_model/pi/layer_5/bias:0"].any()
    assert params["ppo2_model/pi/layer_0/bias:0"].any()


def test_other_heads_have_to_be_named_or_ignored():
    weights = impala_weights() | _drawn(_with_biases({"other.critic": (1, 256)}))
    with pytest.raises(
        CheckpointError, match=r"more than one head of the value .*: critic, other\."
    ):
        parameters(weights)
    with pytest.raises(CheckpointError, match=r"none of the network's: other\.critic"):
        parameters(weights, value="critic")
    expected = parameters(impala_weights()).params
    found = parameters(weights, ignored=["other."]).params
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    found = parameters(weights, value="other.critic", ignored=["critic"]).params
    np.testing.assert_array_equal(
        found["ppo2_model/vf/w:0"], weights["other.critic.weight"].T
    )
    for policy in ("nobody", "critic"):
        with pytest.raises(InputError, match=f"the policy '{policy}', but actor"):
            parameters(weights, policy=policy)
    with pytest.raises(InputError, match=r"function 'actor', but critic, other\."):
        parameters(weights, value="actor")
    with pytest.raises(InputError, match="begins with 'nothing'"):
        parameters(weights, ignored=["nothing"])


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
            _changed(network__5__weight=np.ones((256, 3904), np.float32)),
            r"dense layer network\.5 \(3904, 256\) does not fit observations of 64",
        ),
        (_changed(critic__weight=None), r"none of the network's: critic\.bias"),
        (
            _changed(gru__weight_ih_l0=np.ones((768, 256), np.float32)),
            r"recurrent network \(gru\.weight_ih_l0\)",
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
        parameters(weights)


def _two_networks():
    """As Stable-Baselines3 has them with share_features_extractor=False."""
    weights = {k: a for k, a in nature_weights().items() if not k.startswith("pi_")}
    others = {
        name.replace("features", "vf_features", 1): 2 * array
        for name, array in weights.items()
        if name.startswith("features")
    }
    return {**weights, **others}


@pytest.mark.parametrize(
    ("weights", "ignored", "message"),
    [
        (_two_networks(), [], "holds 6 convolutions.* Two networks"),
        (_two_networks(), ["vf_features"], "leaves heads that may read them"),
        (
            _two_networks(),
            ["vf_features", "value_net"],
            r"without value_net \(512, 1\), .*there is no head of the value",
        ),
        (_changed(log_std=np.zeros(15, np.float32)), ["log_std"], "continuous actions"),
        (_changed(actor_logstd=np.zeros((1, 3), np.float32)), [], "continuous actions"),
        (_changed(**{"lstm.weight_hh_l0": np.ones((4, 4))}), ["lstm"], "recurrent"),
        (
            _changed(extra__weight=np.ones((256, 256), np.float32)),
            ["extra"],
            r"leaving out extra \(256, 256\) leaves layers that may read it",
        ),
        (
            _changed(bn__running_var=np.ones(16, np.float32)),
            [],
            "not clear which layer the batch normalization bn follows",
        ),
        (
            _changed(norm__weight=np.ones(256, np.float32)),
            [],
            r"none of the network's: norm\.weight.*ONNX",
        ),
    ],
)
def test_what_would_give_wrong_values_is_refused(weights, ignored, message):
    with pytest.raises(CheckpointError, match=message):
        parameters(weights, ignored=ignored)


def test_target_networks_are_left_out():
    online = {
        f"q_net.{name}": array
        for name, array in nature_weights().items()
        if not name.startswith(("pi_", "value"))
    }
    target = {
        name.replace("q_net.", "q_net_target."): 2 * a for name, a in online.items()
    }
    network = parameters({**online, **target})
    assert network.settings["q_network"] and "target" in network.assumed[0]
    np.testing.assert_array_equal(
        network.params["ppo2_model/pi/w:0"], online["q_net.action_net.weight"].T
    )


def test_a_whole_other_network_may_be_ignored():
    other = {f"old.{name}": 2 * array for name, array in impala_weights().items()}
    found = parameters(impala_weights() | other, ignored=["old."]).params
    for name, array in parameters(impala_weights()).params.items():
        np.testing.assert_array_equal(found[name], array)


def test_settings_of_the_checkpoint(monkeypatch):
    from lucid_rl.checkpoints import from_torch
    from lucid_rl.games.registry import game_settings

    monkeypatch.setattr(from_torch, "read_torch", lambda path: impala_weights(9))
    monkeypatch.setattr(from_torch, "read_stable_baselines3", lambda path: {})
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

"""Edited models: the article's edit reproduced, and its effect on real networks."""

import pathlib

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.editing.feature_naming import feature_directions
from lucid_rl.errors import InputError, ModelError
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.loading import load
from lucid_rl.model.model import EDITS_ARG

_GOLDEN = pathlib.Path(__file__).parents[1] / "data" / "golden_A"
_KERNEL = "ppo2_model/pi/3a/conv2d/kernel:0"


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint(_GOLDEN / "checkpoint_A.jd")


@pytest.fixture(scope="module")
def golden():
    with np.load(_GOLDEN / "arrays.npz") as arrays:
        names = ["nmf2b_attr_channel_dirs", "edit_kernel_3a", "edit_dir", "obs_u8"]
        names += ["edit_logits", "edit_value"]
        return {name: arrays[name] for name in names}


@pytest.fixture(scope="module")
def edited(checkpoint, golden):
    model = load(checkpoint)
    return model.without(golden["nmf2b_attr_channel_dirs"][0], "2b").checkpoint


def test_the_articles_edit_is_reproduced(edited, golden):
    np.testing.assert_allclose(
        edited.params[_KERNEL], golden["edit_kernel_3a"], atol=1e-6
    )
    logits, values = load(edited)(golden["obs_u8"])
    np.testing.assert_allclose(logits, golden["edit_logits"], atol=1e-4)
    np.testing.assert_allclose(values, golden["edit_value"], atol=1e-4)


def test_only_the_next_kernel_changes_and_the_edit_is_recorded(
    checkpoint, edited, golden
):
    changed = [
        name
        for name, value in checkpoint.params.items()
        if not np.array_equal(value, edited.params[name])
    ]
    assert changed == [_KERNEL]
    [record] = edited.args[EDITS_ARG]
    assert record["layer"] == "2b" and record["strength"] == 1.0
    np.testing.assert_allclose(
        np.abs(record["basis"][0]), golden["edit_dir"], atol=1e-6
    )
    assert EDITS_ARG not in checkpoint.args


def test_edits_add_up_and_survive_the_file(edited, golden, tmp_path):
    direction = golden["nmf2b_attr_channel_dirs"][1]
    twice = load(edited).without(direction, "2b", note={"features": [1]})
    twice.save(tmp_path / "edited.jd")
    read = load_checkpoint(tmp_path / "edited.jd")
    assert [record.get("features") for record in read.args[EDITS_ARG]] == [
        None,
        [1],
    ]


def test_a_lucid_model_is_edited_like_its_checkpoint(edited, golden, tmp_path):
    model = load(_GOLDEN / "checkpoint_A.model.pb")
    assert model.kernels_reading("2b") == [_KERNEL.removesuffix(":0")]
    without = model.without(golden["nmf2b_attr_channel_dirs"][0], "2b")
    without.save(tmp_path / "edited.model.pb")
    observations = golden["obs_u8"][:8]
    from_pb = load(tmp_path / "edited.model.pb")
    expected = load(edited)(observations)
    for ours, theirs in zip(from_pb(observations), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("layer", ["1a", "4a"])
def test_other_layers_are_edited_in_the_kernel_behind_them(checkpoint, layer):
    model = load(checkpoint)
    direction = np.random.default_rng(0).random(model.layer_shape(layer)[-1])
    [record] = model.without(direction, layer).args[EDITS_ARG]
    behind = {"1a": "2a/conv2d", "4a": "dense"}[layer]
    assert record["kernels"] == [f"ppo2_model/pi/{behind}/kernel"]


def test_bad_input_is_refused(checkpoint):
    model = load(checkpoint)
    factorization = NMF.from_directions(np.eye(3, 32, dtype=np.float32), layer="2b")
    with pytest.raises(InputError, match="fitted at layer '2b'"):
        feature_directions(factorization, [0], "3a")
    with pytest.raises(InputError, match="features 0 to 2"):
        feature_directions(factorization, [3], "2b")
    with pytest.raises(InputError, match="at least one"):
        feature_directions(factorization, [], "2b")
    with pytest.raises(InputError, match="the channels of layer"):
        model.without(np.ones(16), "2b")
    with pytest.raises(ModelError, match="1a"):
        model.without(np.ones(32), "9z")
    with pytest.raises(InputError, match="from 0 to 1"):
        model.without(np.ones(32), "2b", strength=2)

import re

import joblib
import numpy as np
import pytest

from lucid_rl.checkpoints import checkpoint as checkpoint_module
from lucid_rl.checkpoints.architectures import ARCHITECTURES, parameter_shapes
from lucid_rl.checkpoints.checkpoint import (
    DEFAULT_ARGS,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from lucid_rl.checkpoints.released import resolve_model
from lucid_rl.errors import CheckpointError, FileFormatError, InputError
from tests.checkpoints.jd_values import DATA, GOLDEN_CHECKPOINT

_KERNEL = "ppo2_model/pi/2b/conv2d/kernel:0"
_POLICY_BIAS = "ppo2_model/pi/b:0"


def _params(architecture="clear", n_actions=15, n_input_channels=3):
    rng = np.random.default_rng(0)
    shapes = parameter_shapes(architecture, n_actions, n_input_channels)
    return {
        name: rng.standard_normal(shape, dtype=np.float32)
        for name, shape in shapes.items()
    }


def _saved(path, params, **args):
    joblib.dump({"args": args, "params": params, "extra": {}, "time": 1.5}, path)
    return path


def test_the_articles_checkpoint_as_it_was_saved():
    plain = joblib.load(GOLDEN_CHECKPOINT)
    checkpoint = load_checkpoint(GOLDEN_CHECKPOINT)
    assert checkpoint.architecture == "clear"
    assert checkpoint.n_actions == 15
    assert checkpoint.n_parameters == 363_216
    assert checkpoint.args == plain["args"]
    assert checkpoint.extra == {}
    assert checkpoint.time == plain["time"]
    assert checkpoint.path == str(GOLDEN_CHECKPOINT)
    assert list(checkpoint.params) == list(plain["params"])
    for name, array in plain["params"].items():
        np.testing.assert_array_equal(checkpoint.params[name], array)
    assert "clear, 15 actions, 363,216 parameters" in repr(checkpoint)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("n_actions", [7, 9, 15])
def test_every_architecture_survives_a_round_trip_that_joblib_reads(
    tmp_path, architecture, n_actions
):
    saved = Checkpoint(
        _params(architecture, n_actions),
        {"cnn": architecture, "new_option": [1, "two"]},
        {"note": "kept"},
        time=12.25,
    )
    path = tmp_path / "saved.jd"
    save_checkpoint(saved, path)
    plain = joblib.load(path)
    assert list(plain) == ["args", "params", "extra", "time"]
    for read in (load_checkpoint(path), Checkpoint(**plain)):
        assert read.args == saved.args == {**DEFAULT_ARGS, **saved.args}
        assert read.args["new_option"] == [1, "two"]
        assert (read.extra, read.time) == (saved.extra, saved.time)
        assert (read.architecture, read.n_actions) == (architecture, n_actions)
        assert list(read.params) == list(saved.params)
        for name, array in saved.params.items():
            np.testing.assert_array_equal(read.params[name], array)


def test_missing_settings_have_the_articles_defaults_and_unknown_ones_stay(tmp_path):
    path = _saved(tmp_path / "a.jd", _params(), gamma=0.9, curiosity="much")
    args = load_checkpoint(path).args
    assert args == {**DEFAULT_ARGS, "gamma": 0.9, "curiosity": "much"}
    assert (args["cnn"], args["num_steps"], args["clip_range"]) == ("clear", 256, 0.2)


def test_extra_and_time_may_be_missing(tmp_path):
    joblib.dump({"params": _params()}, tmp_path / "bare.jd")
    checkpoint = load_checkpoint(tmp_path / "bare.jd")
    assert (checkpoint.extra, checkpoint.time) == ({}, 0.0)


def test_stacked_frames_widen_the_input(tmp_path):
    params = _params("clear", 15, n_input_channels=12)
    path = _saved(tmp_path / "stacked.jd", params, cnn="clear", frame_stack=4)
    assert load_checkpoint(path).params[next(iter(params))].shape == (7, 7, 12, 16)


def _without(name):
    return lambda params: params.pop(name)


def _with(name, value):
    return lambda params: params.__setitem__(name, value)


def _poisoned(value):
    def poison(params):
        params[_KERNEL][1, 2, 3, 4] = value

    return poison


@pytest.mark.parametrize(
    ("change", "args", "message"),
    [
        (_without(_KERNEL), {}, f"missing {_KERNEL}"),
        (_with("ppo2_model/pi/extra:0", np.zeros(1, "f4")), {}, "not expected .*extra"),
        (
            _with(_KERNEL, np.zeros((3, 5, 32, 32), "f4")),
            {},
            rf"{_KERNEL} .*clear.* shape \(5, 5, 32, 32\), found \(3, 5, 32, 32\)",
        ),
        (
            _with("ppo2_model/pi/w:0", np.zeros((512, 9), "f4")),
            {},
            r"pi/w:0 .*\(512, 15\), found \(512, 9\)",
        ),
        (_with(_POLICY_BIAS, np.zeros((15, 1), "f4")), {}, "number of actions"),
        (_with(_POLICY_BIAS, np.zeros(0, "f4")), {}, "number of actions"),
        (_with(_KERNEL, np.zeros((5, 5, 32, 32))), {}, "float32 array, found float64"),
        (_with(_KERNEL, np.zeros((5, 5, 32, 32), "i4")), {}, "found int32"),
        (_with(_KERNEL, [1.0]), {}, "found list"),
        (_poisoned(np.nan), {}, f"{_KERNEL} must be finite, found 1 of 25600"),
        (_poisoned(np.inf), {}, f"{_KERNEL} must be finite, found 1 of 25600"),
        (_poisoned(0), {"cnn": "alexnet"}, "architecture 'alexnet'; expected one of"),
        (_poisoned(0), {"cnn": None}, "architecture None"),
        (_poisoned(0), {"cnn": np.zeros(2)}, "architecture array"),
        (_poisoned(0), {"cnn": "impala"}, "missing ppo2_model/pi/layer_0/bias.* more"),
        (_poisoned(0), {"use_lstm": 1}, "recurrent model .use_lstm is set."),
        (_poisoned(0), {"use_lstm": np.ones(2)}, "recurrent model"),
        (
            _with("ppo2_model/lstm1/wx:0", np.zeros(2, "f4")),
            {},
            r"recurrent model \(tensor 'ppo2_model/lstm1/wx:0'\)",
        ),
        (_with(7, np.zeros(1, "f4")), {}, "not expected 7"),
    ],
)
def test_what_makes_no_model_is_refused_by_file_and_tensor(
    tmp_path, change, args, message
):
    params = _params()
    change(params)
    path = _saved(tmp_path / "wrong.jd", params, **args)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_tensor_is_checked(tmp_path, architecture):
    for name in parameter_shapes(architecture, 15):
        params = _params(architecture)
        params[name] = params[name][..., None]
        path = _saved(tmp_path / "wrong.jd", params, cnn=architecture)
        with pytest.raises(CheckpointError, match=re.escape(name)):
            load_checkpoint(path)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([1, 2], "a list"),
        ({"observations": np.zeros(3, "u1")}, r"a dict of \['observations'\]"),
        ({"params": [1]}, r"a dict of \['params'\]"),
    ],
)
def test_other_jd_files_are_no_checkpoints(tmp_path, value, found):
    joblib.dump(value, tmp_path / "other.jd")
    with pytest.raises(CheckpointError, match=f"not a checkpoint.*{found}"):
        load_checkpoint(tmp_path / "other.jd")


def test_settings_that_are_no_dict_are_refused(tmp_path):
    joblib.dump({"params": _params(), "args": [1]}, tmp_path / "other.jd")
    with pytest.raises(CheckpointError, match="args is a list"):
        load_checkpoint(tmp_path / "other.jd")


@pytest.mark.parametrize("architecture", ["impala", "nature"])
def test_the_start_of_a_real_file_tells_which_tensor_is_cut(architecture):
    path = DATA / "jd_files" / f"{architecture}_start.jd"
    cut = re.findall(rb"ppo2_model[\w/]+:0", path.read_bytes())[-1].decode()
    shape = parameter_shapes(architecture, 15)[cut]
    with pytest.raises(FileFormatError, match="truncated") as caught:
        load_checkpoint(path)
    assert f"{cut!r}: float32 of shape {shape} takes" in str(caught.value)


def test_replaced_parameters_make_a_new_checkpoint():
    before = load_checkpoint(GOLDEN_CHECKPOINT)
    kernel = before.params[_KERNEL].astype(np.float64) / 3
    after = before.replace_params({_KERNEL: kernel}, args={"edit": "thirds"})
    np.testing.assert_array_equal(after.params[_KERNEL], kernel.astype(np.float32))
    assert not np.array_equal(before.params[_KERNEL], after.params[_KERNEL])
    assert "edit" not in before.args
    assert after.args["edit"] == "thirds"
    assert after.path is None
    others = set(before.params) - {_KERNEL}
    assert all(np.array_equal(before.params[n], after.params[n]) for n in others)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ppo2_model/pi/9z/kernel:0": np.zeros(3)}, "not expected .*9z"),
        ({_KERNEL: np.zeros(3)}, r"found \(3,\)"),
        ({_KERNEL: np.zeros((5, 5, 32, 32), "i8")}, "found int64"),
        ({_KERNEL: np.full((5, 5, 32, 32), 1e300)}, "finite"),
    ],
)
def test_replacements_must_fit(changes, message):
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(GOLDEN_CHECKPOINT).replace_params(changes)


def test_parameters_cannot_be_changed_by_accident():
    params = _params()
    checkpoint = Checkpoint(params)
    with pytest.raises(ValueError, match="read-only"):
        checkpoint.params[_KERNEL][:] = 0
    params[_KERNEL][:] = 0  # the caller's own stay writable


def test_settings_that_cannot_be_stored_are_named(tmp_path):
    checkpoint = Checkpoint(_params(), {"callback": print})
    with pytest.raises(InputError, match=r"\['args'\]\['callback'\]"):
        save_checkpoint(checkpoint, tmp_path / "a.jd")


@pytest.mark.parametrize(("name", "file"), checkpoint_module.BUNDLED.items())
def test_the_bundled_models_have_their_place_in_the_package(name, file):
    path = checkpoint_module.bundled_checkpoint_path(name)
    assert path.parts[-3:] == ("lucid_rl", "data", file)
    assert resolve_model(name) == str(path)

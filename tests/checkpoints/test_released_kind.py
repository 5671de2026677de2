"""Checkpoints as OpenAI's trainers saved them: with more than weights in them."""

import argparse
import collections
import enum
import functools
import os
import pathlib
import types
import warnings

import joblib
import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from lucid_rl.checkpoints.jd_format import read_jd
from lucid_rl.errors import CheckpointError, FileFormatError
from tests.checkpoints.jd_values import DATA

_SMALL = DATA / "jd_files" / "released_kind.jd"
_RELEASED = pathlib.Path(
    os.environ.get(
        "LUCID_RL_RELEASED", pathlib.Path(__file__).parents[3] / "shared" / "released"
    )
)
_COINRUN = _RELEASED / "procgen" / "coinrun.jd"


class _Colour(enum.Enum):
    RED = 1


class _Number(enum.IntEnum):
    ONE = 1


class _Slots:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a, self.b = 1, np.zeros(3)


class _Object:
    def __init__(self):
        self.inner = {"array": np.arange(3), "itself": self}


class _Reduced:
    def __reduce__(self):
        return _Reduced, (), {"state": 1}, iter([1, 2]), iter([("a", 1)])


class _ItsOwnDict(dict):
    pass


class _Text(str):
    pass


_SURVIVORS = {
    "namespace": argparse.Namespace(a=1),
    "simple_namespace": types.SimpleNamespace(a=1),
    "counter": collections.Counter("aab"),
    "ordered": collections.OrderedDict(a=1),
    "default": collections.defaultdict(list, a=[1]),
    "keys_of_numpy": {np.int64(3): np.float64(1.5)},
    "scalars": [
        np.float16(1),
        np.int8(1),
        np.bool_(True),
        np.complex64(1),
        np.str_("a"),
    ],
}
_LEFT_OUT = {
    "function": os.path.join,
    "lambda_like": functools.partial(print, 1),
    "builtin": len,
    "class": _Object,
    "numpy_class": np.float32,
    "container_class": collections.OrderedDict,
    "dtype": np.dtype("f4"),
    "enum": _Colour.RED,
    "int_enum": _Number.ONE,
    "slots": _Slots(),
    "object": _Object(),
    "reduced": _Reduced(),
    "own_dict": _ItsOwnDict(a=1),
    "own_text": _Text("a"),
    "path": pathlib.PurePosixPath("a"),
    "range": range(3),
    "slice": slice(3),
    "deque": collections.deque([1], 3),
    "date": np.datetime64("2020-01-01"),
    "duration": np.timedelta64(3, "s"),
    "long_double": np.longdouble(1),
    "dates": np.array(["2020-01-01"], "M8[D]"),
    "records": np.zeros(3, [("a", "f4"), ("b", "i4", (2,))]),
    "objects": np.array([_Object(), None, {}], dtype=object),
    "records_of_objects": np.zeros(2, [("a", "O"), ("b", "f4")]),
    "matrix": np.matrix([[1, 2]]),
    "masked": np.ma.zeros(3),
    "random": np.random.RandomState(0),
    "generator": np.random.default_rng(0),
    "in_a_list": [1, _Colour.RED],
    "method": _Object().__init__,
    "key_of_tuple": {("a", 1): 2},
    "key_of_enum": {_Colour.RED: 2, "kept": 1},
}


def _with(path, args=(), extra=(), **others):
    value = joblib.load(_SMALL)
    value["args"] |= dict(args)
    value["extra"] = {**value["extra"], **dict(extra)}
    joblib.dump({**value, **others}, path, protocol=others.get("protocol", 3))
    return path


def test_a_small_file_of_the_released_kind(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint = load_checkpoint(_SMALL)
    plain = joblib.load(_SMALL)
    assert len(plain["args"]) == 65
    assert type(checkpoint.extra) is dict and checkpoint.extra == dict(plain["extra"])
    assert checkpoint.args["paint_vel_info"] is None
    assert (checkpoint.n_actions, checkpoint.image_shape) == (15, (64, 64, 3))
    save_checkpoint(checkpoint, tmp_path / "saved.jd")
    saved = joblib.load(tmp_path / "saved.jd")
    assert saved["extra"] == plain["extra"]
    assert plain["args"].items() <= saved["args"].items()
    assert b"collections" not in (tmp_path / "saved.jd").read_bytes()


@pytest.mark.skipif(
    not _COINRUN.is_file(),
    reason=f"no released model at {_COINRUN} (LUCID_RL_RELEASED)",
)
def test_a_released_model(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint = load_checkpoint(_COINRUN)
    assert (checkpoint.architecture, checkpoint.n_parameters) == ("clear", 363_216)
    assert checkpoint.extra["_rewmean_"] == np.float32(9.9)
    save_checkpoint(checkpoint, tmp_path / "saved.jd")
    plain, saved = joblib.load(_COINRUN), joblib.load(tmp_path / "saved.jd")
    assert saved["extra"] == plain["extra"] and saved["time"] == plain["time"]
    for name, array in plain["params"].items():
        np.testing.assert_array_equal(saved["params"][name], array)


@pytest.mark.parametrize("n_bytes", [1, 100, 2000, 5000, 100_000, 1_456_064])
@pytest.mark.skipif(
    not _COINRUN.is_file(),
    reason=f"no released model at {_COINRUN} (LUCID_RL_RELEASED)",
)
def test_a_released_model_cut_short(tmp_path, n_bytes):
    path = tmp_path / "cut.jd"
    path.write_bytes(_COINRUN.read_bytes()[:n_bytes])
    with pytest.raises(FileFormatError, match=r"cut\.jd .*(truncated|early)"):
        load_checkpoint(path)


@pytest.mark.parametrize("where", ["args", "extra"])
@pytest.mark.parametrize("name", _SURVIVORS)
def test_containers_and_scalars_stay_as_plain_data(tmp_path, watched, where, name):
    path = _with(tmp_path / "a.jd", **{where: {"it": _SURVIVORS[name]}})
    with warnings.catch_warnings(), watched():
        warnings.simplefilter("error")
        found = getattr(load_checkpoint(path), where)["it"]
    expected = _SURVIVORS[name]
    if hasattr(expected, "__dict__") and not isinstance(expected, dict):
        expected = vars(expected)
    assert found == expected
    assert type(found) in (dict, list, collections.OrderedDict)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("where", ["args", "extra"])
@pytest.mark.parametrize("name", _LEFT_OUT)
def test_what_is_no_plain_data_is_left_out_with_one_warning(
    tmp_path, watched, where, name, protocol
):
    path = tmp_path / "a.jd"
    value = joblib.load(_SMALL)
    value[where]["it"] = _LEFT_OUT[name]
    value[where]["other"] = "kept"
    joblib.dump(value, path, protocol=protocol)
    with pytest.warns(UserWarning) as caught, watched():
        found = getattr(load_checkpoint(path), where)
    assert len(caught) == 1
    assert f"value['{where}']['it']" in str(caught[0].message)
    assert found.get("it", {}) in ({}, {"kept": 1})
    assert found["other"] == "kept"


def test_everything_at_once_is_one_short_warning(tmp_path):
    path = _with(tmp_path / "a.jd", _LEFT_OUT, _LEFT_OUT)
    with pytest.warns(UserWarning) as caught:
        checkpoint = load_checkpoint(path)
    assert len(caught) == 1 and len(str(caught[0].message)) < 1500
    assert "function" not in checkpoint.args
    save_checkpoint(checkpoint, tmp_path / "saved.jd")
    assert read_jd(tmp_path / "saved.jd")["args"] == checkpoint.args


@pytest.mark.parametrize("name", ["enum", "object", "function", "objects", "random"])
def test_params_hold_arrays_and_nothing_else(tmp_path, name):
    value = joblib.load(_SMALL)
    value["params"]["ppo2_model/pi/w:0"] = _LEFT_OUT[name]
    joblib.dump(value, tmp_path / "a.jd")
    with pytest.raises(FileFormatError, match=r"more than plain data: .*\['params'\]"):
        load_checkpoint(tmp_path / "a.jd")
    joblib.dump({**value, "params": _LEFT_OUT[name]}, tmp_path / "a.jd")
    with pytest.raises(FileFormatError, match="more than plain data"):
        load_checkpoint(tmp_path / "a.jd")


def test_args_as_a_namespace_are_a_dictionary(tmp_path):
    value = joblib.load(_SMALL)
    value["args"] = argparse.Namespace(**value["args"])
    joblib.dump(value, tmp_path / "a.jd")
    assert load_checkpoint(tmp_path / "a.jd").args["env_name"] == "coinrun"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"gamma": "much"}, "setting gamma is 'much', expected a number"),
        ({"gamma": float("nan")}, "setting gamma is nan"),
        ({"lambda": [1]}, "setting lambda is of type list"),
        ({"reward_scale": np.zeros(3)}, "setting reward_scale is of type ndarray"),
        ({"image_size": 64}, "setting image_size is 64, expected height and width"),
        ({"image_size": [1, 10**9]}, "setting image_size is of type list"),
        ({"hidden_activation": "elu"}, "hidden_activation is 'elu', expected 'relu'"),
        ({"hidden_activation": np.ones(2)}, "hidden_activation is of type ndarray"),
        ({"gamma": 10**400}, "setting gamma is 1000"),
        ({"reward_scale": 1j}, "setting reward_scale is of type complex"),
        ({"cnn": {}}, "architecture {}"),
        ({"use_lstm": "no"}, "use_lstm is set"),
    ],
)
def test_settings_of_absurd_types(tmp_path, args, message):
    path = _with(tmp_path / "a.jd", args)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


def test_settings_of_odd_types_that_make_sense(tmp_path):
    args = {"gamma": np.float32(0.5), "q_network": np.zeros(2), "edits": {"a": None}}
    found = load_checkpoint(_with(tmp_path / "a.jd", args))
    assert found.args["gamma"] == 0.5


def test_settings_that_are_none_have_their_default(tmp_path):
    path = _with(tmp_path / "a.jd", {"gamma": None, "use_lstm": None})
    assert load_checkpoint(path).args["gamma"] == 0.999

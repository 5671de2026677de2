"""A run's saves: everything that the rest of it depends on, written atomically."""

import numbers
import os
import pathlib
import zlib
from typing import Any

import numpy as np

from lucid_rl.bounded import decompress
from lucid_rl.checkpoints.jd_format import read_jd, write_jd
from lucid_rl.errors import FileFormatError, SettingsError, TrainingError, some_of
from lucid_rl.training.config import TrainConfig

SAVE_NAME = "save.jd"
MODEL_NAME = "model.jd"
_VERSION = 2
_ADVICE = "Start again in another folder, or put a copy of the save there."
# What a resumed run must share with the one that it resumes.
_FIXED = ("game", "architecture", "n_groups", "seed", "noise", "optimizer", "teacher")


def write_save(
    state: dict[str, Any], folder: pathlib.Path, name: str = SAVE_NAME
) -> None:
    """Replaces the folder's save; the earlier one stands if this fails.

    `state` is nested dictionaries and lists of arrays, numbers, text and bytes.

    Raises:
        SaveError: it cannot be written.
    """
    packed = _pack(state)
    save = {"version": _VERSION, "state": packed, "checksum": _checksum(packed)}
    write_jd(save, folder / name)


def check_finite(learner: dict[str, Any], done: str) -> None:
    """Checks a learner's state before it is saved or played with.

    `done` says how far the run has come, for the message.

    Raises:
        TrainingError: a parameter is infinite or not a number.
    """
    for part, arrays in learner.items():
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise TrainingError(
                    f"training has diverged: after {done}, {part} {name} are not "
                    "finite. The last save is unchanged: run again from there with a "
                    "smaller learning_rate, reward_scale or loss coefficient"
                )


def read_save(folder: pathlib.Path, name: str = SAVE_NAME) -> dict[str, Any] | None:
    """Reads the folder's save.

    Returns:
        What was given to `write_save`, or None where there is no save.

    Raises:
        FileFormatError: it is damaged, or of another version.
    """
    path = folder / name
    if not os.path.exists(path):
        return None
    save = read_jd(path)
    if not isinstance(save, dict) or save.get("version") != _VERSION:
        raise FileFormatError(
            f"{path} is no save of this version: start in another folder, or use the "
            "version that wrote it."
        )
    state = save.get("state")
    # Earlier saves have no checksum.
    if "checksum" in save and save["checksum"] != _checksum(state):
        raise FileFormatError(f"{path} is damaged: its checksum differs. {_ADVICE}")
    try:
        unpacked = _unpack(state)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}. {_ADVICE}") from error
    if not isinstance(unpacked, dict) or not isinstance(unpacked.get("config"), dict):
        raise FileFormatError(f"{path} holds no state of a run. {_ADVICE}")
    return unpacked


def check_state(saved: Any, fresh: Any, where: str) -> None:
    """Raises if what was saved is not made as the state of a run that has just begun.

    Raises:
        FileFormatError: a key is missing, or a value of another type, shape or
            length.
    """
    wrong = None
    if isinstance(fresh, dict):
        if not isinstance(saved, dict):
            wrong = "is no dictionary"
        elif missing := [key for key in fresh if key not in saved]:
            wrong = f"lacks {some_of(missing)}"
        else:
            for key in fresh.keys() - {"config"}:
                check_state(saved[key], fresh[key], f"{where}, {key}")
    elif isinstance(fresh, list):
        if not isinstance(saved, list) or len(saved) != len(fresh):
            wrong = f"is no list of {len(fresh)}"
        else:
            for i, pair in enumerate(zip(saved, fresh, strict=True)):
                check_state(*pair, f"{where} {i}")
    elif isinstance(fresh, np.ndarray):
        expected = f"{fresh.dtype} {list(fresh.shape)}"
        if not isinstance(saved, np.ndarray):
            wrong = f"is {type(saved).__name__}: expected {expected}"
        elif (saved.shape, saved.dtype.kind) != (fresh.shape, fresh.dtype.kind):
            wrong = f"is {saved.dtype} {list(saved.shape)}: expected {expected}"
        elif saved.dtype.kind == "f" and not np.isfinite(saved).all():
            wrong = "holds numbers that are not finite"
    elif not isinstance(
        saved, numbers.Real if isinstance(fresh, float) else type(fresh)
    ):
        wrong = f"is {type(saved).__name__}: expected {type(fresh).__name__}"
    if wrong:
        raise FileFormatError(f"{where} {wrong}. {_ADVICE}")


def check_same_run(config: TrainConfig, saved: dict[str, Any]) -> None:
    """Raises if the saved config is of a run of another kind.

    Raises:
        SettingsError: they differ in what cannot change within a run.
    """
    now = config.as_dict()
    for name in _FIXED:
        if _plain(now[name]) != _plain(saved.get(name)):
            raise SettingsError(
                f"{config.folder} holds a run with {name} = {saved.get(name)}, but "
                f"this one has {now[name]}: choose another folder, or the same {name}."
            )


def _plain(value):
    """Lists for tuples, and no None, which later options have in earlier saves."""
    if isinstance(value, dict):
        # Earlier saves call a standard deviation so.
        return {
            key.replace("_deviation", "_std"): _plain(item)
            for key, item in value.items()
            if item is not None
        }
    return list(value) if isinstance(value, tuple) else value


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """Returns the state of a random generator, for a save."""
    return dict(rng.bit_generator.state)


def restore_generator(rng: np.random.Generator, state: dict[str, Any]) -> None:
    """Puts a random generator into a saved state.

    Raises:
        FileFormatError: it is none.
    """
    try:
        rng.bit_generator.state = state
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise FileFormatError(
            f"the save holds no state of a random generator ({error}). {_ADVICE}"
        ) from error


def _pack(value):
    """Bytes become (compressed) arrays and large integers text, for the format."""
    if isinstance(value, dict):
        return {key: _pack(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_pack(item) for item in value]
    if isinstance(value, bytes):
        # Games' states shrink to a fifth, and are as large as the parameters.
        compressed = zlib.compress(value, 1)
        return {"bytes": np.frombuffer(compressed, np.uint8).copy()}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return {"integer": str(value)}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _unpack(value):
    if isinstance(value, dict):
        if set(value) == {"bytes"}:
            compressed = value["bytes"]
            if not isinstance(compressed, np.ndarray):
                raise FileFormatError("its bytes are no array")
            return decompress(compressed.tobytes())
        if set(value) == {"integer"}:
            return _integer(value["integer"])
        return {key: _unpack(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unpack(item) for item in value]
    return value


def _integer(text):
    try:
        return int(str(text)[:1000])
    except ValueError as error:
        raise FileFormatError(f"{text!r:.100} is no integer") from error


def _checksum(value: Any, start: int = 0) -> int:
    """CRC-32 of packed values, the same before they are written and after."""
    if isinstance(value, dict):
        for key, item in value.items():
            start = _checksum(item, zlib.crc32(repr(key).encode(), start))
    elif isinstance(value, list):
        for item in value:
            start = _checksum(item, start)
    elif isinstance(value, np.ndarray):
        start = zlib.crc32(f"{value.dtype.str}{value.shape}".encode(), start)
        start = zlib.crc32(np.ascontiguousarray(value).data, start)
    else:
        start = zlib.crc32(f"{type(value).__name__}{value!r}".encode(), start)
    return start

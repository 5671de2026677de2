"""A run's saves: everything that the rest of it depends on, written atomically."""

import pathlib
import zlib
from typing import Any

import numpy as np

from lucid_rl.checkpoints.jd_format import read_jd, write_jd
from lucid_rl.errors import FileFormatError, SettingsError
from lucid_rl.training.config import TrainConfig

SAVE_NAME = "save.jd"
MODEL_NAME = "model.jd"
_VERSION = 2
# What a resumed run must share with the one that it resumes.
_FIXED = ("game", "architecture", "n_groups", "seed", "noise", "optimizer", "teacher")


def write_save(
    state: dict[str, Any], folder: pathlib.Path, name: str = SAVE_NAME
) -> None:
    """Replaces the folder's save; the earlier one stands if this fails.

    Args:
        state: nested dictionaries and lists of arrays, numbers, text and bytes.
        folder: of the run.
        name: of the file.

    Raises:
        SaveError: it cannot be written.
    """
    write_jd({"version": _VERSION, "state": _pack(state)}, folder / name)


def read_save(folder: pathlib.Path, name: str = SAVE_NAME) -> dict[str, Any] | None:
    """Reads the folder's save.

    Returns:
        What was given to `write_save`, or None where there is no save.

    Raises:
        FileFormatError: it is damaged, or of another version.
    """
    path = folder / name
    if not path.exists():
        return None
    save = read_jd(path)
    if not isinstance(save, dict) or save.get("version") != _VERSION:
        raise FileFormatError(
            f"{path} is no save of this version: start in another folder, or use the "
            "version that wrote it."
        )
    return _unpack(save["state"])


def check_same_run(config: TrainConfig, saved: dict[str, Any]) -> None:
    """Raises if a save belongs to a run of another kind.

    Args:
        config: of the run that is to be resumed.
        saved: the "config" of its save.

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
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return list(value) if isinstance(value, tuple) else value


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """Returns the state of a random generator, for a save."""
    return dict(rng.bit_generator.state)


def restore_generator(rng: np.random.Generator, state: dict[str, Any]) -> None:
    """Puts a random generator into a saved state."""
    rng.bit_generator.state = state


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
            return zlib.decompress(value["bytes"].tobytes())
        if set(value) == {"integer"}:
            return int(value["integer"])
        return {key: _unpack(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unpack(item) for item in value]
    return value

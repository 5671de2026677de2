"""Dictionaries of arrays as `.jd` or `.npz` files, checked when read."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid_rl.bounded import read_npy, read_npz
from lucid_rl.checkpoints.jd_format import read_jd, write_jd
from lucid_rl.errors import FileFormatError
from lucid_rl.files import PathLike


def write_arrays(path: PathLike, **arrays: np.ndarray | None) -> None:
    """Writes the arrays that are not None, atomically."""
    write_jd({name: a for name, a in arrays.items() if a is not None}, path)


def read_arrays(
    path: PathLike, required: Mapping[str, str], optional: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Reads named arrays; others in the file are ignored.

    Args:
        path: a `.jd` file that holds a dictionary, an `.npz` file, or an `.npy` file,
            which holds the first required array.
        required: dtype of each array that must be there.
        optional: dtype of each array that may be there.

    Returns:
        The arrays found. Any whole numbers are taken for whole numbers and any
        finite numbers for floats; bytes and truth values must be exactly that.

    Raises:
        FileFormatError: the file is no such dictionary.
    """
    content: Any
    if os.fspath(path).endswith(".npy"):
        content = {next(iter(required)): read_npy(path)}
    else:
        is_npz = os.fspath(path).endswith(".npz")
        content = read_npz(path) if is_npz else read_jd(path)
    if not isinstance(content, dict):
        raise FileFormatError(
            f"{path}: expected a dictionary with {', '.join(required)}, found "
            f"{type(content).__name__}"
        )
    return converted(path, content, required, optional)


def converted(
    where: object,
    content: Mapping[Any, Any],
    required: Mapping[str, str],
    optional: Mapping[str, str],
) -> dict[str, np.ndarray]:
    """Arrays of a dictionary as `read_arrays` gives them; `where` is for messages."""
    missing = [name for name in required if name not in content]
    if missing:
        found = ", ".join(str(name) for name in content) or "nothing"
        raise FileFormatError(
            f"{where}: {', '.join(missing)} missing; the file holds {found}"
        )
    arrays = {}
    for name, kind in {**required, **optional}.items():
        # The article's code leaves optional arrays out or sets them to None.
        if content.get(name) is not None:
            arrays[name] = _converted(where, name, content[name], np.dtype(kind))
    return arrays


def check_shapes(
    where: object, arrays: Mapping[str, np.ndarray], axes: Mapping[str, str]
) -> None:
    """Checks that arrays of a file fit together.

    Args:
        where: the file, for messages.
        arrays: by name.
        axes: a letter for each axis of each array, such as "nthwc"; axes of one letter
            have one length, a digit is its length.

    Raises:
        FileFormatError: an array has another shape, or an axis of length 0.
    """
    lengths = {str(digit): digit for digit in range(10)}
    for name, array in arrays.items():
        expected = [lengths.get(axis, axis) for axis in axes[name]]
        found = dict(zip(axes[name], array.shape, strict=False))
        if array.shape != tuple((found | lengths).get(a) for a in axes[name]) or (
            not array.size
        ):
            raise FileFormatError(
                f"{where}: {name} of shape {array.shape}, expected "
                f"[{', '.join(map(str, expected))}], each at least 1"
            )
        lengths |= found


def _converted(where: object, name: str, array: object, kind: np.dtype) -> np.ndarray:
    accepted = {"u": "u", "b": "b", "i": "iu", "f": "fiu", "U": "U"}[kind.kind]
    if (
        not isinstance(array, np.ndarray)
        or array.dtype.kind not in accepted
        or (kind == np.uint8 and array.dtype != np.uint8)
    ):
        found = getattr(array, "dtype", type(array).__name__)
        advice = ""
        if kind == np.uint8:
            advice = ", 0 to 255: floats up to 1 by (255 * frames).astype(np.uint8)"
        raise FileFormatError(f"{where}: {name} is {found}, expected {kind}{advice}")
    if kind.kind == "U":
        return array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise FileFormatError(f"{where}: {name} holds numbers that are not finite")
    return array.astype(kind, copy=False)

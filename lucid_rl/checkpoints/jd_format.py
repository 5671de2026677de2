"""The article's `.jd` format: joblib files, read without running what they hold.

joblib (Python's pickle with the raw bytes of numpy arrays in between) is how the
article stored checkpoints, metadata, observations and trajectories. A plain
`joblib.load` runs any code that a file's author put into it; `read_jd` does not.
"""

import os
from pickle import UnpicklingError
from typing import Any

import numpy as np

from lucid_rl.checkpoints.byte_reader import open_bounded
from lucid_rl.checkpoints.plain_values import NotPlainError, check_plain
from lucid_rl.checkpoints.safe_unpickler import SafeUnpickler
from lucid_rl.errors import FileFormatError, InputError
from lucid_rl.files import atomic_open

_PROTOCOL = 3
"""The article's own; every Python 3 reads it."""


def read_jd(path: str | os.PathLike) -> Any:
    """Reads a `.jd` file of plain containers, numbers, text and numpy arrays.

    Files of any joblib since 0.10 and any numpy are read, plain or compressed by
    joblib with zlib or gzip. Nothing in the file is executed, and memory stays
    within a small multiple of the file's size (of the expanded size, which is
    bounded, where it is compressed).

    Args:
        path: the file.

    Returns:
        The value. Arrays have native byte order and are writable copies, not
        memory maps.

    Raises:
        FileFormatError: the file is missing, unreadable, truncated, damaged, holds
            anything else (objects, object arrays, memory maps, functions), or
            expands beyond bounds.
    """
    try:
        with open_bounded(path) as source:
            value = SafeUnpickler(source).load()
        check_plain(value)
    except OSError as error:
        raise FileFormatError(
            f"cannot read {path}: {error.strerror or error}. Give the path of a .jd "
            "file, as the article's code or lucid_rl wrote it."
        ) from error
    except (UnpicklingError, NotPlainError) as error:
        raise FileFormatError(f"{path} is no sound .jd file: {error}.") from error
    # Whatever a broken operation raises is the file's fault.
    except Exception as error:
        raise FileFormatError(
            f"{path} is no sound .jd file: it is damaged ({type(error).__name__}: "
            f"{str(error)[:200]})."
        ) from error
    return value


def write_jd(value: Any, path: str | os.PathLike) -> None:
    """Writes a value as a `.jd` file, atomically.

    Plain joblib of any age since 0.10 reads it, with Python 3 and any numpy.

    Args:
        value: plain containers, numbers, text and numpy arrays.
        path: file to write; an earlier one is replaced only when all is written.

    Raises:
        InputError: the value holds something else; says where.
        SaveError: the file cannot be written.
    """
    try:
        check_plain(value)
    except NotPlainError as error:
        raise InputError(f"cannot write {path}: the {error}.") from error
    with atomic_open(path) as stream:
        _make_pickler(stream).dump(value)


def _make_pickler(stream: Any) -> Any:
    # Imported late: joblib takes long to import and reading does without it.
    from joblib import numpy_pickle

    class Pickler(numpy_pickle.NumpyPickler):
        def _create_array_wrapper(self, array: np.ndarray) -> Any:
            wrapper = super()._create_array_wrapper(array)
            wrapper.subclass = np.ndarray
            # joblib before 1.2 knows no alignment and would read the padding as
            # numbers; later ones take its absence for none.
            wrapper.numpy_array_alignment_bytes = None
            return wrapper

    return Pickler(stream, protocol=_PROTOCOL)

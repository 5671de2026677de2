"""The article's `.jd` format: joblib files, read without running what they hold.

joblib (Python's pickle with the raw bytes of numpy arrays in between) is how the
article stored checkpoints, metadata, observations and trajectories. A plain
`joblib.load` runs any code that a file's author put into it; `read_jd` does not.
"""

import os
import warnings
from collections.abc import Collection
from pickle import UnpicklingError
from typing import Any

import numpy as np

from lucid_rl.checkpoints.byte_reader import open_bounded
from lucid_rl.checkpoints.plain_values import NotPlainError, check_plain, plain_parts
from lucid_rl.checkpoints.safe_unpickler import SafeUnpickler
from lucid_rl.errors import FileFormatError, InputError, some_of
from lucid_rl.files import atomic_open

_PROTOCOL = 3
"""The article's own; every Python 3 reads it."""


def read_jd(path: str | os.PathLike, required: Collection[str] | None = None) -> Any:
    """Reads a `.jd` file of plain containers, numbers, text and numpy arrays.

    Files of any joblib since 0.10 and any numpy are read, plain or compressed by joblib
    with zlib or gzip. Nothing in the file is executed. Memory and time stay within a
    multiple of the file's size. Functions, classes and objects that the file names are
    not part of the value. Arrays have native byte order and are writable copies.

    Args:
        path: the file.
        required: keys of the dictionary in the file whose values must be plain data
            throughout; what is not plain under other keys is left out, with one warning
            that names it. By default everything must be plain.

    Raises:
        FileFormatError: the file is missing, unreadable, truncated, damaged, expands
            beyond bounds, or holds anything else than plain data where it must.
    """
    try:
        with open_bounded(path) as source:
            value = SafeUnpickler(source).load()
    except OSError as error:
        raise FileFormatError(
            f"cannot read {path}: {error.strerror or error}. Give the path of a .jd "
            "file, as the article's code or lucid_rl wrote it."
        ) from error
    except (UnpicklingError, FileFormatError) as error:
        raise FileFormatError(f"{path} is not a valid .jd file: {error}.") from error
    # A damaged pickle may raise anything.
    except Exception as error:
        raise FileFormatError(
            f"{path} is not a valid .jd file: it is damaged ({type(error).__name__}: "
            f"{str(error)[:200]})."
        ) from error
    try:
        if required is None or not isinstance(value, dict):
            check_plain(value)
            return value
        check_plain({key: value[key] for key in required if key in value})
    except NotPlainError as error:
        raise FileFormatError(
            f"{path} holds more than plain data: the {error}. Save what you need of it "
            "as numbers, text and arrays, with code of your own that you trust."
        ) from error
    plain, left_out = plain_parts(value)
    if left_out:
        reasons = some_of(left_out.values())
        warnings.warn(f"{path}: left out of the file: {reasons}", stacklevel=3)
    return plain


def write_jd(value: Any, path: str | os.PathLike) -> None:
    """Writes plain containers, numbers, text and arrays as a `.jd` file, atomically.

    Plain joblib of any age since 0.10 reads it, with Python 3 and any numpy.

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
            # joblib before 1.2 has no alignment and would read the padding as
            # numbers; later ones take its absence for none.
            wrapper.numpy_array_alignment_bytes = None
            return wrapper

    return Pickler(stream, protocol=_PROTOCOL)

"""Files that PyTorch saves, read without PyTorch and without running anything.

A file is a pickle that describes tensors, and their numbers beside it: within a zip
archive since PyTorch 1.6, one after the other before. A pickle may name anything to be
imported and called. Here tensors and plain containers become arrays and containers, and
whatever else is named becomes a `Foreign`, which remembers what was stored in it and
does nothing.
"""

import collections
import math
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from lucid_rl.errors import FileFormatError
from lucid_rl.files import PathLike

_MAGIC = 0x1950A86A20F9469CFC6C
_BFLOAT16 = "BFloat16Storage"
_STORAGES: dict[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    _BFLOAT16: np.dtype("<u2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("<i1"),
    "ByteStorage": np.dtype("<u1"),
    "BoolStorage": np.dtype("?"),
}
# Bytes of arrays for each of the file's: shared parameters are listed several times.
_MAX_REPEATED = 16
# What Stable-Baselines3 calls the parameters within its own archive.
_NESTED = "policy.pth"


class Foreign:
    """Stands for an object of a class that is not known here, such as a module.

    Attributes:
        state: what the file stores in it; None if nothing.
    """

    state: Any = None

    def __init__(self, *_: Any, **__: Any) -> None:
        """Takes whatever the object was made of, and keeps nothing of it."""

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Takes what a mapping of a foreign class would hold."""

    def append(self, value: Any) -> None:
        """Takes what a list of a foreign class would hold."""


class _Tensor(NamedTuple):
    """A tensor as it is described: a view of a storage's numbers."""

    key: str
    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch(path: PathLike) -> Any:
    """Reads what `torch.save` wrote, or the parameters that Stable-Baselines3 saved.

    Args:
        path: a `.pt`, `.pth` or `.zip` file.

    Returns:
        The value, with arrays in place of tensors (bfloat16 as float32) and `Foreign`
        in place of objects. Nothing that the file names is imported or called.

    Raises:
        FileFormatError: the file is missing, damaged or of another format.
    """
    try:
        with open(path, "rb") as stream:
            arrays = _Arrays(_MAX_REPEATED * os.fstat(stream.fileno()).st_size)
            if zipfile.is_zipfile(stream):
                return _read_archive(stream, arrays)
            stream.seek(0)
            return _read_legacy(stream, arrays)
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror}") from error
    except (
        *(pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError),
        *(IndexError, AttributeError, OverflowError, MemoryError),
        *(zipfile.BadZipFile, RuntimeError, struct.error),
    ) as error:
        raise FileFormatError(
            f"{path} holds no weights that can be read: {error!r}. Expected a file of "
            "torch.save, or one that Stable-Baselines3 saved."
        ) from error


class _Unpickler(pickle.Unpickler):
    """Reads descriptions of tensors; calls nothing but what is defined here."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _described
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module == "torch" and name.endswith("Storage"):
            return name
        return Foreign

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, storage, key, *_ = pid
        if storage not in _STORAGES:
            raise pickle.UnpicklingError(f"it holds numbers of type {storage}")
        return str(key), storage


def _described(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    key, kind = storage
    return _Tensor(key, kind, int(offset), tuple(shape), tuple(strides))


def _parameter(data: Any, *_: Any) -> Any:
    return data


class _Arrays:
    """Makes arrays, as many as a file's size accounts for.

    Tensors may be views of the same numbers; a small file could name many of many.
    """

    def __init__(self, max_bytes: int) -> None:
        self._bytes_left = max_bytes

    def make(self, tensor: _Tensor, data: bytes) -> np.ndarray:
        """The numbers of a tensor, an array of its own."""
        values = np.frombuffer(data, _STORAGES[tensor.storage])
        offset, shape, strides = tensor.offset, tensor.shape, tensor.strides
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        outside = min((offset, *strides, *shape)) < 0 or last >= len(values)
        if outside and 0 not in shape:
            raise ValueError("an array reaches beyond its values")
        self._bytes_left -= math.prod(shape) * values.itemsize
        if self._bytes_left < 0:
            raise ValueError("its arrays repeat its numbers again and again")
        in_bytes = tuple(stride * values.itemsize for stride in strides)
        view = np.lib.stride_tricks.as_strided(values[offset:], shape, in_bytes)
        if tensor.storage == _BFLOAT16:
            return (view.astype(np.uint32) << 16).view(np.float32)
        return view.copy()


def _read_archive(stream: BinaryIO, arrays: _Arrays) -> Any:
    with zipfile.ZipFile(stream) as archive:
        names = archive.namelist()
        if _NESTED in names:
            with archive.open(_plain(archive, _NESTED)) as nested:
                return _read_archive(nested, arrays)  # type: ignore[arg-type]
        pickles = [name for name in names if name.split("/")[-1] == "data.pkl"]
        if len(pickles) != 1:
            raise ValueError(f"its archive holds {len(pickles)} files data.pkl")
        root = pickles[0].removesuffix("data.pkl")
        order = f"{root}byteorder"
        if order in names and archive.read(_plain(archive, order)) != b"little":
            raise ValueError("its numbers are not little-endian")
        with archive.open(_plain(archive, pickles[0])) as described:
            value = _Unpickler(described).load()
        storages: dict[str, bytes] = {}

        def array(tensor: _Tensor) -> np.ndarray:
            if tensor.key not in storages:
                member = _plain(archive, f"{root}data/{tensor.key}")
                storages[tensor.key] = archive.read(member)
            return arrays.make(tensor, storages[tensor.key])

        return _replaced(value, array, {})


def _plain(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """A member of an archive that is stored as it is, as PyTorch stores them.

    Compressed ones could be a million times as large as the file.
    """
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    return member


def _read_legacy(stream: BinaryIO, arrays: _Arrays) -> Any:
    if _Unpickler(stream).load() != _MAGIC:
        raise pickle.UnpicklingError("it does not begin as files of PyTorch do")
    _Unpickler(stream).load()  # the format's version
    _Unpickler(stream).load()  # the writing machine
    value = _Unpickler(stream).load()
    keys = _Unpickler(stream).load()
    kinds: dict[str, str] = {}
    _replaced(value, lambda tensor: kinds.setdefault(tensor.key, tensor.storage), {})
    storages = {}
    for key in keys:
        size = int.from_bytes(stream.read(8), "little") * _STORAGES[kinds[key]].itemsize
        storages[key] = stream.read(size)
        if len(storages[key]) < size:
            raise EOFError("it ends early")
    return _replaced(
        value, lambda tensor: arrays.make(tensor, storages[tensor.key]), {}
    )


def _replaced(
    value: Any, change: Callable[[_Tensor], Any], made: dict[int, Any]
) -> Any:
    """A value with each tensor in it changed; what is shared stays shared."""
    if isinstance(value, _Tensor):
        return change(value)
    if not isinstance(value, dict | list | tuple | Foreign):
        return value
    if id(value) not in made:
        made[id(value)] = None  # for what contains itself
        found: Any
        if isinstance(value, dict):
            found = {key: _replaced(v, change, made) for key, v in value.items()}
        elif isinstance(value, Foreign):
            found = Foreign()
            found.state = _replaced(value.state, change, made)
        else:
            found = type(value)(_replaced(v, change, made) for v in value)
        made[id(value)] = found
    return made[id(value)]

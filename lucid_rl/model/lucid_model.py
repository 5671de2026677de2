"""Frozen networks in Lucid's `.model.pb` files.

A `.model.pb` is a serialised GraphDef with the network's input name, image shape
and range of values in a constant node, `lucid_metadata_json`. A graph can hold
operations that read files or call Python, so only those of `KNOWN_OPS` are let in:
the arithmetic of convolutional networks.
"""

from __future__ import annotations

import collections
import json
import math
import os
import pathlib
from typing import NamedTuple

from google.protobuf.message import DecodeError

from lucid_rl.bounded import parse_json
from lucid_rl.errors import FileFormatError
from lucid_rl.files import atomic_open
from lucid_rl.lazy_tensorflow import tf

METADATA_NAME = "lucid_metadata_json"

_ARITHMETIC = """
    Add AddN AddV2 AvgPool BiasAdd Cast Concat ConcatV2 Const Conv2D
    DepthwiseConv2dNative Elu Exp ExpandDims FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 GatherV2 Identity LRN LeakyRelu LogSoftmax MatMul Max MaxPool
    Maximum Mean Min Minimum MirrorPad Mul Neg NoOp Pack Pad PadV2 Placeholder Pow
    Prod RealDiv Relu Relu6 Reshape Rsqrt Selu Shape Sigmoid Slice Softmax Softplus
    Softsign Split SplitV Sqrt Square Squeeze StridedSlice Sub Sum Tanh Tile
    Transpose
"""
KNOWN_OPS = frozenset(_ARITHMETIC.split())

# Of what one value that stands for a whole tensor may expand to.
_MAX_EXPANDED_BYTES = 2**26


class Metadata(NamedTuple):
    """What Lucid knows of a network beside its graph."""

    input_name: str
    image_shape: tuple[int, int, int]  # (height, width, channels)
    image_value_range: tuple[float, float] = (0.0, 1.0)


def read_model_pb(path: str | os.PathLike) -> tf.GraphDef:
    """Reads the network of a `.model.pb`, without its metadata.

    Raises:
        FileFormatError: as `read_model_and_metadata`.
    """
    return read_model_and_metadata(path)[0]


def read_model_and_metadata(
    path: str | os.PathLike,
) -> tuple[tf.GraphDef, Metadata]:
    """Reads a `.model.pb`.

    Args:
        path: the file.

    Returns:
        The frozen graph and what its metadata node says; where there is none, the
        only Placeholder and its shape.

    Raises:
        FileFormatError: the file cannot be read, is truncated or no GraphDef, holds
            an unknown operation, or its nodes do not fit each other.
    """
    path = pathlib.Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror}.") from error
    graph_def = tf.GraphDef()
    try:
        graph_def.ParseFromString(data)
    except DecodeError as error:
        raise FileFormatError(
            f"{path} is no frozen TensorFlow graph, or only a part of one: {error}."
        ) from error
    metadata_nodes = [n for n in graph_def.node if n.name == METADATA_NAME]
    kept = [n for n in graph_def.node if n.name != METADATA_NAME]
    del graph_def.node[:]
    graph_def.node.extend(kept)
    _check(graph_def, path)
    if metadata_nodes:
        metadata = _parse_metadata(metadata_nodes[0], path)
    else:
        metadata = _metadata_of_placeholder(graph_def, path)
    if metadata.input_name not in (node.name for node in kept):
        raise FileFormatError(
            f"{path} names {metadata.input_name!r} as its input, which it lacks."
        )
    return graph_def, metadata


def write_model_pb(
    graph_def: tf.GraphDef,
    path: str | os.PathLike,
    metadata: Metadata,
) -> None:
    """Writes a frozen graph so that Lucid loads it.

    Args:
        graph_def: the network, with constants for parameters.
        path: file to write, atomically.
        metadata: its input.

    Raises:
        SaveError: the file cannot be written.
    """
    text = json.dumps(
        {
            "input_name": metadata.input_name,
            "image_shape": list(metadata.image_shape),
            "image_value_range": list(metadata.image_value_range),
        }
    )
    written = tf.GraphDef()
    written.CopyFrom(graph_def)
    node = written.node.add(name=METADATA_NAME, op="Const")
    node.attr["dtype"].type = tf.string.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(text))
    with atomic_open(path) as stream:
        stream.write(written.SerializeToString(deterministic=True))


def _check(graph_def: tf.GraphDef, path: pathlib.Path) -> None:
    if not graph_def.node:
        raise FileFormatError(f"{path} holds no graph.")
    if graph_def.library.function:
        raise FileFormatError(f"{path} defines functions, which no network needs.")
    counts = collections.Counter(node.name for node in graph_def.node)
    for node in graph_def.node:
        if node.op not in KNOWN_OPS:
            raise FileFormatError(
                f"{path} holds the operation {node.op!r} (node {node.name!r}), which "
                "is not one of a frozen convolutional network's. It was not run."
            )
        if counts[node.name] > 1:
            raise FileFormatError(f"{path} has several nodes named {node.name!r}.")
        if node.op == "Const":
            _check_constant(node, path)
    # Importing adds attributes that older versions of TensorFlow do not know.
    copy = tf.GraphDef()
    copy.CopyFrom(graph_def)
    try:
        with tf.Graph().as_default():
            tf.import_graph_def(copy, name="")
    except (ValueError, KeyError, TypeError, tf.errors.OpError) as error:
        raise FileFormatError(f"{path} holds no valid graph: {error}") from error


def _check_constant(node: tf.NodeDef, path: pathlib.Path) -> None:
    """Refuses constants that would take memory that the file does not hold."""
    tensor = node.attr["value"].tensor
    if tensor.dtype == tf.string.as_datatype_enum:
        raise FileFormatError(f"{path}: the constant {node.name!r} holds text.")
    if any(dim.size < 0 for dim in tensor.tensor_shape.dim):
        raise FileFormatError(
            f"{path}: the constant {node.name!r} has a negative size."
        )
    n_values = math.prod(dim.size for dim in tensor.tensor_shape.dim)
    if n_values * 16 > max(_MAX_EXPANDED_BYTES, 16 * tensor.ByteSize()):
        raise FileFormatError(
            f"{path}: the constant {node.name!r} claims {n_values} values in "
            f"{tensor.ByteSize()} bytes."
        )


def _parse_metadata(node: tf.NodeDef, path: pathlib.Path) -> Metadata:
    try:
        (text,) = node.attr["value"].tensor.string_val
        entries = parse_json(text, path)
        height, width, channels = (int(size) for size in entries["image_shape"])
        low, high = (float(end) for end in entries["image_value_range"])
        name = str(entries["input_name"])
    except (FileFormatError, ValueError, KeyError, TypeError) as error:
        raise FileFormatError(
            f"{path}: its {METADATA_NAME} does not say input_name, image_shape and "
            f"image_value_range: {error!r}."
        ) from error
    return Metadata(name, (height, width, channels), (low, high))


def _metadata_of_placeholder(graph_def: tf.GraphDef, path: pathlib.Path) -> Metadata:
    inputs = [node for node in graph_def.node if node.op == "Placeholder"]
    sizes = [dim.size for n in inputs[:1] for dim in n.attr["shape"].shape.dim]
    if len(inputs) != 1 or len(sizes) != 4 or min(sizes[1:]) < 1:
        raise FileFormatError(
            f"{path} has no {METADATA_NAME} and not one Placeholder of known image "
            "shape, so its input is unknown."
        )
    return Metadata(inputs[0].name, (sizes[1], sizes[2], sizes[3]))

"""Frozen networks in Lucid's `.model.pb` files.

A `.model.pb` is a serialised GraphDef with the network's input name, image shape
and range of values in a constant node, `lucid_metadata_json`. A graph can hold
operations that read files or call Python, and tensors of any size: `graph_bounds` lets
in the arithmetic of convolutional networks, of bounded size.
"""

from __future__ import annotations

import json
import math
import os
from typing import NamedTuple

from google.protobuf.message import DecodeError

from lucid_rl.bounded import parse_json
from lucid_rl.errors import FileFormatError, reading
from lucid_rl.files import atomic_open, read_input
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.graph_bounds import check_sizes, plain_graph
from lucid_rl.model.graph_input import BYTES, with_float_input

METADATA_NAME = "lucid_metadata_json"


class Metadata(NamedTuple):
    """Lucid's metadata of a network."""

    input_name: str
    image_shape: tuple[int, int, int]  # (height, width, channels)
    image_value_range: tuple[float, float] | None = (0.0, 1.0)  # None if not stated


def read_model_and_metadata(
    path: str | os.PathLike,
) -> tuple[tf.GraphDef, Metadata]:
    """Reads a `.model.pb`.

    Returns:
        The frozen graph, without devices and attributes for compilers, and the contents
        of its metadata node; where there is none, the only Placeholder and its shape.

    Raises:
        FileFormatError: the file cannot be read, is truncated or no GraphDef, holds an
            unknown operation, its nodes do not fit each other, or its tensors take more
            memory than `graph_bounds` allows.
        ModelError: it takes bytes, and does more with them than convert them to floats.
    """
    with reading(path):
        return _parse(read_input(path))


def _parse(data: bytes) -> tuple[tf.GraphDef, Metadata]:
    graph_def = tf.GraphDef()
    try:
        graph_def.ParseFromString(data)
    except DecodeError as error:
        raise FileFormatError(
            f"it is not a frozen TensorFlow graph, or only a part of one: {error}."
        ) from error
    metadata_nodes = [n for n in graph_def.node if n.name == METADATA_NAME]
    kept = [n for n in graph_def.node if n.name != METADATA_NAME]
    del graph_def.node[:]
    graph_def.node.extend(kept)
    graph_def = plain_graph(graph_def)
    if metadata_nodes:
        metadata = _parse_metadata(metadata_nodes[0])
    else:
        metadata = _metadata_of_placeholder(graph_def)
    inputs = [node.name for node in kept if node.op == "Placeholder"]
    if metadata.input_name not in inputs:
        raise FileFormatError(
            f"it names {metadata.input_name!r:.200} as its input, which is none."
        )
    name, shape, _ = metadata
    floats = with_float_input(graph_def, name)
    if floats is not graph_def:
        metadata = metadata._replace(image_value_range=BYTES)
    check_sizes(floats, name, shape, len(data))
    return floats, metadata


def write_model_pb(
    graph_def: tf.GraphDef,
    path: str | os.PathLike,
    metadata: Metadata,
) -> None:
    """Writes a frozen graph, with constants for parameters, so that Lucid loads it.

    Raises:
        SaveError: the file cannot be written.
    """
    text = json.dumps(
        {
            "input_name": metadata.input_name,
            "image_shape": list(metadata.image_shape),
            "image_value_range": list(metadata.image_value_range or (0.0, 1.0)),
        }
    )
    written = tf.GraphDef()
    written.CopyFrom(graph_def)
    node = written.node.add(name=METADATA_NAME, op="Const")
    node.attr["dtype"].type = tf.string.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(text))
    with atomic_open(path) as stream:
        stream.write(written.SerializeToString(deterministic=True))


def _parse_metadata(node: tf.NodeDef) -> Metadata:
    try:
        (text,) = node.attr["value"].tensor.string_val
        entries = parse_json(text, METADATA_NAME)
        height, width, channels = (int(size) for size in entries["image_shape"])
        low, high = (float(end) for end in entries["image_value_range"])
        name = str(entries["input_name"])
        if min(height, width, channels) < 1 or not high - low < math.inf:
            raise ValueError(f"{(height, width, channels)} from {low} to {high}")
    except (FileFormatError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise FileFormatError(
            f"its {METADATA_NAME} does not say input_name, image_shape and "
            f"image_value_range: {error!r:.200}."
        ) from error
    return Metadata(name, (height, width, channels), (low, high))


def _metadata_of_placeholder(graph_def: tf.GraphDef) -> Metadata:
    inputs = [node for node in graph_def.node if node.op == "Placeholder"]
    sizes = [dim.size for n in inputs[:1] for dim in n.attr["shape"].shape.dim]
    if len(inputs) != 1 or len(sizes) != 4 or min(sizes[1:]) < 1:
        raise FileFormatError(
            f"it has no {METADATA_NAME} and not one Placeholder of known image "
            "shape, so its input is unknown."
        )
    return Metadata(inputs[0].name, (sizes[1], sizes[2], sizes[3]), None)

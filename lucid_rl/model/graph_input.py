"""The range of pixels that a graph takes, and graphs that take [0, 1].

Models take observations in [0, 1]. A graph that was trained on another range, (0, 255)
for instance, has the change of range put behind its Placeholder.
"""

from __future__ import annotations

import numpy as np

from lucid_rl.errors import ModelError
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.graph_bounds import tensorflow_errors
from lucid_rl.model.layers import GraphIndex

BYTES, UNIT = (0.0, 255.0), (0.0, 1.0)

# Larger divisors are of pixels up to 255: 255, 127.5, a standard deviation of pixels.
# Those of pixels up to 1 are at most about 1.
_SMALLEST_DIVISOR = 20.0
_FLOAT = 1  # of TensorFlow's types, float32
_PASSED = frozenset(
    {"Cast", "Identity", "Transpose", "Reshape", "Add", "AddV2", "Sub", "BiasAdd"}
)


def input_divisor(index: GraphIndex, name: str) -> float:
    """Finds what a graph divides its input by, in arithmetic with constants.

    The largest divisor of all paths; 1.0 where there is none.
    """
    largest, stack = 0.0, [(name, 1.0)]
    while stack:
        source, divisor = stack.pop()
        for reader in index.consumers[source]:
            op = index.nodes[reader].op
            factor = _divisor(index, reader, source)
            if op in _PASSED or factor is not None:
                stack.append((reader, divisor * (factor or 1.0)))
            else:
                largest = max(largest, divisor)
    return largest or 1.0


def _divisor(index: GraphIndex, node: str, source: str) -> float | None:
    """What a node divides a tensor by; None if it does something else."""
    op = index.nodes[node].op
    if op not in ("RealDiv", "Mul"):
        return None
    others = [name for name in index.inputs[node] if name != source]
    if len(others) != 1:
        return None
    value = index.value(others[0])
    if value is None:
        return None
    size = float(np.abs(value).max(initial=0))
    if not size:
        return None
    return size if op == "RealDiv" else 1 / size


def expected_range(
    graph_def: tf.GraphDef,
    name: str,
    given: tuple[float, float] | None,
    stated: tuple[float, float] | None = None,
) -> tuple[tuple[float, float], str]:
    """Finds the range of pixels that a graph takes.

    Args:
        graph_def: the graph.
        name: its Placeholder.
        given: the range that the user states.
        stated: the range that the file states; overruled by what the graph shows.

    Returns:
        The range, and one sentence on where it is known from.

    Raises:
        ModelError: the graph divides its input by about 255, but is said to take a
            small range.
    """
    index = GraphIndex(graph_def)
    divisor = input_divisor(index, name)
    is_bytes = divisor >= _SMALLEST_DIVISOR
    if given is not None:
        low, high = given
        if not low < high:
            raise ModelError(f"input_range={given}: expected its low end first.")
        if is_bytes and high - low < _SMALLEST_DIVISOR:
            raise ModelError(
                f"input_range={low:g},{high:g}, but the network divides its input by "
                f"{divisor:g}: it takes 0 to 255."
            )
        return (float(low), float(high)), _sentence(given, "as given")
    if is_bytes:
        return BYTES, _sentence(BYTES, f"as it divides them by {divisor:g}")
    if stated is not None:
        return stated, _sentence(stated, "as its file says")
    return UNIT, _sentence(
        UNIT, "as it does not scale them; otherwise give input_range"
    )


def _sentence(pixels: tuple[float, float], reason: str) -> str:
    return f"The network takes pixels from {pixels[0]:g} to {pixels[1]:g}, {reason}."


def with_float_input(graph_def: tf.GraphDef, name: str) -> tf.GraphDef:
    """Makes a graph that takes floats of 0 to 255 where it takes bytes.

    Returns:
        The same graph where it takes no bytes, else a copy.

    Raises:
        ModelError: it does more with bytes than convert them to floats.
    """
    index = GraphIndex(graph_def)
    if index.nodes[name].attr["dtype"].type != tf.uint8.as_datatype_enum:
        return graph_def
    changed = tf.GraphDef()
    changed.CopyFrom(graph_def)
    for node in changed.node:
        if node.name == name:
            node.attr["dtype"].type = _FLOAT
        elif name in index.inputs[node.name]:
            if node.op != "Cast" or node.attr["DstT"].type != _FLOAT:
                raise ModelError(
                    f"the network takes bytes at {name!r}, which {node.name!r} reads "
                    "before they are floats: export it with an input of float32."
                )
            node.op = "Identity"
            node.attr.clear()
            node.attr["T"].type = _FLOAT
    return changed


def with_unit_range(
    graph_def: tf.GraphDef, name: str, pixels: tuple[float, float]
) -> tf.GraphDef:
    """Makes a graph whose Placeholder of floats takes observations in [0, 1].

    `pixels` is what it takes for black and for white. The same graph is returned where
    nothing has to be changed, else a copy.
    """
    low, high = pixels
    if (low, high) == UNIT:
        return graph_def
    rest = tf.GraphDef(versions=graph_def.versions)
    rest.node.extend(node for node in graph_def.node if node.name != name)
    (node,) = (node for node in graph_def.node if node.name == name)
    with tf.Graph().as_default() as graph, tensorflow_errors("the input is not read"):
        shape = tf.TensorShape(node.attr["shape"].shape)
        observations = tf.placeholder(tf.float32, shape, name=name)
        with tf.name_scope(f"{name}_range"):
            taken = observations * (high - low) + low
        tf.import_graph_def(rest, input_map={name: taken}, name="")
    return graph.as_graph_def()


def with_flat_value(graph_def: tf.GraphDef, name: str) -> tuple[tf.GraphDef, str]:
    """Makes a graph whose value is [N], where it is [N, 1].

    Returns:
        The graph, a copy where it has to be changed, and its value's node.
    """
    copy = tf.GraphDef()
    copy.CopyFrom(graph_def)
    with tf.Graph().as_default() as graph:
        (value,) = tf.import_graph_def(copy, return_elements=[f"{name}:0"], name="")
        if value.shape.rank != 2 or value.shape[1] != 1:
            return graph_def, name
        flat = tf.reshape(value, (-1,), name=f"{name}_flat")
    return graph.as_graph_def(), flat.op.name

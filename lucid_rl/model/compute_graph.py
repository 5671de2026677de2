"""Graph optimizations that keep tensors' names."""

from __future__ import annotations

from collections.abc import Mapping

from lucid_rl.lazy_tensorflow import tf


def compute_graph(graph_def: tf.GraphDef, *, bfloat16: bool) -> tf.GraphDef:
    """Makes the graph that is run out of the one that is saved.

    Squares are computed as such rather than as powers, whose gradient is slow. With
    bfloat16, convolutions round their inputs and kernels to 8 significant bits and
    add up in float32; all else stays float32.

    Args:
        graph_def: a frozen graph.
        bfloat16: whether convolutions are computed in bfloat16.

    Returns:
        A graph in which every node of the given one has its name and meaning.
    """
    changed = tf.GraphDef(versions=graph_def.versions)
    constants = {node.name: node for node in graph_def.node if node.op == "Const"}
    for node in graph_def.node:
        if node.op == "Pow" and _is_two(node.input[1], constants):
            square = changed.node.add(name=node.name, op="Square")
            square.input.append(node.input[0])
            square.attr["T"].CopyFrom(node.attr["T"])
        elif bfloat16 and node.op == "Conv2D":
            changed.node.extend(_in_bfloat16(node))
        else:
            changed.node.add().CopyFrom(node)
    return changed


def _is_two(name: str, constants: Mapping[str, tf.NodeDef]) -> bool:
    if name not in constants:
        return False
    value = tf.make_ndarray(constants[name].attr["value"].tensor)
    return value.size == 1 and float(value.reshape(())) == 2


def _in_bfloat16(conv: tf.NodeDef) -> list[tf.NodeDef]:
    rounded = [
        _cast(
            f"{conv.name}/bfloat16_{role}",
            source,
            tf.float32,
            tf.bfloat16,
        )
        for role, source in zip(("input", "kernel"), conv.input, strict=True)
    ]
    inner = tf.NodeDef()
    inner.CopyFrom(conv)
    inner.name = f"{conv.name}/bfloat16"
    inner.attr["T"].type = tf.bfloat16.as_datatype_enum
    del inner.input[:]
    inner.input.extend(cast.name for cast in rounded)
    return [
        *rounded,
        inner,
        _cast(
            conv.name,
            inner.name,
            tf.bfloat16,
            tf.float32,
        ),
    ]


def _cast(name: str, source: str, before: tf.DType, after: tf.DType) -> tf.NodeDef:
    node = tf.NodeDef(name=name, op="Cast", input=[source])
    node.attr["SrcT"].type = before.as_datatype_enum
    node.attr["DstT"].type = after.as_datatype_enum
    return node

"""Graph optimizations that keep tensors' names."""

from __future__ import annotations

from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.layers import GraphIndex


def compute_graph(graph_def: tf.GraphDef, *, bfloat16: bool) -> tf.GraphDef:
    """Makes the graph that is run out of the one that is saved; nodes keep their names.

    Squares are computed as such rather than as powers, whose gradient is slow. With
    bfloat16, convolutions round their inputs and kernels to 8 significant bits and add
    up in float32; all else stays float32.
    """
    changed = tf.GraphDef(versions=graph_def.versions)
    index = GraphIndex(graph_def)
    for node in graph_def.node:
        if node.op == "Pow" and index.is_two(index.inputs[node.name][1]):
            square = changed.node.add(name=node.name, op="Square")
            square.input.append(node.input[0])
            square.attr["T"].CopyFrom(node.attr["T"])
        elif bfloat16 and node.op == "Conv2D":
            changed.node.extend(_in_bfloat16(node))
        else:
            changed.node.add().CopyFrom(node)
    return changed


def _in_bfloat16(conv: tf.NodeDef) -> list[tf.NodeDef]:
    rounded = [
        _cast(f"{conv.name}/bfloat16_{role}", source, tf.float32, tf.bfloat16)
        for role, source in zip(("input", "kernel"), conv.input, strict=True)
    ]
    inner = tf.NodeDef()
    inner.CopyFrom(conv)
    inner.name = f"{conv.name}/bfloat16"
    inner.attr["T"].type = tf.bfloat16.as_datatype_enum
    inner.input[:] = [cast.name for cast in rounded]
    return [*rounded, inner, _cast(conv.name, inner.name, tf.bfloat16, tf.float32)]


def _cast(name: str, source: str, before: tf.DType, after: tf.DType) -> tf.NodeDef:
    node = tf.NodeDef(name=name, op="Cast", input=[source])
    node.attr["SrcT"].type = before.as_datatype_enum
    node.attr["DstT"].type = after.as_datatype_enum
    return node

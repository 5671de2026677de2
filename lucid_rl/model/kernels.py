"""Search for the kernels that read a layer, in the graph of any architecture."""

from typing import Any

from lucid_rl.errors import ModelError

# Operations that keep each channel to itself, so that a kernel behind them still
# reads the layer's channels (pooling, the L2 pool's powers and roots, flattening).
_CHANNELWISE = frozenset(
    (
        "Add",
        "AddV2",
        "AvgPool",
        "Identity",
        "MaxPool",
        "Mul",
        "Pow",
        "RealDiv",
        "Relu",
        "Reshape",
        "Sqrt",
        "Square",
    )
)
_KERNEL_OPERATIONS = frozenset(["Conv2D", "MatMul"])


def reading_kernels(graph_def: Any, tensor_name: str) -> list[str]:
    """Names the constant kernels that read a layer's activation next.

    Args:
        graph_def: a frozen `GraphDef` whose weights are Const nodes.
        tensor_name: the layer's tensor or node, e.g. "ppo2_model/pi/2b/Relu".

    Returns:
        Names of the Const nodes, in the graph's order: one for a plain stack of
        layers, several where branches read the same activation.

    Raises:
        ModelError: no such node; or nothing reads it through a kernel (a head).
    """
    nodes = {node.name: node for node in graph_def.node}
    start = tensor_name.split(":")[0]
    if start not in nodes:
        raise ModelError(f"the graph has no node {start!r}")
    reached = {start}
    kernels = []
    for node in graph_def.node:  # GraphDefs of frozen models are in topological order.
        inputs = [_source(name) for name in node.input]
        if node.name in reached or not reached.intersection(inputs):
            continue
        if node.op in _KERNEL_OPERATIONS and inputs[0] in reached:
            kernels.append(_constant_behind(nodes, inputs[1]))
        elif node.op in _CHANNELWISE and all(
            name in reached or _is_constant(nodes, name) or node.op == "Reshape"
            for name in inputs
        ):
            reached.add(node.name)
    if not kernels:
        raise ModelError(
            f"no kernel reads {start!r}: there is nothing to edit behind it. Choose a "
            "convolutional or dense layer before the heads."
        )
    return list(dict.fromkeys(kernels))


def _source(input_name: str) -> str:
    return input_name.lstrip("^").split(":")[0]


def _behind_identities(nodes: dict[str, Any], name: str) -> str:
    while nodes[name].op == "Identity":
        name = _source(nodes[name].input[0])
    return name


def _is_constant(nodes: dict[str, Any], name: str) -> bool:
    return nodes[_behind_identities(nodes, name)].op == "Const"


def _constant_behind(nodes: dict[str, Any], name: str) -> str:
    found = _behind_identities(nodes, name)
    if nodes[found].op != "Const":
        raise ModelError(
            f"the kernel {found!r} is not a constant; freeze the graph first"
        )
    return found

"""Search for the kernels that read a layer, in the graph of any architecture."""

from lucid_rl.errors import ModelError
from lucid_rl.model.layers import GraphIndex

# Operations that keep each channel to itself, so that a kernel behind them still
# reads the layer's channels (pooling, the L2 pool's powers and roots, flattening).
_CHANNELWISE_NAMES = """
    Add AddV2 AvgPool Identity MaxPool Mul Pow RealDiv Relu Reshape Sqrt Square
"""
_CHANNELWISE = frozenset(_CHANNELWISE_NAMES.split())


def reading_kernels(index: GraphIndex, layer: str) -> list[str]:
    """Names the constant kernels that read a layer's activation next.

    In the graph's order: one for a plain stack of layers, several where branches read
    the same activation.

    Raises:
        ModelError: nothing reads the layer through a kernel (a head).
    """
    reached = {layer}
    kernels: dict[str, None] = {}
    for name, node in index.nodes.items():  # frozen graphs are in topological order
        inputs = index.inputs[name]
        if name in reached or not reached.intersection(inputs):
            continue
        if node.op in ("Conv2D", "MatMul") and inputs[0] in reached:
            kernel = index.constant(inputs[1])
            if kernel is None:
                raise ModelError(
                    f"the kernel {inputs[1]!r} is not a constant; freeze the graph "
                    "first"
                )
            kernels[kernel.name] = None
        elif node.op in _CHANNELWISE and (
            node.op == "Reshape"
            or all(source in reached or index.is_constant(source) for source in inputs)
        ):
            reached.add(name)
    if not kernels:
        raise ModelError(
            f"no kernel reads {layer!r}: there is nothing to edit behind it. Choose a "
            "convolutional or dense layer before the heads."
        )
    return list(kernels)

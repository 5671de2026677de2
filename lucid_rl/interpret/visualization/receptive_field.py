"""Receptive fields of positions of a network's layers.

An objective at one position of an early layer depends on a small window of the image.
A network that sees no more than that window gives the same score and the same gradient
in a fraction of the time.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from lucid_rl.errors import InputError
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.layers import GraphIndex, source_name
from lucid_rl.model.lucid_network import lucid_model

Place = tuple[str, Any]  # a layer's node, and "centre" or (row, column)

_SLIDING = frozenset({"Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool"})
_POINTWISE_NAMES = """
    Add AddN AddV2 BiasAdd Cast Elu Exp FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 Identity LRN LeakyRelu Maximum Minimum Mul Neg Pow RealDiv Relu
    Relu6 Rsqrt Selu Sigmoid Softplus Softsign Sqrt Square Sub Tanh
"""
_POINTWISE = frozenset(_POINTWISE_NAMES.split())


@dataclasses.dataclass(frozen=True)
class Window:
    """The part of an image that some positions of layers depend on.

    Attributes:
        rows: first row and the one after the last.
        columns: the same.
        margins: by layer, what lies beyond its part: positions (above, below), (left,
            right).
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    margins: dict[str, tuple[tuple[int, int], tuple[int, int]]]

    def crop(self, images: Any) -> Any:
        """The window of images [N, H, W, C]."""
        return images[:, slice(*self.rows), slice(*self.columns)]

    def restore(self, layer: str, activations: Any) -> Any:
        """Activations of the window, with zeros where it does not reach."""
        return tf.pad(activations, ((0, 0), *self.margins[layer], (0, 0)))


def receptive_window(
    model: Any, places: Iterable[Place], size: tuple[int, int]
) -> Window | None:
    """The smallest window of an image that keeps places of layers as they are.

    It begins and ends in step with the strides, so that padding stays the same. None
    where it is not known: there are other operations than convolutions, pooling and
    pointwise ones on the way. `size` is (H, W) of the images.

    Raises:
        InputError: a position that the layer does not have.
    """
    model = lucid_model(model)
    index = GraphIndex(model.graph_def)
    start = source_name(model.input_name)
    places = list(places)
    order = _order(index, [node for node, _ in places], start)
    if not places or order is None:
        return None
    found = []
    for axis in (0, 1):
        walk = _Axis(index, order, start, size[axis], axis)
        wanted: dict[str, tuple[int, int]] = {}
        for node, position in places:
            n = walk.sizes[node]
            chosen = n // 2 if position == "centre" else position[axis]
            if chosen >= n:
                raise InputError(
                    f"position {position} lies outside layer {node!r}, which has "
                    f"{n} {('rows', 'columns')[axis]} for images of "
                    f"{size[0]}x{size[1]} pixels as they are transformed"
                )
            first, last = wanted.get(node, (chosen, chosen))
            wanted[node] = min(first, chosen), max(last, chosen)
        found.append((walk.window(wanted), walk))
    (rows, down), (columns, across) = found
    margins = {
        node: (down.margin(node, rows), across.margin(node, columns))
        for node, _ in places
    }
    return Window(rows, columns, margins)


class _Axis:
    """Sizes and spans of layers along one axis of the image.

    Attributes:
        sizes: number of positions by node.
        strides: pixels from one position to the next, by node.
    """

    def __init__(
        self, index: GraphIndex, order: list[str], start: str, size: int, axis: int
    ):
        self._index, self._order, self._start, self._axis = index, order, start, axis
        self.sizes = {start: size}
        self.strides = {start: 1}
        for node in order:
            if node != start:
                source = self._sources(node)[0]
                window, stride, same = self._slide(node)
                n = self.sizes[source]
                left = -(-n // stride) if same else (n - window) // stride + 1
                self.sizes[node] = left
                self.strides[node] = self.strides[source] * stride

    def window(self, wanted: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
        """Pixels [first, stop) that the wanted positions [first, last] depend on."""
        spans = dict(wanted)
        for node in reversed(self._order):
            if node == self._start or node not in spans:
                continue
            size, stride, same = self._slide(node)
            for source in self._sources(node):
                n = self.sizes[source]
                total = (self.sizes[node] - 1) * stride + size - n
                before = max(total, 0) // 2 if same else 0
                first = spans[node][0] * stride - before
                last = spans[node][1] * stride - before + size - 1
                first, last = max(first, 0), min(last, n - 1)
                if source in spans:
                    first = min(first, spans[source][0])
                    last = max(last, spans[source][1])
                spans[source] = first, last
        first, last = spans[self._start]
        n, step = self.sizes[self._start], math.lcm(*self.strides.values())
        return first // step * step, n - (n - 1 - last) // step * step

    def margin(self, node: str, window: tuple[int, int]) -> tuple[int, int]:
        """Positions of a layer before and after those of a window's own."""
        n, stride = self.sizes[self._start], self.strides[node]
        return window[0] // stride, (n - window[1]) // stride

    def _sources(self, node: str) -> list[str]:
        return [name for name in self._index.inputs[node] if name in self.sizes]

    def _slide(self, node: str) -> tuple[int, int, bool]:
        """Kernel's size, stride, and whether the picture is padded to keep its size."""
        attributes = self._index.nodes[node].attr
        op = self._index.nodes[node].op
        if op not in _SLIDING:
            return 1, 1, True
        stride = attributes["strides"].list.i[1 + self._axis]
        if op.endswith("Pool"):
            size = attributes["ksize"].list.i[1 + self._axis]
        else:
            size = _kernel_shape(self._index, node)[self._axis]
            dilations = attributes["dilations"].list.i
            if dilations:
                size = (size - 1) * dilations[1 + self._axis] + 1
        return int(size), int(stride), attributes["padding"].s == b"SAME"


def _order(index: GraphIndex, goals: list[str], start: str) -> list[str] | None:
    """Nodes from the input to the goals, sources first; None if one is unknown."""
    between = index.between([start], goals)
    order = [start] + [
        name
        for name in index.in_order()
        if name in between and not index.is_constant(name)
    ]
    known = set(goals) <= set(order) and all(_is_known(index, n) for n in order[1:])
    return order if known else None


def _is_known(index: GraphIndex, node: str) -> bool:
    operation = index.nodes[node]
    return operation.op in _POINTWISE or (
        operation.op in _SLIDING
        and operation.attr["data_format"].s in (b"", b"NHWC")
        and operation.attr["padding"].s in (b"SAME", b"VALID")
        and _kernel_shape(index, node) is not None
    )


def _kernel_shape(index: GraphIndex, node: str) -> Any:
    """Shape of a convolution's kernel; () of a pool; None if unknown."""
    if index.nodes[node].op.endswith("Pool"):
        return ()
    kernel = index.constant(index.inputs[node][1])
    if kernel is None:
        return None
    return tuple(dim.size for dim in kernel.attr["value"].tensor.tensor_shape.dim)

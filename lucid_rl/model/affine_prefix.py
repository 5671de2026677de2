"""The part of a network that is affine in alpha, for a layer's activation alpha * a.

Along the line alpha * a, a convolution without its bias, ReLU, max-pooling and L2
pooling are homogeneous: their outputs grow in proportion to alpha, and their
derivatives do not change. Adding a bias makes outputs affine in alpha; the next
ReLU does not. So the pre-activations that follow a layer are known at every alpha
from those at 0 and 1, and everything up to there needs one pass backward and two
forward for an observation, rather than one each for every step.

The 1e-8 under the root of L2 pooling departs from this where all activations of a
pooling window are of the order of 1e-4 (errors: tests/model/test_line_integrals.py).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import numpy as np

from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.layers import GraphIndex

_MAX_EPSILON = 1e-6

_LINEAR_IN_ONE = """
    AddN AvgPool Cast ConcatV2 Conv2D DepthwiseConv2dNative ExpandDims Identity
    MatMul Mean MirrorPad Neg Pack Pad Reshape Squeeze StridedSlice Sum Transpose
"""
_LINEAR = frozenset(_LINEAR_IN_ONE.split())
_SUMS = frozenset({"Add", "AddV2", "BiasAdd", "Sub"})
_SCALINGS = frozenset({"Mul", "RealDiv"})
_HOMOGENEOUS = frozenset({"LeakyRelu", "MaxPool", "Relu"})

_PRODUCTS = frozenset({"Conv2D", "DepthwiseConv2dNative", "MatMul"})

LINEAR_OPS = _LINEAR | _SUMS | _SCALINGS
"""Operations that are linear in their only varying input; sums in all inputs."""


class _Dependence(enum.IntEnum):
    """How a tensor changes with alpha; sums take the larger of the first four."""

    CONSTANT = 0  # the same for all observations
    FIXED = 1  # depends on the observation, not on alpha
    PROPORTIONAL = 2
    AFFINE = 3
    SQUARED = 4  # proportional to alpha squared
    NONLINEAR = 5


def affine_ends(
    index: GraphIndex, layer: str, input_node: str, targets: Iterable[str]
) -> tuple[str, ...]:
    """Finds the nodes up to which a network is affine in alpha.

    They separate the layer, whose activation is scaled, from the target nodes; the
    layer itself where nothing more can be said.
    """
    dependences: dict[str, _Dependence] = {}
    for name in index.in_order():
        if name == layer:
            dependences[name] = _Dependence.PROPORTIONAL
        elif name == input_node:
            dependences[name] = _Dependence.FIXED
        else:
            inputs = [dependences[source] for source in index.inputs[name]]
            dependences[name] = _dependence(index, name, inputs)
    relevant = index.between((), targets)
    targets = set(targets)
    ends = []
    for name, dependence in dependences.items():
        if name not in relevant or dependence is _Dependence.CONSTANT:
            continue
        consumers = [c for c in index.consumers[name] if c in relevant]
        feeds_nonlinear = any(
            dependences[c] is _Dependence.NONLINEAR for c in consumers
        )
        if dependence is _Dependence.SQUARED and feeds_nonlinear:
            return (layer,)
        if dependence is not _Dependence.NONLINEAR and (
            feeds_nonlinear or name in targets
        ):
            ends.append(name)
    return tuple(ends) or (layer,)


def _dependence(index: GraphIndex, name: str, inputs: list[_Dependence]) -> _Dependence:
    op = index.nodes[name].op
    if op == "Shape" or not inputs or max(inputs) is _Dependence.CONSTANT:
        return _Dependence.CONSTANT
    worst = max(inputs)
    if worst is _Dependence.FIXED:
        return _Dependence.FIXED
    if worst is _Dependence.NONLINEAR:
        return _Dependence.NONLINEAR
    varying = sum(dependence > _Dependence.CONSTANT for dependence in inputs)
    if op in _LINEAR and (op in ("AddN", "ConcatV2", "Pack") or varying == 1):
        return worst
    if op in _SCALINGS and varying == 1 and inputs[0] == worst:
        return worst
    if op in _SUMS:
        if worst is _Dependence.SQUARED:
            added = index.value(index.inputs[name][1])
            small = added is not None and np.abs(added).max() <= _MAX_EPSILON
            return worst if small else _Dependence.NONLINEAR
        return worst if min(inputs) is _Dependence.PROPORTIONAL else _Dependence.AFFINE
    if worst is _Dependence.PROPORTIONAL:
        if op in _HOMOGENEOUS:
            return worst
        if op == "Square" or (op == "Pow" and index.is_two(index.inputs[name][1])):
            return _Dependence.SQUARED
    if worst is _Dependence.SQUARED and op == "Sqrt":
        return _Dependence.PROPORTIONAL
    return _Dependence.NONLINEAR


def nonlinear_parts(
    index: GraphIndex, starts: Iterable[str], targets: Iterable[str]
) -> list[str]:
    """Finds where a network's nonlinearities lie, one after the other.

    Returns:
        In order, the nodes beyond the starts that all that reaches the targets flows
        through, whose values enter a nonlinear operation, and that a convolution or
        matrix product separates from the one before.
    """
    starts, targets = tuple(starts), tuple(targets)
    relevant = index.between((), targets)
    found: list[str] = []
    for name in index.in_order():
        if name not in relevant or name in starts or name in targets:
            continue
        before = tuple(found[-1:]) or starts
        feeds_nonlinear = any(
            index.nodes[c].op not in LINEAR_OPS and index.nodes[c].op != "Shape"
            for c in index.consumers[name]
            if c in relevant
        )
        if (
            feeds_nonlinear
            and not any(index.reaches(s, targets, without=name) for s in before)
            and any(index.reaches(s, [name]) for s in before)
            and any(
                index.nodes[inner].op in _PRODUCTS
                for inner in index.between(before, [name])
            )
        ):
            found.append(name)
    return found


def multiplications(
    index: GraphIndex, graph: tf.Graph, starts: Iterable[str], ends: Iterable[str]
) -> int:
    """Multiplications of one observation's forward pass between nodes of a network.

    Shapes are those of the graph's tensors of the same names.
    """
    total = 0
    for name in index.between(starts, ends):
        if index.nodes[name].op not in _PRODUCTS:
            continue
        kernel_name = index.inputs[name][1]
        kernel = graph.get_tensor_by_name(f"{kernel_name}:0").shape
        positions = graph.get_tensor_by_name(f"{name}:0").shape[1:-1]
        total += int(np.prod(kernel.as_list())) * int(np.prod(positions.as_list()))
    return total

"""The part of a network that is affine in alpha, for a layer's activation alpha * a.

Along the line alpha * a, a convolution without its bias, ReLU, max-pooling and L2
pooling are homogeneous: their outputs grow in proportion to alpha, and their
derivatives do not change. Adding a bias makes outputs affine in alpha; the next
ReLU does not. So the pre-activations that follow a layer are known at every alpha
from a few of them, and everything up to there needs one pass backward and two or
three forward for an observation, rather than one each for every quadrature point.

The 1e-8 under the root of L2 pooling departs from this where all activations of a
pooling window are of the order of 1e-4. Interpolating between three scales keeps the
error of each attribution below 3e-4 of the largest one, and their errors' sum below
1e-4 of the attributions' (absolute values; tests/model/test_line_integrals.py).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import NamedTuple

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
"""Operations linear in the one input of theirs that varies; sums in all."""


class _Dependence(enum.IntEnum):
    """How a tensor changes with alpha; sums take the larger of the first four."""

    CONSTANT = 0  # the same for all observations
    FIXED = 1  # depends on the observation, not on alpha
    PROPORTIONAL = 2
    AFFINE = 3
    SQUARED = 4  # proportional to alpha squared
    NONLINEAR = 5


class AffinePrefix(NamedTuple):
    """The part of a network that is affine in alpha.

    Attributes:
        ends: nodes that separate the layer from the rest of the network.
        scales: alphas at which the ends are computed, and interpolated between.
        slope_scale: the alpha, one of them, at which derivatives are taken.
    """

    ends: tuple[str, ...]
    scales: tuple[float, ...] = (1.0, 0.0)
    slope_scale: float = 1.0

    def interpolation(self, alphas: np.ndarray) -> np.ndarray:
        """Weights f32 [K, scales] that give the ends at each of K alphas.

        They are exact for what is affine in alpha. Any freedom left is used for
        sqrt(alpha^2 q + epsilon), an L2 pool of mean square q, by least squares
        over the magnitudes of q, with q = 0 exact.
        """
        alphas = np.asarray(alphas, np.float64)
        scales = np.asarray(self.scales)
        exact = np.stack([np.ones_like(scales), scales])
        goal = np.stack([np.ones_like(alphas), alphas])
        if len(scales) == 2:
            return np.linalg.solve(exact, goal).T.astype(np.float32)
        # In units of epsilon.
        q = np.logspace(-4, 9, 200)[:, None]
        curves = np.sqrt(scales**2 * q + 1)
        wanted = np.sqrt(alphas**2 * q + 1)
        free = np.linalg.svd(exact)[2][2:]  # what leaves affine functions alone
        start = np.linalg.pinv(exact) @ goal
        rest = np.linalg.lstsq(curves @ free.T, wanted - curves @ start, rcond=None)[0]
        return (start + free.T @ rest).T.astype(np.float32)


# Least error of attributions where L2 pooling's epsilon matters.
_L2_POOL_SCALES, _L2_POOL_SLOPE_SCALE = (1.0, 0.4, 0.1), 0.4


def affine_prefix(
    index: GraphIndex, layer: str, input_node: str, targets: Iterable[str]
) -> AffinePrefix:
    """Finds the nodes up to which a network is affine in alpha.

    Args:
        index: the network.
        layer: the node whose activation is scaled.
        input_node: the Placeholder of the observations.
        targets: nodes of interest.

    Returns:
        The nodes that separate the layer from the targets, each affine in alpha;
        the layer alone where nothing more can be said.
    """
    dependences: dict[str, _Dependence] = {}
    nothing = AffinePrefix((layer,))
    pools_l2 = False
    for name in _in_order(index):
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
            return nothing
        if dependence is not _Dependence.NONLINEAR and (
            feeds_nonlinear or name in targets
        ):
            ends.append(name)
        if dependence is _Dependence.SQUARED:
            pools_l2 = True
    if not ends:
        return nothing
    if pools_l2:
        return AffinePrefix(tuple(ends), _L2_POOL_SCALES, _L2_POOL_SLOPE_SCALE)
    return AffinePrefix(tuple(ends))


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
            small = _is_small_constant(index, index.inputs[name][1])
            return worst if small else _Dependence.NONLINEAR
        return worst if min(inputs) is _Dependence.PROPORTIONAL else _Dependence.AFFINE
    if worst is _Dependence.PROPORTIONAL:
        if op in _HOMOGENEOUS:
            return worst
        if op == "Square" or (op == "Pow" and _scalar(index, name, 1) == 2):
            return _Dependence.SQUARED
    if worst is _Dependence.SQUARED and op == "Sqrt":
        return _Dependence.PROPORTIONAL
    return _Dependence.NONLINEAR


def nonlinear_parts(
    index: GraphIndex, starts: Iterable[str], targets: Iterable[str]
) -> list[str]:
    """Finds where a network's nonlinearities lie, one after the other.

    Args:
        index: the network.
        starts: nodes that separate what is known from the rest.
        targets: nodes of interest.

    Returns:
        In order, the nodes beyond the starts that all that reaches the targets flows
        through, whose values enter a nonlinear operation, and that a convolution or
        matrix product separates from the one before.
    """
    starts, targets = tuple(starts), tuple(targets)
    relevant = index.between((), targets)
    found: list[str] = []
    for name in _in_order(index):
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
    """Multiplications for one observation between nodes of a network, forward.

    Args:
        index: the network.
        graph: holds its tensors by name, for their shapes.
        starts: where to begin.
        ends: where to stop.
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


def _scalar(index: GraphIndex, name: str, position: int) -> float | None:
    """Value of a node's input where that is a scalar constant."""
    node = index.nodes[index.inputs[name][position]]
    if node.op != "Const":
        return None
    value = tf.make_ndarray(node.attr["value"].tensor)
    return float(value) if value.ndim == 0 else None


def _is_small_constant(index: GraphIndex, name: str) -> bool:
    node = index.nodes[name]
    if node.op != "Const":
        return False
    value = tf.make_ndarray(node.attr["value"].tensor)
    return bool(np.abs(value).max() <= _MAX_EPSILON)


def _in_order(index: GraphIndex) -> list[str]:
    """Names of all nodes, each after those it reads."""
    ordered: dict[str, None] = {}
    for start in index.nodes:
        stack = [start]
        while stack:
            name = stack[-1]
            waiting = [s for s in index.inputs[name] if s not in ordered]
            if name in ordered or not waiting:
                ordered[name] = None
                stack.pop()
            else:
                stack.extend(waiting)
    return list(ordered)

"""Names of a network's layers, found in its graph.

A layer is what a convolution's output becomes before the next layer sees it: its
ReLU, its max-pool where that comes first, or the residual sum it ends in. Its
short name is the scope of the convolution's kernel: "2b" for
`ppo2_model/pi/2b/conv2d/kernel`, "layer_3" for `ppo2_model/pi/layer_3/kernel`.
"""

from __future__ import annotations

import functools
import graphlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from lucid_rl.lazy_tensorflow import tf

_PASSED = frozenset(
    {"BiasAdd", "Add", "AddV2", "Identity", "FusedBatchNormV3", "MirrorPad"}
)


RESERVED = ("input", "logits", "value")
"""Names that stand for a model's input and outputs."""


class GraphIndex:
    """Producers and consumers of the nodes of a GraphDef.

    Attributes:
        nodes: node by name, in the graph's order.
        inputs: for each node, the names of the nodes it reads.
        consumers: for each node, the names of the nodes that read it.
    """

    def __init__(self, graph_def: tf.GraphDef):
        self.nodes = {node.name: node for node in graph_def.node}
        self.inputs = {
            node.name: [source_name(entry) for entry in node.input]
            for node in graph_def.node
        }
        self.consumers: Mapping[str, list[str]] = defaultdict(list)
        for name, sources in self.inputs.items():
            for source in sources:
                self.consumers[source].append(name)

    def reaches(
        self, start: str, goals: Iterable[str], without: str | None = None
    ) -> bool:
        """Whether a path leads from a node to one of others, avoiding a third."""
        goals = set(goals)
        seen = {without}
        stack = [start]
        while stack:
            name = stack.pop()
            if name in seen:
                continue
            if name in goals:
                return True
            seen.add(name)
            stack.extend(self.consumers[name])
        return False

    def between(self, starts: Iterable[str], ends: Iterable[str]) -> set[str]:
        """The nodes that ends are computed from, ends included, back to the starts."""
        found: set[str] = set()
        starts = set(starts)
        stack = list(ends)
        while stack:
            name = stack.pop()
            if name not in found and name not in starts:
                found.add(name)
                stack.extend(self.inputs[name])
        return found

    def in_order(self) -> list[str]:
        """Names of all nodes, each after those it reads."""
        return list(graphlib.TopologicalSorter(self.inputs).static_order())

    def ends(self) -> list[str]:
        """The nodes that depend on observations and that no other reads."""
        return [
            name
            for name in self.nodes
            if not self.consumers[name] and not self.is_constant(name)
        ]

    def is_constant(self, name: str) -> bool:
        """Whether a node's value follows from constants alone."""
        return name not in self._varying

    def constant(self, name: str) -> tf.NodeDef | None:
        """The Const that a node is, or passes on by identities and casts."""
        while self.nodes[name].op in ("Cast", "Identity"):
            name = self.inputs[name][0]
        return self.nodes[name] if self.nodes[name].op == "Const" else None

    def value(self, name: str) -> np.ndarray | None:
        """Value of a node's `constant`; None where it is none."""
        node = self.constant(name)
        return None if node is None else tf.make_ndarray(node.attr["value"].tensor)

    def is_two(self, name: str) -> bool:
        """Whether a node is the constant number 2, the power of a square."""
        value = self.value(name)
        return value is not None and value.size == 1 and bool(value == 2)

    @functools.cached_property
    def _varying(self) -> set[str]:
        """The nodes that depend on observations."""
        found: set[str] = set()
        stack = [name for name, node in self.nodes.items() if node.op == "Placeholder"]
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack.extend(self.consumers[name])
        return found


def source_name(entry: str) -> str:
    """Node name of an input entry such as "^name" or "name:1"."""
    return entry.lstrip("^").split(":")[0]


def find_layers(index: GraphIndex) -> dict[str, str]:
    """Maps each convolution's short name to the node of its layer, input first."""
    layers: dict[str, str] = {}
    for name, node in index.nodes.items():
        if node.op == "Conv2D":
            short = _short_name(index, name)
            short += "_" * (short in RESERVED)
            layers[short] = _layer_node(index, name)
    return layers


def bottlenecks(
    index: GraphIndex, layers: Mapping[str, str], start: str, goals: Iterable[str]
) -> tuple[str, ...]:
    """Short names of the layers through which every path to the outputs leads."""
    goals = tuple(goals)
    return tuple(
        short
        for short, node in layers.items()
        if not index.reaches(start, goals, without=node)
    )


def _short_name(index: GraphIndex, conv: str) -> str:
    kernel = index.inputs[conv][1]
    while index.nodes[kernel].op != "Const" and index.inputs[kernel]:
        kernel = index.inputs[kernel][0]
    parts = kernel.split("/")[:-1]
    if len(parts) > 1 and parts[-1] == "conv2d":
        parts = parts[:-1]
    return parts[-1] if parts else conv


def _layer_node(index: GraphIndex, conv: str) -> str:
    name = conv
    while True:
        followers = index.consumers[name]
        if len(followers) != 1:
            return name
        (follower,) = followers
        op = index.nodes[follower].op
        if op in ("Relu", "MaxPool"):
            return follower
        if op not in _PASSED:
            return name
        others = [other for other in index.inputs[follower] if other != name]
        if not all(index.is_constant(other) for other in others):
            return follower
        name = follower

"""A model as a list of operations, which the page computes for any observation.

The page knows the operations of convolutional networks: convolution, matrix product,
bias, ReLU, sums, L2 and max pooling. Models of other operations are left out of the
page, and it says so.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lucid_rl.errors import ModelError
from lucid_rl.interface.parts import Part
from lucid_rl.interpret.attribution import Target, logits, value
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.model import INPUT, Model

ENGINE = "engine"
"""Name of the part that holds the program which computes models."""

_PLAIN = {"Relu": "relu", "Sqrt": "sqrt", "Square": "square"}
_ELEMENTWISE = frozenset(("add", "bias", "relu", "scale", "sqrt", "square"))
_SUMS = frozenset(("Add", "AddV2", "BiasAdd"))


def engine_part() -> Part:
    """The part of the program that runs models in the page, and its WebAssembly."""
    static = importlib.resources.files("lucid_rl.interface") / "static"
    arrays = {
        name: np.frombuffer((static / file).read_bytes(), np.uint8)
        for name, file in (("program", "engine.js"), ("wasm", "engine.wasm"))
    }
    return Part.encode(ENGINE, {}, arrays)


def network_part(name: str, model: Model, directions: Mapping[str, np.ndarray]) -> Part:
    """Describes a model so that the page can compute it.

    Args:
        name: the part's name.
        model: the network.
        directions: features f32 [K, C] of the layers that the page attributes to.

    Returns:
        The part, as docs/bundle_format.md describes it.

    Raises:
        ModelError: the network holds an operation that the page does not know.
    """
    graph = _Operations(model)
    outputs = {key: graph.number(model.node_name(key)) for key in ("logits", "value")}
    layers = {}
    for layer, rows in directions.items():
        number = graph.number(model.node_name(layer))
        layers[layer] = {
            "operation": number,
            "readers": graph.readers(layer),
            "cuts": {
                "value": graph.cuts(layer, [value()]),
                "policy": graph.cuts(layer, [logits(range(model.n_actions))]),
            },
        }
        graph.arrays[f"directions/{layer}"] = np.asarray(rows, np.float32)
    meta = {"operations": graph.operations, **outputs, "layers": layers}
    return Part.encode(name, meta, graph.arrays)


class _Operations:
    """Operations in the order of computation; number 0 is the observation."""

    def __init__(self, model: Model):
        self._model = model
        self._nodes = model.index.nodes
        self._inputs = model.index.inputs
        start = model.input_node
        self._numbers = {start: 0}
        self._kernels: dict[int, str] = {}
        self.operations: list[dict[str, Any]] = [
            {"kind": "input", "shape": list(model.layer_shape(INPUT))}
        ]
        self.arrays: dict[str, np.ndarray] = {}
        targets = [model.node_name(key) for key in ("logits", "value")]
        needed = model.index.between((start,), targets)
        for node in self._nodes.values():  # frozen graphs are in topological order
            if node.name in needed and not model.index.is_constant(node.name):
                self._add(node)

    def number(self, node: str) -> int:
        """The operation that computes a node."""
        if node not in self._numbers:
            raise ModelError(f"the page does not compute {node!r} by itself")
        return self._numbers[node]

    def readers(self, layer: str) -> list[int]:
        """Operations whose kernels read a layer; none where it cannot be edited."""
        try:
            kernels = set(self._model.kernels_reading(layer))
        except ModelError:
            return []
        return [i for i, kernel in self._kernels.items() if kernel in kernels]

    def cuts(self, layer: str, targets: Sequence[Target]) -> list[dict[str, Any]]:
        """Where segments of the path to a layer's activation are cut.

        Returns:
            In order, {"operations": [int, ...], "factor": int or None}: the values
            there are interpolated, each segment cut into `factor`, None for the
            number of steps.
        """
        function = self._model.layer_function(layer, [t.tensor for t in targets])
        quotients = function.line_quotients
        factors = [None, *quotients.refinements]
        return [
            {"operations": [self.number(node) for node in nodes], "factor": factor}
            for nodes, factor in zip(quotients.parts[:-1], factors, strict=True)
        ]

    def _add(self, node: Any) -> None:
        sources = [s for s in self._inputs[node.name] if s in self._numbers]
        if node.op == "Shape" or not sources:
            return
        if node.op == "MirrorPad":
            self._check_pool_margin(node)
        if node.op == "MirrorPad" or self._only_renames(node):
            self._numbers[node.name] = self._numbers[sources[0]]
            return
        operation = self._operation(node, sources)
        operation["inputs"] = [self._numbers[source] for source in sources]
        operation["shape"] = self._shape(node, operation)
        self._numbers[node.name] = len(self.operations)
        self.operations.append(operation)

    def _shape(self, node: Any, operation: dict[str, Any]) -> list[int]:
        if operation["kind"] in _ELEMENTWISE:  # of flattened numbers, too
            return self.operations[operation["inputs"][0]]["shape"]
        return list(self._model.layer_shape(node.name))

    def _only_renames(self, node: Any) -> bool:
        """Whether a node has its input's numbers: it flattens or cuts out the value."""
        if node.op not in ("Reshape", "StridedSlice"):
            return node.op == "Identity"
        shapes = [
            self._model.graph.get_tensor_by_name(f"{name}:0").shape
            for name in (self._inputs[node.name][0], node.name)
        ]
        if node.op == "Reshape":
            return shapes[1].rank == 2
        return shapes[0].as_list()[1:] == [1] and shapes[1].rank == 1

    def _operation(self, node: Any, sources: list[str]) -> dict[str, Any]:
        kind, others = node.op, [s for s in self._inputs[node.name] if s not in sources]
        if kind in _PLAIN:
            return {"kind": _PLAIN[kind]}
        if kind in ("AvgPool", "MaxPool"):
            return self._pool(node)
        if kind in _SUMS and len(sources) == 2:
            return {"kind": "add"}
        if len(others) == 1 and len(sources) == 1:
            constant = self._constant(others[0])
            if kind == "Pow" and constant.size == 1 and constant.item() == 2:
                return {"kind": "square"}
            width = self.operations[self._numbers[sources[0]]]["shape"][-1]
            if kind in _SUMS and constant.size in (1, width):
                return {"kind": "bias", "weights": self._store(constant.reshape(-1))}
            by = constant.item() if constant.size == 1 else None
            if kind == "Mul" and by is not None:
                return {"kind": "scale", "by": by}
            if kind == "RealDiv" and by and self._inputs[node.name][0] in sources:
                return {"kind": "scale", "by": 1 / by}
            if kind == "MatMul" and not (
                node.attr["transpose_a"].b or node.attr["transpose_b"].b
            ):
                return self._with_kernel("dense", others[0], constant)
            if kind == "Conv2D" and _is_plain(node):
                strides = list(node.attr["strides"].list.i)
                found = self._with_kernel("convolution", others[0], constant)
                padding = node.attr["padding"].s.decode().lower()
                return {**found, "stride": strides[1], "padding": padding}
        raise ModelError(
            f"the page does not know the operation {kind} ({node.name}): it computes "
            "plain convolutional networks"
        )

    def _with_kernel(self, kind: str, name: str, kernel: np.ndarray) -> dict[str, Any]:
        self._kernels[len(self.operations)] = self._behind(name)
        return {"kind": kind, "weights": self._store(kernel)}

    def _pool(self, node: Any) -> dict[str, Any]:
        size, stride = (list(node.attr[key].list.i)[1] for key in ("ksize", "strides"))
        source = self._inputs[node.name][0]
        after = self._model.layer_shape(node.name)
        padding = node.attr["padding"].s
        padded = self._nodes[source].op == "MirrorPad"
        known = padded or padding == b"SAME"
        if not _is_plain(node) or len(after) != 3 or not known:
            raise ModelError(f"the page does not know the pooling of {node.name}")
        margins = [1, 1]
        if not padded:
            before = self._model.layer_shape(source)
            margins = [
                max((n - 1) * stride + size - m, 0) // 2
                for n, m in zip(after[:2], before[:2], strict=True)
            ]
        kind = "max_pool" if node.op == "MaxPool" else "mean_pool"
        return {"kind": kind, "size": size, "stride": stride, "margins": margins}

    def _check_pool_margin(self, node: Any) -> None:
        """Copies of the edge change no maximum of a window that holds the edge."""
        margins = self._constant(self._inputs[node.name][1]).tolist()
        readers = self._model.index.consumers[node.name]
        if (
            node.attr["mode"].s != b"SYMMETRIC"
            or any(before != 1 or after > 1 for before, after in margins[1:3])
            or any(self._nodes[reader].op != "MaxPool" for reader in readers)
        ):
            raise ModelError(f"the page does not know the padding of {node.name}")

    def _behind(self, name: str) -> str:
        while self._nodes[name].op == "Identity":
            name = self._inputs[name][0]
        return name

    def _constant(self, name: str) -> np.ndarray:
        node = self._nodes[self._behind(name)]
        if node.op == "Reshape":  # of a constant bias
            return self._constant(self._inputs[node.name][0])
        if node.op != "Const":
            raise ModelError(f"the page does not know the constant {node.op}")
        return tf.make_ndarray(node.attr["value"].tensor)

    def _store(self, weights: np.ndarray) -> str:
        name = f"weights/{len(self.operations)}"
        self.arrays[name] = np.ascontiguousarray(weights, np.float32)
        return name


def _is_plain(node: Any) -> bool:
    """Whether a window moves alike along both axes of [N, H, W, C], undilated."""
    lists = [
        list(node.attr[key].list.i)
        for key in ("strides", "ksize", "dilations")
        if key in node.attr
    ]
    return node.attr["data_format"].s in (b"", b"NHWC") and all(
        sizes[0] == sizes[3] == 1 and sizes[1] == sizes[2] for sizes in lists
    )

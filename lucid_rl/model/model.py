"""A trained network: its outputs, its layers, and edited copies of it.

`Model` holds one graph and one session, made once and reused. Memory is bounded
whatever the number of observations, results aside. `lucid_rl.load` makes one of any
file.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lucid_rl.checkpoints.checkpoint import Checkpoint, save_checkpoint
from lucid_rl.checkpoints.released import ReleasedModel
from lucid_rl.errors import InputError, ModelError, some_of
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model import architectures, layers, lucid_model, observations
from lucid_rl.model.batching import BATCH_BYTES, batch_slices, rows_within
from lucid_rl.model.compute_graph import compute_graph
from lucid_rl.model.graph_bounds import make_session, tensorflow_errors
from lucid_rl.model.kernels import reading_kernels
from lucid_rl.model.layer_function import LayerFunction, ScoreTensor
from lucid_rl.model.onnx_graph import OnnxNetwork
from lucid_rl.model.projection import orthonormal_basis, project_out
from lucid_rl.model.sparse_cache import SparseCache

INPUT = "input"
_KEPT = ("bfloat16", "name", "checkpoint", "metadata", "files", "onnx", "notes")
_NO_LAYERS = (INPUT, "logits", "value")
EDITS_ARG = "edits"
_NOT_WRITTEN = (".onnx", ".pt", ".pth", ".zip", ".ckpt")
"""Key of a checkpoint's args that records every edit, oldest first."""


class Model:
    """A frozen policy and value network.

    Example:
        >>> logits, values = model(observations)  # f32 [N, A], f32 [N]
        >>> activations = model.activations(observations, "2b")  # f32 [N, H, W, C]
        >>> edited = model.without(directions, layer="2b")
        >>> edited.save("edited.jd")

    Attributes:
        name: for display.
        checkpoint: parameters and settings; None where only the graph is known.
        metadata: contents of the article's metadata file; empty if there is none.
        files: paths of the files that came with the model.
        layers: short names of the spatial layers that are bottlenecks: every path from
            the input to the policy, or to the value function, passes through them;
            input first, ("1a", "2a", "2b", "3a", "4a") for the article's architecture.
            `layers_of` gives those of one output.
        image_shape: (height, width, channels) of one observation.
        n_actions: number of the policy's logits.
        notes: what was assumed when the file was read, in sentences.
        bfloat16: whether convolutions round their inputs and kernels to bfloat16.
        forward_bytes: of all tensors of a forward pass of one observation.
    """

    def __init__(
        self,
        graph_def: tf.GraphDef,
        *,
        logits_name: str = architectures.LOGITS_NAME,
        value_name: str = architectures.VALUE_NAME,
        bfloat16: bool = False,
        name: str = "model",
        checkpoint: Checkpoint | None = None,
        metadata: Mapping[str, Any] | None = None,
        files: ReleasedModel | None = None,
        onnx: OnnxNetwork | None = None,
        notes: Iterable[str] = (),
    ):
        """Makes a model of a frozen graph.

        Args:
            graph_def: the graph; one Placeholder takes the observations.
            logits_name: node of the policy's logits, [N, A].
            value_name: node of the value function, [N] or [N, 1].
            bfloat16: convolve in bfloat16, about 1.7 times faster where the processor
                has it; relative error of activations about 1 percent.
            name: this and the others are described under the class's attributes.
            checkpoint: parameters and settings that the graph was made of.
            metadata: contents of the article's metadata file.
            files: paths of the files that came with the model.
            onnx: the ONNX file that the graph was made of.
            notes: what was assumed when the file was read, in sentences.

        Raises:
            ModelError: the graph lacks one of the nodes, or their shapes do not fit.
        """
        self.name = name
        self.checkpoint = checkpoint
        self.metadata = dict(metadata or {})
        self.files = files or ReleasedModel(name)
        self.onnx = onnx
        self.notes = tuple(notes)
        index = layers.GraphIndex(graph_def)
        input_name = _check_nodes(index, graph_def, (logits_name, value_name))
        found = layers.find_layers(index)
        self._graph_def = graph_def
        self.index = index
        self._named = {
            INPUT: input_name,
            **found,
            "logits": logits_name,
            "value": value_name,
        }
        of_outputs = {*self.layers_of("logits"), *self.layers_of("value")}
        self.layers = tuple(name for name in found if name in of_outputs)
        self.bfloat16 = bfloat16
        self._functions: dict[Any, Any] = {}
        self._trunk: tuple[str, SparseCache] | None = None
        self.graph = tf.Graph()
        with self.graph.as_default(), tensorflow_errors("the graph cannot be used"):
            self._compute_graph_def = compute_graph(graph_def, bfloat16=bfloat16)
            tf.import_graph_def(self._compute_graph_def, name="")
        self._compute_index = layers.GraphIndex(self._compute_graph_def)
        self.forward_bytes = operation_bytes(self.graph.get_operations())
        one_by_one = tf.ConfigProto(inter_op_parallelism_threads=1)
        self.session = make_session(self.graph, one_by_one)
        shapes = [self.layer_shape(name) for name in (INPUT, "logits", "value")]
        if [len(shape) for shape in shapes] != [3, 1, 0]:
            raise ModelError(
                f"for one observation, the graph's input, logits and value have shapes "
                f"{', '.join(map(str, shapes))}: expected (height, width, channels), "
                "(actions,) and ()."
            )
        height, width, channels = shapes[0]
        self.image_shape = (height, width, channels)
        self.n_actions = shapes[1][0]

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, **options: Any) -> Model:
        """Makes a model of a checkpoint; options are the constructor's."""
        graph_def = architectures.build_graph_def(
            checkpoint.params,
            checkpoint.architecture,
            checkpoint.image_shape,
            checkpoint.args.get("hidden_activation", "relu"),
        )
        if checkpoint.path is not None:
            name = pathlib.Path(checkpoint.path).name.removesuffix(".jd")
            options.setdefault("name", name)
        return cls(graph_def, checkpoint=checkpoint, **options)

    def __reduce__(self):
        outputs = {"logits_name": self._named["logits"]}
        outputs["value_name"] = self._named["value"]
        kept = {key: getattr(self, key) for key in _KEPT}
        graph = self._graph_def.SerializeToString()
        return _rebuild, (graph, {**outputs, **kept})

    def __repr__(self) -> str:
        layers = ", ".join(f"{x} {list(self.layer_shape(x))}" for x in self.layers)
        return (
            f"Model({self.name!r}: observations {list(self.image_shape)}, "
            f"{self.n_actions} actions; layers {layers})"
        )

    def __call__(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes logits, f32 [N, A], and values, f32 [N], of observations.

        Args:
            observations: uint8 or floats in [0, 1], (N, *image_shape).
        """
        results = self.activations(observations, ("logits", "value"))
        return results["logits"], results["value"]

    @property
    def args(self) -> dict[str, Any]:
        """The training script's settings, as far as they are known."""
        if self.checkpoint is not None:
            return self.checkpoint.args
        return {k: value for k, value in self.metadata.items() if value is not None}

    @property
    def gamma(self) -> float:
        """Discount factor of the value function."""
        return float(self.metadata.get("gae_gamma", self.args.get("gamma", 0.999)))

    @property
    def lam(self) -> float:
        """Lambda of generalized advantage estimation."""
        return float(self.metadata.get("gae_lambda", self.args.get("lambda", 0.95)))

    @property
    def reward_scale(self) -> float:
        """Factor of the rewards that the value function was trained on."""
        return float(self.args.get("reward_scale", 1.0))

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the parameters, or of the graph where only that is known."""
        if self.checkpoint is None:
            graph = self._graph_def.SerializeToString(deterministic=True)
            return hashlib.sha256(graph).hexdigest()
        state = hashlib.sha256(self.checkpoint.architecture.encode())
        for name, array in sorted(self.checkpoint.params.items()):
            state.update(f"{name}{array.dtype.str}{array.shape}".encode())
            state.update(np.ascontiguousarray(array).data)
        return state.hexdigest()

    def layers_of(self, output: str) -> tuple[str, ...]:
        """The layers that every path from the input to "logits" or "value" passes."""
        found = {k: node for k, node in self._named.items() if k not in _NO_LAYERS}
        goals = (self._named[output],)
        return layers.bottlenecks(self.index, found, self._named[INPUT], goals)

    def affects(self, layer: str, output: str) -> bool:
        """Whether "logits" or "value" is computed from a layer."""
        return self.index.reaches(self.node_name(layer), [self._named[output]])

    def tensor_name(self, name: str) -> str:
        """Full name of a tensor, "ppo2_model/pi/2b/Relu:0" for "2b".

        Takes a layer's short name, "input", "logits", "value", or a node's or tensor's
        own.

        Raises:
            ModelError: there is none; the message lists those that exist.
        """
        return f"{self.node_name(name)}:0"

    def node_name(self, name: str) -> str:
        """Node name of a tensor, as `tensor_name` without ":0"."""
        if name in self._named:
            return self._named[name]
        node = str(name).removesuffix(":0")
        if node not in self.index.nodes:
            raise ModelError(
                f"the model has no layer or output {name!r}. Layers: "
                f"{', '.join(self.layers)}; also input, logits, value and the "
                "graph's own tensor names."
            )
        return node

    def layer_shape(self, layer: str) -> tuple[int, ...]:
        """Shape of one observation's activation, (H, W, C) for spatial layers.

        Raises:
            ModelError: there is no such layer, or it has no row for each observation.
        """
        shape = self.graph.get_tensor_by_name(self.tensor_name(layer)).shape
        if (
            not shape.rank
            or tf.dimension_value(shape[0]) is not None
            or not shape[1:].is_fully_defined()
        ):
            raise ModelError(
                f"{layer!r} has shape {shape}: expected a tensor with a row of known "
                "shape for each observation."
            )
        return tuple(int(size) for size in shape[1:])

    def activations(
        self,
        observations: np.ndarray,
        layers: str | Iterable[str],
        batch_size: int | None = None,
    ) -> Any:
        """Computes activations of one or several layers in one forward pass.

        Args:
            observations: uint8 or floats in [0, 1], (N, *image_shape).
            layers: a name as `tensor_name` takes it, or several; outputs included.
            batch_size: observations per pass; None bounds memory by itself.

        Returns:
            float32 (N, *layer_shape(layer)) for a single name; for several, a dict
            of such arrays by name.

        Raises:
            InputError: the observations do not fit the model.
            ModelError: a layer does not exist.
        """
        names = [layers] if isinstance(layers, str) else list(dict.fromkeys(layers))
        fetches = [self.tensor_name(name) for name in names]
        observations = self.check_observations(observations)
        n = len(observations)
        results = {
            name: np.empty((n, *self.layer_shape(name)), np.float32) for name in names
        }
        batch_size = batch_size or rows_within(BATCH_BYTES, self.forward_bytes)
        for rows in batch_slices(n, batch_size):
            batch = self.float_observations(observations[rows])
            for name, fetched in zip(names, self.run(fetches, batch), strict=True):
                results[name][rows] = fetched
        return results[layers] if isinstance(layers, str) else results

    def without(
        self,
        directions: np.ndarray,
        layer: str,
        strength: float = 1.0,
        note: Mapping[str, Any] | None = None,
    ) -> Model:
        """Makes a copy that no longer reads directions of a layer's activations.

        Projects the directions out of the kernels that read the layer (article,
        Appendix A; `model.projection`).

        Args:
            directions: [C] or [K, C] in the layer's channels, such as
                `NMF.directions`; only the space that they span matters.
            layer: the layer whose activations lose the directions.
            strength: 1 removes the directions wholly, as the article does; 0 changes
                nothing.
            note: plain values to record with the edit, such as features' names.

        Returns:
            The edited model; its args record the edit under `EDITS_ARG`.

        Raises:
            InputError: directions of another width, zero or not finite.
            ModelError: the layer does not exist or no kernel reads it.
        """
        kernels = self._kernels_without(directions, layer, strength)
        graph_def = self.graph_def()
        for node in graph_def.node:
            if node.name in kernels:
                tensor = tf.make_tensor_proto(kernels[node.name])
                node.attr["value"].tensor.CopyFrom(tensor)
        checkpoint = self.checkpoint
        if checkpoint is not None:
            record = {
                "layer": layer,
                "kernels": list(kernels),
                "strength": strength,
                "basis": orthonormal_basis(directions).tolist(),
                **(note or {}),
            }
            before = checkpoint.args.get(EDITS_ARG)
            edits = [*(before if isinstance(before, list) else ()), record]
            changes = {f"{name}:0": kernel for name, kernel in kernels.items()}
            checkpoint = checkpoint.replace_params(changes, args={EDITS_ARG: edits})
        return Model(
            graph_def,
            logits_name=self._named["logits"],
            value_name=self._named["value"],
            bfloat16=self.bfloat16,
            name=f"{self.name}-edited",
            checkpoint=checkpoint,
            metadata=self.metadata,
            onnx=self.onnx,
            notes=self.notes,
        )

    def outputs_without(
        self,
        directions: Sequence[np.ndarray] | np.ndarray,
        layer: str,
        observations: np.ndarray,
        strength: float = 1.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes the outputs of K models `without` some directions each.

        The network up to the layer is computed once for all of them.

        Args:
            directions: what each model is without, [C] or [k, C]; all zero for nothing.
            layer: the layer whose activations lose the directions.
            observations: u8 [N, H, W, C].
            strength: as in `without`.

        Returns:
            logits f32 [K, N, A] and values f32 [K, N].

        Raises:
            InputError: as in `without`, or observations that do not fit.
            ModelError: as in `without`.
        """
        edits = [
            {
                f"{name}:0": kernel
                for name, kernel in self._kernels_without(
                    removed, layer, strength
                ).items()
            }
            if np.any(removed)
            else {}
            for removed in directions
        ]
        observations = self.check_observations(observations)
        shape = (len(edits), len(observations))
        logits = np.empty((*shape, self.n_actions), np.float32)
        values = np.empty(shape, np.float32)
        outputs = self.tensor_name("logits"), self.tensor_name("value")
        source = self.tensor_name(layer)
        for rows in batch_slices(
            len(observations), rows_within(BATCH_BYTES, self.forward_bytes)
        ):
            batch = self.float_observations(observations[rows], first=rows.start)
            known = {self.tensor_name(INPUT): batch}
            known[source] = self.run([source], batch)[0]
            for i, kernels in enumerate(edits):
                found = self.session.run(outputs, {**known, **kernels})
                logits[i, rows], values[i, rows] = found
        return logits, values

    def _kernels_without(
        self, directions: np.ndarray, layer: str, strength: float = 1.0
    ) -> dict[str, np.ndarray]:
        """By node name, the kernels that read a layer, less directions."""
        names = self.kernels_reading(layer)
        n_channels = self.layer_shape(layer)[-1]
        if np.shape(directions)[-1:] != (n_channels,):
            given = np.shape(directions) or type(directions).__name__
            raise InputError(
                f"directions have shape {given}: expected [{n_channels}] or "
                f"[K, {n_channels}], the channels of layer {layer!r}, such as "
                "nmf.directions[[0, 3]]."
            )
        kernels = {name: np.asarray(self.index.value(name)) for name in names}
        return {
            name: project_out(kernel, directions, strength)
            for name, kernel in kernels.items()
        }

    def kernels_reading(self, layer: str) -> list[str]:
        """Names the kernels that read a layer next, which `without` changes.

        Raises:
            ModelError: the layer does not exist or no kernel reads it.
        """
        return reading_kernels(self.index, self.node_name(layer))

    def save(self, path: str | os.PathLike) -> None:
        """Writes the model, atomically.

        A path that ends in ".pb" gets a Lucid `.model.pb`, in ".onnx" (if the model was
        loaded from such a file) the edited file; any other a `.jd` checkpoint. Files of
        PyTorch's are read and not written.

        Raises:
            InputError: the model cannot be written in this format.
            SaveError: the file cannot be written.
        """
        if os.fspath(path).endswith(".pb"):
            metadata = lucid_model.Metadata(self._named[INPUT], self.image_shape)
            lucid_model.write_model_pb(self._graph_def, path, metadata)
        elif os.fspath(path).endswith(".onnx") and self.onnx is not None:
            self.onnx.save(self._graph_def, path)
        elif self.checkpoint is not None and not os.fspath(path).endswith(_NOT_WRITTEN):
            save_checkpoint(self.checkpoint, path)
        else:
            endings = ["'.model.pb'"]
            endings += ["'.onnx'"] if self.onnx else []
            endings += ["'.jd'"] if self.checkpoint else []
            raise InputError(
                f"{self.name!r} cannot be saved as {os.fspath(path)!r}: expected a "
                f"path that ends in {' or '.join(endings)}."
            )

    def graph_def(self) -> tf.GraphDef:
        """A copy of the network's frozen graph, with the article's node names."""
        copy = tf.GraphDef()
        copy.CopyFrom(self._graph_def)
        return copy

    def layer_function(
        self, layer: str, targets: Sequence[ScoreTensor]
    ) -> LayerFunction:
        """The network from a layer onward to given targets, built once."""
        key = (self.node_name(layer), tuple(targets))
        if key not in self._functions:
            self._functions[key] = LayerFunction(self, layer, targets)
        return self._functions[key]

    def check_observations(self, batch: np.ndarray) -> np.ndarray:
        """Checks type and shape of observations; see `observations`."""
        return observations.check_observations(batch, self.image_shape)

    def float_observations(self, batch: np.ndarray, first: int = 0) -> np.ndarray:
        """Converts what `check_observations` returned to float32 in [0, 1].

        `first` is the number of the batch's first observation, for messages.

        Raises:
            InputError: floats are not finite or lie outside [0, 1].
        """
        return observations.to_floats(batch, first)

    def run(self, tensors: Sequence[Any], batch: np.ndarray) -> list[np.ndarray]:
        """Computes tensors of the graph, or their names, for float observations."""
        feed = {self.tensor_name(INPUT): batch}
        if self._trunk is not None:
            layer, activations = self._trunk
            nodes = [getattr(t, "name", t).split(":")[0] for t in tensors]
            if all(self._determines(layer, node) for node in nodes):
                feed = {self.tensor_name(layer): activations(batch)}
        return self.session.run(tensors, feed)

    @contextlib.contextmanager
    def cached_trunk(self, layer: str | None) -> Iterator[None]:
        """Computes the network up to a layer once for each observation, meanwhile.

        The layer's activations are kept where they are sparse, within a bound of memory
        (`SparseCache`); what depends on observations through the layer only is computed
        from them. None keeps nothing, inside of another.

        Raises:
            ModelError: there is no such layer.
        """
        trunk = None
        if layer is not None:
            source, start = self.tensor_name(layer), self.tensor_name(INPUT)

            def compute(batch: np.ndarray) -> np.ndarray:
                return self.session.run(source, {start: batch})

            trunk = layer, SparseCache(compute, self.layer_shape(layer))
        outer, self._trunk = self._trunk, trunk
        try:
            yield
        finally:
            self._trunk = outer

    def _determines(self, layer: str, node: str) -> bool:
        """Whether a node depends on observations through a layer only."""
        through = self.node_name(layer)
        return node in self.index.nodes and not self.index.reaches(
            self.input_node, [node], without=through
        )

    @property
    def input_node(self) -> str:
        """Name of the Placeholder of the observations."""
        return self._named[INPUT]

    def copy(
        self, nodes: Iterable[str], mapped: Mapping[str, Any], name: str
    ) -> tuple[dict[str, Any], str]:
        """Copies a part of the network within its graph.

        Args:
            nodes: the nodes wanted.
            mapped: tensors that take the place of nodes, by name.
            name: scope of the copied operations.

        Returns:
            The wanted nodes' tensors, computed from those given, and the copy's scope.
        """
        nodes = list(nodes)
        wanted = [node for node in nodes if node not in mapped]
        inner = self._compute_index.between(mapped, wanted)
        part = tf.GraphDef(versions=self._compute_graph_def.versions)
        part.node.extend(n for n in self._compute_graph_def.node if n.name in inner)
        scope = self.graph.unique_name(name, mark_as_used=False)
        read = {source for node in inner for source in self._compute_index.inputs[node]}
        imported = tf.import_graph_def(
            part,
            input_map={f"{n}:0": mapped[n] for n in mapped if n in read},
            return_elements=[f"{node}:0" for node in wanted],
            name=name,
        )
        found = {**mapped, **dict(zip(wanted, imported, strict=True))}
        return {node: found[node] for node in nodes}, scope

    def bytes_since(self, n_operations: int) -> int:
        """Bytes for one row of what was added to the graph since it had so many."""
        return operation_bytes(self.graph.get_operations()[n_operations:])


def operation_bytes(operations: Iterable[tf.Operation]) -> int:
    """Bytes that the outputs of operations take for one observation."""
    total = 0
    for operation in operations:
        for tensor in operation.outputs:
            shape = tensor.shape
            if (
                shape.rank
                and tf.dimension_value(shape[0]) is None
                and shape[1:].is_fully_defined()
            ):
                total += int(np.prod(shape[1:].as_list())) * tensor.dtype.size
    return total


def _check_nodes(
    index: layers.GraphIndex, graph_def: tf.GraphDef, outputs: Sequence[str]
) -> str:
    """The only Placeholder's name; raises `ModelError` where a node is missing."""
    inputs = [n.name for n in graph_def.node if n.op == "Placeholder"]
    if len(inputs) != 1:
        raise ModelError(
            f"the graph has {len(inputs)} placeholders ({inputs}): expected one, "
            "for the observations."
        )
    missing = [name for name in outputs if name not in index.nodes]
    if missing:
        raise ModelError(
            f"the graph has no node {missing[0]!r}; name its outputs with "
            f"logits_name and value_name: it ends in {some_of(index.ends())}."
        )
    return inputs[0]


def _rebuild(graph: bytes, options: dict[str, Any]) -> Model:
    graph_def = tf.GraphDef()
    graph_def.ParseFromString(graph)
    return Model(graph_def, **options)

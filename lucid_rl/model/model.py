"""A network as one graph and one session, made once and reused.

`Model` answers questions about a trained network: activations of layers, the
policy's logits and the value, and, through `layer_function`, everything from a
hidden layer onward. Memory stays bounded however many observations are asked for,
results aside.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from lucid_rl.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lucid_rl.errors import ModelError
from lucid_rl.model import architectures, layers, lucid_model, observations
from lucid_rl.model.batching import BATCH_BYTES, batch_slices, rows_within
from lucid_rl.model.compute_graph import compute_graph
from lucid_rl.model.layer_function import LayerFunction, Target

INPUT = "input"


class Model:
    """A frozen network whose layers can be read and fed.

    Attributes:
        layers: short names of the spatial layers that everything the outputs know
            flows through, input first: ("1a", "2a", "2b", "3a", "4a") for the
            article's architecture.
        image_shape: (height, width, channels) of one observation.
        n_actions: number of the policy's logits.
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
    ):
        """Makes a model of a frozen graph.

        Args:
            graph_def: the graph; one Placeholder takes the observations.
            logits_name: node of the policy's logits, [N, A].
            value_name: node of the value function, [N].
            bfloat16: convolve in bfloat16, about 1.7 times faster where the
                processor has it; relative error of activations about 1 percent.

        Raises:
            ModelError: the graph lacks one of the nodes.
        """
        index = layers.GraphIndex(graph_def)
        inputs = [n.name for n in graph_def.node if n.op == "Placeholder"]
        if len(inputs) != 1:
            raise ModelError(
                f"the graph has {len(inputs)} placeholders ({inputs}): expected one, "
                "for the observations."
            )
        missing = [n for n in (logits_name, value_name) if n not in index.nodes]
        if missing:
            raise ModelError(
                f"the graph has no node {missing[0]!r}; name its outputs with "
                "logits_name and value_name."
            )
        found = layers.find_layers(index)
        self._graph_def = graph_def
        self.index = index
        self._named = {
            INPUT: inputs[0],
            **found,
            "logits": logits_name,
            "value": value_name,
        }
        self.layers = layers.bottlenecks(
            index, found, inputs[0], (logits_name, value_name)
        )
        self.bfloat16 = bfloat16
        self._functions: dict[Any, Any] = {}
        self._compute_graph_def = compute_graph(graph_def, bfloat16=bfloat16)
        self._compute_index = layers.GraphIndex(self._compute_graph_def)
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.import_graph_def(self._compute_graph_def, name="")
        self.forward_bytes = operation_bytes(self.graph.get_operations())
        self.session = tf.Session(graph=self.graph, config=_session_config())
        height, width, channels = self.layer_shape(INPUT)
        self.image_shape = (height, width, channels)
        self.n_actions = self.layer_shape("logits")[-1]

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Checkpoint | str | os.PathLike, *, bfloat16: bool = False
    ) -> "Model":
        """Makes a model of a checkpoint or of the `.jd` file that holds one.

        Raises:
            CheckpointError: the file holds no valid checkpoint.
        """
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = load_checkpoint(checkpoint)
        graph_def = architectures.build_graph_def(
            checkpoint.params, checkpoint.architecture
        )
        return cls(graph_def, bfloat16=bfloat16)

    @classmethod
    def from_model_pb(
        cls,
        path: str | os.PathLike,
        *,
        logits_name: str = architectures.LOGITS_NAME,
        value_name: str = architectures.VALUE_NAME,
        bfloat16: bool = False,
    ) -> "Model":
        """Makes a model of a `.model.pb` file as Lucid saves them.

        Raises:
            FileFormatError: the file is no such graph, or not a safe one.
            ModelError: it lacks one of the output nodes.
        """
        return cls(
            lucid_model.read_model_pb(path),
            logits_name=logits_name,
            value_name=value_name,
            bfloat16=bfloat16,
        )

    def tensor_name(self, name: str) -> str:
        """Full name of a tensor, "ppo2_model/pi/2b/Relu:0" for "2b".

        Args:
            name: a layer's short name, "input", "logits", "value", or a node's or
                tensor's own name.

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
        if not shape.rank or tf.dimension_value(shape[0]) is not None:
            raise ModelError(
                f"{layer!r} has shape {shape}: expected a tensor with a row for each "
                "observation."
            )
        return tuple(int(size) for size in shape[1:])

    def activations(
        self,
        observations: np.ndarray,
        layers: Iterable[str],
        batch_size: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Computes activations of several layers in one pass.

        Args:
            observations: uint8 or floats in [0, 1], (N, *image_shape).
            layers: names as `tensor_name` takes them, outputs included.
            batch_size: observations per pass; None bounds memory by itself.

        Returns:
            float32 arrays of shape (N, *layer_shape(layer)) by the given names.

        Raises:
            InputError: the observations do not fit the model.
            ModelError: a layer does not exist.
        """
        names = list(dict.fromkeys(layers))
        fetches = {name: self.tensor_name(name) for name in names}
        observations = self.check_observations(observations)
        n = len(observations)
        results = {
            name: np.empty((n, *self.layer_shape(name)), np.float32) for name in names
        }
        batch_size = batch_size or rows_within(BATCH_BYTES, self.forward_bytes)
        for rows in batch_slices(n, batch_size):
            batch = self.float_observations(observations[rows])
            fetched = self.session.run(fetches, {self.tensor_name(INPUT): batch})
            for name in names:
                results[name][rows] = fetched[name]
        return results

    def policy(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes logits, f32 [N, A], and values, f32 [N], of observations."""
        results = self.activations(observations, ("logits", "value"))
        return results["logits"], results["value"]

    def graph_def(self) -> tf.GraphDef:
        """A copy of the network's frozen graph, with the article's node names."""
        copy = tf.GraphDef()
        copy.CopyFrom(self._graph_def)
        return copy

    def save_model_pb(self, path: str | os.PathLike) -> None:
        """Writes the network as a `.model.pb` that Lucid loads."""
        metadata = lucid_model.Metadata(self._named[INPUT], self.image_shape)
        lucid_model.write_model_pb(self._graph_def, path, metadata)

    def layer_function(self, layer: str, targets: Sequence[Target]) -> LayerFunction:
        """The network from a layer onward to given targets, built once."""
        key = (self.node_name(layer), tuple(targets))
        if key not in self._functions:
            self._functions[key] = LayerFunction(self, layer, targets)
        return self._functions[key]

    def check_observations(self, batch: np.ndarray) -> np.ndarray:
        """Checks type and shape of observations; see `observations`."""
        return observations.check_observations(batch, self.image_shape)

    def float_observations(self, batch: np.ndarray, first: int = 0) -> np.ndarray:
        """Converts checked observations to float32 in [0, 1].

        Args:
            batch: what `check_observations` returned, or a part of it.
            first: number of the batch's first observation, for error messages.

        Raises:
            InputError: floats are not finite or lie outside [0, 1].
        """
        return observations.to_floats(batch, first)

    def run(self, tensors: Sequence[Any], batch: np.ndarray) -> list[np.ndarray]:
        """Computes tensors of the graph for float observations."""
        return self.session.run(tensors, {self._named[INPUT] + ":0": batch})

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
            Tensors of the nodes wanted, computed from those given, and the scope
            that the copied operations lie in.
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


def _session_config() -> tf.ConfigProto:
    return tf.ConfigProto(inter_op_parallelism_threads=1)

"""Feed-forward networks in ONNX files, as TensorFlow graphs and back.

Exports from PyTorch, JAX or Keras become frozen graphs in TensorFlow's own layout:
images and feature maps are [N, height, width, channels], whatever the file has, so
that attribution, NMF, pages and edits work on them. Convolutions and dense layers
keep the names of their weights in the file.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping

import numpy as np
from google.protobuf.message import DecodeError

from lucid_rl.bounded import output_limit
from lucid_rl.errors import FileFormatError, ModelError, reading
from lucid_rl.files import atomic_open, read_input
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.graph_bounds import MAX_NODES, row_limit, tensorflow_errors
from lucid_rl.model.graph_input import BYTES, expected_range, with_unit_range
from lucid_rl.model.onnx_operations import (
    Kernel,
    Operations,
    Value,
    onnx_package,
)

INPUT_NAME = "observations"
LOGITS_NAME = "policy_logits"
VALUE_NAME = "value"

_MAX_CHANNELS = 64  # of observations, to distinguish channels from height and width
_MAX_VALUES = 2**23  # of one tensor, for one observation
_MAX_OPERATIONS = 50_000  # of the graph: a depthwise convolution takes one a channel
_MAX_RANK = 16
_ABOVE_ZERO = ("strides", "dilations", "kernel_shape", "group", "num_outputs")
_N_ROWS = 7  # observations for which memory is added up

# What networks compute of constants and shapes. It takes no more memory than its
# inputs and outputs.
_ON_CONSTANTS = """
    Abs Add And Cast CastLike Ceil Clip Concat Constant ConstantOfShape
    DequantizeLinear Div Equal Exp Expand Flatten Floor Gather GatherElements GatherND
    Gemm Greater GreaterOrEqual Identity Less LessOrEqual Log MatMul Max Min Mod Mul
    Neg Not Or Pad Pow Range Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum Reshape ScatterElements ScatterND Shape Sign Size Slice Split
    Sqrt Squeeze Sub Tile Transpose Unsqueeze Where
"""
_FOLDED = frozenset(_ON_CONSTANTS.split())


@dataclasses.dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """A network read from an ONNX file.

    Attributes:
        graph_def: frozen graph from `INPUT_NAME`, f32 [N, H, W, C] in [0, 1], to
            `LOGITS_NAME` and `VALUE_NAME`.
        data: the file's content.
        kernels: the graph's constants that hold kernels, by name.
        notes: sentences on how inputs and outputs were identified.
    """

    graph_def: tf.GraphDef
    data: bytes
    kernels: Mapping[str, Kernel]
    notes: tuple[str, ...]

    def save(self, graph_def: tf.GraphDef, path: str | os.PathLike) -> None:
        """Writes the file with the kernels of an edited graph.

        Raises:
            SaveError: the file cannot be written.
        """
        proto = onnx_package().ModelProto.FromString(self.data)
        initializers = {tensor.name: tensor for tensor in proto.graph.initializer}
        constants = {node.name: node for node in graph_def.node}
        for name, kernel in self.kernels.items():
            array = tf.make_ndarray(constants[name].attr["value"].tensor)
            tensor = onnx_package().numpy_helper.from_array(
                np.ascontiguousarray(kernel.to_file(array)), kernel.initializer
            )
            initializers[kernel.initializer].CopyFrom(tensor)
        with atomic_open(path) as stream:
            stream.write(proto.SerializeToString(deterministic=True))


def read_onnx(
    path: str | os.PathLike,
    *,
    logits_name: str | None = None,
    value_name: str | None = None,
    input_range: tuple[float, float] | None = None,
) -> OnnxNetwork:
    """Reads a policy and value network from an ONNX file.

    Args:
        path: the file.
        logits_name: tensor of the policy's logits [N, A], or of Q-values; by default
            the output of that shape, or the one called logits, policy or actor.
        value_name: tensor of the value [N] or [N, 1]; by default the output of that
            shape, or the one called value or critic. Without one, outputs are taken
            for Q-values: the value is their maximum.
        input_range: what pixels the network expects, (0, 255) or (0, 1); by default
            (0, 255) where it takes bytes or divides its input by about 255, else
            (0, 1).

    Returns:
        The network.

    Raises:
        FileFormatError: the file is damaged, holds operations that no feed-forward
            network needs, or its tensors take more memory than a file of its size may
            ask for.
        ModelError: inputs or outputs cannot be identified; names those that there are.
    """
    with reading(path):
        return _network(read_input(path), logits_name, value_name, input_range)


def _network(content, logits_name, value_name, input_range) -> OnnxNetwork:
    proto = _checked(content)
    data = proto.SerializeToString(deterministic=True)
    with tf.Graph().as_default() as graph:
        try:
            converter = _Converter(proto, len(data))
            notes = converter.convert(logits_name, value_name)
        except (
            *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
            *(MemoryError, NotImplementedError, tf.errors.OpError),
        ) as error:
            raise FileFormatError(
                f"its shapes or attributes do not fit: {error!r:.500}"
            ) from error
    graph_def = graph.as_graph_def()
    _check_memory(graph_def, len(data))
    stated = BYTES if converter.takes_bytes else None
    pixels, note = expected_range(graph_def, INPUT_NAME, input_range, stated)
    graph_def = with_unit_range(graph_def, INPUT_NAME, pixels)
    return OnnxNetwork(graph_def, data, converter.kernels, (note, *notes))


def _checked(content: bytes):
    onnx = onnx_package()
    try:
        proto = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise FileFormatError("it is not a whole ONNX file.") from error
    external = [t.name for t in proto.graph.initializer if t.data_location]
    if external:
        raise FileFormatError(
            f"it keeps {external[0]!r} in another file: export with all weights in "
            "one file."
        )
    # Functions and branches may hold others: twice each, they are looked at for ever.
    branches = (
        node
        for node in proto.graph.node
        if any(a.HasField("g") or a.graphs for a in node.attribute)
    )
    for what in (*proto.functions, *branches):
        raise FileFormatError(
            f"it holds the function or branch {what.name!r:.100}: expected the "
            "operations of a feed-forward network. Recurrent networks and loops are "
            "not supported."
        )
    if len(proto.graph.node) > MAX_NODES:
        raise FileFormatError(
            f"it has {len(proto.graph.node)} nodes: expected at most {MAX_NODES}."
        )
    # Some versions of onnx divide by them.
    for node in proto.graph.node:
        for a in node.attribute:
            if (
                a.name in _ABOVE_ZERO
                and min((a.i if a.type == a.INT else 1, *a.ints)) < 1
            ):
                raise FileFormatError(f"{a.name} of {node.name!r:.100} is not above 0.")
    try:
        onnx.checker.check_model(proto)
        return onnx.shape_inference.infer_shapes(proto, strict_mode=True)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        RuntimeError,
        ValueError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise FileFormatError(f"it holds no valid network: {reason:.500}") from error


def _check_memory(graph_def: tf.GraphDef, n_bytes: int) -> None:
    """Bounds what all tensors take for one observation, before anything runs."""
    fixed = tf.GraphDef()
    fixed.CopyFrom(graph_def)
    (images,) = (node for node in fixed.node if node.name == INPUT_NAME)
    images.attr["shape"].shape.dim[0].size = _N_ROWS
    wrong = "it is no network of one observation after another"
    with tf.Graph().as_default() as graph, tensorflow_errors(wrong, FileFormatError):
        tf.import_graph_def(fixed, name="")
    total = 0
    for operation in graph.get_operations():
        for tensor in operation.outputs:
            if not tensor.shape.is_fully_defined():
                raise FileFormatError(
                    f"the size of {operation.name!r:.200} is not known before "
                    "it is computed."
                )
            total += tensor.shape.num_elements() * tensor.dtype.size
    if total > _N_ROWS * row_limit(n_bytes):
        raise FileFormatError(
            f"its tensors take {total / _N_ROWS / 2**20:.0f} MB for each "
            "observation, more than a file of this size may ask for."
        )


class _Converter(Operations):
    """Builds the graph, one node of the file after another."""

    def __init__(self, proto, n_bytes: int):
        self.graph = proto.graph
        self._opsets = proto.opset_import
        self._constants_left = output_limit(n_bytes)  # bytes
        self._n_operations = 0
        array = onnx_package().numpy_helper.to_array
        values = {
            t.name: Value(np.array(array(t)), source=t.name)
            for t in self.graph.initializer
        }
        super().__init__(values)

    def convert(self, logits_name, value_name) -> list[str]:
        notes = [self._add_input()]
        for node in self.graph.node:
            self._add(node)
        logits, value, note = self._outputs(logits_name, value_name)
        tf.identity(logits, name=LOGITS_NAME)
        if value is None:
            value = tf.reduce_max(logits, axis=1)
        tf.reshape(value, (-1,), name=VALUE_NAME)
        return [*notes, note]

    # Inputs and outputs

    def _add_input(self) -> str:
        inputs = [i for i in self.graph.input if i.name not in self.values]
        if len(inputs) != 1:
            names = ", ".join(i.name for i in inputs)
            raise ModelError(
                f"it has the inputs {names}: expected one, the observations. "
                "Recurrent networks, whose state is an input, are not supported."
            )
        (entry,) = inputs
        sizes = [d.dim_value for d in entry.type.tensor_type.shape.dim]
        if len(sizes) != 4 or min(sizes[1:]) < 1:
            raise ModelError(
                f"the input {entry.name!r} has the shape {sizes}: "
                "expected [N, channels, height, width] or [N, height, width, channels],"
                " all but N known. Export with fixed sizes."
            )
        first = sizes[1] <= _MAX_CHANNELS and sizes[1] <= min(sizes[2:])
        channels, height, width = sizes[1:] if first else (sizes[3], *sizes[1:3])
        if math.prod(sizes[1:]) > _MAX_VALUES:
            raise FileFormatError(f"the input of {sizes} is too large.")
        shape = (None, height, width, channels)
        observations = tf.placeholder(tf.float32, shape, name=INPUT_NAME)
        self.values[entry.name] = Value(observations, last=first)
        kind = entry.type.tensor_type.elem_type
        self.takes_bytes = kind == onnx_package().TensorProto.UINT8
        order = "channels first" if first else "channels last"
        return (
            f"The input {entry.name!r} takes {height} x {width} pixels of {channels} "
            f"channels, {order}."
        )

    def _outputs(self, logits_name, value_name):
        names = [output.name for output in self.graph.output]
        for name in (logits_name, value_name):
            if name is not None and name not in self.values:
                raise ModelError(
                    f"it has no tensor {name!r}; its outputs are {', '.join(names)}."
                )
        widths = {n: self._width(n) for n in {*names, logits_name, value_name} - {None}}
        value_name = value_name or _only(
            [n for n in names if widths[n] == 1 and n != logits_name], "value|critic|vf"
        )
        wide = [n for n in names if (widths[n] or 0) > 1 and n != value_name]
        logits_name = logits_name or _only(wide, "logit|policy|actor|pi$|^pi|q")
        if logits_name is None or widths[logits_name] in (None, 1):
            listed = ", ".join(f"{n} of width {widths[n]}" for n in names)
            raise ModelError(
                f"which output holds the policy's logits? It has {listed}."
                " Name them by logits_name and value_name; argmax and samples hold no "
                "logits."
            )
        logits = self.values[logits_name].plain()
        if value_name is None:
            note = (
                f"No value output: {logits_name!r} is taken for Q-values, the value is"
                " their maximum and the policy their softmax."
            )
            return logits, None, note
        note = f"Logits are {logits_name!r}, the value is {value_name!r}."
        return logits, self.values[value_name].plain(), note

    def _width(self, name: str) -> int | None:
        value = self.values[name]
        if value.constant or not value.tensor.dtype.is_floating:
            return None
        shape = value.tensor.shape
        if shape.rank == 1:
            return 1
        return shape.as_list()[1] if shape.rank == 2 else None

    # Nodes

    def _add(self, node) -> None:
        inputs = [self.values[name] if name else None for name in node.input]
        if node.op_type in ("Constant", "Shape") or all(
            value is None or value.constant for value in inputs
        ):
            results = self._fold(node, inputs)
        else:
            results = self.build(node, inputs)
        for name, value in zip(node.output, results, strict=False):
            self._check_size(name, value)
            self.values[name] = value
        self._check_operations()

    def _check_operations(self) -> None:
        """Bounds the operations and constants that a node has added to the graph."""
        new = tf.get_default_graph().get_operations()[self._n_operations :]
        self._n_operations += len(new)
        if self._n_operations > _MAX_OPERATIONS:
            raise FileFormatError(f"it takes more than {_MAX_OPERATIONS} operations.")
        self._spend(
            sum(
                o.outputs[0].shape.num_elements() * o.outputs[0].dtype.size
                for o in new
                if o.type == "Const"
            )
        )

    def _spend(self, n_bytes: int) -> None:
        self._constants_left -= n_bytes
        if self._constants_left < 0:
            raise FileFormatError(
                "its constants are too large for a file of this size."
            )

    def _check_size(self, name: str, value: Value) -> None:
        shape = value.tensor.shape if value.constant else value.tensor.shape[1:]
        known = [int(s) for s in (shape if value.constant else shape.as_list()) if s]
        if math.prod(known) > _MAX_VALUES:
            raise FileFormatError(f"the tensor {name!r} is too large.")

    def _fold(self, node, inputs) -> list[Value]:
        """Computes what depends on constants and shapes alone."""
        if node.op_type == "Shape":
            value = inputs[0]
            shape = value.plain().shape
            sizes = [
                -1 if size is None else size
                for size in (shape if value.constant else shape.as_list())
            ]
            return [Value(np.array(sizes, np.int64))]
        from onnx.reference import ReferenceEvaluator

        if node.op_type not in _FOLDED or node.domain:
            raise FileFormatError(
                f"{node.op_type!r:.100} of constants is not supported."
            )
        arrays = {n: self.values[n].tensor for n in node.input if n}
        self._spend(self._folded_bytes(node, arrays))
        try:
            results = ReferenceEvaluator(node).run(None, arrays)
        except Exception as error:  # whatever the reference's kernels raise
            raise FileFormatError(
                f"{node.op_type!r} of constants fails: {error}"
            ) from error
        return [Value(np.asarray(result)) for result in results]

    def _folded_bytes(self, node, arrays: Mapping[str, np.ndarray]) -> int:
        """Memory of a node's results, from the shapes that constants ask for."""
        onnx = onnx_package()
        version = next(o.version for o in self._opsets if o.domain in ("", "ai.onnx"))
        types, data = {}, {}
        for name, array in arrays.items():
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            types[name] = onnx.helper.make_tensor_type_proto(kind, array.shape)
            if array.size <= _MAX_RANK:
                data[name] = onnx.numpy_helper.from_array(array, name)
        found = onnx.shape_inference.infer_node_outputs(
            onnx.defs.get_schema(node.op_type, version),
            *(node, types, data),
            opset_imports=list(self._opsets),
        )
        n_bytes = 0
        for kind in found.values():
            shape = kind.tensor_type.shape.dim
            known = kind.tensor_type.HasField("shape")
            if not known or any(not d.HasField("dim_value") for d in shape):
                raise FileFormatError(
                    f"{node.op_type!r} of constants has no known size."
                )
            n_bytes += 8 * math.prod(d.dim_value for d in shape)
        return n_bytes


def _only(names: list[str], pattern: str) -> str | None:
    """The only name, or the only one that matches a pattern."""
    matching = [name for name in names if re.search(pattern, name.lower())]
    chosen = names if len(names) == 1 else matching
    return chosen[0] if len(chosen) == 1 else None

"""What a frozen graph may hold, and how much memory its tensors take.

TensorFlow computes parts of a graph while it infers shapes. So nodes are imported
level by level, and the sizes of all tensors before a level are bounded before it is.
"""

from __future__ import annotations

import contextlib
import graphlib
import math
import random
from collections.abc import Iterator, Sequence

from lucid_rl.bounded import output_limit
from lucid_rl.errors import FileFormatError, LucidRLError, ModelError
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.layers import source_name

_ARITHMETIC = """
    Add AddN AddV2 AvgPool BiasAdd Cast Concat ConcatV2 Const Conv2D
    DepthwiseConv2dNative Elu Exp ExpandDims FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 GatherV2 Identity LRN LeakyRelu LogSoftmax MatMul Max MaxPool
    Maximum Mean Min Minimum MirrorPad Mul Neg NoOp Pack Pad PadV2 Placeholder Pow
    Prod RealDiv Relu Relu6 Reshape Rsqrt Selu Shape Sigmoid Slice Softmax Softplus
    Softsign Split SplitV Sqrt Square Squeeze StridedSlice Sub Sum Tanh Tile
    Transpose
"""
KNOWN_OPS = frozenset(_ARITHMETIC.split())

# Integers are shapes: selections and products of sizes. With sums or maxima, sizes
# that are small for one number of observations could be huge for another.
_ON_INTEGERS = """
    Cast Concat ConcatV2 Const ExpandDims GatherV2 Identity Mul Pack Prod Reshape Shape
    Slice Squeeze StridedSlice Transpose
"""
_INTEGER_OPS = frozenset(_ON_INTEGERS.split())
_SELECTIONS = frozenset({"GatherV2", "Slice", "StridedSlice"})

MAX_NODES = 5000
"""Most nodes of a network."""

_MAX_INTEGERS = 4096
# In attributes: strides, paddings, masks, numbers of inputs.
_MAX_NUMBERS = 1024
_MAX_NUMBER = 2**16
_MAX_RANK = 16


# Beginnings of lines that say where in the graph something is wrong.
_ABOUT_THE_PLACE = (
    "Graph execution error",
    "Detected at",
    "<stack",
    "Node:",
    "\t",
    " ",
)


def row_limit(n_bytes: int) -> int:
    """Most bytes of all tensors of one observation, in a file of `n_bytes`."""
    return 100 * n_bytes + 2**28


@contextlib.contextmanager
def tensorflow_errors(
    doing: str, kind: type[LucidRLError] = ModelError
) -> Iterator[None]:
    """Turns what TensorFlow raises about a graph into an error of the given kind.

    Its message is `doing`, such as "running the graph", and TensorFlow's first line.
    """
    try:
        yield
    except LucidRLError:
        raise
    except (
        *(ValueError, KeyError, TypeError, LookupError, NotImplementedError),
        *(OverflowError, tf.errors.OpError),
    ) as error:
        raise kind(f"{doing}. TensorFlow says: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The line of a message that says what is wrong."""
    text = str(getattr(error, "message", None) or error)
    lines = [line for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(_ABOUT_THE_PLACE)]
    return (said or lines or [type(error).__name__])[0][:500]


def make_session(graph: tf.Graph, config: tf.ConfigProto | None = None) -> tf.Session:
    """A session whose `run` raises ModelError instead of TensorFlow's own errors."""
    session = tf.Session(graph=graph, config=config)
    run = session.run

    def checked_run(*args, **kwargs):
        with tensorflow_errors("the graph cannot be computed"):
            return run(*args, **kwargs)

    # A subclass would import TensorFlow with this module.
    session.run = checked_run
    return session


def plain_graph(graph_def: tf.GraphDef) -> tf.GraphDef:
    """Copies a graph of any origin with operations, inputs and attributes only.

    Devices, control inputs and attributes for TensorFlow's compilers are left out: they
    say where and when to compute, not what.

    Raises:
        FileFormatError: an operation is not one of `KNOWN_OPS`, two nodes have one
            name, there are too many nodes or none, a number is out of range, or
            functions are defined.
    """
    if not graph_def.node:
        raise FileFormatError("it holds no graph.")
    if graph_def.library.function:
        raise FileFormatError("it defines functions, which no network needs.")
    if len(graph_def.node) > MAX_NODES:
        raise FileFormatError(
            f"it has {len(graph_def.node)} nodes: expected at most {MAX_NODES}."
        )
    plain = tf.GraphDef(versions=graph_def.versions)
    names: set[str] = set()
    for node in graph_def.node:
        if node.op not in KNOWN_OPS:
            raise FileFormatError(
                f"it holds the operation {node.op!r:.200} (node {node.name!r:.200})"
                ", which is not one of a frozen convolutional network's. It was not "
                "run."
            )
        if node.name in names:
            raise FileFormatError(f"it has several nodes named {node.name!r:.200}.")
        names.add(node.name)
        copy = plain.node.add(name=node.name, op=node.op)
        copy.input.extend(entry for entry in node.input if not entry.startswith("^"))
        for key, value in node.attr.items():
            if not key.startswith("_"):
                _check_numbers(node.name, key, value)
                copy.attr[key].CopyFrom(value)
        if node.op == "Const":
            _check_constant(copy)
    return plain


def check_sizes(
    graph_def: tf.GraphDef,
    input_name: str,
    image_shape: Sequence[int],
    n_bytes: int,
) -> None:
    """Bounds the size of every tensor of a graph, before anything in it runs.

    A tensor either has the same shape for every number N of observations, or k N rows,
    where k is a constant. All of the former take at most `output_limit(n_bytes)`, all
    of the latter at most `row_limit(n_bytes)` for one observation.

    `graph_def` is what `plain_graph` makes; its Placeholder gets the shape (height,
    width, channels). `n_bytes` is the size of the file.

    Raises:
        FileFormatError: the graph is not valid, its input does not fit the
            observations, or a tensor is of another shape, of another kind or too large.
    """
    levels = _levels(graph_def)
    # Random, so that no file can be written that is small for these numbers alone.
    n, more = 2 * random.randrange(500, 1000) + 1, 2 * random.randrange(1000, 1500)
    few, many = (
        _Sizes(graph_def, n_bytes, rows).of(levels, input_name, image_shape)
        for rows in (n, more)
    )
    for node in graph_def.node:
        if node.op == "Placeholder":
            shape = tf.TensorShape((None, *image_shape)).as_proto()
            node.attr["shape"].shape.CopyFrom(shape)
    for name, shapes in few.items():
        for shape, other in zip(shapes, many[name], strict=True):
            if shape == other:
                continue
            if (
                not shape
                or shape[1:] != other[1:]
                or shape[0] % n
                or other[0] * n != shape[0] * more
            ):
                raise FileFormatError(
                    f"the size of {name!r:.200} is not in proportion to the "
                    "number of observations."
                )


class _Sizes:
    """Shapes of all tensors for one number of observations, within the limits."""

    def __init__(self, graph_def: tf.GraphDef, n_bytes: int, rows: int) -> None:
        self._versions = graph_def.versions
        # Batch normalization has outputs for its gradient, which nothing reads.
        self._read = {_tensor_key(entry) for n in graph_def.node for entry in n.input}
        self._rows = rows
        # Bytes left for constants, and for what depends on the observations.
        self._left = {False: output_limit(n_bytes), True: row_limit(n_bytes)}
        self._outputs: dict[str, list] = {}
        self._shapes: dict[str, list[tuple[int, ...]]] = {}
        self._varying: set[str] = set()

    def of(
        self,
        levels: Sequence[Sequence[tf.NodeDef]],
        input_name: str,
        image_shape: Sequence[int],
    ) -> dict[str, list[tuple[int, ...]]]:
        """Shapes of each node's outputs that are read, by its name."""
        given = math.prod(image_shape) * 4
        if min(image_shape) < 1 or given > self._left[True]:
            raise FileFormatError(
                f"observations of {tuple(image_shape)} are too large, or empty."
            )
        with tf.Graph().as_default():
            for level in levels:
                for node in level:
                    self._check_inputs(node)
                    if node.op == "Placeholder":
                        self._fix_input(node, input_name, image_shape)
                # TensorFlow may have given operations other names.
                for name, operation in self._imported(level):
                    self._outputs[name] = operation.outputs
                    self._shapes[name] = [
                        self._shape(name, operation, tensor)
                        for i, tensor in enumerate(operation.outputs)
                        if not i or (name, i) in self._read
                    ]
        return self._shapes

    def _imported(
        self, level: Sequence[tf.NodeDef]
    ) -> Iterator[tuple[str, tf.Operation]]:
        part = tf.GraphDef(versions=self._versions)
        part.node.extend(level)
        read = {_tensor_key(entry) for node in level for entry in node.input}
        names = [node.name for node in level]
        with tensorflow_errors("it holds no valid graph", FileFormatError):
            found = tf.import_graph_def(
                part,
                input_map={
                    f"{name}:{i}": self._outputs[name][i] for name, i in sorted(read)
                },
                return_elements=names,
                name="",
            )
        return zip(names, found, strict=True)

    def _check_inputs(self, node: tf.NodeDef) -> None:
        for entry in node.input:
            name, i = _tensor_key(entry)
            if i >= len(self._outputs[name]):
                raise FileFormatError(
                    f"it holds no valid graph: {node.name!r:.200} reads "
                    f"{entry!r:.200}, which does not exist."
                )
        sources = [source_name(entry) for entry in node.input]
        varying = [name in self._varying for name in sources]
        if node.op in _SELECTIONS and any(varying[1:]):
            raise FileFormatError(
                f"{node.name!r:.200} selects by the number of observations."
            )
        if node.op == "Placeholder" or any(varying):
            self._varying.add(node.name)

    def _fix_input(
        self, node: tf.NodeDef, input_name: str, image_shape: Sequence[int]
    ) -> None:
        """Gives the Placeholder its number of observations."""
        with tensorflow_errors("it holds no valid graph", FileFormatError):
            declared = tf.TensorShape(node.attr["shape"].shape)
        if node.name != input_name:
            raise FileFormatError(
                f"it has a second Placeholder, {node.name!r:.200}: expected "
                "one, for the observations."
            )
        if not declared[1:].is_compatible_with(image_shape) or (
            node.attr["dtype"].type != tf.float32.as_datatype_enum
        ):
            raise FileFormatError(
                f"its input takes {declared} of another type or shape "
                f"than observations of {tuple(image_shape)} in float32."
            )
        shape = tf.TensorShape((self._rows, *image_shape)).as_proto()
        node.attr["shape"].shape.CopyFrom(shape)

    def _shape(
        self, name: str, operation: tf.Operation, tensor: tf.Tensor
    ) -> tuple[int, ...]:
        shape, dtype = tensor.shape, tensor.dtype
        where = f"{name!r:.200}"
        if not shape.is_fully_defined() or 0 in shape.as_list():
            raise FileFormatError(
                f"{where} has the shape {shape}: expected one that is known before "
                "anything is computed, and not empty."
            )
        sizes = tuple(shape.as_list())
        n_values = math.prod(sizes)
        if not dtype.is_floating:
            self._check_integer(operation, dtype, n_values, where)
        varies = name in self._varying
        in_rows = varies and bool(sizes) and sizes[0] % self._rows == 0
        self._left[varies] -= n_values * dtype.size // (self._rows if in_rows else 1)
        if self._left[varies] < 0:
            whose = "of one observation" if varies else "that are constant"
            raise FileFormatError(
                f"{where}: the tensors {whose} take more memory than a file of this "
                f"size may ask for; this one has the shape {shape}."
            )
        return sizes

    def _check_integer(self, operation, dtype, n_values: int, where: str) -> None:
        op = operation.type
        of_floats = op == "Cast" and operation.inputs[0].dtype.is_floating
        if not dtype.is_integer or op not in _INTEGER_OPS or of_floats:
            raise FileFormatError(
                f"{where} computes {dtype.name} by {op}, which no network needs."
            )
        if op != "Const" and n_values > _MAX_INTEGERS:
            raise FileFormatError(
                f"{where} has {n_values} integers: expected at most {_MAX_INTEGERS}, "
                "the sizes of tensors."
            )


def _levels(graph_def: tf.GraphDef) -> list[list[tf.NodeDef]]:
    """Copies of the nodes, each level after all that it reads."""
    nodes = {node.name: node for node in graph_def.node}
    sources = {
        name: {source_name(entry) for entry in node.input}
        for name, node in nodes.items()
    }
    for name, read in sources.items():
        for missing in read - nodes.keys():
            raise FileFormatError(
                f"it holds no valid graph: {name!r:.200} reads {missing!r:.200}, "
                "which it lacks."
            )
    sorter = graphlib.TopologicalSorter(sources)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        raise FileFormatError("it holds no valid graph: it has a cycle.") from error
    levels = []
    while sorter.is_active():
        ready = sorter.get_ready()
        levels.append(
            [tf.NodeDef.FromString(nodes[name].SerializeToString()) for name in ready]
        )
        sorter.done(*ready)
    return levels


def _tensor_key(entry: str) -> tuple[str, int]:
    """Node and output of an input entry such as "name:1"."""
    name, _, number = entry.partition(":")
    return name, int(number) if number.isdecimal() and len(number) < 6 else 0


def _check_numbers(name: str, key: str, value: tf.AttrValue) -> None:
    """Refuses numbers that overflow inside TensorFlow, or have it count for long."""
    numbers = [value.i, *value.list.i[: _MAX_NUMBERS + 1]]
    if len(numbers) > _MAX_NUMBERS or any(abs(n) > _MAX_NUMBER for n in numbers):
        raise FileFormatError(
            f"the attribute {key!r:.200} of {name!r:.200} is out of range: "
            f"expected at most {_MAX_NUMBERS} numbers of up to {_MAX_NUMBER}."
        )


def _check_constant(node: tf.NodeDef) -> None:
    """Refuses constants that TensorFlow would not look at closely enough."""
    tensor = node.attr["value"].tensor
    try:
        dtype = tf.as_dtype(tensor.dtype)
    except TypeError:
        dtype = None
    sizes = [dim.size for dim in tensor.tensor_shape.dim]
    if dtype is None or not (dtype.is_floating or dtype.is_integer):
        wrong = f"is of type {dtype.name if dtype else tensor.dtype}"
    elif node.attr["dtype"].type != tensor.dtype:
        wrong = f"is of type {dtype.name} in one place only"
    elif len(sizes) > _MAX_RANK or any(not 0 < size < 2**40 for size in sizes):
        wrong = "has a size out of range"
    elif tensor.tensor_content and (
        len(tensor.tensor_content) != math.prod(sizes) * dtype.size
    ):
        wrong = f"has {len(tensor.tensor_content)} bytes for a shape of {sizes}"
    else:
        return
    raise FileFormatError(f"the constant {node.name!r:.200} {wrong}.")

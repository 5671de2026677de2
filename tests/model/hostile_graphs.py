"""Frozen graphs that are damaged, or made to cost memory or to end in an error."""

import itertools
import pathlib
import random
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow.compat.v1 as tf

from tests.memory_limit import attempt
from tests.model.hostile_onnx import hostile_onnx

LOGITS, VALUE = "ppo2_model/pi_1/add", "ppo2_model/strided_slice"
_SHAPE = (None, 8, 8, 3)


def _graph(body: Callable) -> tf.GraphDef:
    """A small policy and value network with something of `body` in it.

    `body` takes observations [N, 8, 8, 3] and returns features, of any shape.
    """
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, _SHAPE, name="Placeholder")
        kernel = tf.constant(np.ones((3, 3, 3, 4), np.float32), name="conv/kernel")
        layer = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME"), name="conv/Relu")
        flat = tf.reshape(layer, [-1, 256])
        extra = body(x)
        extra = extra[0] if isinstance(extra, (list, tuple)) else extra
        scalar = tf.reduce_sum(tf.cast(extra, tf.float32))
        logits = flat[:, :3] + scalar
        tf.add(logits, 0.0, name=LOGITS)
        tf.identity(flat[:, 0] + scalar, name=VALUE)
    return graph.as_graph_def()


def _few(x):
    """One number for each observation, [N]."""
    return tf.reduce_sum(x, axis=[1, 2, 3])


def _big(shape, value=1.0):
    return tf.constant(value, tf.float32, shape)


def _doubled(x, times):
    for _ in range(times):
        x = tf.concat([x, x], 0)
    return x


def _added(x, times):
    for _ in range(times):
        x = x + x
    return x


BODIES: dict[str, Callable] = {
    "plain": lambda x: x,
    "pad": lambda x: tf.pad(x, [[0, 0], [0, 60_000], [0, 60_000], [0, 0]]),
    "pad_rows": lambda x: tf.pad(_few(x), [[0, 2_000_000_000]]),
    "pad_v2": lambda x: tf.pad(x, [[0, 0], [0, 60_000], [0, 60_000], [0, 0]],
                               constant_values=1.0),
    "tile": lambda x: tf.tile(x, [1, 30_000, 30_000, 1]),
    "tile_rows": lambda x: tf.tile(_few(x), [2_000_000_000]),
    "tile_constant": lambda x: tf.tile(tf.constant([1.0]), [2_000_000_000]),
    "tile_by_batch": lambda x: tf.tile(_few(x), tf.shape(x)[:1]),
    "outer": lambda x: _big((40_000, 1)) * _big((1, 40_000)),
    "outer_of_rows": lambda x: _few(x)[:, None] * _few(x)[None],
    "outer_by_rows": lambda x: _few(x)[:, None] * _big((1, 2_000_000_00)),
    "matmul": lambda x: tf.matmul(_big((40_000, 1)), _big((1, 40_000))),
    "matmul_of_rows": lambda x: tf.matmul(
        tf.reshape(x, [-1, 192]), tf.reshape(x, [-1, 192]), transpose_b=True
    ),
    "sum_of_constants": lambda x: tf.add_n(
        [_big((1_000_000,)) + float(i) for i in range(300)]
    ),
    "hundreds_of_constants": lambda x: tf.add_n(
        [tf.reduce_sum(_big((4_000_000,), float(i)), [0]) for i in range(300)]
    ),
    "constant": lambda x: _big((2**31 - 1,)),
    "doubled_rows": lambda x: _doubled(_few(x), 33),
    "doubled_constant": lambda x: _doubled(tf.constant([1.0, 2.0]), 33),
    "packed": lambda x: tf.stack([_big((1_000_000,))] * 200),
    "broadcast_shape": lambda x: tf.reshape(
        tf.tile(x, tf.tile([30], [4])), [-1]
    ),
    "shape_by_maximum": lambda x: tf.tile(
        _few(x), tf.maximum(tf.shape(x)[:1] - 5000, 0) * 2_000_000 + 1
    ),
    "shape_by_table": lambda x: tf.tile(
        _few(x), tf.gather(tf.ones([4096], tf.int32), tf.shape(x)[:1] % 4096)
    ),
    "slice_by_batch": lambda x: _few(x)[tf.shape(x)[0] - 1:],
    "first_rows": lambda x: _few(x)[5:],
    "batch_squared": lambda x: tf.tile(_few(x), tf.shape(x)[:1] * tf.shape(x)[:1]),
    "empty": lambda x: x[:, :0],
    "rank_5": lambda x: tf.reshape(x, [-1, 8, 8, 3, 1]),
    "one_row": lambda x: tf.reduce_mean(x, 0),
    "transposed_rows": lambda x: tf.transpose(x, [1, 0, 2, 3]),
    "channels_first": lambda x: tf.raw_ops.MaxPool(
        input=tf.transpose(x, [0, 3, 1, 2]), ksize=[1, 1, 2, 2],
        strides=[1, 1, 2, 2], padding="VALID", data_format="NCHW"),
    "conv_channels_first": lambda x: tf.raw_ops.Conv2D(
        input=tf.transpose(x, [0, 3, 1, 2]), filter=_big((1, 1, 3, 3)),
        strides=[1, 1, 1, 1], padding="VALID", data_format="NCHW"),
    "training_norm": lambda x: tf.raw_ops.FusedBatchNormV3(
        x=x, scale=[1.0] * 3, offset=[0.0] * 3, mean=[0.0] * 3, variance=[1.0] * 3,
        is_training=True).y,
    "integer_conv": lambda x: tf.raw_ops.Conv2D(
        input=tf.cast(x, tf.int32), filter=tf.ones([1, 1, 3, 3], tf.int32),
        strides=[1, 1, 1, 1], padding="VALID"),
    "half": lambda x: tf.nn.conv2d(
        tf.cast(x, tf.float16), tf.ones([3, 3, 3, 3], tf.float16), 1, "SAME"),
    "bfloat": lambda x: tf.nn.softplus(tf.cast(x, tf.bfloat16)),
    "double": lambda x: tf.cast(x, tf.float64) ** 2.0,
    "complex": lambda x: tf.cast(x, tf.complex64),
    "booleans": lambda x: tf.cast(x, tf.bool),
    "lrn": lambda x: tf.nn.local_response_normalization(x, 60_000),
    "gather_out_of_range": lambda x: tf.gather(x, [1, 99], axis=3),
    "argument_axis": lambda x: tf.reduce_sum(x, 3),
    "power": lambda x: x ** tf.constant(np.full((8, 8, 3), 2.0, np.float32)),
    "atrous": lambda x: tf.nn.conv2d(
        x, _big((3, 3, 3, 3)), 1, "SAME", dilations=3),
    "large_window": lambda x: tf.nn.avg_pool2d(x, 8, 1, "SAME"),
    "flattened": lambda x: tf.reshape(x, tf.stack([tf.shape(x)[0], -1])),
    "positions": lambda x: tf.matmul(tf.reshape(x, [-1, 3]), _big((3, 2))),
}  # fmt: skip


def _add(graph_def, name, op, inputs=(), **types):
    node = graph_def.node.add(name=name, op=op, input=list(inputs))
    for key, value in types.items():
        node.attr[key].type = value
    return node


def _node(graph_def, op):
    return next(node for node in graph_def.node if node.op == op)


def _set(op, change):
    def edit(graph_def):
        change(_node(graph_def, op))

    return edit


def _constant(graph_def, name, value):
    tensor = tf.make_tensor_proto(value)
    _add(graph_def, name, "Const", dtype=tensor.dtype)
    graph_def.node[-1].attr["value"].tensor.CopyFrom(tensor)
    return name


def _computed_shape(*steps):
    """A Reshape by what some operations on constants come to.

    TensorFlow computes them while it infers shapes, even if nothing is run.
    """

    def edit(graph_def):
        last = _constant(graph_def, "start", np.ones(1, np.int32))
        for i, (op, value, types) in enumerate(steps):
            name = f"step_{i}"
            inputs = [last]
            if value is not None:
                inputs.append(_constant(graph_def, f"{name}/value", value))
            last = _add(graph_def, name, op, inputs, **types).name
        types = {"T": 1, "Tshape": 3}
        _add(graph_def, "shaped", "Reshape", ["Placeholder", last], **types)

    return edit


_INTS = {"T": 3, "Tmultiples": 3}
_MANY = np.array([2_000_000_000], np.int32)
_FLOATS = {"T": 1}


def _device(graph_def):
    for node in graph_def.node:
        node.device = "/job:worker/task:7/device:GPU:3"


def _compiled(graph_def):
    for node in graph_def.node:
        node.attr["_XlaMustCompile"].b = True
        node.attr["_class"].list.s.append(b"loc:@nowhere")
        node.attr["_kernel"].s = b"host"


def _chain(graph_def, n):
    last = "Placeholder"
    for i in range(n):
        _add(graph_def, f"chain_{i}", "Identity", [last], T=1)
        last = f"chain_{i}"


def _cycle(graph_def):
    _add(graph_def, "a", "Relu", ["b"], T=1)
    _add(graph_def, "b", "Relu", ["a"], T=1)


def _shape_of_input(*sizes):
    def edit(graph_def):
        shape = _node(graph_def, "Placeholder").attr["shape"].shape
        shape.Clear()
        for size in sizes:
            shape.dim.add(size=size)

    return edit


def _renamed(old, new):
    def edit(graph_def):
        for node in graph_def.node:
            node.name = node.name.replace(old, new)
            node.input[:] = [entry.replace(old, new) for entry in node.input]

    return edit


def _unknown_input(graph_def):
    _node(graph_def, "Placeholder").attr["shape"].shape.unknown_rank = True


EDITS: dict[str, Callable] = {
    "shape_of_tiles": _computed_shape(("Tile", _MANY, _INTS)),
    "shape_of_product": _computed_shape(
        ("Tile", _MANY, _INTS), ("Prod", np.int32(0), {"T": 3, "Tidx": 3})
    ),
    "shape_of_floats": _computed_shape(
        ("Cast", None, {"SrcT": 3, "DstT": 1}),
        ("Mul", np.full((2000, 2000), 2.0, np.float32), _FLOATS),
        ("MatMul", np.full((2000, 2000), 2.0, np.float32), _FLOATS),
        ("Cast", None, {"SrcT": 1, "DstT": 3}),
    ),
    "many_integers": _computed_shape(("Mul", np.ones(3_000_000, np.int32), {"T": 3})),
    "device": _device,
    "compiled": _compiled,
    "strides_of_zero": _set(
        "Conv2D", lambda n: n.attr["strides"].list.i.__setitem__(1, 0)
    ),
    "negative_strides": _set(
        "Conv2D", lambda n: n.attr["strides"].list.i.__setitem__(1, -1)
    ),
    "no_strides": _set("Conv2D", lambda n: n.attr["strides"].list.Clear()),
    "strides_over_batch": _set(
        "Conv2D", lambda n: n.attr["strides"].list.i.__setitem__(0, 2)
    ),
    "huge_strides": _set(
        "Conv2D", lambda n: n.attr["strides"].list.i.__setitem__(1, 2**40)
    ),
    "padding": _set("Conv2D", lambda n: setattr(n.attr["padding"], "s", b"EXPLICIT")),
    "format": _set("Conv2D", lambda n: setattr(n.attr["data_format"], "s", b"NCHW")),
    "type": _set("Conv2D", lambda n: setattr(n.attr["T"], "type", 999)),
    "type_of_type": _set("Conv2D", lambda n: setattr(n.attr["T"], "i", 3)),
    "explicit": _set(
        "Conv2D",
        lambda n: (
            setattr(n.attr["padding"], "s", b"EXPLICIT"),
            n.attr["explicit_paddings"].list.i.extend([0, 0, 10**6, 10**6] * 2),
        ),
    ),
    "output_7": _set("Relu", lambda n: n.input.__setitem__(0, n.input[0] + ":7")),
    "output_x": _set("Relu", lambda n: n.input.__setitem__(0, n.input[0] + ":x")),
    "no_input": _set("Relu", lambda n: n.input.__delitem__(0)),
    "two_inputs": _set("Relu", lambda n: n.input.append(n.input[0])),
    "control": _set("Relu", lambda n: n.input.append("^Placeholder")),
    "control_nowhere": _set("Relu", lambda n: n.input.append("^nowhere")),
    "reads_nothing": _set("Relu", lambda n: n.input.__setitem__(0, "")),
    "name_with_spaces": _set("Relu", lambda n: setattr(n, "name", "a b/\u2603")),
    "no_name": _set("Relu", lambda n: setattr(n, "name", "")),
    "cycle": _cycle,
    "own_input": _set("Relu", lambda n: n.input.__setitem__(0, n.name)),
    "chain": lambda g: _chain(g, 2000),
    "long_chain": lambda g: _chain(g, 50_000),
    "second_placeholder": lambda g: _add(g, "second", "Placeholder", dtype=1),
    "layer_called_input": _renamed("conv/", "input/"),
    "layer_called_logits": _renamed("conv/", "logits/"),
    "batch_of_one": _shape_of_input(1, 8, 8, 3),
    "other_images": _shape_of_input(-1, 9, 9, 3),
    "huge_images": _shape_of_input(-1, 2**20, 2**20, 3),
    "huge_sizes": _shape_of_input(-1, 2**62, 2**62, 2**62),
    "no_images": _shape_of_input(-1, 0, 8, 3),
    "images_of_rank_3": _shape_of_input(-1, 8, 3),
    "unknown_images": _shape_of_input(-1, -1, -1, 3),
    "unknown_input": _unknown_input,
    "input_of_integers": _set(
        "Placeholder", lambda n: setattr(n.attr["dtype"], "type", 3)
    ),
    "input_of_text": _set("Placeholder", lambda n: setattr(n.attr["dtype"], "type", 7)),
    "producer": lambda g: setattr(g.versions, "min_consumer", 10**6),
    "old_producer": lambda g: setattr(g.versions, "producer", 0),
    "bad_consumers": lambda g: g.versions.bad_consumers.extend(range(5000)),
    "no_value": _set("Const", lambda n: n.attr["value"].Clear()),
    "other_dtype": _set("Const", lambda n: setattr(n.attr["dtype"], "type", 2)),
    "resource": _set("Const", lambda n: setattr(n.attr["value"].tensor, "dtype", 20)),
    "debug_info": _set(
        "Relu",
        lambda n: n.experimental_debug_info.original_node_names.append("x" * 10_000),
    ),
}


def hostile_graphs() -> Iterator[tuple[str, bytes]]:
    """Each handmade graph's name and file."""
    for name, body in BODIES.items():
        yield name, _graph(body).SerializeToString()
    for name, edit in EDITS.items():
        graph_def = _graph(lambda x: x)
        edit(graph_def)
        yield name, graph_def.SerializeToString()


def mutated_graphs(seed: int) -> Iterator[tuple[str, bytes]]:
    """Endlessly many, some bytes or some fields of a sound graph changed."""
    rng = random.Random(seed)
    graphs = [
        _graph(BODIES[name])
        for name in ("plain", "flattened", "atrous", "large_window", "training_norm")
    ]
    i = 0
    while True:
        i += 1
        graph_def = tf.GraphDef()
        graph_def.CopyFrom(rng.choice(graphs))
        if i % 2:
            data = bytearray(graph_def.SerializeToString())
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(data))
                data[at] = rng.choice([0, 1, 2, 127, 255, rng.randrange(256)])
            yield f"bytes_{i}", bytes(data)
            continue
        for _ in range(rng.randint(1, 3)):
            _mutate(rng, graph_def)
        yield f"fields_{i}", graph_def.SerializeToString()


_NUMBERS = (-(2**63), -1, 0, 1, 2, 3, 7, 255, 2**16, 2**31 - 1, 2**31, 2**62)


def _mutate(rng: random.Random, graph_def: tf.GraphDef) -> None:
    """Changes one node's inputs, name, operation, or a number of an attribute."""
    nodes = list(graph_def.node)
    node, other = rng.choice(nodes), rng.choice(nodes)
    what = rng.randrange(6)
    if what == 0 and node.input:
        node.input[rng.randrange(len(node.input))] = other.name
    elif what == 1:
        node.op = other.op
    elif what == 2:
        node.input.append(other.name)
    elif what == 3 and node.attr:
        key = rng.choice(sorted(node.attr))
        _mutate_attribute(rng, node.attr[key])
    elif what == 4 and other.attr:
        key = rng.choice(sorted(other.attr))
        node.attr[key].CopyFrom(other.attr[key])
    else:
        constants = [n for n in nodes if n.op == "Const"]
        tensor = rng.choice(constants).attr["value"].tensor
        _mutate_tensor(rng, tensor)


def _mutate_attribute(rng, attribute):
    kind = attribute.WhichOneof("value")
    if kind == "type":
        attribute.type = rng.randrange(1, 24)
    elif kind == "list" and attribute.list.i:
        i = rng.randrange(len(attribute.list.i))
        attribute.list.i[i] = rng.choice(_NUMBERS)
    elif kind == "s":
        attribute.s = rng.choice([b"VALID", b"EXPLICIT", b"NCHW", b"\xff", b""])
    elif kind == "i":
        attribute.i = rng.choice(_NUMBERS)
    elif kind == "b":
        attribute.b = not attribute.b
    elif kind == "shape" and attribute.shape.dim:
        rng.choice(list(attribute.shape.dim)).size = rng.choice(_NUMBERS)
    elif kind == "tensor":
        _mutate_tensor(rng, attribute.tensor)


def _mutate_tensor(rng, tensor):
    if rng.random() < 0.5 and tensor.tensor_shape.dim:
        rng.choice(list(tensor.tensor_shape.dim)).size = rng.choice(_NUMBERS)
    elif tensor.tensor_content:
        content = bytearray(tensor.tensor_content)
        number = rng.choice(_NUMBERS) % 2**32
        content[: len(content) and 4] = number.to_bytes(4, "little")
        tensor.tensor_content = bytes(content)
    elif tensor.int_val:
        tensor.int_val[0] = rng.choice([n for n in _NUMBERS if -(2**31) <= n < 2**31])


def _use(path):
    """Does with a model what an analysis does."""
    import lucid_rl as lr

    model = lr.load(path)
    observations = np.zeros((3, *model.image_shape), np.uint8)
    model(observations)
    for layer in model.layers:
        model.activations(observations, layer)
    for layer in model.layers[:1]:
        lr.attribute(model, observations, layer=layer)
        model.without(np.ones(model.layer_shape(layer)[-1]), layer=layer)


def main(folder: pathlib.Path, n_mutated: int, seed: int) -> None:
    """Loads and uses each graph within a memory limit; prints what comes of each."""
    plain = [next(hostile_graphs()), next(hostile_onnx())]
    mutated = itertools.islice(mutated_graphs(seed), n_mutated)
    # The first time, TensorFlow loads and allocates what it keeps.
    for i, (name, data) in enumerate(
        itertools.chain(plain, hostile_graphs(), mutated, hostile_onnx())
    ):
        suffix = "onnx" if name.startswith("onnx_") else "model.pb"
        path = folder / f"x.{suffix}"
        path.write_bytes(data)
        attempt(name, _use, path, limited=i >= len(plain))

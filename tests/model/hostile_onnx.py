"""ONNX files that are made to cost memory or time, or to end in an error."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper

_FLOAT, _INT64 = TensorProto.FLOAT, TensorProto.INT64
_node = helper.make_node
_info = helper.make_tensor_value_info


def network(nodes, arrays, image, outputs, functions=()) -> onnx.ModelProto:
    """A model of nodes and arrays by name.

    `image` is the input, name and [C, H, W]; `outputs` are widths by name.
    """
    name, shape = image
    graph = helper.make_graph(
        nodes,
        "network",
        [_info(name, _FLOAT, ["N", *shape])],
        [_info(output, _FLOAT, ["N", width]) for output, width in outputs.items()],
        [onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in arrays.items()],
    )
    domains = {"": 17, "f": 1} if functions else {"": 17}
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(*domain) for domain in domains.items()],
        ir_version=8,
        functions=list(functions),
    )


def _ints(*numbers):
    return np.array(numbers, np.int64)


def _file(nodes=(), arrays=None, of="extra", constant=False, functions=()) -> bytes:
    """A small policy and value network; `of` is summed up and added to its logits."""
    arrays = {
        "base/w": np.ones((4, 3, 3, 3), np.float32),
        "base/dense": np.ones((3, 256), np.float32),
        "base/critic": np.ones((1, 256), np.float32),
        "base/one": _ints(1),
        **(arrays or {}),
    }
    summed = [
        _node("Flatten", ["base/f"], ["base/m"]),
        _node("ReduceSum", ["base/m", "base/one"], ["base/s"]),
    ]
    if constant:
        summed = [_node("ReduceSum", ["base/f"], ["base/s"], keepdims=0)]
    ours = [
        _node("Conv", ["x", "base/w"], ["base/c"], pads=[1, 1, 1, 1]),
        _node("Relu", ["base/c"], ["r"]),
        *nodes,
        _node("Cast", [of], ["base/f"], to=_FLOAT),
        *summed,
        _node("Flatten", ["r"], ["base/v"]),
        _node("Gemm", ["base/v", "base/dense"], ["base/g"], transB=1),
        _node("Add", ["base/g", "base/s"], ["logits"]),
        _node("Gemm", ["base/v", "base/critic"], ["value"], transB=1),
    ]
    outputs = {"logits": 3, "value": 1}
    made = network(ours, arrays, ("x", (3, 8, 8)), outputs, functions)
    return made.SerializeToString()


def _of_constants(op, arrays, **attributes):
    return _file(
        [_node(op, list(arrays), ["extra"], **attributes)], arrays, constant=True
    )


def _chain(op, n, start="r", arrays=None, second=(), constant=False, **attributes):
    """`op` applied n times, each to the result of the one before."""
    names = [start, *(f"t{i}" for i in range(n - 1)), "extra"]
    nodes = [
        _node(op, [a, *(second or [a])], [b], **attributes)
        for a, b in itertools.pairwise(names)
    ]
    return _file(nodes, arrays, constant=constant)


def _laughs(n):
    """Functions, each of which calls the next one twice."""
    functions = []
    for i in range(n):
        inner = ("f", f"f{i + 1}") if i < n - 1 else ("", "Relu")
        nodes = [
            _node(inner[1], ["a"], ["m"], domain=inner[0]),
            _node(inner[1], ["m"], ["b"], domain=inner[0]),
        ]
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
        functions.append(
            helper.make_function("f", f"f{i}", ["a"], ["b"], nodes, opsets)
        )
    return _file([_node("f0", ["r"], ["extra"], domain="f")], functions=functions)


def _loop(n):
    body = helper.make_graph(
        [_node("Identity", ["c_in"], ["c_out"]), _node("Add", ["a", "a"], ["b"])],
        "body",
        [
            _info("i", _INT64, []),
            _info("c_in", TensorProto.BOOL, []),
            _info("a", _FLOAT, [1]),
        ],
        [
            _info("c_out", TensorProto.BOOL, []),
            _info("b", _FLOAT, [1]),
        ],
    )
    arrays = {
        "n": np.int64(n),
        "yes": np.array(True),
        "one": np.ones(1, np.float32),
    }
    return _file(
        [_node("Loop", list(arrays), ["extra"], body=body)], arrays, constant=True
    )


def _claimed(dims, kind=_FLOAT, data=b""):
    """A file with an initializer that claims another shape or type."""
    model = onnx.ModelProto.FromString(_file(of="r"))
    tensor = model.graph.initializer.add(name="claim", data_type=kind, raw_data=data)
    tensor.dims.extend(dims)
    return model.SerializeToString()


def _changed(change):
    model = onnx.ModelProto.FromString(_file(of="r"))
    change(model)
    return model.SerializeToString()


def _attribute(i, **attributes):
    def change(model):
        node = model.graph.node[i]
        for name, value in attributes.items():
            kept = [a for a in node.attribute if a.name != name]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return lambda: _changed(change)


def _input(shape):
    def change(model):
        value = _info("x", _FLOAT, shape)
        model.graph.input[0].CopyFrom(value)

    return lambda: _changed(change)


_column, _row = np.ones((30_000, 1), np.float32), np.ones((1, 30_000), np.float32)

FILES: dict[str, Callable[[], bytes]] = {
    "plain": lambda: _file(of="r"),
    "fill": lambda: _of_constants("ConstantOfShape", {"s": _ints(10_000, 10_000, 100)}),
    "fill_a_line": lambda: _of_constants("ConstantOfShape", {"s": _ints(2**36)}),
    "expand": lambda: _of_constants(
        "Expand", {"a": np.ones(1, np.float32), "s": _ints(100_000, 100_000)}
    ),
    "tile": lambda: _of_constants(
        "Tile", {"a": np.ones((2, 2), np.float32), "s": _ints(50_000, 50_000)}
    ),
    "range": lambda: _of_constants(
        "Range", {"a": np.int64(0), "b": np.int64(2**40), "c": np.int64(1)}
    ),
    "fine_range": lambda: _of_constants(
        "Range", {"a": np.float32(0), "b": np.float32(1), "c": np.float32(1e-30)}
    ),
    "pad": lambda: _of_constants(
        "Pad", {"a": np.ones((2, 2), np.float32), "s": _ints(0, 0, 60_000, 60_000)}
    ),
    "outer_sum": lambda: _of_constants("Add", {"a": _column, "b": _row}),
    "outer_product": lambda: _of_constants("MatMul", {"a": _column, "b": _row}),
    "einsum": lambda: _of_constants(
        "Einsum", {"a": _column, "b": _row}, equation="ab,cd->abcd"
    ),
    "one_hot": lambda: _of_constants(
        "OneHot",
        {"i": _ints(1, 2), "d": np.int64(2**33), "v": np.zeros(2, np.float32)},
    ),
    "gather": lambda: _of_constants(
        "Gather",
        {"a": np.ones((1, 100_000), np.float32), "i": np.zeros(20_000, np.int64)},
    ),
    "random": lambda: _of_constants("RandomNormal", {}, shape=[10**5] * 2),
    "power": lambda: _of_constants("Pow", {"a": _ints(7), "b": _ints(2**62)}),
    "modulo": lambda: _of_constants("Mod", {"a": _ints(7), "b": _ints(0)}),
    "divided": lambda: _of_constants("Div", {"a": _ints(7), "b": _ints(0)}),
    "non_zero": lambda: _of_constants("NonZero", {"a": np.ones((3, 3), np.float32)}),
    "doubled": lambda: _chain(
        "Concat", 60, "one", {"one": np.ones(1, np.float32)}, axis=0, constant=True
    ),
    "convolved": lambda: _of_constants(
        "Conv",
        {
            "a": np.ones((1, 1, 300, 300), np.float32),
            "b": np.ones((1, 1, 150, 150), np.float32),
        },
        pads=[100] * 4,
    ),
    "pad_of_nothing_left": lambda: _file(
        [
            _node("Pad", ["r", "s"], ["p"]),
            _node("MaxPool", ["p"], ["extra"], kernel_shape=[1, 1], strides=[999, 999]),
        ],
        {"s": _ints(0, 0, 0, 0, 0, 0, 10_000, 10_000)},
    ),
    "strided_pad": lambda: _file(
        [_node("Conv", ["r", "k"], ["extra"], pads=[0, 0, 30_000, 30_000],
               strides=[30_000, 30_000])],
        {"k": np.ones((1, 4, 1, 1), np.float32)},
    ),
    "wide_rows": lambda: _file(
        [
            _node("Reshape", ["r", "s"], ["a"]),
            _node("MatMul", ["a", "k"], ["b"]),
            _node("ReduceMax", ["b"], ["c"], axes=[1]),
            _node("Reshape", ["c", "t"], ["extra"]),
        ],
        {"s": _ints(-1, 1), "k": np.ones((1, 9 * 10**5), "f4"), "t": _ints(-1, 256)},
    ),
    "doubled_maps": lambda: _chain("Concat", 40, axis=1),
    "doubled_rows": lambda: _chain("Concat", 40, axis=0),
    "tiled_maps": lambda: _chain(
        "Tile", 5, "r", {"s": _ints(1, 60, 60, 60)}, second=["s"]
    ),
    "expanded": lambda: _file(
        [_node("Expand", ["r", "s"], ["extra"])], {"s": _ints(99_999, 1, 4, 8, 8)}
    ),
    "gram": lambda: _file(
        [
            _node("Reshape", ["r", "s"], ["a"]),
            _node("Transpose", ["a"], ["b"], perm=[1, 0]),
            _node("MatMul", ["a", "b"], ["extra"]),
        ],
        {"s": _ints(-1, 1)},
    ),
    "wide_pad": _attribute(0, pads=[0, 0, 10**9, 10**9], strides=[10**9, 10**9]),
    "negative_pad": _attribute(0, pads=[-5, -5, -5, -5]),
    "no_stride": _attribute(0, strides=[0, 0]),
    "negative_stride": _attribute(0, strides=[-1, -1]),
    "huge_dilation": _attribute(0, dilations=[2**40, 2**40]),
    "no_groups": _attribute(0, group=0),
    "many_groups": _attribute(0, group=2**40),
    "text_for_pads": _attribute(0, pads="x"),
    "unknown_padding": _attribute(0, auto_pad=b"\xff"),
    "far_axis": _attribute(4, keepdims=7, axes=[99]),
    "no_axis": lambda: _file([_node("Concat", ["r", "r"], ["extra"])]),
    "no_window": lambda: _file([_node("MaxPool", ["r"], ["extra"])]),
    "empty_window": lambda: _file(
        [_node("MaxPool", ["r"], ["extra"], kernel_shape=[0, 0])]
    ),
    "pool_of_no_stride": lambda: _file(
        [_node("AveragePool", ["r"], ["extra"], kernel_shape=[2, 2], strides=[0, 0],
               ceil_mode=1)]
    ),
    "many_parts": lambda: _file(
        [_node("Split", ["r", "n"], ["extra"], axis=1)],
        {"n": np.ones(200_000, np.int64)},
    ),
    "wide_split": lambda: _file(
        [_node("Split", ["r"], [f"p{i}" for i in range(4)] + ["extra"], axis=1)]
    ),
    "deep": lambda: _chain("Relu", 30_000, second=[""]),
    "one_weight_often": lambda: _chain(
        "MatMul", 3000, "r", {"m": np.ones((8, 8), np.float32)}, second=["m"]
    ),
    "one_large_weight_often": lambda: _file(
        [
            _node("Flatten", ["r"], ["q"]),
            *(_node("MatMul", ["q", "m"], [f"q{i}"]) for i in range(2000)),
            _node("Identity", ["q7"], ["extra"]),
        ],
        {"m": np.ones((256, 1000), np.float32)},
    ),
    "laughs": lambda: _laughs(60),
    "loop": lambda: _loop(2**40),
    "claims": lambda: _claimed([2**40]),
    "claims_of_nothing": lambda: _claimed([0, 2**62]),
    "negative_claim": lambda: _claimed([-1]),
    "unknown_type": lambda: _claimed([4], kind=99, data=bytes(16)),
    "text": lambda: _claimed([4], kind=TensorProto.STRING),
    "small_integers": lambda: _claimed([7], kind=TensorProto.INT4, data=bytes(1)),
    "huge_observation": _input(["N", 3, 2**30, 2**30]),
    "wide_observation": _input(["N", 3, 2**16, 2**16]),
    "negative_observation": _input(["N", 3, -8, -8]),
    "empty_observation": _input(["N", 3, 0, 8]),
    "scalar_observation": _input([]),
    "unknown_observation": _input(["N", 3, "H", "W"]),
    "no_outputs": lambda: _changed(lambda m: m.graph.ClearField("output")),
    "no_nodes": lambda: _changed(lambda m: m.graph.ClearField("node")),
    "no_opset": lambda: _changed(lambda m: m.ClearField("opset_import")),
    "future_opset": lambda: _changed(
        lambda m: setattr(m.opset_import[0], "version", 2**62)
    ),
    "old_opset": lambda: _changed(lambda m: setattr(m.opset_import[0], "version", 1)),
    "unknown_tensor": lambda: _changed(lambda m: m.graph.node[3].input.append("none")),
    "missing_input": lambda: _changed(lambda m: m.graph.node[0].input.pop()),
    "control_characters": lambda: _changed(
        lambda m: setattr(m.graph.node[0], "name", "\x1b[31m/\n/x")
    ),
    "long_name": lambda: _changed(
        lambda m: setattr(m.graph.node[0], "op_type", "x" * 100_000)
    ),
    "empty": lambda: b"",
    "not": lambda: b"\xff" * 1000,
}  # fmt: skip


def hostile_onnx() -> Iterator[tuple[str, bytes]]:
    """Name and content of each file."""
    for name, make in FILES.items():
        yield f"onnx_{name}", make()

"""The operations of ONNX networks, in TensorFlow's layout.

Feature maps keep their channels on the last axis and flattened maps the order height,
width, channels; weights are permuted instead of activations, so that layers can be
attributed to and edited like those of any other network.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lucid_rl.errors import FileFormatError, ModelError
from lucid_rl.lazy_tensorflow import tf

_MAX_PARTS = 4096  # that a tensor is split into


def onnx_package() -> Any:
    """The package onnx, which is an extra.

    Raises:
        ModelError: it is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError as error:
        raise ModelError(
            "ONNX files need the package onnx: pip install 'lucid_rl[onnx]'."
        ) from error
    return onnx


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Where a kernel of the graph lies in the ONNX file, to write edits back.

    Attributes:
        initializer: name of the file's tensor.
        order: for a dense layer, which of the file's rows each of the graph's is; None
            for a convolution.
        transposed: whether the file holds the dense layer's rows as columns.
    """

    initializer: str
    order: np.ndarray | None = None
    transposed: bool = False

    def to_file(self, kernel: np.ndarray) -> np.ndarray:
        """The file's array for a kernel of the graph."""
        if self.order is None:
            return kernel.transpose(3, 2, 0, 1)
        restored = np.empty_like(kernel)
        restored[self.order] = kernel
        return restored.T if self.transposed else restored


@dataclasses.dataclass(frozen=True)
class Value:
    """A tensor of the network.

    Attributes:
        tensor: TensorFlow's, or a NumPy array for a constant.
        last: whether channels, ONNX's axis 1, lie on the last axis.
        flat: (C, H, W) of a flattened feature map whose values lie in the order
            height, width, channels.
        source: name of the initializer that a constant comes from.
    """

    tensor: Any
    last: bool = False
    flat: tuple[int, int, int] | None = None
    source: str | None = None

    @property
    def constant(self) -> bool:
        """Whether it depends on no observation."""
        return isinstance(self.tensor, np.ndarray)

    @property
    def rank(self) -> int:
        """Number of axes."""
        return self.tensor.ndim if self.constant else self.tensor.shape.rank

    def plain(self) -> Any:
        """The tensor with axes and values in ONNX's order."""
        if self.last:
            inner = range(1, self.rank - 1)
            return tf.transpose(self.tensor, (0, self.rank - 1, *inner))
        if self.flat:
            channels, height, width = self.flat
            order = np.arange(math.prod(self.flat), dtype=np.int32)
            order = order.reshape(height, width, channels)
            return tf.gather(self.tensor, order.transpose(2, 0, 1).ravel(), axis=1)
        return self.tensor

    def channels_last(self) -> Any:
        """The tensor with channels on the last axis."""
        if self.last or self.rank < 3:
            return self.tensor
        order = (0, *range(2, self.rank), 1)
        if self.constant:
            return self.tensor.transpose(order)
        return tf.transpose(self.tensor, order)


class Operations:
    """Builds the TensorFlow operations of ONNX nodes.

    Attributes:
        values: what each tensor of the file is, by name.
        kernels: the graph's constants that hold kernels, by name.
    """

    def __init__(self, values: dict[str, Value]):
        self.values = values
        self.kernels: dict[str, Kernel] = {}

    def build(self, node: Any, inputs: list[Any]) -> list[Value]:
        """Results of a node of the file for given inputs.

        Raises:
            FileFormatError: the operation is not supported.
        """
        given = attributes(node)
        if node.op_type in UNARY:
            return self._unary(UNARY[node.op_type], inputs, given)
        if node.op_type in BINARY:
            return self._binary(BINARY[node.op_type], inputs)
        if node.op_type in _ALONG_AN_AXIS:
            return [Value(_ALONG_AN_AXIS[node.op_type](inputs[0].plain(), given))]
        method = getattr(self, f"_{node.op_type.lower()}", None)
        if method is None or node.domain:
            raise FileFormatError(
                f"it holds the operation {node.op_type!r}: expected those of "
                "a feed-forward network (docs/from_your_framework.md). Recurrent "
                "networks and loops are not supported."
            )
        self._scope = self._scope_of(node)
        return method(inputs, given)

    def _scope_of(self, node) -> str:
        """A layer's name: that of its weights, else that of the node."""
        weight = next((n for n in node.input[1:] if self.values[n].source), "")
        found = self.values[weight].source if weight else None
        if found and not found.startswith("onnx::"):
            found = re.sub(r"[./](weight|kernel|w)$", "", found)
        else:
            found = (node.name or node.output[0]).strip("/").rpartition("/")[0]
            found = found or node.name or node.output[0]
        return re.sub(r"[^A-Za-z0-9_.\-]", ".", found).strip(".") or "layer"

    def _kernel(self, array: np.ndarray, value: Value, *layout: Any) -> tf.Tensor:
        with tf.name_scope(f"{self._scope}/"):
            constant = tf.constant(array, name="kernel")
        if value.source is not None:
            self.kernels[constant.op.name] = Kernel(value.source, *layout)
        return constant

    @staticmethod
    def _unary(function, inputs, attributes) -> list[Value]:
        value = inputs[0]
        result = function(value.tensor, attributes)
        return [dataclasses.replace(value, tensor=result, source=None)]

    @staticmethod
    def _binary(function, inputs) -> list[Value]:
        result, layout = None, Value(None)
        rank = max(value.rank for value in inputs)
        maps = any(value.last for value in inputs) and rank >= 3
        flats = {value.flat for value in inputs if not value.constant}
        flat = flats.pop() if len(flats) == 1 else None
        for value in inputs:
            if maps:
                tensor = value.tensor
                if value.constant:
                    tensor = tensor.reshape((1,) * (rank - tensor.ndim) + tensor.shape)
                    value = Value(tensor)
                tensor = value.channels_last()
                layout = Value(None, last=True)
            elif flat and (not value.constant or value.tensor.size == 1):
                tensor, layout = value.tensor, Value(None, flat=flat)
            elif flat:
                flat_order = np.arange(math.prod(flat)).reshape(flat)
                tensor = value.tensor[..., flat_order.transpose(1, 2, 0).ravel()]
            else:
                tensor = value.plain()
            result = tensor if result is None else function(result, tensor)
        return [dataclasses.replace(layout, tensor=result)]

    def _conv(self, inputs, attributes) -> list[Value]:
        value, weight = inputs[:2]
        if value.rank != 4 or not weight.constant:
            raise FileFormatError("only 2-D convolutions are supported.")
        groups = attributes.get("group", 1)
        if not 1 <= groups <= _MAX_PARTS:
            raise FileFormatError(f"a convolution of {groups} groups.")
        kernel = self._kernel(weight.tensor.transpose(2, 3, 1, 0), weight)
        strides = attributes.get("strides", (1, 1))
        dilations = attributes.get("dilations", (1, 1))
        spans = [
            d * (k - 1) + 1
            for d, k in zip(dilations, weight.tensor.shape[2:], strict=True)
        ]
        images = self._padded(value.channels_last(), spans, strides, attributes, 0.0)
        with tf.name_scope(f"{self._scope}/"):
            parts = [
                tf.nn.conv2d(
                    image,
                    part,
                    list(strides),
                    "VALID",
                    dilations=list(dilations),
                    name="Conv2D",
                )
                for image, part in zip(
                    tf.split(images, groups, axis=3) if groups > 1 else [images],
                    tf.split(kernel, groups, axis=3) if groups > 1 else [kernel],
                    strict=True,
                )
            ]
            result = tf.concat(parts, axis=3) if groups > 1 else parts[0]
            if len(inputs) > 2 and inputs[2] is not None:
                result = tf.nn.bias_add(
                    result, tf.constant(inputs[2].tensor, name="bias")
                )
        return [Value(result, last=True)]

    def _padded(self, images, spans, strides, attributes, fill):
        mode = attributes.get("auto_pad", b"NOTSET").decode()
        before, after = [0, 0], [0, 0]
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            for axis in range(2):
                size = int(images.shape[1 + axis])
                steps = -(-size // strides[axis])
                total = max(0, (steps - 1) * strides[axis] + spans[axis] - size)
                small, large = total // 2, total - total // 2
                upper = mode == "SAME_UPPER"
                before[axis], after[axis] = (small, large) if upper else (large, small)
        elif mode == "NOTSET":
            pads = list(attributes.get("pads", (0, 0, 0, 0)))
            before, after = pads[:2], pads[2:]
        if not any((*before, *after)):
            return images
        pads = [(0, 0), *zip(before, after, strict=True), (0, 0)]
        return tf.pad(images, pads, constant_values=fill)

    def _pool(self, inputs, attributes, function, fill):
        value = inputs[0]
        window = list(attributes["kernel_shape"])
        strides = list(attributes.get("strides", (1,) * len(window)))
        if value.rank != 4 or any(d != 1 for d in attributes.get("dilations", ())):
            raise FileFormatError("only plain 2-D pools are supported.")
        images = value.channels_last()
        padded = self._padded(images, window, strides, attributes, fill)
        if attributes.get("ceil_mode"):
            extra = [
                (-(int(padded.shape[1 + a]) - window[a])) % strides[a] for a in range(2)
            ]
            ends = [(0, 0), (0, extra[0]), (0, extra[1]), (0, 0)]
            padded = tf.pad(padded, ends, constant_values=fill)
        return (
            images,
            padded,
            window,
            strides,
            function(padded, window, strides, "VALID"),
        )

    def _maxpool(self, inputs, attributes) -> list[Value]:
        # Padding with the lowest value: it never is a maximum.
        lowest = float(np.finfo(np.float32).min)
        result = self._pool(inputs, attributes, tf.nn.max_pool2d, lowest)[-1]
        return [Value(result, last=True)]

    def _averagepool(self, inputs, attributes) -> list[Value]:
        images, padded, window, strides, result = self._pool(
            inputs, attributes, tf.nn.avg_pool2d, 0.0
        )
        if padded is not images and not attributes.get("count_include_pad"):
            ones = self._padded(
                tf.ones((1, *images.shape[1:])), window, strides, attributes, 0.0
            )
            result = result / tf.nn.avg_pool2d(ones, window, strides, "VALID")
        return [Value(result, last=True)]

    def _globalaveragepool(self, inputs, attributes) -> list[Value]:
        images = inputs[0].channels_last()
        return [Value(tf.reduce_mean(images, axis=(1, 2), keepdims=True), last=True)]

    def _globalmaxpool(self, inputs, attributes) -> list[Value]:
        return [Value(_largest(inputs[0].channels_last()), last=True)]

    def _batchnormalization(self, inputs, attributes) -> list[Value]:
        value, scale, bias, mean, variance = inputs[:5]
        epsilon = attributes.get("epsilon", 1e-5)
        factor = scale.tensor / np.sqrt(variance.tensor + epsilon)
        shift = bias.tensor - mean.tensor * factor
        last = value.rank > 2
        tensor = value.channels_last() if last else value.plain()
        return [Value(tensor * factor + shift, last=last)]

    def _layernormalization(self, inputs, attributes) -> list[Value]:
        tensor = inputs[0].plain()
        axis = attributes.get("axis", -1) % inputs[0].rank
        axes = list(range(axis, inputs[0].rank))
        result = _standardized(tensor, axes, attributes) * inputs[1].tensor
        if len(inputs) > 2 and inputs[2] is not None:
            result = result + inputs[2].tensor
        return [Value(result)]

    def _instancenormalization(self, inputs, attributes) -> list[Value]:
        value, scale, bias = inputs
        tensor = value.channels_last()
        normal = _standardized(tensor, range(1, value.rank - 1), attributes)
        return [Value(normal * scale.tensor + bias.tensor, last=True)]

    def _gemm(self, inputs, attributes) -> list[Value]:
        value, weight = inputs[:2]
        if attributes.get("transA", 0) or not weight.constant:
            raise FileFormatError("a Gemm without a constant weight.")
        alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
        result = self._dense(value, weight, bool(attributes.get("transB", 0))) * alpha
        if len(inputs) > 2 and inputs[2] is not None:
            result = result + beta * inputs[2].tensor
        return [Value(result)]

    def _matmul(self, inputs, attributes) -> list[Value]:
        value, weight = inputs
        if not weight.constant or weight.rank != 2 or value.rank != 2:
            return [Value(tf.matmul(value.plain(), weight.plain()))]
        return [Value(self._dense(value, weight, False))]

    def _dense(self, value: Value, weight: Value, transposed: bool) -> tf.Tensor:
        """A product with a constant matrix; rows follow the flattened map's order."""
        matrix = weight.tensor.T if transposed else weight.tensor
        flat = value.flat
        if flat:
            order = np.arange(math.prod(flat)).reshape(flat).transpose(1, 2, 0).ravel()
        else:
            order = np.arange(len(matrix))

        kernel = self._kernel(matrix[order], weight, order, transposed)
        with tf.name_scope(f"{self._scope}/"):
            return tf.matmul(value.tensor, kernel, name="MatMul")

    def _flatten(self, inputs, attributes) -> list[Value]:
        if attributes.get("axis", 1) != 1:
            raise FileFormatError("Flatten of another axis than 1.")
        return [self._flattened(inputs[0])]

    @staticmethod
    def _flattened(value: Value) -> Value:
        if value.last and value.rank == 4:
            height, width, channels = value.tensor.shape[1:].as_list()
            tensor = tf.reshape(value.tensor, (-1, height * width * channels))
            if height * width == 1:
                return Value(tensor)
            return Value(tensor, flat=(channels, height, width))
        tensor = value.plain()
        return Value(tf.reshape(tensor, (-1, int(np.prod(tensor.shape[1:])))))

    def _reshape(self, inputs, attributes) -> list[Value]:
        value, target = inputs
        if not target.constant:
            raise FileFormatError("a shape that depends on observations.")
        shape = [int(size) for size in target.tensor]
        tensor = value.tensor
        known = [int(s) for s in tensor.shape.as_list()[1:] if s]
        if (
            len(shape) == 2
            and len(known) == value.rank - 1
            and (shape[1] in (-1, math.prod(known)))
        ):
            return [self._flattened(value)]
        plain = value.plain()
        sizes = [plain.shape.as_list()[i] if s == 0 else s for i, s in enumerate(shape)]
        if None in sizes and -1 in sizes:  # of which TensorFlow can infer but one
            given = math.prod(s for s in sizes if s not in (None, -1))
            inferred = math.prod(known) // max(1, given)
            sizes = [inferred if s == -1 else s for s in sizes]
        return [Value(tf.reshape(plain, [-1 if s is None else s for s in sizes]))]

    def _transpose(self, inputs, attributes) -> list[Value]:
        value = inputs[0]
        order = tuple(attributes.get("perm", range(value.rank)[::-1]))
        if not value.last and order == (0, 3, 1, 2):
            return [Value(value.tensor, last=True)]
        if value.last and order == (0, 2, 3, 1):
            return [Value(value.tensor)]
        return [Value(tf.transpose(value.plain(), order))]

    def _squeeze(self, inputs, attributes) -> list[Value]:
        axes = _parameter(inputs, 1, attributes, "axes")
        tensor = inputs[0].plain()
        if axes is None:
            axes = [i for i, s in enumerate(tensor.shape.as_list()) if i and s == 1]
        return [Value(tf.squeeze(tensor, [int(axis) for axis in axes]))]

    def _unsqueeze(self, inputs, attributes) -> list[Value]:
        axes = _parameter(inputs, 1, attributes, "axes")
        tensor = inputs[0].plain()
        for axis in sorted(int(a) % (inputs[0].rank + len(axes)) for a in axes):
            tensor = tf.expand_dims(tensor, axis)
        return [Value(tensor)]

    def _concat(self, inputs, attributes) -> list[Value]:
        axis = attributes["axis"]
        if all(value.last for value in inputs) and axis % 4 == 1:
            return [Value(tf.concat([v.tensor for v in inputs], axis=3), last=True)]
        return [Value(tf.concat([value.plain() for value in inputs], axis=axis))]

    def _split(self, inputs, attributes) -> list[Value]:
        axis = attributes.get("axis", 0)
        sizes = _parameter(inputs, 1, attributes, "split")
        parts: Any = attributes.get("num_outputs", 2) if sizes is None else [*sizes]
        if (parts if sizes is None else len(parts)) > _MAX_PARTS:
            raise FileFormatError(f"more than {_MAX_PARTS} parts.")
        return [Value(part) for part in tf.split(inputs[0].plain(), parts, axis=axis)]

    def _slice(self, inputs, attributes) -> list[Value]:
        tensor = inputs[0].plain()
        starts, ends, axes, steps = (
            _parameter(inputs, 1 + i, attributes, name)
            for i, name in enumerate(("starts", "ends", "axes", "steps"))
        )
        slices = [slice(None)] * inputs[0].rank
        axes = range(len(starts)) if axes is None else axes
        steps = [1] * len(starts) if steps is None else steps
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            end = None if abs(int(end)) >= 2**31 - 1 else int(end)
            slices[int(axis)] = slice(int(start), end, int(step))
        return [Value(tensor[tuple(slices)])]

    def _gather(self, inputs, attributes) -> list[Value]:
        axis = attributes.get("axis", 0)
        return [Value(tf.gather(inputs[0].plain(), inputs[1].plain(), axis=axis))]

    def _pad(self, inputs, attributes) -> list[Value]:
        mode = attributes.get("mode", b"constant").decode()
        sizes = np.array(_parameter(inputs, 1, attributes, "pads"))
        fill = float(_parameter(inputs, 2, attributes, "value") or 0.0)
        tensor = inputs[0].plain()
        kinds = {"constant": "CONSTANT", "reflect": "REFLECT"}
        if mode not in kinds:
            raise FileFormatError(f"padding of mode {mode!r}.")
        pads = sizes.reshape(2, -1).T
        return [Value(tf.pad(tensor, pads, kinds[mode], constant_values=fill))]

    def _reduce(self, inputs, attributes, function) -> list[Value]:
        value = inputs[0]
        axes = _parameter(inputs, 1, attributes, "axes")
        tensor = value.plain()
        axes = list(range(value.rank)) if axes is None else [int(a) for a in axes]
        if 0 in [axis % value.rank for axis in axes]:
            raise FileFormatError("a reduction over the batch.")
        keep = bool(attributes.get("keepdims", 1))
        return [Value(function(tensor, axis=axes, keepdims=keep))]

    def _reducemean(self, inputs, attributes) -> list[Value]:
        return self._reduce(inputs, attributes, tf.reduce_mean)

    def _reducesum(self, inputs, attributes) -> list[Value]:
        return self._reduce(inputs, attributes, tf.reduce_sum)

    def _reducemax(self, inputs, attributes) -> list[Value]:
        value = inputs[0]
        axes = _parameter(inputs, 1, attributes, "axes")
        if not value.last or axes is None or sorted(a % 4 for a in axes) != [2, 3]:
            return self._reduce(inputs, attributes, tf.reduce_max)
        if attributes.get("keepdims", 1):
            return [Value(_largest(value.tensor), last=True)]
        return [Value(tf.squeeze(_largest(value.tensor), (1, 2)))]

    def _clip(self, inputs, attributes) -> list[Value]:
        value = inputs[0]
        result = value.tensor
        for i, (name, clip) in enumerate((("min", tf.maximum), ("max", tf.minimum))):
            bound = _parameter(inputs, 1 + i, attributes, name)
            result = result if bound is None else clip(result, float(bound))
        return [dataclasses.replace(value, tensor=result)]

    def _cast(self, inputs, attributes) -> list[Value]:
        kinds = {1: tf.float32, 6: tf.int32, 7: tf.int64, 9: tf.bool, 10: tf.float16}
        kinds[11] = tf.float64
        if attributes["to"] not in kinds:
            raise FileFormatError("a cast to an unusual type.")
        kind = kinds[attributes["to"]]
        value = inputs[0]
        # Half and double precision are computed in single precision.
        kind = tf.float32 if kind.is_floating else kind
        return [dataclasses.replace(value, tensor=tf.cast(value.tensor, kind))]


UNARY: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "Relu": lambda x, a: tf.nn.relu(x),
    "LeakyRelu": lambda x, a: tf.nn.leaky_relu(x, a.get("alpha", 0.01)),
    "Elu": lambda x, a: tf.where(x > 0, x, a.get("alpha", 1.0) * (tf.exp(x) - 1)),
    "Selu": lambda x, a: tf.nn.selu(x),
    "Sigmoid": lambda x, a: tf.sigmoid(x),
    "Tanh": lambda x, a: tf.tanh(x),
    "Softplus": lambda x, a: tf.nn.softplus(x),
    "Softsign": lambda x, a: tf.nn.softsign(x),
    "Erf": lambda x, a: tf.math.erf(x),
    "Gelu": lambda x, a: tf.nn.gelu(x, a.get("approximate", b"none") == b"tanh"),
    "HardSigmoid": lambda x, a: tf.clip_by_value(
        a.get("alpha", 0.2) * x + a.get("beta", 0.5), 0, 1
    ),
    "HardSwish": lambda x, a: x * tf.nn.relu6(x + 3) / 6,
    "Sqrt": lambda x, a: tf.sqrt(x),
    "Exp": lambda x, a: tf.exp(x),
    "Log": lambda x, a: tf.math.log(x),
    "Neg": lambda x, a: -x,
    "Abs": lambda x, a: tf.abs(x),
    "Reciprocal": lambda x, a: 1 / x,
    "Identity": lambda x, a: tf.identity(x),
    "Dropout": lambda x, a: tf.identity(x),
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": lambda x, y: x + y,
    "Sub": lambda x, y: x - y,
    "Mul": lambda x, y: x * y,
    "Div": lambda x, y: x / y,
    "Pow": lambda x, y: tf.pow(x, y),
    "Min": lambda x, y: tf.minimum(x, y),
    "Max": lambda x, y: tf.maximum(x, y),
    "Sum": lambda x, y: x + y,
    "PRelu": lambda x, slope: tf.maximum(x, 0.0) + slope * tf.minimum(x, 0.0),
}
# Along an axis, which is ONNX's.
_ALONG_AN_AXIS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "Softmax": lambda x, a: tf.nn.softmax(x, a.get("axis", -1)),
    "LogSoftmax": lambda x, a: tf.nn.log_softmax(x, a.get("axis", -1)),
    "ArgMax": lambda x, a: tf.argmax(x, a.get("axis", 0)),
}


def _parameter(
    inputs: Sequence[Value | None], place: int, attributes: dict[str, Any], name: str
) -> Any:
    """A parameter that is an input since some version of ONNX, before an attribute."""
    given = inputs[place] if place < len(inputs) else None
    return attributes.get(name) if given is None else given.tensor


def _standardized(tensor: Any, axes: Sequence[int], attributes: dict[str, Any]) -> Any:
    """A tensor with mean 0 and variance 1 over some axes."""
    axes = list(axes)
    centred = tensor - tf.reduce_mean(tensor, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axes, keepdims=True)
    return centred * tf.rsqrt(variance + attributes.get("epsilon", 1e-5))


def _largest(images: tf.Tensor) -> tf.Tensor:
    """Maxima over height and width, as a pool, whose difference quotients are known."""
    window = images.shape.as_list()[1:3]
    return tf.nn.max_pool2d(images, window, window, "VALID")


def attributes(node: Any) -> dict[str, Any]:
    """Attributes of a node by name; tensors as NumPy arrays."""
    onnx = onnx_package()
    found = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, onnx.TensorProto):
            value = onnx.numpy_helper.to_array(value)
        found[attribute.name] = value
    return found

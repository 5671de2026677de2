"""Backpropagation of difference quotients instead of derivatives.

Between two points of a path, a network's change is the sum over its inputs of
multiplier * change, when each operation passes back its difference quotient
(f(x) - f(x0)) / (x - x0) where backpropagation passes back its derivative f'(x).
This is DeepLIFT's rescale rule (Shrikumar et al. 2017, arXiv 1704.02685) with
the previous point as reference. A ReLU's quotient is the fraction of the segment on
which it is open, wherever it switches, so that nothing depends on which side of a
switch a quadrature point happens to lie.
"""

from collections.abc import Callable, Sequence
from typing import Any

from lucid_rl.errors import ModelError
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.affine_prefix import LINEAR_OPS

Tensor = Any
# Rows of a tensor -> for each row, its value at the previous point of the path.
Previous = Callable[[Tensor], Tensor]

_ELEMENTWISE = frozenset(
    {
        "Abs",
        "Elu",
        "Erf",
        "Exp",
        "LeakyRelu",
        "Log",
        "Maximum",
        "Minimum",
        "Pow",
        "Relu6",
        "Rsqrt",
        "Selu",
        "Sigmoid",
        "Softplus",
        "Softsign",
        "Tanh",
    }
)
# Below this change of an input, relative to its size, its derivative is taken.
_MIN_CHANGE = 1e-3


def quotient_gradients(
    targets: Sequence[Tensor],
    sources: Sequence[Tensor],
    seeds: Sequence[Tensor | None],
    previous: Previous,
) -> list[Tensor | None]:
    """Multipliers m by which sources' changes add up to the targets' change.

    Over all sources and targets, with the change of a tensor its rows less their
    previous values, sum(m * change of source) = sum(seed * change of target).

    Args:
        targets: tensors whose rows are points of paths.
        sources: tensors that the targets are computed from.
        seeds: for each target, the weights of its elements; None for 0.
        previous: gives each row's value at the previous point.

    Returns:
        For each source its multipliers; None where no target depends on it.

    Raises:
        ModelError: an operation on the way has no known difference quotient.
    """
    found: dict[Any, Tensor] = {}
    for target, seed in zip(targets, seeds, strict=True):
        if seed is not None:
            _add(found, target, seed)
    ends = {source.ref() for source in sources}
    for operation, varying in reversed(_operations_between(targets, ends)):
        (output,) = operation.outputs
        gradient = found.pop(output.ref(), None)
        if gradient is None:
            continue
        partials = _partials(operation, varying, gradient, previous)
        for tensor, partial in zip(varying, partials, strict=True):
            _add(found, tensor, partial)
    return [found.get(source.ref()) for source in sources]


def _add(found, tensor, gradient):
    key = tensor.ref()
    found[key] = found[key] + gradient if key in found else gradient


def _operations_between(targets, ends):
    """Operations that lead from the ends to the targets, each after its inputs.

    Returns:
        Pairs of an operation and those of its inputs that depend on the ends.
    """
    varying: dict[Any, list[Tensor]] = {}
    stack = [target.op for target in targets if target.ref() not in ends]
    while stack:
        operation = stack[-1]
        inner = [t.op for t in operation.inputs if t.ref() not in ends]
        waiting = [inner_op for inner_op in inner if inner_op not in varying]
        if operation in varying or not waiting:
            stack.pop()
            varying[operation] = _unique(
                tensor
                for tensor in operation.inputs
                if (tensor.ref() in ends or varying[tensor.op])
                and operation.type != "Shape"
            )
        else:
            stack.extend(waiting)
    return [(operation, inputs) for operation, inputs in varying.items() if inputs]


def _unique(tensors):
    """Each tensor once: a sum may read one twice."""
    return list({tensor.ref(): tensor for tensor in tensors}.values())


def _partials(operation, varying, gradient, previous):
    """What is passed back to each of an operation's varying inputs."""
    kind = operation.type
    x, y = operation.inputs[0], operation.outputs[0]
    if (kind in LINEAR_OPS or kind == "PadV2") and not (
        kind in ("Mul", "RealDiv") and len(varying) > 1
    ):
        return tf.gradients(y, varying, gradient, stop_gradients=varying)
    if kind == "Relu":
        # relu(x) + relu(x0) over |x| + |x0|, for |x| = 2 relu(x) - x.
        opened = y + previous(y)
        quotient = tf.math.divide_no_nan(opened, 2 * opened - (x + previous(x)))
        return [gradient * quotient]
    if kind == "Square" or (
        kind == "Pow" and tf.get_static_value(operation.inputs[1]) == 2
    ):
        return [gradient * (x + previous(x))]
    if kind == "Sqrt":
        return [tf.math.divide_no_nan(gradient, y + previous(y))]
    if kind == "MaxPool":
        return [_max_pool(operation, gradient, previous)]
    if kind in _ELEMENTWISE and len(varying) == 1:
        return [gradient * _elementwise(varying[0], y, previous)]
    if kind in ("Mul", "RealDiv") and len(varying) == 2:
        return _product(operation, varying, gradient, previous)
    raise ModelError(
        f"no difference quotient is known for the operation {kind} "
        f'({operation.name}): use method="integrated_gradients" for this network.'
    )


def _elementwise(x, y, previous):
    change = x - previous(x)
    (derivative,) = tf.gradients(y, x, stop_gradients=[x])
    size = tf.abs(x) + tf.abs(previous(x))
    far = tf.abs(change) > _MIN_CHANGE * size
    quotient = (y - previous(y)) / tf.where(far, change, tf.ones_like(change))
    return tf.where(far, quotient, derivative)


def _product(operation, varying, gradient, previous):
    """The change of x * y: that of x times the mean of y, and the reverse.

    A quotient is the product with the reciprocal, whose difference quotient is
    -1 / (y * y0).
    """
    x, y = operation.inputs
    mean_x = 0.5 * (x + previous(x))
    if operation.type == "Mul":
        factors = {x.ref(): 0.5 * (y + previous(y)), y.ref(): mean_x}
    else:
        factors = {
            x.ref(): 0.5 * (1 / y + 1 / previous(y)),
            y.ref(): -mean_x / (y * previous(y)),
        }
    return [_summed_to(gradient * factors[tensor.ref()], tensor) for tensor in varying]


def _summed_to(gradient, tensor):
    """Sums over the axes along which a tensor was broadcast."""
    _, axes = tf.raw_ops.BroadcastGradientArgs(
        s0=tf.shape(gradient), s1=tf.shape(tensor)
    )
    return tf.reshape(tf.reduce_sum(gradient, axes), tf.shape(tensor))


def _max_pool(operation, gradient, previous):
    """Splits a pool's change between where its maximum is now and where it was.

    With the maxima m = x[j] and m0 = x0[j0], the fractions s and 1 - s are such that
    s * (x[j] - x0[j]) + (1 - s) * (x[j0] - x0[j0]) = m - m0: the fractions of the
    segment on which either is the larger, if both change evenly.
    """
    x, y = operation.inputs[0], operation.outputs[0]
    x0, y0 = previous(x), previous(y)
    attributes = {
        name: operation.get_attr(name)
        for name in ("ksize", "strides", "padding", "data_format")
    }

    def picked(values, where, largest):
        return tf.raw_ops.MaxPoolGradGrad(
            orig_input=where, orig_output=largest, grad=values, **attributes
        )

    def spread(values, where, largest):
        return tf.raw_ops.MaxPoolGrad(
            orig_input=where, orig_output=largest, grad=values, **attributes
        )

    here = y - picked(x0, x, y)
    there = picked(x, x0, y0) - y0
    fraction = tf.math.divide_no_nan(y - y0 - there, here - there)
    return spread(gradient * fraction, x, y) + spread(gradient * (1 - fraction), x0, y0)

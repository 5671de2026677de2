"""The pieces of TensorFlow 1's `contrib` that Lucid uses, on current TensorFlow.

`image.rotate` for stochastic rotations, and of `slim` the 1x1 convolutions and
instance normalisation of compositional pattern-producing networks.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lucid_rl.lazy_tensorflow import tf

_arg_scopes: list[tuple[tuple[Callable, ...], dict[str, Any]]] = []


def rotate(images, angles, interpolation: str = "NEAREST", name: str | None = None):
    """Rotates images counterclockwise around their centres; the gradient rotates back.

    Args:
        images: [N, H, W, C], [H, W, C] or [H, W].
        angles: radians, a scalar or [N].
        interpolation: "NEAREST" or "BILINEAR"; pixels from outside are 0.
        name: of the operations.
    """
    with tf.name_scope(name or "rotate"):
        images = tf.convert_to_tensor(images)
        shape = images.shape
        batch = images
        if shape.rank == 2:
            batch = images[None, :, :, None]
        elif shape.rank == 3:
            batch = images[None]
        angles = tf.reshape(tf.cast(angles, tf.float32), (-1,))
        size = tf.shape(batch)[1:3]

        def transform(x, signed_angles):
            return tf.raw_ops.ImageProjectiveTransformV3(
                images=x,
                transforms=_rotations(signed_angles, size),
                output_shape=size,
                fill_value=0.0,
                interpolation=interpolation,
                fill_mode="CONSTANT",
            )

        @tf.custom_gradient
        def rotated(x):
            return transform(x, angles), lambda gradient: transform(gradient, -angles)

        result = tf.reshape(rotated(batch), tf.shape(images))
        result.set_shape(shape)
        return result


def _rotations(angles, size):
    """Rows (a0, a1, a2, b0, b1, b2, c0, c1) mapping output points (x, y) to input."""
    cos, sin = tf.cos(angles), tf.sin(angles)
    last_y, last_x = tf.unstack(tf.cast(size - 1, tf.float32))
    x_offset = (last_x - (cos * last_x - sin * last_y)) / 2
    y_offset = (last_y - (sin * last_x + cos * last_y)) / 2
    zero = tf.zeros_like(angles)
    rows = (cos, -sin, x_offset, sin, cos, y_offset, zero, zero)
    return tf.stack(rows, axis=1)


@contextlib.contextmanager
def arg_scope(functions: Sequence[Callable], **defaults: Any) -> Iterator[None]:
    """Gives functions of this module default arguments within a block."""
    _arg_scopes.append((tuple(functions), defaults))
    try:
        yield
    finally:
        _arg_scopes.pop()


def conv2d(inputs, num_outputs: int, **arguments: Any):
    """Convolves with bias and activation over new trainable variables, same padding.

    Args:
        inputs: [N, H, W, C].
        num_outputs: channels of the result.
        **arguments: kernel_size, activation_fn (ReLU by default), weights_initializer,
            biases_initializer, here or in an `arg_scope`.
    """
    given: dict[str, Any] = {
        "kernel_size": [1, 1],
        "activation_fn": tf.nn.relu,
        "weights_initializer": tf.glorot_uniform_initializer(),
        "biases_initializer": tf.zeros_initializer(),
    }
    for functions, defaults in _arg_scopes:
        if conv2d in functions:
            given.update(defaults)
    given.update(arguments)
    kernel_shape = (*given["kernel_size"], inputs.shape[-1], num_outputs)
    with tf.variable_scope(None, default_name="Conv"):
        kernel = tf.get_variable(
            "weights", kernel_shape, initializer=given["weights_initializer"]
        )
        bias = tf.get_variable(
            "biases", (num_outputs,), initializer=given["biases_initializer"]
        )
        outputs = tf.nn.conv2d(inputs, kernel, 1, "SAME") + bias
    activation = given["activation_fn"]
    return activation(outputs) if activation else outputs


def instance_norm(inputs, epsilon: float = 1e-6):
    """Normalizes each image's channels; then scales and shifts them.

    Scale and shift of each channel are trainable; inputs are [N, H, W, C].
    """
    n_channels = inputs.shape[-1]
    with tf.variable_scope(None, default_name="InstanceNorm"):
        scale = tf.get_variable(
            "gamma", (n_channels,), initializer=tf.ones_initializer()
        )
        shift = tf.get_variable(
            "beta", (n_channels,), initializer=tf.zeros_initializer()
        )
    mean, variance = tf.nn.moments(inputs, [1, 2], keepdims=True)
    return (inputs - mean) * tf.rsqrt(variance + epsilon) * scale + shift


def resize_bilinear(images, size, align_corners=False, name=None):
    """Resizes images as TensorFlow 1 does, without half-pixel centres."""
    return tf.raw_ops.ResizeBilinear(
        images=images, size=size, align_corners=align_corners, name=name
    )


def to_float(x, name="ToFloat"):
    """Casts to float32."""
    return tf.cast(x, tf.float32, name=name)


image = types.SimpleNamespace(rotate=rotate)
slim = types.SimpleNamespace(
    arg_scope=arg_scope, conv2d=conv2d, instance_norm=instance_norm
)

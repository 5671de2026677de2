"""The checkpoint's architectures as JAX functions of their parameters."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lucid_rl.errors import ModelError
from lucid_rl.training.engine import CLEAR_CONVOLUTIONS

Array = Any

_SCOPE = "ppo2_model/"
_L2_EPSILON = 1e-8  # inside the root of L2 pooling, as in the article's models
_LAYOUT = ("NHWC", "HWIO", "NHWC")


def forward(
    architecture: str,
    parameters: Mapping[str, Array],
    observations: Array,
    bfloat16: bool = False,
    n_done: int = 0,
) -> tuple[Array, Array]:
    """Computes a policy and value network.

    Args:
        architecture: one of the checkpoint format's.
        parameters: float32 by checkpoint name.
        observations: [N, H, W, C], uint8 or float32 in [0, 1].
        bfloat16: convolve in bfloat16; the dense layers stay float32.
        n_done: the first so many convolutions (of "clear") are done: `observations`
            is what `perceive` made of them.

    Returns:
        Logits f32 [N, A] and values f32 [N].

    Raises:
        ModelError: the architecture is unknown.
    """
    bodies: dict[str, Callable] = {
        "clear": lambda layers, inputs: _clear(layers, inputs, n_done),
        "impala": _impala,
        "impala_torch": _impala_torch,
        "nature": _nature,
    }
    if architecture not in bodies:
        raise ModelError(
            f"unknown architecture {architecture!r}: expected one of {sorted(bodies)}."
        )
    hidden = bodies[architecture](_Layers(parameters, bfloat16), _scaled(observations))
    logits, values = (
        _multiply(hidden, parameters[f"{_SCOPE}{head}/w:0"])
        + parameters[f"{_SCOPE}{head}/b:0"]
        for head in ("pi", "vf")
    )
    return logits, values[:, 0]


def perceive(
    parameters: Mapping[str, Array],
    observations: Array,
    n_layers: int,
    bfloat16: bool = False,
) -> Array:
    """Computes the first convolutions of the architecture "clear".

    Args:
        parameters: float32 by checkpoint name.
        observations: [N, 64, 64, 3], uint8 or float32 in [0, 1].
        n_layers: how many convolutions.
        bfloat16: convolve in bfloat16.

    Returns:
        What the next one convolves, in the type that it convolves in.
    """
    layers = _Layers(parameters, bfloat16)
    return _convolutions(layers, _scaled(observations), CLEAR_CONVOLUTIONS[:n_layers])


def _scaled(observations):
    if observations.dtype == jnp.uint8:
        return observations.astype(jnp.float32) / 255.0
    return observations


class _Layers:
    """Layers over named parameters."""

    def __init__(self, parameters, bfloat16):
        self._parameters = parameters
        self._dtype = jnp.bfloat16 if bfloat16 else jnp.float32

    def convolution(self, inputs, kernel, bias, stride=1, padding="SAME"):
        output = jax.lax.conv_general_dilated(
            inputs.astype(self._dtype),
            self._parameters[_SCOPE + kernel].astype(self._dtype),
            (stride, stride),
            padding,
            dimension_numbers=_LAYOUT,
            precision=_precision(self._dtype),
        )
        # nature's biases are [1, C, 1, 1]
        shift = self._parameters[_SCOPE + bias].reshape(-1)
        return output + shift.astype(self._dtype)

    def dense(self, inputs, scope):
        linear = _multiply(inputs, self._parameters[f"{_SCOPE}{scope}:0"])
        bias = scope.replace("kernel", "bias").replace("/w", "/b")
        return jax.nn.relu(linear + self._parameters[f"{_SCOPE}{bias}:0"])


def _precision(dtype):
    """Keeps float32 products whole on devices that would round their factors."""
    return jax.lax.Precision.HIGHEST if dtype == jnp.float32 else None


def _multiply(inputs, matrix):
    return jnp.matmul(inputs, matrix, precision=jax.lax.Precision.HIGHEST)


def _flatten(array):
    return array.reshape(array.shape[0], -1).astype(jnp.float32)


def _l2_pool(array):
    n, height, width, channels = array.shape
    blocks = jnp.square(array).reshape(n, height // 2, 2, width // 2, 2, channels)
    return jnp.sqrt(blocks.mean(axis=(2, 4)) + jnp.asarray(_L2_EPSILON, array.dtype))


def _max_pool(array, padding):
    least = np.asarray(-np.inf, array.dtype)  # concrete, so that JAX knows a maximum
    return jax.lax.reduce_window(
        array, least, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding
    )


def _convolutions(layers, hidden, names):
    for name in names:
        scope = f"pi/{name}/conv2d"
        hidden = jax.nn.relu(
            layers.convolution(hidden, f"{scope}/kernel:0", f"{scope}/bias:0")
        )
        if name != "2a":
            hidden = _l2_pool(hidden)
    return hidden


def _clear(layers, inputs, n_done):
    hidden = _convolutions(layers, inputs, CLEAR_CONVOLUTIONS[n_done:])
    hidden = layers.dense(_flatten(hidden), "pi/dense/kernel")
    return layers.dense(hidden, "pi/dense_1/kernel")


def _impala_torch(layers, hidden):
    return _impala(layers, hidden, ((0, 0), (1, 0), (1, 0), (0, 0)))


def _impala(layers, hidden, pool_padding="SAME"):
    index = 0

    def convolution(inputs):
        nonlocal index
        scope = f"pi/layer_{index}"
        index += 1
        return layers.convolution(inputs, f"{scope}/kernel:0", f"{scope}/bias:0")

    for _ in range(3):
        hidden = _max_pool(convolution(hidden), pool_padding)
        for _ in range(2):
            inner = convolution(jax.nn.relu(hidden))
            hidden = hidden + convolution(jax.nn.relu(inner))
    return layers.dense(jax.nn.relu(_flatten(hidden)), "pi/layer_15/kernel")


def _nature(layers, hidden):
    for name, stride in (("c1", 4), ("c2", 2), ("c3", 1)):
        hidden = jax.nn.relu(
            layers.convolution(
                hidden, f"pi/{name}/w:0", f"pi/{name}/b:0", stride, "VALID"
            )
        )
    return layers.dense(_flatten(hidden), "pi/fc1/w")

"""The checkpoint's architectures as TensorFlow graphs over given parameters."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from lucid_rl.errors import ModelError
from lucid_rl.training.engine import CLEAR_CONVOLUTIONS

Tensor = Any
# (name of the layer's kernel, its linear output) -> the output, normalised.
Normalizer = Callable[[str, Tensor], Tensor]

_SCOPE = "ppo2_model/"
_L2_EPSILON = 1e-8  # inside the root of L2 pooling, as in the article's models


class NetworkOutputs(NamedTuple):
    """What a network computes from a batch of observations."""

    logits: Tensor  # f32 [N, A]
    values: Tensor  # f32 [N]
    layers: dict[str, Tensor]  # convolution's short name -> [N, H, W, C], after ReLU


def forward(
    architecture: str,
    parameters: Mapping[str, Tensor],
    observations: Tensor,
    bfloat16: bool = False,
    normalizer: Normalizer | None = None,
    n_done: int = 0,
) -> NetworkOutputs:
    """Builds a policy and value network.

    Args:
        architecture: one of the checkpoint format's.
        parameters: tensor of each of the checkpoint's names, float32.
        observations: [N, H, W, C], uint8 or float32 in [0, 1].
        bfloat16: convolve in bfloat16; the dense layers stay float32.
        normalizer: applied to every hidden layer's linear output before its bias.
        n_done: the first so many convolutions (of "clear") are done: `observations`
            is what `perceive` made of them.

    Returns:
        The network's outputs.

    Raises:
        ModelError: the architecture is unknown.
    """
    build = _Builder(parameters, bfloat16, normalizer)
    bodies = {
        "clear": lambda build, inputs: _clear(build, inputs, n_done),
        "impala": _impala,
        "impala_torch": _impala_torch,
        "nature": _nature,
    }
    if architecture not in bodies:
        raise ModelError(
            f"unknown architecture {architecture!r}: expected one of {sorted(bodies)}."
        )
    hidden = bodies[architecture](build, _scaled(observations))
    heads = [
        tf.matmul(hidden, build[f"{head}/w:0"]) + build[f"{head}/b:0"]
        for head in ("pi", "vf")
    ]
    return NetworkOutputs(heads[0], heads[1][:, 0], build.layers)


def perceive(
    parameters: Mapping[str, Tensor],
    observations: Tensor,
    n_layers: int,
    bfloat16: bool = False,
) -> Tensor:
    """Builds the first convolutions of the architecture "clear".

    Args:
        parameters: tensor of each of the checkpoint's names, float32.
        observations: [N, 64, 64, 3], uint8 or float32 in [0, 1].
        n_layers: how many convolutions.
        bfloat16: convolve in bfloat16.

    Returns:
        What the next one convolves, in the type that it convolves in.
    """
    build = _Builder(parameters, bfloat16, None)
    return _convolutions(build, _scaled(observations), CLEAR_CONVOLUTIONS[:n_layers])


def _scaled(observations):
    if observations.dtype == tf.uint8:
        return tf.cast(observations, tf.float32) / 255.0
    return observations


class _Builder:
    """Layers over named parameters, and the activations they gave."""

    def __init__(self, parameters, bfloat16, normalizer):
        self._parameters = parameters
        self._dtype = tf.bfloat16 if bfloat16 else tf.float32
        self._normalizer = normalizer or (lambda name, linear: linear)
        self.layers: dict[str, Tensor] = {}

    def __getitem__(self, name):
        return self._parameters[_SCOPE + name]

    def convolution(
        self, inputs, name, kernel, bias, stride=1, padding="SAME", normalize=True
    ):
        linear = tf.nn.conv2d(
            tf.cast(inputs, self._dtype),
            tf.cast(self[kernel], self._dtype),
            strides=stride,
            padding=padding,
        )
        if normalize:
            linear = self._normalizer(_SCOPE + kernel, linear)
        shift = tf.reshape(self[bias], [-1])  # nature's biases are [1, C, 1, 1]
        output = tf.nn.bias_add(linear, tf.cast(shift, linear.dtype))
        self.layers[name] = tf.nn.relu(output)
        return output

    def dense(self, inputs, kernel, bias):
        linear = self._normalizer(_SCOPE + kernel, tf.matmul(inputs, self[kernel]))
        return tf.nn.relu(linear + self[bias])


def _flatten(tensor):
    size = tensor.shape[1] * tensor.shape[2] * tensor.shape[3]
    return tf.cast(tf.reshape(tensor, [-1, size]), tf.float32)


def _l2_pool(tensor):
    pooled = tf.nn.avg_pool2d(tf.square(tensor), 2, 2, "SAME")
    return tf.sqrt(pooled + tf.cast(_L2_EPSILON, tensor.dtype))


def _convolutions(build, hidden, names):
    for name in names:
        scope = f"pi/{name}/conv2d"
        hidden = tf.nn.relu(
            build.convolution(hidden, name, f"{scope}/kernel:0", f"{scope}/bias:0")
        )
        if name != "2a":
            hidden = _l2_pool(hidden)
    return hidden


def _clear(build, inputs, n_done):
    """The article's own architecture (its appendix C)."""
    hidden = _flatten(_convolutions(build, inputs, CLEAR_CONVOLUTIONS[n_done:]))
    for scope in ("pi/dense", "pi/dense_1"):
        hidden = build.dense(hidden, f"{scope}/kernel:0", f"{scope}/bias:0")
    return hidden


def _impala_torch(build, observations):
    return _impala(build, observations, pools_begin_before=True)


def _impala(build, observations, pools_begin_before=False):
    """Three sequences of convolution, max-pooling and two residual blocks."""
    index = 0

    def convolution(inputs):
        nonlocal index
        scope = f"pi/layer_{index}"
        output = build.convolution(
            inputs,
            f"layer_{index}",
            f"{scope}/kernel:0",
            f"{scope}/bias:0",
            normalize=False,
        )
        index += 1
        return output

    hidden = observations
    for _ in range(3):
        hidden = convolution(hidden)
        if pools_begin_before:
            hidden = tf.pad(hidden, ((0, 0), (1, 0), (1, 0), (0, 0)), "SYMMETRIC")
        padding = "VALID" if pools_begin_before else "SAME"
        hidden = tf.nn.max_pool2d(hidden, 3, 2, padding)
        for _ in range(2):
            inner = convolution(tf.nn.relu(hidden))
            hidden += convolution(tf.nn.relu(inner))
    hidden = tf.nn.relu(_flatten(hidden))
    return build.dense(hidden, "pi/layer_15/kernel:0", "pi/layer_15/bias:0")


def _nature(build, observations):
    """Three strided convolutions without padding and one dense layer."""
    hidden = observations
    for name, stride in (("c1", 4), ("c2", 2), ("c3", 1)):
        hidden = tf.nn.relu(
            build.convolution(
                hidden, name, f"pi/{name}/w:0", f"pi/{name}/b:0", stride, "VALID"
            )
        )
    return build.dense(_flatten(hidden), "pi/fc1/w:0", "pi/fc1/b:0")

"""The architectures on Keras, which runs them on TensorFlow or JAX."""

import contextlib
from collections.abc import Mapping
from typing import Any

from keras import ops

from lucid_rl.model.networks import features

Tensor = Any

_POOL_EPSILON = 1e-8  # under the root of L2 pooling, as in the article's models


def forward(
    architecture: str,
    parameters: Mapping[str, Tensor],
    observations: Tensor,
    bfloat16: bool = False,
) -> tuple[Tensor, Tensor]:
    """Computes a policy and value network.

    Args:
        architecture: one of `checkpoints.architectures.ARCHITECTURES`.
        parameters: float32 by checkpoint name.
        observations: [N, H, W, C], uint8 or float32 in [0, 1].
        bfloat16: convolve in bfloat16; all else is float32, in which element-wise
            operations are faster.

    Returns:
        Logits f32 [N, A] and values f32 [N].
    """
    net = _KerasOperations(parameters, "bfloat16" if bfloat16 else "float32")
    if ops.dtype(observations) == "uint8":
        observations = ops.cast(observations, "float32") / 255.0
    hidden = features(architecture, net, observations)
    return net.head(hidden, "pi"), net.head(hidden, "vf")[:, 0]


class _KerasOperations:
    """`model.networks.Operations` on Keras."""

    def __init__(self, parameters: Mapping[str, Tensor], dtype: str):
        self._parameters = parameters
        self._dtype = dtype

    def scope(self, name):
        return contextlib.nullcontext()

    def convolution(self, x, name):
        return self._convolve(x, f"pi/{name}/kernel", f"pi/{name}/bias", 1, "same")

    def valid_convolution(self, x, name, stride):
        return self._convolve(x, f"pi/{name}/w", f"pi/{name}/b", stride, "valid")

    def _convolve(self, x, kernel, bias, stride, padding):
        x = ops.conv(
            ops.cast(x, self._dtype),
            ops.cast(self._parameter(kernel), self._dtype),
            stride,
            padding,
            "channels_last",
        )
        # nature's biases are [1, C, 1, 1]
        return ops.cast(x, "float32") + ops.reshape(self._parameter(bias), (-1,))

    def relu(self, x):
        return ops.relu(x)

    def add(self, x, y):
        return x + y

    def l2_pool(self, x):
        x = ops.average_pool(ops.square(x), 2, 2, "same", "channels_last")
        return ops.sqrt(x + _POOL_EPSILON)

    def max_pool(self, x, pad_before):
        if not pad_before:
            return ops.max_pool(x, 3, 2, "same", "channels_last")
        x = ops.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0)), "symmetric")
        return ops.max_pool(x, 3, 2, "valid", "channels_last")

    def flatten(self, x):
        return ops.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3]))

    def dense(self, x, name):
        kernel, bias = f"pi/{name}/kernel", f"pi/{name}/bias"
        return ops.relu(ops.matmul(x, self._parameter(kernel)) + self._parameter(bias))

    def affine(self, x, name):
        return self.head(x, f"pi/{name}")

    def head(self, x, name):
        return ops.matmul(x, self._parameter(f"{name}/w")) + self._parameter(
            f"{name}/b"
        )

    def _parameter(self, name):
        return self._parameters[f"ppo2_model/{name}:0"]

"""The article's network as a function of a TensorFlow 1 graph, with variables."""

from __future__ import annotations

from typing import Any

from lucid_rl.checkpoints.architectures import parameter_shapes
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.networks import features

_BODY = "ppo2_model/pi/"
_POOL_EPSILON = 1e-8


def clear_cnn(scaled_images: Any, **kwargs: Any) -> Any:
    """Builds the article's architecture up to its heads.

    Variables are created in the current variable scope, by the names that checkpoints
    have below "ppo2_model/pi/": "1a/conv2d/kernel", ..., "dense_1/bias".

    Args:
        scaled_images: observations in [0, 1], [N, H, W, C].
        **kwargs: of `tf.get_variable`, such as an initializer of kernels.

    Returns:
        Features f32 [N, 512].
    """
    operations: Any = _Variables(kwargs)
    return features("clear", operations, scaled_images)


class _Variables:
    """The operations of "clear", with a variable for each parameter."""

    def __init__(self, options: dict[str, Any]):
        self._options = options
        self._shapes = parameter_shapes("clear", 15)

    def scope(self, name: str) -> Any:
        return tf.variable_scope(name)

    def convolution(self, x: Any, name: str) -> Any:
        height, width, _, outputs = self._shapes[f"{_BODY}{name}/kernel:0"]
        # The layer's scope is open already.
        inner = name.split("/")[-1]
        shape = (height, width, int(x.shape[-1]), outputs)
        kernel, bias = self._pair(inner, shape)
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)

    def relu(self, x: Any) -> Any:
        return tf.nn.relu(x)

    def l2_pool(self, x: Any) -> Any:
        return tf.sqrt(tf.nn.avg_pool2d(x**2, 2, 2, "SAME") + _POOL_EPSILON)

    def flatten(self, x: Any) -> Any:
        return tf.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3]))

    def dense(self, x: Any, name: str) -> Any:
        outputs = self._shapes[f"{_BODY}{name}/kernel:0"][-1]
        kernel, bias = self._pair(name, (int(x.shape[-1]), outputs))
        return tf.nn.relu(tf.matmul(x, kernel) + bias)

    def _pair(self, name: str, shape: tuple[int, ...]) -> tuple[Any, Any]:
        with tf.variable_scope(name):
            kernel = tf.get_variable("kernel", shape, **self._options)
            bias = tf.get_variable(
                "bias", shape[-1:], initializer=tf.zeros_initializer()
            )
        return kernel, bias

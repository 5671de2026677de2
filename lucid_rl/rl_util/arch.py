"""The article's network as a function of a TensorFlow 1 graph, with variables."""

from typing import Any

from lucid_rl.checkpoints.architectures import Sizes, parameter_shapes
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.architectures import GraphOperations
from lucid_rl.model.networks import features


def clear_cnn(scaled_images: Any, **kwargs: Any) -> Any:
    """Builds the article's architecture up to its heads, f32 [N, 512].

    Variables are created in the current variable scope, by the names that checkpoints
    have below "ppo2_model/pi/": "1a/conv2d/kernel", ..., "dense_1/bias".

    Args:
        scaled_images: observations in [0, 1], [N, H, W, C].
        **kwargs: of `tf.get_variable`, such as an initializer of kernels.
    """
    _, height, width, n_channels = scaled_images.shape.as_list()
    sizes = Sizes((height, width))
    shapes = parameter_shapes("clear", 15, n_channels, sizes)
    return features("clear", _Variables(shapes, kwargs), scaled_images)


class _Variables(GraphOperations):
    """The network's operations, with a variable for each parameter."""

    body = ""

    def __init__(self, shapes: dict[str, tuple[int, ...]], options: dict[str, Any]):
        self._shapes = shapes
        self._options = options

    def parameter(self, name: str) -> Any:
        """A new variable."""
        options = self._options
        if name.endswith("/bias"):
            options = {"initializer": tf.zeros_initializer()}
        shape = self._shapes[f"ppo2_model/pi/{name}:0"]
        return tf.get_variable(name, shape, **options)

"""Tensor names and shapes of the architectures a checkpoint may name.

"clear" is the article's own (Hilton et al. 2020, Appendix C: larger kernels, L2
pooling, no residual paths), "impala" is the residual network of Espeholt et al.
2018 that it started from, and "nature" the one of Mnih et al. 2015. "impala_torch"
differs from "impala" in its pools alone: their windows begin one pixel before the
observation, as in programs for PyTorch, where TensorFlow's end one pixel behind it.
Observations are 64 by 64 pixels.
"""

from lucid_rl.errors import InputError

ARCHITECTURES: tuple[str, ...] = ("clear", "impala", "impala_torch", "nature")

CONV_LAYERS: dict[str, tuple[str, ...]] = {
    "clear": ("1a", "2a", "2b", "3a", "4a"),
    "impala": tuple(f"layer_{index}" for index in range(15)),
    "impala_torch": tuple(f"layer_{index}" for index in range(15)),
    "nature": ("c1", "c2", "c3"),
}
"""Short names of the convolutions, from the observation upwards."""

Shapes = dict[str, tuple[int, ...]]


def tensor_name(scope: str, variable: str) -> str:
    """Full name in a checkpoint, as in "ppo2_model/pi/1a/conv2d/kernel:0"."""
    return f"ppo2_model/{scope}/{variable}:0"


POLICY_BIAS = tensor_name("pi", "b")
"""The policy head's bias: its length is the number of actions."""


def parameter_shapes(
    architecture: str, n_actions: int, n_input_channels: int = 3
) -> Shapes:
    """Name and shape of every parameter, in the order the article saves them.

    Args:
        architecture: one of `ARCHITECTURES`.
        n_actions: number of logits: 15 for Procgen, 9 for the article's model of
            the original CoinRun, 7 for a plain one.
        n_input_channels: 3 for each stacked colour frame.

    Returns:
        Shapes by full tensor name. Kernels are (height, width, input channels,
        output channels) or (inputs, outputs).

    Raises:
        InputError: the architecture is unknown or a number is not positive.
    """
    if architecture not in ARCHITECTURES:
        raise InputError(
            f"unknown architecture {architecture!r}; known ones are "
            f"{', '.join(ARCHITECTURES)}."
        )
    if n_actions < 1 or n_input_channels < 1:
        raise InputError(
            "n_actions and n_input_channels must be at least 1, but are "
            f"{n_actions} and {n_input_channels}."
        )
    trunks = {
        "clear": _clear,
        "impala": _impala,
        "impala_torch": _impala,
        "nature": _nature,
    }
    shapes, n_features = trunks[architecture](n_input_channels)
    for scope, n_outputs in (("pi", n_actions), ("vf", 1)):
        shapes[tensor_name(scope, "w")] = (n_features, n_outputs)
        shapes[tensor_name(scope, "b")] = (n_outputs,)
    return shapes


def _clear(n_input_channels: int) -> tuple[Shapes, int]:
    shapes: Shapes = {}
    convolutions = zip(
        CONV_LAYERS["clear"],
        (7, 5, 5, 5, 5),
        (n_input_channels, 16, 32, 32, 32),
        (16, 32, 32, 32, 32),
        strict=True,
    )
    for layer, size, n_in, n_out in convolutions:
        _add_layer(shapes, f"pi/{layer}/conv2d", (size, size, n_in, n_out))
    # Four pools leave 4 by 4 positions of 32 channels.
    _add_layer(shapes, "pi/dense", (4 * 4 * 32, 256))
    _add_layer(shapes, "pi/dense_1", (256, 512))
    return shapes, 512


def _impala(n_input_channels: int) -> tuple[Shapes, int]:
    shapes: Shapes = {}
    n_in = n_input_channels
    index = 0
    for n_out in (16, 32, 32):
        for n_from in (n_in, n_out, n_out, n_out, n_out):
            _add_layer(shapes, f"pi/layer_{index}", (3, 3, n_from, n_out))
            index += 1
        n_in = n_out
    # Three pools of stride 2 leave 8 by 8 positions of 32 channels.
    _add_layer(shapes, f"pi/layer_{index}", (8 * 8 * 32, 256))
    return shapes, 256


def _nature(n_input_channels: int) -> tuple[Shapes, int]:
    shapes: Shapes = {}
    convolutions = zip(
        CONV_LAYERS["nature"],
        (8, 4, 3),
        (n_input_channels, 32, 64),
        (32, 64, 64),
        strict=True,
    )
    for layer, size, n_in, n_out in convolutions:
        shapes[tensor_name(f"pi/{layer}", "w")] = (size, size, n_in, n_out)
        shapes[tensor_name(f"pi/{layer}", "b")] = (1, n_out, 1, 1)
    # Strides 4, 2 and 1 without padding leave 4 by 4 positions of 64 channels.
    shapes[tensor_name("pi/fc1", "w")] = (4 * 4 * 64, 512)
    shapes[tensor_name("pi/fc1", "b")] = (512,)
    return shapes, 512


def _add_layer(shapes: Shapes, scope: str, kernel_shape: tuple[int, ...]) -> None:
    shapes[tensor_name(scope, "kernel")] = kernel_shape
    shapes[tensor_name(scope, "bias")] = kernel_shape[-1:]

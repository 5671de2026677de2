"""Tensor names and shapes of the architectures a checkpoint may name.

"clear" is the article's own (Hilton et al. 2020, Appendix C: larger kernels, L2
pooling, no residual paths), "impala" is the residual network of Espeholt et al.
2018 that it started from, and "nature" the one of Mnih et al. 2015. "impala_torch"
differs from "impala" in its pools alone: their windows begin one pixel before the
observation, as in programs for PyTorch, where TensorFlow's end one pixel behind it.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid_rl.errors import InputError

ARCHITECTURES: tuple[str, ...] = ("clear", "impala", "impala_torch", "nature")

CONV_LAYERS: dict[str, tuple[str, ...]] = {
    "clear": ("1a", "2a", "2b", "3a", "4a"),
    "impala": tuple(f"layer_{index}" for index in range(15)),
    "impala_torch": tuple(f"layer_{index}" for index in range(15)),
    "nature": ("c1", "c2", "c3"),
}
"""Short names of the convolutions, from the observation upwards."""

_CHANNELS = {
    "clear": (16, 32, 32, 32, 32),
    "impala": (16, 32, 32),
    "impala_torch": (16, 32, 32),
    "nature": (32, 64, 64),
}
_DENSE = {
    "clear": (256, 512),
    "impala": (256,),
    "impala_torch": (256,),
    "nature": (512,),
}
_N_POOLS = {"clear": 4, "impala": 3, "impala_torch": 3}
KERNEL_SIZES = {
    "clear": (7, 5, 5, 5, 5),
    "impala": (3,) * 15,
    "impala_torch": (3,) * 15,
    "nature": (8, 4, 3),
}
"""Height and width of each convolution's kernel."""

_NATURE_STRIDES = (4, 2, 1)

BRANCHES = ("hidden", "pi_hidden", "vf_hidden")
"""Scopes of further dense layers: behind the architecture's own, then before the policy
head and before the value head alone."""

_USUAL_SIZES = (64, 84, 96, 128, 72, 100, 48, 32, 160, 224, 256)

Shapes = dict[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes in which a network may differ from the article's; None for the article's.

    Attributes:
        image_size: height and width of observations.
        channels: of the convolutions; for IMPALA, of its three sequences.
        dense: widths of the architecture's own dense layers.
        hidden: widths of the further dense layers of each of `BRANCHES`.
        has_value: False for a Q-network, which has no head of the value function.
    """

    image_size: tuple[int, int] = (64, 64)
    channels: tuple[int, ...] | None = None
    dense: tuple[int, ...] | None = None
    hidden: tuple[tuple[int, ...], ...] = ((), (), ())
    has_value: bool = True


def tensor_name(scope: str, variable: str) -> str:
    """Full name in a checkpoint, as in "ppo2_model/pi/1a/conv2d/kernel:0"."""
    return f"ppo2_model/{scope}/{variable}:0"


POLICY_BIAS = tensor_name("pi", "b")
"""The policy head's bias: its length is the number of actions."""


def parameter_shapes(
    architecture: str,
    n_actions: int,
    n_input_channels: int = 3,
    sizes: Sizes | None = None,
) -> Shapes:
    """Shape of every parameter by full tensor name, in the article's order.

    Kernels are (height, width, input channels, output channels) or (inputs, outputs).
    There are 15 actions for Procgen, 9 for the article's model of the original CoinRun,
    7 for a plain one, and 3 input channels for each stacked colour frame.

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
    sizes = sizes or Sizes()
    channels = sizes.channels or _CHANNELS[architecture]
    dense = sizes.dense or _DENSE[architecture]
    kernel, bias = _variables(architecture)
    layers = CONV_LAYERS[architecture]
    # IMPALA's sequences of five convolutions have the same number of channels.
    n_outputs = np.repeat(channels, len(layers) // len(channels)).tolist()
    specifications = zip(layers, KERNEL_SIZES[architecture], n_outputs, strict=True)
    shapes: Shapes = {}
    n_in = n_input_channels
    for layer, size, width in specifications:
        scope = f"pi/{layer}/conv2d" if architecture == "clear" else f"pi/{layer}"
        shapes[tensor_name(scope, kernel)] = (size, size, n_in, width)
        is_nature = architecture == "nature"
        shapes[tensor_name(scope, bias)] = (1, width, 1, 1) if is_nature else (width,)
        n_in = width
    n_positions = math.prod(last_map_size(architecture, sizes.image_size))
    n_features = n_positions * channels[-1]
    for layer, width in zip(dense_layers(architecture), dense, strict=True):
        shapes[tensor_name(f"pi/{layer}", kernel)] = (n_features, width)
        shapes[tensor_name(f"pi/{layer}", bias)] = (width,)
        n_features = width
    ends: list[int] = []
    for branch, widths in zip(BRANCHES, sizes.hidden, strict=True):
        n_in = ends[0] if ends else n_features
        for index, width in enumerate(widths):
            shapes[tensor_name(f"{branch}_{index}", "kernel")] = (n_in, width)
            shapes[tensor_name(f"{branch}_{index}", "bias")] = (width,)
            n_in = width
        ends.append(n_in)
    heads = [("pi", ends[1], n_actions)] + [("vf", ends[2], 1)] * sizes.has_value
    for scope, n_in, width in heads:
        shapes[tensor_name(scope, "w")] = (n_in, width)
        shapes[tensor_name(scope, "b")] = (width,)
    return shapes


def dense_layers(architecture: str) -> tuple[str, ...]:
    """Short names of an architecture's own dense layers."""
    return {"clear": ("dense", "dense_1"), "nature": ("fc1",)}.get(
        architecture, ("layer_15",)
    )


def last_map_size(architecture: str, image_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the last convolution's output."""
    height, width = (_last_side(architecture, side) for side in image_size)
    return height, width


def sizes_of(
    architecture: str,
    params: Mapping[str, Any],
    image_size: tuple[int, int] | None = None,
    has_value: bool = True,
) -> Sizes:
    """Sizes of a network, from its parameters, which need not be consistent.

    Without an `image_size` it is inferred from the first dense layer, as a square.
    """
    kernel, bias = _variables(architecture)
    suffix = "/conv2d" if architecture == "clear" else ""
    layers = CONV_LAYERS[architecture]
    # IMPALA's sequences of five convolutions have the same number of channels.
    layers = layers[:: len(layers) // len(_CHANNELS[architecture])]
    channels = tuple(
        getattr(params.get(tensor_name(f"pi/{layer}{suffix}", bias)), "size", 0)
        for layer in layers
    )
    first, *_ = dense_layers(architecture)
    dense = tuple(
        getattr(params.get(tensor_name(f"pi/{layer}", bias)), "size", 0)
        for layer in dense_layers(architecture)
    )
    hidden = []
    for branch in BRANCHES:
        widths: list[int] = []
        while (name := tensor_name(f"{branch}_{len(widths)}", "bias")) in params:
            widths.append(params[name].size)
        hidden.append(tuple(widths))
    if image_size is None:
        flat = getattr(params.get(tensor_name(f"pi/{first}", kernel)), "shape", (0,))[0]
        image_size = square_image_size(architecture, flat // (channels[-1] or 1))
    return Sizes(
        image_size=image_size,
        channels=channels if all(channels) else None,
        dense=dense if all(dense) else None,
        hidden=tuple(hidden),
        has_value=has_value,
    )


def square_image_size(architecture: str, n_positions: int) -> tuple[int, int]:
    """The most usual height and width that leave so many positions of the last map.

    64 by 64 where no square does: then shapes do not fit, which their check reports.
    """
    side = math.isqrt(n_positions)
    fitting = [s for s in range(8, 1025) if _last_side(architecture, s) == side]
    if side * side != n_positions or not fitting:
        return 64, 64
    usual = [s for s in _USUAL_SIZES if s in fitting] or fitting
    return usual[0], usual[0]


def _last_side(architecture: str, side: int) -> int:
    if architecture == "nature":
        for size, stride in zip(KERNEL_SIZES["nature"], _NATURE_STRIDES, strict=True):
            side = max(0, (side - size) // stride + 1)
        return side
    return -(-side // 2 ** _N_POOLS[architecture])


def _variables(architecture: str) -> tuple[str, str]:
    return ("w", "b") if architecture == "nature" else ("kernel", "bias")

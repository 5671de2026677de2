"""The module `lucid.scratch.rl_util.util` by its name: arrays, constants, gradients."""

from lucid_rl.model.lucid_network import gradient_override_map
from lucid_rl.rl_util.arrays import (
    brightness_to_opacity,
    channels_to_rgb,
    concatenate_horizontally,
    conv2d,
    hue_to_rgb,
    norm_filter,
    zoom_to,
)
from lucid_rl.rl_util.attribution import get_shape, get_var, maxpool_override

__all__ = [
    "brightness_to_opacity",
    "channels_to_rgb",
    "concatenate_horizontally",
    "conv2d",
    "get_shape",
    "get_var",
    "gradient_override_map",
    "hue_to_rgb",
    "maxpool_override",
    "norm_filter",
    "zoom_to",
]

"""Array helpers of rl_util: colours, smoothing, images, limited arg-max."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.ndimage

from lucid_rl.errors import InputError
from lucid_rl.interpret import colour, smoothing
from lucid_rl.interpret.dataset_examples import limited_argmax
from lucid_rl.interpret.patches import rescale_opacity

__all__ = [
    "argmax_nd",
    "brightness_to_opacity",
    "channels_to_rgb",
    "concatenate_horizontally",
    "conv2d",
    "hue_to_rgb",
    "norm_filter",
    "rescale_opacity",
    "zoom_to",
]


def hue_to_rgb(ang: float, warp: bool = True) -> np.ndarray:
    """Colour f64 [3] of norm 1 for a hue in degrees."""
    return colour.hue_to_rgb(ang, warp)


def channels_to_rgb(X: np.ndarray, warp: bool = True) -> np.ndarray:
    """Sums evenly spaced hues weighted by channels [..., K] >= 0, to [..., 3]."""
    hues = 360.0 * np.arange(X.shape[-1]) / X.shape[-1]
    return colour.colour_features(X, colour.hue_to_rgb(hues, warp))


def brightness_to_opacity(image: np.ndarray) -> np.ndarray:
    """RGB [..., 3] to RGBA [..., 4]: divided by min(1, norm), which is the opacity.

    As in the original, a norm above 1 leaves colours above 1.
    `lucid_rl.interpret.colour.brightness_to_opacity` keeps hues there.
    """
    if image.shape[-1] != 3:
        raise InputError(f"expected RGB on the last axis, got shape {image.shape}")
    rgba = colour.brightness_to_opacity(image)
    norm = np.sqrt(np.einsum("...c,...c->...", image, image))[..., None]
    rgba[..., :3] *= np.maximum(norm, 1)
    return rgba


def norm_filter(
    length: int,
    norm_ord: float = 2,
    norm_func: Callable[[Any], Any] = lambda n: np.exp(-n),
    clip: bool = True,
) -> np.ndarray:
    """Filter f64 [length, length] of `norm_func` of the distance from its centre.

    `norm_func` takes one distance, in the norm of order `norm_ord` (2 is Euclidean).
    `clip` puts 0 where values are below the largest on the rim.
    """
    return smoothing.norm_filter(
        length, norm_ord, np.vectorize(norm_func, otypes=[float]), clip
    )


def conv2d(input_: np.ndarray, filter_: np.ndarray) -> np.ndarray:
    """Correlates channels of [N, H, W, C] with a filter [h, w], zeros around."""
    return smoothing.smooth(input_, filter_)


def zoom_to(img: np.ndarray, width: int) -> np.ndarray:
    """Enlarges images [..., H, W, C] to a width, pixels staying sharp."""
    whole = width // img.shape[-2] + 1
    enlarged = img.repeat(whole, axis=-3).repeat(whole, axis=-2)
    factor = width / enlarged.shape[-2]
    factors = [1] * (img.ndim - 3) + [factor, factor, 1]
    return scipy.ndimage.zoom(enlarged, factors, order=0, mode="nearest")


def concatenate_horizontally(images: Any) -> np.ndarray:
    """Images [N, H, W, C] side by side, [1, H, N * W, C]."""
    images = np.asarray(images)
    n, height, width, channels = images.shape
    return images.transpose(1, 0, 2, 3).reshape(1, height, n * width, channels)


def argmax_nd(
    x: np.ndarray,
    axes: Sequence[int],
    *,
    max_rep: float = np.inf,
    max_rep_strict: bool | None = None,
) -> tuple[np.ndarray, ...]:
    """Arg-max over several axes in which no index serves too often.

    Args:
        x: any array.
        axes: the axes to maximise over.
        max_rep: how many of the other axes' positions may share an index.
        max_rep_strict: what becomes of positions that find no place: their worst
            index (True) or their best (False). Needed where `max_rep` is finite.

    Returns:
        For each of the axes an index array over the other axes.
    """
    if not max_rep > 0:
        raise InputError(f"max_rep must be above 0, got {max_rep}")
    if np.isfinite(max_rep) and max_rep_strict is None:
        raise InputError("max_rep needs max_rep_strict: True or False")
    moved = np.moveaxis(x, axes, range(len(axes)))
    sizes, others = moved.shape[: len(axes)], moved.shape[len(axes) :]
    scores = moved.reshape(int(np.prod(sizes)), -1).T
    chosen = limited_argmax(scores, max_rep, strict=bool(max_rep_strict))
    return np.unravel_index(chosen.reshape(others), sizes)

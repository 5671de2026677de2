"""Attributions as bytes: a few levels, scaled by frame.

A frame's attributions share one scale, the largest absolute value among them, on
either side of zero. Of 255 levels an error of at most half a step is at most 1/255
of that scale, which no eye and no screen resolves. Fewer levels make smaller files.
"""

import numpy as np

from lucid_rl.errors import InputError, SettingsError

LEVELS = 255
"""All levels that a signed byte has on both sides of zero, and zero."""

# Rounded to float32, the largest value could stray beyond half a step by itself.
_MARGIN = 1 + 4e-6
# Frames of no larger attributions than this count as blank; their quotients overflow.
_NOTHING = 1e-30


def frame_scales(attributions: np.ndarray) -> np.ndarray:
    """The largest absolute attribution of each frame, as a scale to quantize by.

    Args:
        attributions: float [..., S, H, W], finite.

    Returns:
        float32 [S], larger than the maximum by 4 parts in a million; 0 where that
        is below 1e-30.

    Raises:
        InputError: fewer than three axes, or a value that is not finite.
    """
    if attributions.ndim < 3:
        raise InputError(
            "attributions have the shape [features, frames, height, width], "
            f"not {attributions.shape}"
        )
    axes = (*range(attributions.ndim - 3), -2, -1)
    scales = np.maximum(
        attributions.max(axis=axes, initial=0.0),
        -attributions.min(axis=axes, initial=0.0),
    ).astype(np.float32)
    if not np.isfinite(scales).all():
        raise InputError("attributions hold values that are not finite")
    scales[scales < _NOTHING] = 0
    return (scales * _MARGIN).astype(np.float32)


def check_levels(levels: int) -> None:
    """Raises SettingsError unless so many fit a byte, with zero in the middle."""
    if not 3 <= levels <= LEVELS or levels % 2 == 0:
        raise SettingsError(
            f"{levels} levels of attributions: expected an odd number, 3 to {LEVELS}"
        )


def quantize(
    attributions: np.ndarray, scales: np.ndarray, levels: int = LEVELS
) -> np.ndarray:
    """Rounds attributions to signed bytes.

    Args:
        attributions: float [..., S, H, W].
        scales: float32 [S], at least each frame's largest absolute value.
        levels: how many there are from -scale to scale, an odd number up to 255. The
            outermost lie half a step within.

    Returns:
        int8 of the same shape, from -(levels - 1) / 2 to (levels - 1) / 2; a frame of
        scale 0 is all 0.

    Raises:
        SettingsError: an impossible number of levels.
    """
    check_levels(levels)
    largest = levels // 2
    factors = np.zeros(scales.shape, np.float32)
    np.divide(levels / 2, scales, out=factors, where=scales > 0)
    codes = attributions * factors[:, None, None]
    np.rint(codes, out=codes)
    np.clip(codes, -largest, largest, out=codes)
    return codes.astype(np.int8)


def dequantize(
    codes: np.ndarray, scales: np.ndarray, levels: int = LEVELS
) -> np.ndarray:
    """The attributions that bytes stand for, within 1/levels of each frame's scale.

    Args:
        codes: int8 [..., S, H, W].
        scales: float32 [S].
        levels: as in `quantize`.

    Returns:
        float32 of the same shape as `codes`.
    """
    return codes * (scales / np.float32(levels / 2))[:, None, None]

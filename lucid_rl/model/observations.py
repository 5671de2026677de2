"""Checks and conversion of observations."""

import numpy as np

from lucid_rl.errors import InputError

# Float images that were resized or optimised may stray this far from [0, 1].
_SLACK = 1e-3


def check_observations(
    observations: np.ndarray, image_shape: tuple[int, int, int]
) -> np.ndarray:
    """Checks type and shape of a batch of observations without copying it.

    uint8, or floats in [0, 1], shaped (N, *image_shape).

    Raises:
        InputError: it has another type or shape.
    """
    given = type(observations).__name__
    try:
        observations = np.asarray(observations)
    except ValueError as error:
        raise InputError(f"observations are not an array: {error}") from error
    if observations.dtype != np.uint8 and observations.dtype.kind != "f":
        kind = observations.dtype if observations.ndim else given
        raise InputError(
            f"observations are {kind}: expected uint8 in 0 to 255 or floats in 0 to 1."
        )
    if observations.ndim != 4 or observations.shape[1:] != tuple(image_shape):
        height, width, channels = image_shape
        advice = "name the game, wrappers or frame stack that the model saw"
        if observations.shape == image_shape:
            advice = "a single one needs a leading axis, observations[None]"
        elif observations.shape[1:] == (channels, height, width):
            advice = "put the channels last, np.moveaxis(observations, 1, -1)"
        raise InputError(
            f"observations have shape {observations.shape}: expected "
            f"(N, {height}, {width}, {channels}); {advice}."
        )
    return observations


def to_floats(observations: np.ndarray, first: int = 0) -> np.ndarray:
    """Converts checked observations to float32 in [0, 1]; uint8 is divided by 255.

    `first` is the number of the first of them, for messages.

    Raises:
        InputError: floats are not finite or lie outside [0, 1].
    """
    if observations.dtype == np.uint8:
        return observations.astype(np.float32) / np.float32(255)
    floats = observations.astype(np.float32, copy=False)
    if not np.isfinite(floats).all():
        bad = np.flatnonzero(~np.isfinite(floats).all(axis=(1, 2, 3)))
        raise InputError(
            f"observations hold NaN or infinity, the first in observation number "
            f"{first + bad[0]}."
        )
    if floats.size and not (floats.min() >= -_SLACK and floats.max() <= 1 + _SLACK):
        raise InputError(
            f"float observations range from {floats.min():.4g} to "
            f"{floats.max():.4g}: expected 0 to 1. Pass uint8 as it is, or divide "
            "by 255."
        )
    return floats

"""Noise on observations, for the article's experiments on low-level diversity."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from lucid_rl.validation import Fraction, Positive, Settings, whole


@dataclass(frozen=True)
class NoiseSettings(Settings):
    """What is done to observations in training; all of it is off by default.

    Attributes:
        pixel_std: standard deviation of independent noise on each pixel and
            colour, in units of the full range (0 to 1).
        correlated_std: the same for noise that is smooth over space.
        correlation_pixels: side of the squares whose corners draw the smooth noise;
            between them it is interpolated.
        adversarial_epsilon: largest change of a pixel, in units of the full range,
            by projected gradient ascent on the loss (Madry et al., 2017).
        adversarial_steps: its steps, each of 2 epsilon / steps.
    """

    pixel_std: Fraction = 0.0
    correlated_std: Fraction = 0.0
    correlation_pixels: Positive = 8
    adversarial_epsilon: Fraction = 0.0
    adversarial_steps: Annotated[int, whole(1, 1000)] = 3


def add_noise(
    observations: np.ndarray, settings: NoiseSettings, rng: np.random.Generator
) -> np.ndarray:
    """Adds independent and smooth noise to observations u8 [N, H, W, C].

    The result is rounded and clipped; without noise it is the input itself, and `rng`
    is not used.
    """
    noise = np.zeros((), np.float32)
    if settings.pixel_std:
        noise = noise + settings.pixel_std * rng.standard_normal(
            observations.shape, np.float32
        )
    if settings.correlated_std:
        noise = noise + settings.correlated_std * smooth_noise(
            observations.shape, settings.correlation_pixels, rng
        )
    if noise.ndim == 0:
        return observations
    noisy = observations + 255 * noise
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def smooth_noise(
    shape: tuple[int, ...], side: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws noise f32 [N, H, W, C] of unit variance that is smooth over space.

    Normal numbers on a coarse grid, `side` pixels apart, are interpolated linearly.
    """
    n, height, width, channels = shape
    rows, columns = (_interpolation(size, side) for size in (height, width))
    coarse = rng.standard_normal(
        (n, rows.shape[1], columns.shape[1], channels), np.float32
    )
    return np.einsum("hi,wj,nijc->nhwc", rows, columns, coarse, optimize=True)


def _interpolation(size, side):
    """f32 [size, points], rows of unit length, so that variance stays 1."""
    offset = (np.arange(size) + 0.5) / side
    points = int(offset[-1]) + 2
    weights = np.maximum(0, 1 - np.abs(offset[:, None] - np.arange(points)))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return weights.astype(np.float32)

"""Statistics of images whose answer is known."""

import numpy as np
import pytest

from lucid_rl.errors import InputError
from lucid_rl.interpret.visualization.image_statistics import (
    extremal_fraction,
    measure_statistics,
    natural_statistics,
    spatial_frequencies,
    spectrum_slope,
)


def _with_slope(rng, power, n=4, size=64):
    frequencies = spatial_frequencies(size, size)
    frequencies[0, 0] = np.inf
    noise = np.fft.rfft2(rng.normal(size=(n, 3, size, size)))
    images = np.fft.irfft2(noise * frequencies ** (power / 2), (size, size))
    images = images / np.abs(images).max() / 2 + 0.5
    return np.moveaxis(images, 1, -1)


@pytest.mark.parametrize("power", [0, -1, -2, -3])
def test_spectrum_slope_is_the_exponent(power):
    slopes = spectrum_slope(_with_slope(np.random.default_rng(0), power))
    np.testing.assert_allclose(slopes, power, atol=0.12)


def test_spectrum_slope_of_one_colour_is_unknown():
    assert np.isnan(spectrum_slope(np.full((1, 8, 8, 3), 0.5))).all()


def test_extremal_fraction_by_hand():
    image = np.full((1, 2, 2, 3), 0.5)
    image[0, 0, 0] = 1, 0, 1  # magenta
    image[0, 0, 1] = 0.85, 0.15, 0  # at distance 0.212 from red
    image[0, 1, 0] = 0.8, 0.2, 0  # at 0.283
    assert extremal_fraction(image) == 0.5
    assert extremal_fraction(image, 0.3) == 0.75
    assert extremal_fraction(np.array([[[[255, 0, 0]]]], np.uint8)) == 1


def test_extremal_fraction_of_the_whole_cube_is_that_of_eight_eighths_of_a_ball():
    images = np.random.default_rng(0).random((1, 200, 200, 3))
    assert extremal_fraction(images)[0] == pytest.approx(np.pi / 6 * 0.5**3, abs=0.005)


@pytest.mark.parametrize("width", [64, 63])
def test_measured_components_are_uncorrelated_and_of_variance_one(golden, width):
    images = golden["obs_u8"][:16, :, :width]
    found = measure_statistics(images)
    pixels = images.reshape(-1, 3) / 255
    np.testing.assert_allclose(found.colour_mean, pixels.mean(axis=0), rtol=1e-5)
    components = (pixels - found.colour_mean) @ np.linalg.inv(found.colour_matrix).T
    np.testing.assert_allclose(np.cov(components.T), np.eye(3), atol=1e-3)
    shaped = components.reshape(images.shape)
    expected = np.abs(np.fft.rfft2(shaped, axes=(1, 2))).mean(axis=0)
    expected[0, 0] = 0
    np.testing.assert_allclose(
        np.moveaxis(found.amplitudes, 0, -1), expected, rtol=1e-3, atol=1e-3
    )
    assert found.size == images.shape[1:3]


@pytest.mark.parametrize("size", [(64, 64), (32, 31), (5, 8)])
def test_natural_components_have_variance_one(size):
    found = natural_statistics(*size)
    rng = np.random.default_rng(0)
    noise = np.fft.rfft2(rng.normal(size=size))
    images = np.fft.irfft2(found.amplitudes * noise / np.abs(noise), size)
    np.testing.assert_allclose(images.var(axis=(1, 2)), 1, rtol=1e-5)


def test_bad_images():
    for measure in (extremal_fraction, spectrum_slope, measure_statistics):
        with pytest.raises(InputError, match=r"\[N, H, W, 3\]"):
            measure(np.zeros((4, 4, 3)))
    grey = np.random.default_rng(0).random((2, 8, 8, 1)).repeat(3, axis=-1)
    with pytest.raises(InputError, match="plane"):
        measure_statistics(grey)

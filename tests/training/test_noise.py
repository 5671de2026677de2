"""Noise on observations."""

import numpy as np
import pytest

from lucid_rl.errors import SettingsError
from lucid_rl.training.noise import NoiseSettings, add_noise, smooth_noise


def test_without_noise_observations_are_untouched():
    observations = np.full((1, 8, 8, 3), 7, np.uint8)
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert add_noise(observations, NoiseSettings(), rng) is observations
    assert rng.bit_generator.state == before


def test_pixel_noise_has_its_deviation_and_no_correlation():
    grey = np.full((8, 64, 64, 3), 128, np.uint8)
    settings = NoiseSettings(pixel_std=0.1)
    noise = add_noise(grey, settings, np.random.default_rng(0)).astype(float) - 128
    assert noise.std() == pytest.approx(25.5, rel=0.02)
    assert abs(_neighbour_correlation(noise)) < 0.02


def test_smooth_noise_has_unit_deviation_everywhere_and_agrees_with_neighbours():
    noise = smooth_noise((4000, 24, 24, 1), 8, np.random.default_rng(0))
    np.testing.assert_allclose(noise.std(axis=0), 1, atol=0.06)
    assert _neighbour_correlation(noise) > 0.95
    # Points further apart than two sides of the grid share no draws.
    far = np.corrcoef(noise[:, 0, 0, 0], noise[:, 20, 20, 0])[0, 1]
    assert abs(far) < 0.06


def test_noise_is_clipped_and_reproducible():
    white = np.full((2, 16, 16, 3), 255, np.uint8)
    settings = NoiseSettings(pixel_std=0.5, correlated_std=0.2)
    first, second = (
        add_noise(white, settings, np.random.default_rng(3)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.uint8
    assert 0.3 < (first == 255).mean() < 0.7


@pytest.mark.parametrize(
    "options",
    [{"pixel_std": -0.1}, {"adversarial_epsilon": 2}, {"correlation_pixels": 0}],
)
def test_impossible_noise_is_refused(options):
    with pytest.raises(SettingsError):
        NoiseSettings(**options)


def _neighbour_correlation(noise):
    return np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]

"""Parametrizations against Lucid's and against their own laws."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from lucid_rl.errors import SettingsError
from lucid_rl.interpret.visualization.image_statistics import (
    measure_statistics,
    natural_statistics,
)
from lucid_rl.interpret.visualization.parametrizations import (
    KINDS,
    Parametrization,
)
from lucid_rl.model import lucid_bridge as bridge


def _evaluate(param_f):
    with tf.Graph().as_default(), tf.Session() as session:
        images = param_f()
        session.run(tf.global_variables_initializer())
        return session.run(images), len(tf.trainable_variables())


@pytest.mark.parametrize("fft", [True, False])
@pytest.mark.parametrize("decorrelated", [True, False])
def test_the_same_noise_makes_the_image_that_lucid_makes(
    monkeypatch, fft, decorrelated
):
    kind, size = "fourier" if fft else "pixel", (16, 16)
    ours, _ = _evaluate(Parametrization(kind, decorrelated).param_f(1, size, 3))

    def our_noise(*shape):
        return np.random.default_rng(3).normal(size=shape)

    monkeypatch.setattr(np.random, "randn", our_noise)
    theirs, _ = _evaluate(
        lambda: bridge.param.image(*size, fft=fft, decorrelate=decorrelated)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_valid_and_begin_alike(golden, kind):
    statistics = measure_statistics(golden["obs_u8"][:8])
    for given in (None, statistics):
        parametrization = Parametrization(kind, statistics=given)
        images, n_variables = _evaluate(parametrization.param_f(3, (64, 64), 1))
        assert images.shape == (3, 64, 64, 3)
        assert images.dtype == np.float32
        assert n_variables == 1
        assert 0 <= images.min() <= images.max() <= 1
        np.testing.assert_array_equal(images[0], images[2])
        again, _ = _evaluate(parametrization.param_f(3, (64, 64), 1))
        np.testing.assert_array_equal(images, again)
        other, _ = _evaluate(parametrization.param_f(3, (64, 64), 2))
        assert (images != other).any()


def test_images_begin_with_the_games_mean_colour(golden):
    statistics = measure_statistics(golden["obs_u8"][:8])
    images, _ = _evaluate(
        Parametrization("pixel", statistics=statistics).param_f(1, (64, 64))
    )
    np.testing.assert_allclose(
        images.mean(axis=(0, 1, 2)), statistics.colour_mean, atol=0.01
    )


@pytest.mark.parametrize("width", [64, 63])
def test_maco_keeps_amplitudes_whatever_the_phases(golden, width):
    statistics = measure_statistics(golden["obs_u8"][:8, :, :width])
    parametrization = Parametrization("maco", statistics=statistics)
    images, _ = _evaluate(parametrization.param_f(1, (64, width), 5))
    colours = np.log(images / (1 - images)).astype(np.float64) / 4 + 0.5
    components = (colours - statistics.colour_mean) @ np.linalg.inv(
        statistics.colour_matrix.astype(np.float64)
    ).T
    found = np.abs(np.fft.rfft2(components[0], axes=(0, 1)))
    expected = np.moveaxis(statistics.amplitudes, 0, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2 * expected.max())
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9999


def test_bad_settings():
    with pytest.raises(SettingsError, match="expected one of pixel"):
        Parametrization("wavelet")
    with pytest.raises(SettingsError, match="std=0"):
        Parametrization(std=0)
    statistics = natural_statistics(32, 32)
    with pytest.raises(SettingsError, match="same size"):
        Parametrization(statistics=statistics).param_f(1, (64, 64))

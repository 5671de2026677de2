import numpy as np
import pytest
import scipy.ndimage
from hypothesis import example, given
from hypothesis import strategies as st

from lucid_rl.errors import InputError
from lucid_rl.interpret import colour
from lucid_rl.interpret.smoothing import norm_filter, smooth


def test_primary_and_secondary_hues():
    expected = np.array(
        [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]]
    )
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    hues = colour.hue_to_rgb(60.0 * np.arange(7))
    np.testing.assert_allclose(hues, expected, atol=1e-12)


@given(st.floats(-1e4, 1e4), st.booleans())
def test_hues_have_norm_one_and_period_360(degrees, warp):
    rgb = colour.hue_to_rgb(degrees, warp)
    assert np.isclose(np.linalg.norm(rgb), 1)
    assert (rgb >= 0).all()
    np.testing.assert_allclose(rgb, colour.hue_to_rgb(degrees + 360, warp), atol=1e-6)


def test_warp_moves_hues_away_from_primary_colours():
    near_red, near_green = 10.0, 110.0
    assert colour.hue_to_rgb(near_red)[1] > colour.hue_to_rgb(near_red, warp=False)[1]
    assert (
        colour.hue_to_rgb(near_green)[0] > colour.hue_to_rgb(near_green, warp=False)[0]
    )


def test_feature_colours():
    colours = colour.feature_colours(8)
    assert colours.dtype == np.float32 and colours.shape == (8, 3)
    np.testing.assert_allclose(np.linalg.norm(colours, axis=1), 1, rtol=1e-6)
    assert len(np.unique(colours.round(3), axis=0)) == 8
    assert colour.feature_colours(0).shape == (0, 3)


def test_html_codes():
    assert colour.html_codes(np.array([[0, 0.5, 1.0]])) == ["#0080ff"]
    assert colour.html_codes(np.array([[0, 0.25, 0.5]]), brightest=True) == ["#0080ff"]
    greys = colour.action_colours(15)
    assert (np.diff(greys[:, 0]) > 0).all() and (greys[:, 0] == greys[:, 2]).all()


def test_colouring_is_linear():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 3, 4, 5, 6))
    np.testing.assert_allclose(
        colour.colour_features(2 * a + b),
        2 * colour.colour_features(a) + colour.colour_features(b),
    )
    one = np.eye(6, dtype=np.float32)[None]
    np.testing.assert_array_equal(
        colour.colour_features(one)[0], colour.feature_colours(6)
    )


def test_residual_is_grey_of_the_same_strength():
    weights = np.zeros((2, 3), np.float32)
    rgb = colour.colour_features(weights, residual=np.array([0, 2], np.float32))
    np.testing.assert_allclose(np.linalg.norm(rgb, axis=-1), [0, 2], rtol=1e-6)
    assert np.ptp(rgb[1]) == 0


def test_negative_weights_are_refused():
    with pytest.raises(InputError, match="negative"):
        colour.colour_features(np.array([[-0.1, 1]]))
    with pytest.raises(InputError, match="negative"):
        colour.colour_features(np.array([[np.nan, 1]]))


def test_scale_looks_at_both_signs():
    attribution = np.zeros((3, 2, 2, 4))
    attribution[0, 0, 0, 0] = 1
    attribution[1, 1, 1, 3] = -5
    attribution[2, 0, 1, 2] = 2
    assert colour.attribution_scale(attribution) == 2
    assert colour.attribution_scale(-attribution) == 2
    assert colour.attribution_scale(np.zeros((3, 2, 2, 4))) == 1


@given(st.lists(st.floats(0, 50, width=32), min_size=3, max_size=3))
@example([1e-22, 0.0, 0.0])
def test_opacity_keeps_the_hue(rgb):
    rgb = np.array(rgb, np.float32)
    rgba = colour.brightness_to_opacity(rgb[None, None])[0, 0]
    norm = np.linalg.norm(rgb.astype(float))
    assert rgba.max() <= 1 + 1e-6
    # Squares of values below about 1e-19 vanish.
    np.testing.assert_allclose(rgba[3], min(1, norm), rtol=1e-5, atol=1e-18)
    np.testing.assert_allclose(rgba[:3] * norm, rgb, rtol=1e-5, atol=1e-6)


def test_norm_filter_by_hand():
    e1, e2 = np.exp(-1), np.exp(-np.sqrt(2))
    full = [[e2, e1, e2], [e1, 1, e1], [e2, e1, e2]]
    np.testing.assert_allclose(norm_filter(3, clip=False), full)
    disc = [[0, e1, 0], [e1, 1, e1], [0, e1, 0]]
    np.testing.assert_allclose(norm_filter(3), disc)
    assert norm_filter(1) == [[1]]
    with pytest.raises(InputError, match="at least 1"):
        norm_filter(0)


def test_filter_is_symmetric():
    kernel = norm_filter(15)
    for turned in (kernel.T, kernel[::-1], kernel[:, ::-1]):
        np.testing.assert_allclose(kernel, turned)


@pytest.mark.parametrize("shape", [(3, 3), (15, 15), (4, 2), (1, 5), (9, 31)])
def test_smoothing_is_correlation_with_zeros_around(shape):
    rng = np.random.default_rng(1)
    images, kernel = rng.random((5, 13, 9, 3)), rng.random(shape)
    # An even side reaches further to the right and bottom.
    origin = [0, *(-((n + 1) % 2) for n in shape), 0]
    expected = scipy.ndimage.correlate(
        images, kernel[None, :, :, None], mode="constant", origin=origin
    )
    np.testing.assert_allclose(smooth(images, kernel), expected, atol=1e-12)


def test_smoothing_does_not_depend_on_the_batch():
    rng = np.random.default_rng(2)
    images = rng.random((50, 32, 32, 3), np.float32)
    together = smooth(images)
    assert together.dtype == np.float32
    for i in (0, 17, 49):
        alone = smooth(images[i : i + 1])[0]
        np.testing.assert_allclose(together[i], alone, rtol=1e-5)
    assert smooth(images[:0]).shape == (0, 32, 32, 3)


def test_smoothing_refuses_other_shapes():
    with pytest.raises(InputError, match="expected images"):
        smooth(np.zeros((4, 4, 3)))
    with pytest.raises(InputError, match="expected images"):
        smooth(np.zeros((1, 4, 4, 3)), np.zeros((1, 3, 3)))

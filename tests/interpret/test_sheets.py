"""Sheets of attributions and of features."""

import numpy as np
import pytest

from lucid_rl.errors import InputError
from lucid_rl.interpret.attribution import Attribution, attribute
from lucid_rl.interpret.attribution_sheet import attribution_sheet
from lucid_rl.interpret.feature_sheet import feature_responses, feature_sheet
from lucid_rl.interpret.nmf import NMF
from lucid_rl.sampling.observations import Observations
from tests.test_notebook_html import images

_NO_SMOOTHING = np.ones((1, 1))


def _attribution(values):
    n = len(values)
    return Attribution("2b", ("value",), values, values.reshape(n, -1).sum(1), None)


def test_signs_and_features_are_shown_apart():
    # Two channels that are two features: the first speaks for, at the top left; the
    # second against, at the bottom right.
    values = np.zeros((1, 2, 2, 2), np.float32)
    values[0, 0, 0, 0], values[0, 1, 1, 1] = 3, -3
    observations = np.full((1, 4, 4, 3), 128, np.uint8)
    sheet = attribution_sheet(
        observations,
        _attribution(values),
        NMF.from_directions(np.eye(2)),
        kernel=_NO_SMOOTHING,
    )
    grey = sheet.positive[0, 3, 0]
    np.testing.assert_allclose(grey, 0.5, atol=0.01)
    # Wholly opaque, in red and in cyan of norm 1, over each pixel of the position.
    red, cyan = [1, 0, 0], [0, 0.5**0.5, 0.5**0.5]
    np.testing.assert_allclose(sheet.positive[0, :2, :2], np.full((2, 2, 3), red))
    np.testing.assert_allclose(
        sheet.negative[0, 2:, 2:], np.full((2, 2, 3), cyan), atol=1e-6
    )
    np.testing.assert_allclose(sheet.negative[0, :2, :2], 0.5, atol=0.01)
    np.testing.assert_allclose(sheet.features, [[3, -3]], rtol=1e-5)
    np.testing.assert_allclose(sheet.residuals, [0], atol=1e-5)
    html = sheet._repr_html_()
    assert len(images(html)) == 3 and "feature 1" in html and "-3.000" in html


def test_what_no_feature_explains_is_grey_and_listed():
    values = np.zeros((1, 1, 1, 2), np.float32)
    values[..., 1] = 2
    sheet = attribution_sheet(
        np.zeros((1, 4, 4, 3), np.float32),
        _attribution(values),
        NMF.from_directions([[1.0, 0.0]]),
        names=["only"],
        kernel=_NO_SMOOTHING,
    )
    np.testing.assert_allclose(sheet.positive, 3**-0.5, rtol=1e-5)
    np.testing.assert_allclose(sheet.residuals, [2])
    plain = attribution_sheet(np.zeros((1, 4, 4, 3)), _attribution(values))
    assert plain.names == () and "residual" not in plain._repr_html_()


@pytest.mark.parametrize(
    ("shape", "n", "names"), [((3, 4), 1, []), ((2, 2, 3), 2, []), ((2, 2, 3), 1, "ab")]
)
def test_what_does_not_belong_together(shape, n, names):
    found = _attribution(np.zeros((1, *shape), np.float32))
    with pytest.raises(InputError):
        attribution_sheet(np.zeros((n, 4, 4, 3)), found, None, names=names)


def test_features_are_shown_by_the_observations_that_respond_most(model_a, golden):
    observations = golden["obs_u8"][:16]
    activations = model_a.activations(observations, ["2b"])["2b"]
    channels = np.argsort(-activations.max(axis=(0, 1, 2)))[:2]
    factorization = NMF.from_directions(np.eye(32)[channels], layer="2b")
    responses = feature_responses(model_a, observations, factorization)
    np.testing.assert_allclose(responses, activations[..., channels], atol=1e-5)
    sheet = feature_sheet(model_a, observations, factorization, side=1)
    assert sheet.images.shape == (2, 12, 12, 4)
    n, row, column = np.unravel_index(responses[..., 0].argmax(), responses.shape[:3])
    # The patch's middle is the strongest position: two pixels each.
    seen = observations[n, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] / 255
    np.testing.assert_allclose(sheet.images[0, 5:7, 5:7, :3], seen, atol=1e-6)
    html = sheet._repr_html_()
    assert len(images(html)) == 2
    assert f"channel {channels[1]} (cosine 1.00)" in html
    spatial = feature_sheet(model_a, observations, factorization, spatial=True)
    assert spatial.images.shape == (2, 64, 64, 4)
    sampled = factorization.plot(model_a, Observations(observations), side=1)
    np.testing.assert_array_equal(sampled.images, sheet.images)
    with pytest.raises(InputError, match="1 names for 2 features"):
        feature_sheet(model_a, observations, factorization, names=["a"])
    with pytest.raises(InputError, match="do not know their layer"):
        NMF.from_directions(np.eye(32)).plot(model_a, observations)


def test_totals_stay_what_they_are(model_a, golden):
    observations = golden["obs_u8"][:3]
    found = attribute(model_a, observations, "2b")
    factorization = NMF.from_directions(np.eye(32)[:5], layer="2b")
    sheet = attribution_sheet(observations, found, factorization)
    sums = sheet.features.sum(axis=1) + sheet.residuals
    np.testing.assert_allclose(sums, found.totals, atol=1e-3)
    for pictures in (sheet.positive, sheet.negative):
        assert pictures.shape == (3, 64, 64, 3)
        assert pictures.min() >= 0 and pictures.max() <= 1 + 1e-6

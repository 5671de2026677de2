"""The pictures that the page draws are those that the numbers in Python give."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from lucid_rl.interface.page import write_page
from lucid_rl.interface.parts import Layout, Part
from tests.interface.page.driver import (
    OVERLAY,
    assert_same_picture,
    attribution_picture,
    grey,
    index,
    texture_opacity,
)
from tests.interface.page_fixture import FULL_SIDE, LENGTHS, SIDE, Layer

pytestmark = pytest.mark.browser

PLACES = [(0, 0), (0, 123), (0, 250), (1, 40), (2, 39)]


@pytest.mark.parametrize("layer", ["2b", "4a", "input"])
def test_attribution_is_coloured_smoothed_and_made_opaque(
    open_page, site, bundle, layer
):
    viewer = open_page(site, f"#layer={layer}")
    for trajectory, frame in PLACES:
        viewer.go(f"#trajectory={trajectory + 1}&frame={frame + 1}&layer={layer}")
        for sign in ("positive", "negative"):
            expected = attribution_picture(
                bundle.layers["model", layer],
                index(trajectory, frame),
                sign,
                gradient=layer == "input",
            )
            assert_same_picture(viewer.drawn(sign), expected)
            # Canvases keep colours times opacity, in bytes.
            assert_same_picture(viewer.pixels(sign), expected, at_most=2.5)


def test_observations_lie_beneath_in_colour_and_grey(viewer, bundle):
    for trajectory, frame in PLACES:
        viewer.go(f"#trajectory={trajectory + 1}&frame={frame + 1}&layer=2b")
        observation = bundle.observations[index(trajectory, frame)]
        np.testing.assert_array_equal(
            viewer.pixels("observation")[..., :3], observation
        )
        luma = np.rint(255 * grey(observation))
        for sign in ("positive", "negative"):
            shown = viewer.pixels(f"{sign}-grey")[..., :3].astype(float)
            assert np.abs(shown - luma).max() <= 1


def test_the_screen_shows_attribution_over_the_grey_observation(viewer, bundle):
    viewer.go("#trajectory=1&frame=62&layer=2b&residual=0")
    picture = viewer.get("picture-positive")
    shot = np.asarray(Image.open(io.BytesIO(picture.screenshot())).convert("RGB"))
    size = len(shot)
    assert shot.shape == (size, size, 3) and size >= 2 * SIDE
    middle = ((np.arange(SIDE) + 0.5) * size / SIDE).astype(int)
    centres = shot[middle][:, middle] / 255
    rgba = attribution_picture(bundle.layers["model", "2b"], index(0, 61), "positive")
    rgba = rgba.repeat(2, 0).repeat(2, 1)  # two observation pixels a cell
    opacity = OVERLAY * rgba[..., 3:]
    beneath = grey(bundle.observations[index(0, 61)])
    expected = (1 - opacity) * beneath + opacity * rgba[..., :3]
    assert np.abs(centres - expected).max() < 4 / 255


def test_without_overlay_attribution_stands_on_black(viewer, bundle):
    viewer.get("residual").uncheck()
    viewer.get("overlay").uncheck()
    viewer.settle()
    assert viewer.get("positive-grey").count() == 0
    picture = viewer.get("picture-negative")
    shot = np.asarray(Image.open(io.BytesIO(picture.screenshot())).convert("RGB"))
    middle = ((np.arange(32) + 0.5) * len(shot) / 32).astype(int)
    rgba = attribution_picture(bundle.layers["model", "2b"], 0, "negative")
    expected = 255 * rgba[..., :3] * rgba[..., 3:]
    assert np.abs(shot[middle][:, middle] - expected).max() < 12
    viewer.get("overlay").check()
    assert viewer.get("positive-grey").count() == 1


def test_combined_shows_both_signs_in_one_picture_and_tells_them_apart(viewer, bundle):
    viewer.go("#trajectory=1&frame=200&layer=2b")
    viewer.get("combine").check()
    layer = bundle.layers["model", "2b"]
    assert_same_picture(viewer.drawn("both"), attribution_picture(layer, 199, "both"))
    assert viewer.get("positive").count() == 0
    stripes = viewer.drawn("both-stripes")[..., 3] / 255
    expected = texture_opacity(layer, 199, "negative", slice(0, -1))
    np.testing.assert_allclose(stripes, expected, atol=1.5 / 255)
    assert expected.max() > 0.3
    assert "striped: negative" in viewer.get("key").inner_text()


@pytest.mark.parametrize("sign", ["positive", "negative"])
def test_the_residual_is_hatched_so_that_it_shows_on_any_grey(viewer, bundle, sign):
    layer = bundle.layers["model", "2b"]
    hatch = viewer.drawn(f"{sign}-hatch")[..., 3] / 255
    expected = texture_opacity(layer, 0, sign, slice(-1, None))
    np.testing.assert_allclose(hatch, expected, atol=1.5 / 255)
    assert expected.max() > 0.1
    # Black and white lines, as opaque as the residual is strong.
    shown = viewer.pixels(f"{sign}-textures")
    opaque = shown[shown[..., 3] > 0.5 * 255 * expected.max()]
    assert opaque[:, :3].max() > 200 and opaque[:, :3].min() < 50
    assert "residual" in viewer.get("key").inner_text()
    viewer.get("residual").uncheck()
    viewer.settle()
    assert viewer.pixels(f"{sign}-textures")[..., 3].max() == 0
    assert viewer.get("key").inner_text() == ""


def test_strongest_only_hides_what_is_weak(viewer, bundle):
    viewer.go("#trajectory=1&frame=124&layer=2b&smoothing=0")
    layer = bundle.layers["model", "2b"]
    viewer.get("settings-button").click()
    viewer.get("strongest").fill("50")
    viewer.wait_for("view.strongest === 50")
    assert "only \u2265 50 %" in viewer.get("key").inner_text()
    maps = layer.maps[:, 123].copy()
    maps[np.abs(maps) < 0.5 * np.abs(maps).max()] = 0
    kept = Layer(layer.scale, maps[:, None], layer.totals)
    expected = attribution_picture(kept, 0, "positive", radius=0)
    assert_same_picture(viewer.drawn("positive"), expected)


def test_isolating_a_feature_leaves_it_alone(viewer, bundle):
    viewer.go("#trajectory=2&frame=30&layer=4a")
    layer = bundle.layers["model", "4a"]
    s = index(1, 29)
    everything = viewer.drawn("positive")
    for feature in (0, 5):
        viewer.get(f"feature-{feature + 1}").hover()
        viewer.wait_for(f"view.isolated === {feature}")
        for sign in ("positive", "negative"):
            shown = viewer.drawn(sign)
            expected = attribution_picture(layer, s, sign, only=feature)
            np.testing.assert_allclose(
                shown[..., 3] / 255, expected[..., 3], atol=1.5 / 255
            )
            bright = expected[..., 3] > 0.1
            np.testing.assert_allclose(
                shown[bright, :3] / 255, expected[bright, :3], atol=2 / 255
            )
    viewer.get("feature-9").hover()  # the residual
    viewer.wait_for("view.isolated === 8")
    assert viewer.drawn("positive")[..., 3].max() == 0
    expected = texture_opacity(layer, s, "positive", slice(-1, None))
    hatch = viewer.drawn("positive-hatch")[..., 3] / 255
    np.testing.assert_allclose(hatch, expected, atol=1.5 / 255)
    viewer.get("frame-number").hover()
    viewer.wait_for("view.isolated === null")
    np.testing.assert_array_equal(viewer.drawn("positive"), everything)


def test_smoothing_radius_and_brightness(viewer, bundle):
    layer = bundle.layers["model", "2b"]
    viewer.get("settings-button").click()
    for radius, strength in ((0, 1.0), (3, 1.0), (3, 0.25)):
        viewer.get("radius").fill(str(radius))
        viewer.get("strength").fill(str(np.log2(strength)))
        viewer.wait_for(f"view.radius === {radius} && view.strength === {strength}")
        expected = attribution_picture(
            layer, 0, "negative", radius=radius, strength=strength
        )
        assert_same_picture(viewer.drawn("negative"), expected)
    viewer.page.get_by_text("Reset").click()
    expected = attribution_picture(layer, 0, "negative")
    assert_same_picture(viewer.drawn("negative"), expected)


def test_the_articles_hues_change_colours_not_opacity(viewer):
    before = viewer.drawn("positive")
    viewer.get("settings-button").click()
    viewer.page.get_by_text("Even hues").click()
    after = viewer.drawn("positive")
    assert not np.array_equal(before[..., :3], after[..., :3])
    strongest = np.unravel_index(before[..., 3].argmax(), before.shape[:2])
    assert after[strongest][3] > 128
    viewer.page.reload()
    viewer.settle()
    np.testing.assert_array_equal(viewer.drawn("positive"), after)  # kept


def test_attribution_of_an_action_and_of_a_group(viewer, bundle):
    viewer.go("#trajectory=1&frame=145&layer=4a&rows=4,3+6+9")
    one = bundle.actions_4a[3]
    expected = attribution_picture(one, 144, "positive")
    assert_same_picture(viewer.drawn("positive"), expected)
    group = Layer(
        one.scale,
        sum(bundle.actions_4a[a].maps for a in (2, 5, 8)),
        sum(bundle.actions_4a[a].totals for a in (2, 5, 8)),
    )
    expected = attribution_picture(group, 144, "negative")
    assert_same_picture(viewer.drawn("negative", row=1), expected)


def test_two_models_side_by_side(viewer, bundle):
    viewer.go("#trajectory=1&frame=100&layer=2b")
    viewer.get("compare").click()
    viewer.settle()
    for row, model in enumerate(("model", "edited")):
        expected = attribution_picture(bundle.layers[model, "2b"], 99, "positive")
        assert_same_picture(viewer.drawn("positive", row), expected)
    values = viewer.get("graph-value").inner_text().split()
    assert [float(v) for v in values] == pytest.approx(
        [bundle.values["model"][99], bundle.values["edited"][99]], rel=5e-3
    )


def test_full_resolution_stands_beside(viewer, bundle):
    viewer.go("#trajectory=2&frame=71&layer=2b")
    viewer.page.wait_for_selector(
        f"[data-testid=full-observation][width='{FULL_SIDE}']"
    )
    shown = viewer.pixels("full-observation")[..., :3]
    np.testing.assert_array_equal(shown, bundle.full[70])
    viewer.go("#trajectory=1&frame=1&layer=2b")
    assert "not sampled" in viewer.get("picture-full").inner_text()
    viewer.get("full-resolution").uncheck()
    assert viewer.get("picture-full").count() == 0


def test_every_trajectory_has_its_own_frames(viewer, bundle):
    for trajectory in reversed(range(len(LENGTHS))):
        viewer.get(f"trajectory-{trajectory + 1}").check(force=True)
        viewer.settle()
        np.testing.assert_array_equal(
            viewer.pixels("observation")[..., :3],
            bundle.observations[index(trajectory, 0)],
        )


def test_stacks_of_any_height_and_width_show_their_frames(open_page, bundle, tmp_path):
    """Observations of 48 x 64 with four grey frames: the last is shown, or others."""
    height, depth = 48, 4
    rng = np.random.default_rng(3)
    frames = bundle.observations[:, 8:56]
    stacks = np.stack([np.roll(frames.mean(-1), k, 0) for k in (3, 2, 1, 0)], -1)
    stacks = np.clip(stacks + rng.integers(0, 3, stacks.shape), 0, 255).astype(np.uint8)
    layout = {"observations": Layout("webp", 0, LENGTHS)}
    parts = {part.name: part for part in bundle.parts}
    examples = {"observations": stacks[:48]}
    parts["frames"] = Part.encode("frames", {}, {"observations": stacks}, layout)
    parts["examples"] = Part.encode(
        "examples", {}, examples, {"observations": Layout("webp")}
    )
    manifest = parts["manifest"]
    meta = {**manifest.meta, "observation_shape": [height, SIDE, depth]}
    meta["full_resolution"] = None
    parts["manifest"] = dataclasses.replace(manifest, meta=meta)
    del parts["frames_full"]
    viewer = open_page(
        write_page(parts.values(), tmp_path), "#trajectory=2&frame=31&layer=2b"
    )
    viewer.settle()
    s = index(1, 30)
    for value, expected in (
        ("0", stacks[s, ..., 3]),
        ("1", stacks[s, ..., 2]),
        ("3", stacks[s, ..., 0]),
        ("difference", 128 + (stacks[s, ..., 3].astype(int) - stacks[s, ..., 2]) / 2),
    ):
        viewer.get("stack").select_option(value)
        viewer.wait_for("true")
        shown = viewer.pixels("observation")[..., :3].astype(float)
        assert np.abs(shown - expected[..., None]).max() <= 1
    box = viewer.get("picture-positive").bounding_box()
    assert box["height"] == pytest.approx(box["width"] * height / SIDE, abs=1)
    viewer.get("open-1").click()
    viewer.wait_for_text("density-text", "8")
    assert viewer.errors() == []

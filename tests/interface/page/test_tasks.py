"""What people come to the page for, done by somebody who has the page alone."""

import io
import itertools
import json
import re
import urllib.parse

import numpy as np
import pytest
from PIL import Image

from tests.interface.page.driver import index, number
from tests.interface.page_fixture import (
    IDLE,
    LENGTHS,
    NAMES,
    OBJECTS,
)

pytestmark = pytest.mark.browser


def _results(viewer):
    results = viewer.get("find-results").get_by_role("button")
    results.first.wait_for()
    return results


def test_which_feature_is_the_coin_with_evidence(viewer):
    """The legend says what each feature detects, and how sure that is."""
    found = viewer.get("object-1").inner_text()
    assert re.fullmatch(r"buzzsaw \u00d741\.5, AP\s\.\d\d", found)
    viewer.get("open-4").click()
    told = viewer.get("dialog-object").inner_text()
    assert told == "coin? \u00d7165, AP\u00a0.09"
    viewer.get("previous-feature").click()
    viewer.get("previous-feature").click()
    viewer.get("previous-feature").click()
    assert viewer.get("dialog-object").count() == len(OBJECTS[0])


def test_the_sharpest_fall_and_what_changed_with_it(viewer, bundle):
    viewer.open_find()
    viewer.get("find-what").select_option("falls")
    _results(viewer).first.click()
    viewer.get("bars-change").check(force=True)
    s = viewer.settle()["s"]
    values = bundle.values["model"]
    totals = bundle.layers["model", "2b"].totals
    text = viewer.get("change").inner_text()
    before, after = (number(word) for word in text.split()[1:4:2])
    assert before == pytest.approx(values[s - 1], rel=6e-3)
    assert after == pytest.approx(values[s], rel=6e-3)
    changes = totals[s] - totals[s - 1]
    shown = viewer.page.locator("[data-testid^=bar-column]").evaluate_all(
        "columns => columns.map((c) => Number(c.dataset.testid.split('-')[2]))"
    )
    assert shown == np.argsort(-np.abs(changes), kind="stable").tolist()
    assert len(shown) == 5  # the residual among them
    largest = number(viewer.get(f"total-{shown[0]}").inner_text())
    assert largest == pytest.approx(changes[shown[0]], rel=6e-3)
    viewer.page.get_by_label("What a change means").click()
    assert viewer.page.get_by_text("do not prove that these caused").is_visible()
    viewer.go("#trajectory=1&frame=88&layer=2b&change=1")
    assert "episode begins" in viewer.get("change").inner_text()


def test_the_most_negative_moment_of_a_feature_over_time(viewer, bundle):
    viewer.get("pin-1").click()  # by mouse or touch
    assert viewer.inspect()["isolated"] == 0
    viewer.open_find()
    viewer.get("find-what").select_option("negative")
    totals = bundle.layers["model", "2b"].totals[:, 0]
    viewer.page.wait_for_function(
        "text => document.querySelector('[data-testid=find-results]')"
        "?.innerText.includes(text)",
        arg=f"{totals.min():.3f}".replace("-", "\u2212"),
    )
    _results(viewer).first.click()
    view = viewer.settle()
    assert view["s"] == totals.argmin() and view["isolated"] == 0
    graph = viewer.get("graph-feature")
    assert number(graph.inner_text()) == pytest.approx(totals.min(), rel=6e-3)
    start = index(view["trajectory"], 0)
    own = totals[start : start + LENGTHS[view["trajectory"]]]
    low, high = (viewer.get(f"{end}-feature").inner_text() for end in ("low", "high"))
    assert number(low) == pytest.approx(own.min(), rel=6e-3)
    assert number(high) == pytest.approx(own.max(), rel=6e-3)
    viewer.get("pin-1").click()
    assert viewer.get("graph-feature").count() == 0


def test_one_frame_over_two_layers(viewer):
    viewer.go("#trajectory=1&frame=124&layer=2b")
    viewer.get("add-row").click()  # of the layer that no row shows yet
    viewer.page.wait_for_function("window.lucidRL.inspect().drawn[1]?.layer === '4a'")
    viewer.page.wait_for_function("location.hash.includes('value@4a')")
    box, below = viewer.get("output").nth(1).bounding_box(), viewer.page.viewport_size
    assert box["y"] + box["height"] <= below["height"]
    drawn = viewer.inspect()["drawn"]
    assert [row["layer"] for row in drawn] == ["2b", "4a"]
    assert [row["s"] for row in drawn] == [123, 123]
    # Of the legend's colours, but not its features.
    assert viewer.get("bars-layer").all_inner_texts() == ["4a"]
    viewer.page.reload()
    viewer.page.wait_for_function("window.lucidRL?.inspect()?.drawn[1]?.layer === '4a'")
    viewer.get("remove-row").first.click()  # the layer on view is then the other's
    viewer.page.wait_for_function("location.hash.includes('layer=4a')")
    assert [row["layer"] for row in viewer.settle()["drawn"]] == ["4a"]


def test_names_and_notes_are_kept_exported_and_travel_in_a_link(
    viewer, open_page, site, tmp_path
):
    viewer.get("name-2").fill("an enemy that walks to the left")
    viewer.get("name-2").press("Enter")
    box = viewer.get("name-2")
    assert box.evaluate("e => e.scrollWidth <= e.clientWidth")  # not cut
    viewer.get("open-2").click()
    viewer.get("strongest-frames").wait_for()
    viewer.wait_for_text("density-text", "8")
    viewer.get("note").fill("fires late")
    viewer.get("note").blur()
    viewer.get("close").click()
    viewer.wait_for("view.opened === null")
    viewer.get("settings-button").click()
    with viewer.page.expect_download() as download:
        viewer.get("export-names").click()
    download.value.save_as(tmp_path / "names.json")
    assert json.loads((tmp_path / "names.json").read_text())["notes"] == {
        "2b": {"1": "fires late"}
    }
    viewer.page.reload()
    viewer.settle()
    assert viewer.get("name-2").input_value().startswith("an enemy")
    viewer.get("share-button").click()
    viewer.get("copy-link").click()
    viewer.page.wait_for_function(
        "document.querySelector('[data-testid=share-state]').innerText"
    )
    link = viewer.page.evaluate("window.lucidRL.inspect().address")
    assert "names=" not in link
    names = json.dumps({"2b": {"1": "an enemy"}})
    other = open_page(site, f"{link}&names={urllib.parse.quote(names)}")
    other.settle()
    assert other.get("name-2").input_value() == "an enemy"
    other.page.reload()
    other.settle()
    assert other.get("name-2").input_value() == "an enemy"


def test_a_readable_spatial_view_that_remembers_its_sliders(viewer, bundle):
    viewer.get("open-2").click()
    viewer.wait_for_text("density-text", "8\u00d78")
    assert viewer.get("map").bounding_box()["width"] / 8 >= 60
    viewer.get("map").click(position={"x": 300, "y": 300})
    assert number(viewer.get("response").inner_text()) > 0
    assert "from" in viewer.get("histogram").locator("svg").get_attribute("aria-label")
    frames = viewer.get("strongest-frames").get_by_role("button")
    assert frames.count() == 12
    viewer.get("density").fill("1")
    viewer.wait_for_text("density-text", "16\u00d716")
    viewer.get("zoom").fill("1")
    viewer.get("close").click()
    viewer.get("open-3").click()
    viewer.wait_for_text("density-text", "16\u00d716")
    assert viewer.get("zoom").input_value() == "1"
    viewer.page.wait_for_function("location.hash.includes('open=3')")
    viewer.page.reload()
    viewer.settle()
    viewer.wait_for_text("density-text", "16\u00d716")  # the address holds it open
    totals = np.abs(bundle.layers["model", "2b"].totals[:, 2])
    frames.first.click()
    view = viewer.settle()
    assert view["s"] == totals.argmax() and view["isolated"] == 2
    assert view["opened"] is None


def test_a_moment_is_shared_as_picture_and_as_animation(viewer, bundle, tmp_path):
    viewer.go("#trajectory=1&frame=124&layer=2b")
    viewer.get("share-button").click()
    with viewer.page.expect_download() as download:
        viewer.get("save-png").click()
    download.value.save_as(tmp_path / "moment.png")
    picture = np.asarray(Image.open(tmp_path / "moment.png").convert("RGB"))
    assert picture.shape[1] == 8 + 3 * (256 + 8)
    middle = picture[8 + 36 + 2 :][:256:4, 8 + 2 : 8 + 256 : 4]
    np.testing.assert_array_equal(middle, bundle.observations[123])
    with viewer.page.expect_download() as download:
        viewer.get("save-gif").click()
    download.value.save_as(tmp_path / "moment.gif")
    with Image.open(io.BytesIO((tmp_path / "moment.gif").read_bytes())) as animation:
        assert animation.n_frames == 25
        assert animation.info["duration"] == 80
    assert download.value.suggested_filename == "trajectory_1_frame_124_2b.gif"


def test_the_residuals_share_is_told_and_warned_of(viewer, bundle):
    viewer.go("#trajectory=1&frame=124&layer=2b")
    maps = bundle.layers["model", "2b"].maps
    share = np.abs(maps[-1]).sum() / np.abs(maps).sum()
    assert _percent(viewer.get("residual-share").inner_text()) == pytest.approx(
        100 * share, abs=0.6
    )
    layer, frame = map(
        _percent, viewer.get("explained").locator("strong").all_inner_texts()
    )
    assert layer == pytest.approx(100 * (1 - share), abs=0.6)
    absolute = np.abs(maps[:, 123]).sum((1, 2))
    assert frame == pytest.approx(100 * (1 - absolute[-1] / absolute.sum()), abs=0.6)
    assert "Warning" not in viewer.get("explained").inner_text()
    most = (np.abs(maps[-1]).sum((1, 2)) / np.abs(maps).sum((0, 2, 3))).argmax()
    trajectory = next(t for t in range(3) if most < sum(LENGTHS[: t + 1]))
    place = most - sum(LENGTHS[:trajectory])
    viewer.go(f"#trajectory={trajectory + 1}&frame={place + 1}&layer=2b")
    absolute = np.abs(maps[:, most]).sum((1, 2))
    warned = "Warning" in viewer.get("explained").inner_text()
    assert warned == (absolute[-1] > 0.4 * absolute.sum())


def test_what_the_agent_would_do_without_a_feature(viewer, bundle):
    viewer.go("#trajectory=1&frame=124&layer=2b")
    assert viewer.get("policy-without").count() == 0
    viewer.get("pin-2").click()
    viewer.get("policy-without").locator("[data-action]").first.wait_for()
    widths = (
        viewer.get("policy-without")
        .locator("[data-action]")
        .evaluate_all("blocks => blocks.map((b) => b.getBoundingClientRect().width)")
    )
    logits = np.exp(bundle.logits_without[1, 123])
    p = logits / logits.sum()
    apart = [i for i in range(len(NAMES)) if i not in IDLE]
    expected = [*p[apart], p[IDLE].sum()]
    np.testing.assert_allclose(np.divide(widths, sum(widths)), expected, atol=3e-3)
    text = viewer.get("value-without").inner_text().split()
    assert number(text[1]) == pytest.approx(bundle.values["model"][123], rel=6e-3)
    assert number(text[3]) == pytest.approx(bundle.values_without[1, 123], rel=6e-3)


def test_actions_without_effect_are_one_block_that_opens(viewer):
    blocks = viewer.get("policy").locator("[data-action]")
    assert blocks.count() == len(NAMES) - len(IDLE) + 1
    assert viewer.get("likeliest").locator("span").count() == 3
    viewer.get("idle").click()
    assert blocks.count() == len(NAMES)
    chosen = viewer.get("policy").locator(".chosen")
    for frame in range(1, 200, 20):  # the chosen one is named however narrow
        viewer.go(f"#trajectory=1&frame={frame}&layer=2b")
        assert chosen.inner_text() in NAMES


def test_names_of_actions_cover_no_other(open_page, site):
    viewer = open_page(site, "#layer=2b", viewport={"width": 390, "height": 844})
    viewer.settle()
    viewer.get("idle").click()
    for frame in range(1, 200, 20):
        viewer.go(f"#trajectory=1&frame={frame}&layer=2b")
        bar = viewer.get("policy").bounding_box()
        boxes = [b.bounding_box() for b in viewer.get("policy").locator("b").all()]
        ends = [bar["x"], *(x for b in boxes for x in (b["x"], b["x"] + b["width"]))]
        assert ends == sorted(ends) and ends[-1] <= bar["x"] + bar["width"]


def test_bars_share_one_scale_and_say_where_they_are_cut(viewer, bundle):
    totals = bundle.layers["model", "2b"].totals
    scales = set()
    for trajectory in (1, 2, 3):
        viewer.go(f"#trajectory={trajectory}&frame=1&layer=2b")
        axis = viewer.page.locator(".axis span").first.inner_text()
        scales.add(number(axis))
    (scale,) = scales
    s, feature = np.unravel_index(np.abs(totals).argmax(), totals.shape)
    assert np.abs(totals[s, feature]) > scale
    trajectory = next(t for t in range(3) if s < sum(LENGTHS[: t + 1]))
    frame = s - sum(LENGTHS[:trajectory]) + 1
    viewer.go(f"#trajectory={trajectory + 1}&frame={frame}&layer=2b")
    mark = viewer.get(f"cut-{feature}")
    assert "passes the scale" in mark.get_attribute("title")
    uncut = np.flatnonzero(np.abs(totals[s]) <= scale)
    assert all(viewer.get(f"cut-{i}").count() == 0 for i in uncut)


def test_back_goes_back_from_bookmarks_finds_and_trajectories(viewer):
    viewer.page.keyboard.press("ArrowRight")
    viewer.get("trajectory-2").check(force=True)
    viewer.wait_for("view.trajectory === 1")
    viewer.get("bookmarks-advantage_high").get_by_role("button").click()
    viewer.wait_for("view.trajectory === 0 && view.frame === 61")
    viewer.page.keyboard.press("ArrowRight")
    viewer.page.go_back()
    viewer.wait_for("view.trajectory === 1 && view.frame === 0")
    viewer.page.go_back()
    viewer.wait_for("view.trajectory === 0 && view.frame === 1")
    viewer.page.go_forward()
    viewer.wait_for("view.trajectory === 1")


def test_the_page_works_by_keyboard_and_tells_what_it_shows(viewer):
    viewer.page.keyboard.press("Tab")
    viewer.page.keyboard.press("Enter")  # "Skip to the pictures"
    focused = "document.activeElement.dataset.testid"
    assert viewer.page.evaluate(focused).startswith("picture-")
    viewer.page.keyboard.press("Shift+ArrowRight")
    assert viewer.inspect()["probe"]["pinned"]
    label = viewer.get("picture-positive").get_attribute("aria-label")
    assert "Largest sums:" in label and "frame 1" in label
    viewer.page.keyboard.press("ArrowRight")
    viewer.wait_for_text("announced", "frame 2")
    viewer.page.keyboard.press("Space")
    assert viewer.inspect()["playing"] == 1
    viewer.page.keyboard.press("Space")
    before = viewer.page.evaluate(
        """() => {
            const stops = [...document.querySelectorAll(
                'button, input, select, textarea, a[href], [tabindex="0"]')];
            const first = stops.findIndex(
                (e) => e.dataset.testid?.startsWith('picture-'));
            return stops.slice(0, first).filter((e) => e.tabIndex >= 0).length;
        }"""
    )
    assert before < 95


def test_escape_closes_a_menu_and_nothing_else(viewer):
    viewer.page.keyboard.press("2")
    for button in ("settings-button", "about-button", "share-button", "logit-menu"):
        viewer.get(button).click()
        assert viewer.page.locator(".popover").count() == 1
        viewer.page.keyboard.press("Escape")
        assert viewer.page.locator(".popover").count() == 0
        assert viewer.inspect()["isolated"] == 1
    viewer.page.keyboard.press("Escape")
    assert viewer.inspect()["isolated"] is None


def test_keys_do_what_about_says(viewer):
    viewer.get("layer-4a").check(force=True)
    viewer.settle()
    viewer.get("about-button").click()
    words = viewer.get("about").inner_text()
    viewer.page.keyboard.press("Escape")
    assert "the residual alone" in words
    viewer.page.keyboard.press("9")
    assert viewer.inspect()["isolated"] == 8


def test_notices_leave_and_cover_nothing(open_page, site):
    viewer = open_page(site, "#trajectory=99&layer=9z&overlay=x&feature=99&colour=1")
    viewer.settle()
    notices = viewer.get("notices").bounding_box()
    main = viewer.page.locator("main").bounding_box()
    assert notices["y"] + notices["height"] <= main["y"] + 1
    viewer.page.wait_for_function(
        "document.querySelector('[data-testid=notices]').innerText === ''"
    )


@pytest.mark.parametrize("width", [820, 390])
def test_narrow_windows_show_pictures_then_legend_then_bookmarks(
    open_page, site, width
):
    viewer = open_page(
        site,
        "#trajectory=1&frame=124&layer=4a",
        viewport={"width": width, "height": 844},
    )
    viewer.settle()
    tops = [
        viewer.page.locator(selector).bounding_box()["y"]
        for selector in (".centre", ".legend", ".rail")
    ]
    assert tops == sorted(tops)
    assert viewer.page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    moments = viewer.get("bookmarks-value_fall").get_by_role("button")
    assert moments.count() == 5
    viewer.get("more-value_fall").click()
    assert moments.count() == 8
    boxes = [viewer.get(f"total-{i}").bounding_box() for i in range(9)]
    for a, b in itertools.pairwise(boxes):
        beside = a["x"] + a["width"] <= b["x"] + 1 or b["y"] >= a["y"] + a["height"] - 1
        assert beside, "numbers overlap"
    viewer.get("open-1").click()
    close = viewer.get("close")
    close.scroll_into_view_if_needed()
    box = close.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    close.click()
    viewer.wait_for("view.opened === null")
    viewer.get("settings-button").click()
    box = viewer.get("settings").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width


def _percent(text: str) -> float:
    return float(text.split("%")[0].split()[-1])

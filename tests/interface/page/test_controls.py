"""Every control does what it says."""

import dataclasses
import json

import numpy as np
import pytest

from lucid_rl.interface.names import read_names
from lucid_rl.interface.page import write_page
from tests.interface.page.driver import index, number
from tests.interface.page_fixture import (
    COMBOS,
    HOSTILE_NAME,
    IDLE,
    LENGTHS,
    NAMES,
    STATED_ERROR,
)

pytestmark = pytest.mark.browser


def test_the_page_opens_on_the_default(viewer):
    view = viewer.inspect()
    assert (view["trajectory"], view["frame"], view["layer"]) == (0, 0, "2b")
    assert viewer.page.title() == "Synthetic interface"
    assert viewer.page.locator("[name=trajectory]").count() == len(LENGTHS)
    assert viewer.page.locator("[name=layer]").count() == 3
    assert viewer.errors() == []


def test_steps_start_and_end(viewer):
    viewer.get("forward").click()
    viewer.get("forward").click()
    assert viewer.frame() == 2
    viewer.get("back").click()
    assert viewer.frame() == 1
    assert viewer.get("frame-number").inner_text() == "2"
    viewer.get("end").click()
    assert viewer.frame() == LENGTHS[0] - 1
    viewer.get("forward").click()
    assert viewer.frame() == LENGTHS[0] - 1
    viewer.get("start").click()
    assert viewer.frame() == 0
    viewer.get("back").click()
    assert viewer.frame() == 0


def test_plays_both_ways_and_stops_at_the_ends(viewer):
    viewer.get("fps").fill("100")
    viewer.get("fps").press("Enter")
    viewer.get("trajectory-3").check(force=True)
    viewer.get("play").click()
    viewer.wait_for(f"view.frame === {LENGTHS[2] - 1} && view.playing === 0")
    viewer.get("play-back").click()
    viewer.wait_for("view.frame === 0 && view.playing === 0")
    viewer.get("fps").fill("5")
    viewer.get("fps").press("Enter")
    viewer.get("play-back").click()  # at the start: from the end
    viewer.wait_for("view.playing === -1 && view.frame > 0")
    viewer.get("play-back").click()
    viewer.wait_for("view.playing === 0")


def test_pauses_and_keeps_to_the_speed_asked_for(viewer):
    viewer.get("fps").fill("1000")
    viewer.get("fps").press("Enter")
    assert viewer.get("fps").input_value() == "12"  # out of range: as before
    viewer.get("fps").fill("1")
    viewer.get("fps").press("Enter")
    viewer.get("play").click()
    assert viewer.inspect()["playing"] == 1
    viewer.get("play").click()
    view = viewer.inspect()
    assert view["playing"] == 0 and view["fps"] == 1 and view["frame"] < 20


def test_hotkeys(viewer):
    press = viewer.page.keyboard.press
    press("ArrowRight")
    press("ArrowRight")
    press("ArrowLeft")
    assert viewer.frame() == 1
    press("End")
    assert viewer.frame() == LENGTHS[0] - 1
    press("Home")
    assert viewer.frame() == 0
    viewer.go("#trajectory=1&frame=140&layer=2b")
    press("Space")
    assert viewer.inspect()["playing"] == 1
    press("ArrowLeft")
    assert viewer.inspect()["playing"] == -1
    press("Space")
    assert viewer.inspect()["playing"] == 0
    press("3")
    assert viewer.inspect()["isolated"] == 2
    press("0")
    assert viewer.inspect()["isolated"] is None


def test_space_works_after_pausing_with_the_mouse(viewer):
    for button in ("play", "forward", "overlay", "trajectory-1", "overview"):
        viewer.get(button).click(force=True)
        viewer.wait_for("true")
        if viewer.inspect()["playing"]:
            viewer.get("play").click()
        before = viewer.inspect()
        assert before["playing"] == 0
        viewer.page.keyboard.press("Space")
        assert viewer.inspect()["playing"] == 1, f"after a click on {button}"
        viewer.page.keyboard.press("Space")
        after = viewer.inspect()
        assert after["playing"] == 0
        assert after["overlay"] == before["overlay"]


def test_a_button_reached_by_keyboard_keeps_its_keys(viewer):
    viewer.get("forward").focus()
    viewer.page.keyboard.press("Space")
    view = viewer.inspect()
    assert (view["frame"], view["playing"]) == (1, 0)


def test_typing_is_not_captured(viewer):
    field = viewer.get("name-2")
    field.click()
    viewer.page.keyboard.type("a b 1")
    viewer.page.keyboard.press("ArrowLeft")
    assert field.input_value() == "a b 1"
    view = viewer.inspect()
    assert (view["frame"], view["playing"]) == (0, 0)


def test_dragging_the_film_moves_it(viewer):
    viewer.go("#trajectory=1&frame=101&layer=2b")
    box = viewer.get("film").bounding_box()
    pitch = box["width"] / 256
    for height in (0.1, 0.9):  # the strip, a graph
        before = viewer.frame()
        x, y = box["x"] + box["width"] * 0.6, box["y"] + box["height"] * height
        viewer.page.mouse.move(x, y)
        viewer.page.mouse.down()
        viewer.page.mouse.move(x - 10.2 * pitch, y)
        assert viewer.frame() == before + 10
        viewer.page.mouse.move(x - 20.2 * pitch, y)
        viewer.page.mouse.up()
        assert viewer.frame() == before + 20
    viewer.page.mouse.move(x, y)
    viewer.page.mouse.down()
    viewer.page.mouse.move(x + 300 * pitch, y)
    viewer.page.mouse.up()
    assert viewer.frame() == 0  # no further than the start


def test_clicking_the_film_goes_there(viewer):
    viewer.go("#trajectory=1&frame=101&layer=2b")
    box = viewer.get("film").bounding_box()
    at = {"x": box["width"] * (0.5 + 40 / 256), "y": 20}
    viewer.get("film").click(position=at)
    assert viewer.frame() == 140


def test_the_overview_seeks(viewer):
    viewer.get("overview").fill("200")
    assert viewer.frame() == 199


def test_timeline_facts(viewer, bundle):
    for trajectory, frame in ((0, 0), (0, 87), (1, 20)):
        viewer.go(f"#trajectory={trajectory + 1}&frame={frame + 1}&layer=2b")
        s = index(trajectory, frame)
        action = bundle.actions[s]
        assert viewer.get("action").inner_text().startswith(NAMES[action])
        value = number(viewer.get("graph-value").inner_text())
        assert value == pytest.approx(bundle.values["model"][s], rel=5e-3)
        shares = (
            viewer.get("policy")
            .locator("[data-action]")
            .evaluate_all("spans => spans.map(s => s.getBoundingClientRect().width)")
        )
        logits = np.exp(bundle.logits[s].astype(float))
        expected = logits / logits.sum()
        apart = [i for i in range(len(NAMES)) if i not in IDLE]
        expected = [*expected[apart], expected[IDLE].sum()]
        np.testing.assert_allclose(np.divide(shares, sum(shares)), expected, atol=2e-3)
        chosen = viewer.get("policy").locator(".chosen").get_attribute("data-action")
        assert str(action) in chosen.split("+")
    viewer.go("#trajectory=1&frame=87&layer=2b")
    assert "succeeds" in viewer.get("episode").inner_text()
    assert "level 0" in viewer.get("episode").inner_text()
    viewer.go("#trajectory=1&frame=88&layer=2b")
    assert viewer.get("reward").inner_text() == "new episode"
    assert "fails" in viewer.get("episode").inner_text()


def test_the_last_reward_is_that_of_the_action_before(open_page, site):
    viewer = open_page(site, "#trajectory=1&frame=89&layer=2b")
    viewer.settle()
    assert viewer.get("reward").inner_text() == "0"


def test_logits_can_be_graphed(viewer, bundle):
    viewer.get("logit-menu").click()
    viewer.get("graph-action-3").click()
    viewer.get("graph-action-7").click()
    for action in (3, 7):
        shown = number(viewer.get(f"graph-logit-{action}").inner_text())
        assert shown == pytest.approx(bundle.logits[0, action], rel=5e-3)
    viewer.get("graph-action-3").click()
    assert viewer.get("graph-logit-3").count() == 0


def test_bookmarks_jump(viewer):
    low = viewer.get("bookmarks-advantage_low").get_by_role("button")
    assert low.count() == 2
    low.first.click()
    view = viewer.inspect()
    assert (view["trajectory"], view["frame"]) == (1, 52)
    viewer.get("bookmarks-advantage_high").get_by_role("button").click()
    view = viewer.inspect()
    assert (view["trajectory"], view["frame"]) == (0, 61)
    assert viewer.get("bookmarks-failure").get_by_role("button").count() == 1


@pytest.mark.parametrize(("what", "sign"), [("positive", 1), ("negative", -1)])
def test_finds_the_most_attribution(viewer, bundle, what, sign):
    viewer.open_find()
    viewer.get("find-what").select_option(what)
    viewer.get("find-feature").select_option(index=2)
    results = viewer.get("find-results").get_by_role("button")
    results.nth(11).wait_for()
    totals = sign * bundle.layers["model", "2b"].totals[:, 2]
    viewer.wait_for_text("find-results", _place(int(totals.argmax())))
    results.first.click()
    view = viewer.inspect()
    assert view["s"] == totals.argmax()
    assert results.count() == 12


@pytest.mark.parametrize(("what", "sign"), [("falls", -1), ("rises", 1)])
def test_finds_falls_rises_and_failures(viewer, bundle, what, sign):
    viewer.open_find()
    viewer.get("find-what").select_option(what)
    values = bundle.values["model"]
    changes = sign * np.diff(values, prepend=np.nan)
    starts = [index(0, 0), index(0, 87), index(0, 171), index(1, 0), index(2, 0)]
    changes[starts] = np.nan
    results = viewer.get("find-results").get_by_role("button")
    viewer.page.get_by_text(_place(int(np.nanargmax(changes)))).first.wait_for()
    results.first.click()
    assert viewer.inspect()["s"] == np.nanargmax(changes)
    assert "→" in results.first.inner_text()
    viewer.get("find-what").select_option("failures")
    viewer.page.get_by_text("value 0", exact=False).first.wait_for()
    results.first.click()
    view = viewer.inspect()
    assert (view["trajectory"], view["frame"]) == (0, 170)


def test_features_under_find_have_names_or_objects(viewer):
    viewer.get("name-1").fill("")
    viewer.get("name-1").press("Enter")
    viewer.open_find()
    options = viewer.get("find-feature").locator("option").all_inner_texts()
    assert [options[i].strip() for i in (0, 1, 3)] == ["1 (buzzsaw)", "2", "4 coin"]


def test_find_follows_the_isolated_feature_and_isolates_what_it_leads_to(viewer):
    viewer.page.keyboard.press("2")
    viewer.open_find()
    assert viewer.get("find-feature").input_value() == "1"
    viewer.page.keyboard.press("0")
    viewer.page.keyboard.press("3")
    viewer.wait_for("view.find.feature === 2")
    viewer.page.keyboard.press("0")
    viewer.get("find-results").get_by_role("button").first.click()
    assert viewer.inspect()["isolated"] == 2


def test_find_filters_by_action_and_outcome(viewer, bundle):
    viewer.open_find()
    action = int(bundle.actions[100])
    viewer.get("find-action").select_option(str(action))
    viewer.get("find-outcome").select_option("failed")
    results = viewer.get("find-results").get_by_role("button")
    results.first.click()
    view = viewer.inspect()
    assert bundle.actions[view["s"]] == action
    assert view["trajectory"] == 0 and 87 <= view["frame"] < 171
    totals = bundle.layers["model", "2b"].totals[87:171, 0]
    totals = np.where(bundle.actions[87:171] == action, totals, -np.inf)
    assert view["s"] == 87 + totals.argmax()
    viewer.page.wait_for_function("location.hash.includes('outcome=failed')")
    assert f"find=positive:1&action={action + 1}" in viewer.page.url


def _place(s: int) -> str:
    trajectory = 0
    while s >= LENGTHS[trajectory]:
        s -= LENGTHS[trajectory]
        trajectory += 1
    return f"trajectory {trajectory + 1}, frame {s + 1}"


def test_layers_change_the_picture_and_the_legend(viewer):
    before = viewer.drawn("positive")
    viewer.get("layer-4a").check(force=True)
    assert viewer.drawn("positive").shape == (8, 8, 4)
    assert viewer.get("legend").locator("li").count() == 9
    viewer.get("layer-input").check(force=True)
    assert viewer.drawn("positive").shape == (64, 64, 4)
    assert viewer.get("legend").locator("li").count() == 3
    assert viewer.get("completeness").count() == 0
    viewer.get("layer-2b").check(force=True)
    np.testing.assert_array_equal(viewer.drawn("positive"), before)


def test_rows_come_go_and_take_outputs(viewer):
    viewer.get("layer-4a").check(force=True)
    viewer.settle()
    viewer.get("add-row").click()
    viewer.get("add-row").click()
    assert viewer.get("output").count() == 3
    layers = [viewer.get("row-layer").nth(i).input_value() for i in (1, 2)]
    assert layers == ["2b", "input"]  # those that no row showed
    for nth in (1, 2):
        viewer.get("row-layer").nth(nth).select_option(label="layer 4a")
    viewer.get("output").nth(1).click()
    viewer.get("output-action-4").click()
    viewer.get("output-action-5").click()
    assert viewer.settle()["rows"][1]["output"] == [4, 5]
    viewer.get("output-action-4").click()
    assert viewer.settle()["rows"][1]["output"] == [5]
    viewer.get("output-group-right").click()
    right = [i for i, keys in enumerate(COMBOS) if "RIGHT" in keys]
    assert viewer.settle()["rows"][1]["output"] == right
    viewer.page.keyboard.press("Escape")
    assert viewer.get("output-group-right").count() == 0
    viewer.get("remove-row").nth(2).click()
    viewer.get("remove-row").nth(0).click()
    assert [row["output"] for row in viewer.settle()["rows"]] == [right]
    assert viewer.get("remove-row").count() == 0
    viewer.get("layer-2b").check(force=True)  # without attribution of actions
    assert [row["output"] for row in viewer.settle()["rows"]] == ["value"]
    assert "value function only" in viewer.get("notices").inner_text()


def test_numbers_at_the_mouse(viewer, bundle):
    viewer.go("#trajectory=1&frame=124&layer=2b")
    layer = bundle.layers["model", "2b"]
    maps = layer.maps[:, 123]
    row, column = np.unravel_index(np.abs(maps).sum(0).argmax(), maps.shape[1:])
    box = viewer.get("picture-positive").bounding_box()
    at = {
        "x": (column + 0.5) * box["width"] / 32,
        "y": (row + 0.5) * box["height"] / 32,
    }
    viewer.get("picture-positive").hover(position=at)
    place = viewer.get("point-place").inner_text()
    assert place.startswith(f"{row + 1}, {column + 1}")
    at_point = maps[:, row, column]
    shown = numbers_of(viewer, "point", 5, place)
    np.testing.assert_allclose(shown, at_point, atol=6e-3 * np.abs(at_point).max())
    totals = layer.totals[123]
    shown = numbers_of(viewer, "total", 5, viewer.get("unit").inner_text())
    np.testing.assert_allclose(shown, totals, atol=6e-3 * np.abs(totals).max())
    viewer.get("frame-number").hover()
    assert viewer.get("point-place").inner_text() == ""
    viewer.get("picture-observation").click(position=at)  # pins it
    viewer.get("forward").click()
    viewer.settle()
    now = layer.maps[:, 124, row, column]
    shown = numbers_of(viewer, "point", 5, viewer.get("point-place").inner_text())
    np.testing.assert_allclose(shown, now, atol=6e-3 * np.abs(now).max())
    viewer.page.wait_for_function("location.hash.includes('point=')")
    assert f"point={row + 1},{column + 1}" in viewer.page.url


def test_the_crosshair_moves_by_keyboard(viewer):
    viewer.get("picture-negative").focus()
    viewer.page.keyboard.press("Shift+ArrowRight")
    viewer.page.keyboard.press("Shift+ArrowUp")
    assert viewer.get("point-place").inner_text().startswith("16, 18")
    assert viewer.frame() == 0
    viewer.page.keyboard.press("Escape")
    assert viewer.inspect()["probe"] is None


def test_completeness_of_the_frame(viewer, bundle):
    viewer.go("#trajectory=2&frame=8&layer=2b")
    totals = bundle.layers["model", "2b"].totals[index(1, 7)]
    line = viewer.get("completeness")
    output, baseline, by = map(number, line.locator("strong").all_inner_texts())
    value = bundle.values["model"][index(1, 7)]
    assert output == pytest.approx(value, rel=6e-3)
    change = by if "+" in line.inner_text() else -by
    assert output - baseline == pytest.approx(change, abs=0.011)  # of rounding
    viewer.get("completeness-tip").click()
    numbers = viewer.get("completeness-numbers").locator("strong").all_inner_texts()
    change, shown, gap = numbers
    error = viewer.get("stated-error").locator("strong").inner_text()
    assert number(shown) == pytest.approx(totals.sum(), rel=6e-3)
    assert number(shown) - number(change) == pytest.approx(number(gap), abs=2e-3)
    assert error == f"{100 * STATED_ERROR:.1f} %"
    assert viewer.get("stated-error").is_visible()


def test_an_error_that_was_not_measured_is_not_stated(viewer):
    viewer.get("layer-4a").check(force=True)
    viewer.settle()
    viewer.get("completeness-tip").click()
    assert viewer.get("completeness-numbers").locator("strong").count() == 3
    assert viewer.get("stated-error").count() == 0


def test_the_header_says_each_thing_once(open_page, bundle, tmp_path):
    manifest = bundle.parts[-1]
    meta = {**manifest.meta, "title": "coinrun_hard and buzzsaw-blind"}
    parts = [*bundle.parts[:-1], dataclasses.replace(manifest, meta=meta)]
    viewer = open_page(write_page(parts, tmp_path))
    viewer.settle()
    header = viewer.page.locator("header").first.inner_text().split("\n")
    assert header[0] == "coinrun_hard and buzzsaw-blind"
    assert header.count("coinrun_hard and buzzsaw-blind") == 1
    assert not [text for text in header[1:] if "coinrun" in text or "blind" in text]


def test_the_legend_isolates_by_focus_too(viewer):
    viewer.get("open-2").focus()
    viewer.wait_for("view.isolated === 1")
    viewer.get("play").focus()
    viewer.wait_for("view.isolated === null")
    viewer.get("layer-input").check(force=True)
    viewer.settle()
    viewer.get("feature-3").hover()
    viewer.wait_for("view.isolated === 2")


def test_the_feature_dialog(viewer, bundle):
    viewer.get("open-2").click()
    viewer.get("map").wait_for()
    viewer.wait_for_text("density-text", "8\u00d78")
    four = viewer.pixels("map")
    viewer.get("zoom").fill("0")
    one = viewer.pixels("map")
    assert not np.array_equal(four, one)
    viewer.get("map").hover()
    viewer.page.mouse.wheel(0, 120)
    viewer.page.wait_for_function(
        "document.querySelector('[data-testid=zoom]').value === '1'"
    )
    viewer.page.mouse.wheel(0, -120)
    viewer.page.wait_for_function(
        "document.querySelector('[data-testid=zoom]').value === '0'"
    )
    np.testing.assert_array_equal(viewer.pixels("map"), one)
    for step, count in enumerate((8, 16, 32, 64)):
        viewer.get("density").fill(str(step))
        viewer.wait_for_text("density-text", f"{count}\u00d7{count}")
    viewer.get("next-feature").click()
    assert viewer.inspect()["opened"] == 2
    viewer.get("previous-feature").click()
    assert viewer.inspect()["opened"] == 1
    viewer.page.keyboard.press("Space")  # is the dialog's, not the player's
    assert viewer.inspect()["playing"] == 0
    viewer.get("close").click()
    viewer.wait_for("view.opened === null")
    viewer.page.keyboard.press("Space")
    assert viewer.inspect()["playing"] == 1


def test_the_map_shows_each_positions_example(viewer, bundle):
    viewer.get("open-1").click()
    viewer.wait_for_text("density-text", "8\u00d78")
    viewer.get("density").fill("2")
    viewer.wait_for_text("density-text", "32\u00d732")
    viewer.get("zoom").fill("0")
    part = next(p for p in bundle.parts if p.name == "model/2b")
    chosen, weight = part.array("map1_index")[0], part.array("map1_weight")[0]
    examples = next(p for p in bundle.parts if p.name == "examples").array(
        "observations"
    )
    shown = viewer.pixels("map").astype(float)
    side = shown.shape[0] // 32
    full = np.argwhere(weight == 255)
    assert len(full) > 20
    for row, column in full[:: len(full) // 20]:
        # At this zoom a patch is its own cell: 2 x 2 pixels of the example.
        cell = shown[row * side : (row + 1) * side, column * side : (column + 1) * side]
        patch = examples[chosen[row, column]][
            2 * row : 2 * row + 2, 2 * column : 2 * column + 2
        ]
        quarter = side // 4
        corners = cell[quarter :: 2 * quarter, quarter :: 2 * quarter, :3][:2, :2]
        np.testing.assert_array_equal(corners, patch)
    row, column = full[0]
    viewer.get("map").click(
        position={"x": (column + 0.5) * side, "y": (row + 0.5) * side}
    )
    whole = viewer.pixels("example")[2::4, 2::4, :3]
    outlined = np.abs(whole.astype(int) - examples[chosen[row, column]]).max(-1) > 0
    assert outlined.mean() < 0.02  # but for the patch's outline
    viewer.get("map").click(position={"x": 2, "y": 2})  # the cell without an example
    assert viewer.get("example").count() == 0
    viewer.get("map").press("ArrowRight")
    assert viewer.get("example").count() == 1


def numbers_of(viewer, kind: str, n: int, unit: str) -> np.ndarray:
    """Numbers that share a unit, such as "sum", or one with a power of ten."""
    texts = [viewer.get(f"{kind}-{i}").inner_text() for i in range(n)]
    power = 0
    if "10" in unit:
        digits = unit.split("10")[1].translate(
            str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
        )
        power = int(digits)
    return np.array([number(text) for text in texts]) * 10.0**power


def test_the_address_follows_and_leads(viewer, open_page, site):
    viewer.get("layer-4a").check(force=True)
    viewer.get("trajectory-2").check(force=True)
    viewer.get("combine").check()
    viewer.page.keyboard.press("ArrowRight")
    viewer.page.wait_for_function("location.hash.includes('frame=2')")
    address = viewer.page.url.split("#")[1]
    assert address == "trajectory=2&frame=2&layer=4a&combine=1"
    again = open_page(site, "#" + address).settle()
    assert (again["trajectory"], again["frame"], again["layer"]) == (1, 1, "4a")
    assert again["combine"] and not again["notices"]


def test_the_address_holds_smoothing_brightness_and_the_feature_shown_alone(
    viewer, open_page, site
):
    viewer.get("settings-button").click()
    viewer.get("radius").fill("3")
    viewer.get("strength").fill("-1.5")
    viewer.page.keyboard.press("Escape")
    viewer.get("frame-number").click()
    viewer.page.keyboard.press("2")
    viewer.get("feature-4").hover()  # shown alone for as long as the mouse is there
    viewer.wait_for("view.isolated === 3")
    viewer.get("frame-number").hover()
    viewer.page.wait_for_function("location.hash.includes('feature=')")
    address = viewer.page.url.split("#")[1]
    expected = "trajectory=1&frame=1&layer=2b&smoothing=3&brightness=-1.5&feature=2"
    assert address == expected
    shown = viewer.drawn("positive")
    again = open_page(site, "#" + address)
    view = again.settle()
    assert (view["radius"], view["brightness"], view["isolated"]) == (3, -1.5, 1)
    np.testing.assert_array_equal(again.drawn("positive"), shown)
    everything = again.go("#trajectory=1&frame=1&layer=2b")
    assert (everything["radius"], everything["isolated"]) == (7, None)
    assert not np.array_equal(again.drawn("positive"), shown)


def test_an_address_leads_though_another_is_about_to_be_written(viewer):
    viewer.page.evaluate(
        """async () => {
            document.querySelector('[data-testid=forward]').click();
            await new Promise((resolve) => setTimeout(resolve));
            const link = '#trajectory=2&frame=30&layer=4a';
            setTimeout(() => { location.hash = link }, 50);
            // Busy until the page's own address is due too: its turn comes between
            // the link and the event that tells of it.
            for (const end = performance.now() + 600; performance.now() < end; );
        }"""
    )
    viewer.wait_for("view.trajectory === 1 && view.frame === 29")
    viewer.page.wait_for_function("location.hash.includes('frame=30')")
    assert viewer.settle()["layer"] == "4a"


def test_a_bad_address_falls_back_with_a_notice(open_page, site):
    viewer = open_page(
        site,
        "#trajectory=99&layer=9z&frame=<b>&rows=model:77&x=1"
        "&smoothing=99&brightness=dim&feature=6",
    )
    view = viewer.settle()
    assert (view["radius"], view["brightness"], view["isolated"]) == (7, 0, None)
    assert (view["trajectory"], view["frame"], view["layer"]) == (0, 0, "2b")
    notices = viewer.get("notices").inner_text()
    for words in ("“99”", "“9z”", "“<b>”", "“model:77”", "“x”", "“99”", "“dim”", "“6”"):
        assert words in notices
    dismiss = viewer.page.get_by_label("Dismiss this notice")
    for _ in range(dismiss.count()):
        dismiss.first.click()
    assert viewer.get("notices").inner_text() == ""


def test_names_are_kept_exported_and_imported(viewer, tmp_path):
    viewer.get("name-2").fill("enemy")
    viewer.get("name-2").press("Enter")
    viewer.get("name-1").fill("")
    viewer.get("name-1").press("Enter")
    viewer.page.reload()
    viewer.settle()
    assert viewer.get("name-2").input_value() == "enemy"
    assert viewer.get("name-1").input_value() == ""
    assert viewer.get("name-4").input_value() == "coin"  # the bundle's own
    viewer.get("settings-button").click()
    with viewer.page.expect_download() as download:
        viewer.get("export-names").click()
    path = tmp_path / "names.json"
    download.value.save_as(path)
    names = read_names(path)
    assert names["2b"] == {1: "enemy", 2: HOSTILE_NAME, 3: "coin"}
    content = json.loads(path.read_text())
    content["names"]["2b"] = {"0": "saw", "7": "beyond the last"}
    path.write_text(json.dumps(content))
    viewer.get("import-names").set_input_files(path)
    viewer.page.get_by_text("taken from names.json").wait_for()
    assert viewer.get("name-1").input_value() == "saw"
    path.write_text("[1, 2")
    viewer.get("import-names").set_input_files(path)
    viewer.page.get_by_text("The file is not JSON").wait_for()


def test_text_of_names_is_never_markup(viewer):
    viewer.get("name-1").fill(HOSTILE_NAME)
    viewer.get("name-1").press("Enter")
    viewer.open_find()
    viewer.get("open-3").click()
    viewer.get("map").wait_for()
    assert viewer.get("dialog-name").input_value() == HOSTILE_NAME
    viewer.page.reload()
    viewer.settle()
    assert viewer.get("name-1").input_value() == HOSTILE_NAME
    assert viewer.page.locator("img").count() == 0
    assert viewer.page.evaluate("window.injected") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_themes_follow_the_system_and_can_be_set(open_page, site, scheme):
    viewer = open_page(site, color_scheme=scheme)
    viewer.settle()

    dark = scheme == "dark"
    assert _brightness(viewer) < 60 if dark else _brightness(viewer) > 200
    viewer.get("settings-button").click()
    viewer.page.get_by_text("Light" if dark else "Dark", exact=True).click()
    assert _brightness(viewer) > 200 if dark else _brightness(viewer) < 60
    viewer.page.reload()
    viewer.settle()
    assert _brightness(viewer) > 200 if dark else _brightness(viewer) < 60


def _brightness(viewer) -> float:
    colour = viewer.page.evaluate(
        "getComputedStyle(document.querySelector('header')).backgroundColor"
    )
    return float(colour.strip("rgb()").split(",")[0])

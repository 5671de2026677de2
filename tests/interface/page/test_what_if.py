"""What if: the model in the page, in a real browser, against Python."""

import dataclasses
import shutil
import time

import numpy as np
import pytest

from lucid_rl.checkpoints.architectures import ARCHITECTURES
from lucid_rl.interface import InterfaceSettings, make_interface, read_bundle
from lucid_rl.interface.bundle import write_part
from lucid_rl.interface.make_page import make_page
from lucid_rl.interface.parts import Layout, Part
from lucid_rl.interpret.attribution import AttributionSettings, attribute, logits
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.model.architectures import build_graph_def
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.sampling.trajectories import Trajectories
from tests.conftest import PATIENCE
from tests.model.numpy_networks import random_params

pytestmark = pytest.mark.browser

WITHIN = 1e-3  # of the scale
N_STEPS = 10


@pytest.fixture(scope="module")
def page(small_settings, tmp_path_factory):
    """The golden checkpoint's page, with attribution of 10 steps."""
    settings = dataclasses.replace(
        small_settings,
        output_dir=tmp_path_factory.mktemp("what_if") / "page",
        attribution=AttributionSettings(n_steps=N_STEPS),
        input_gradients=True,
        early_page=False,
    )
    return make_interface(settings)


@pytest.fixture(scope="module")
def model(small_settings):
    return load(small_settings.model)


@pytest.fixture
def opened(open_page, page):
    """The page at layer 2b with "What if" open."""
    viewer = open_page(page, "#layer=2b&frame=6")
    start(viewer)
    return viewer


def start(viewer) -> dict:
    viewer.settle()
    viewer.get("open-what-if").click()
    return computed(viewer)


def computed(viewer, condition: str = "true") -> dict:
    """What the page computed, once it is of the picture and factors on view."""
    found = viewer.wait_for(
        "view.whatIf && (view.whatIf.error || (view.whatIf.before && view.whatIf.after"
        f" && !view.whatIf.computing && ({condition})))"
    )["whatIf"]
    assert found["error"] is None
    return found


def check(found, model, page, layer, output="value", without=(), within=WITHIN):
    """Compares what the page shows, of the picture as it was and is, with Python."""
    bundle = read_bundle(page)
    directions = bundle.part("model/network").array(f"directions/{layer}")
    changed = model.without(directions[list(without)], layer) if without else model
    shape = (1, *model.image_shape)
    for key, picture, used in (
        ("before", "original", model),
        ("after", "edited", changed),
    ):
        observation = np.array(found[picture], np.uint8).reshape(shape)
        expected_logits, expected_value = used(observation)
        scale = max(1, np.abs(expected_logits).max())
        np.testing.assert_allclose(
            found[key]["logits"], expected_logits[0], atol=within * scale
        )
        value_scale = max(1, abs(float(expected_value[0])))
        assert found[key]["value"] == pytest.approx(
            float(expected_value[0]), abs=within * value_scale
        )
        target = None if output == "value" else logits(output)
        attributed = attribute(used, observation, layer, target, n_steps=N_STEPS)
        features, residual = NMF.from_directions(directions).reduce(attributed.values)
        maps = np.concatenate([np.moveaxis(features[0], -1, 0), residual])
        shown = np.reshape(found[key]["maps"], maps.shape)
        np.testing.assert_allclose(shown, maps, atol=within * np.abs(maps).max())
        totals = maps.sum(axis=(1, 2))
        np.testing.assert_allclose(
            found[key]["totals"], totals, atol=within * np.abs(maps).max()
        )
        assert found[key]["change"] == pytest.approx(
            float(attributed.totals[0]), abs=within * value_scale
        )


def drag(viewer, start, end, steps=4):
    """Drags over the editor, from one pixel to another (row, column)."""
    box = viewer.get("editor").bounding_box()
    at = [
        (
            box["x"] + (x + 0.5) / 64 * box["width"],
            box["y"] + (y + 0.5) / 64 * box["height"],
        )
        for y, x in (start, end)
    ]
    mouse = viewer.page.mouse
    mouse.move(*at[0])
    mouse.down()
    mouse.move(*at[1], steps=steps)
    mouse.up()


def pictures(found) -> tuple[np.ndarray, np.ndarray]:
    return tuple(
        np.array(found[key], np.uint8).reshape(64, 64, 3)
        for key in ("original", "edited")
    )


def test_the_frame_as_it_is_equals_what_the_page_stores(opened, model, page):
    found = computed(opened)
    assert not found["changed"]
    check(found, model, page, "2b", within=1e-4)
    bundle = read_bundle(page)
    stored = bundle.part("model/2b").array("totals")[5]
    np.testing.assert_allclose(
        found["after"]["totals"], stored, atol=1e-4 * np.abs(stored).max()
    )


def test_an_erased_object_changes_value_policy_and_attribution(opened, model, page):
    opened.get("editor").scroll_into_view_if_needed()
    drag(opened, (30, 30), (34, 36))
    found = computed(opened, "view.whatIf.changed")
    before, after = pictures(found)
    touched = (before != after).any(axis=-1)
    assert 5 < touched.sum() < 200 and not touched[:20].any()
    check(found, model, page, "2b")
    assert found["before"]["value"] != found["after"]["value"]
    text = opened.get("what-if-value").inner_text()
    assert "→" in text
    opened.get("undo").click()
    found = computed(opened, "!view.whatIf.changed")
    assert found["before"]["value"] == found["after"]["value"]


def test_a_rectangle_of_another_frame_is_pasted_and_shifted(opened, model, page):
    opened.get("editor").scroll_into_view_if_needed()
    opened.get("tool-select").check(force=True)
    drag(opened, (20, 24), (29, 35))
    opened.get("copy-selection").click()
    source, _ = pictures(computed(opened))
    opened.get("forward").click()
    opened.wait_for("view.frame === 6")
    opened.get("paste").click()
    found = computed(opened, "view.whatIf.changed")
    before, after = pictures(found)
    np.testing.assert_array_equal(after[20:30, 24:36], source[20:30, 24:36])
    opened.get("editor").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        opened.page.keyboard.press(key)
    assert opened.frame() == 6  # the arrows moved the rectangle, not the film
    found = computed(opened)
    before, after = pictures(found)
    np.testing.assert_array_equal(after[21:31, 26:38], source[20:30, 24:36])
    np.testing.assert_array_equal(after[:20], before[:20])
    check(found, model, page, "2b")
    opened.get("reset").click()
    found = computed(opened, "!view.whatIf.changed")
    assert found["original"] == found["edited"]


def test_one_pixel_is_set(opened, model, page):
    opened.get("editor").scroll_into_view_if_needed()
    opened.get("tool-pixel").check(force=True)
    opened.get("colour").fill("#ff0000")
    drag(opened, (10, 12), (10, 12))
    found = computed(opened, "view.whatIf.changed")
    before, after = pictures(found)
    expected = before.copy()
    expected[10, 12] = (255, 0, 0)
    np.testing.assert_array_equal(after, expected)
    check(found, model, page, "2b")


def test_a_blinded_feature_is_what_editing_removes(opened, model, page):
    for feature in (0, 2):
        opened.get(f"factor-{feature}").focus()
        opened.page.keyboard.press("Home")
    found = computed(opened, "view.whatIf.factors.filter((f) => f === 0).length === 2")
    assert found["factors"] == [0, 1, 0]
    check(found, model, page, "2b", without=(0, 2))
    assert abs(found["after"]["totals"][0]) < abs(found["before"]["totals"][0])


def test_attribution_of_an_action(open_page, model, page):
    viewer = open_page(page, "#layer=4a&frame=3&rows=8")
    found = start(viewer)
    check(found, model, page, "4a", output=[7])


def test_gradients_of_the_input(open_page, model, page):
    viewer = open_page(page, "#layer=input&frame=4")
    found = start(viewer)
    stored = read_bundle(page).part("model/input").array("totals")[3]
    np.testing.assert_allclose(
        found["before"]["totals"], stored, atol=1e-4 * np.abs(stored).max()
    )
    viewer.get("editor").scroll_into_view_if_needed()
    drag(viewer, (30, 30), (34, 36))
    found = computed(viewer, "view.whatIf.changed")
    shape = (1, *model.image_shape)
    for key, picture in (("before", "original"), ("after", "edited")):
        observation = np.array(found[picture], np.uint8).reshape(shape)
        gradient = attribute(model, observation, "input", method="gradient").values[0]
        blocks = gradient.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
        maps = np.moveaxis(blocks, -1, 0)
        shown = np.reshape(found[key]["maps"], maps.shape)
        np.testing.assert_allclose(shown, maps, atol=WITHIN * np.abs(maps).max())
    assert "red" in viewer.get("what-if").inner_text()


def test_an_address_holds_the_changes(opened, open_page, page):
    opened.get("editor").scroll_into_view_if_needed()
    drag(opened, (30, 30), (34, 36))
    opened.get("factor-1").focus()
    opened.page.keyboard.press("Home")
    found = computed(opened, "view.whatIf.changed && view.whatIf.factors[1] === 0")
    address = opened.inspect()["address"]
    assert len(address) < 2000 and "whatif=1&factors=2:0&edits=" in address
    other = open_page(page, address)
    other.settle()
    restored = computed(other, "view.whatIf.changed")
    assert restored["edited"] == found["edited"] != found["original"]
    assert restored["factors"] == [1, 0, 1]
    assert restored["after"]["value"] == pytest.approx(found["after"]["value"])
    assert other.inspect()["address"] == address
    other.get("undo").click()
    assert other.inspect()["whatIf"]["edited"] == found["original"]
    assert not other.inspect()["notices"]
    other.go(address)
    other.go("#trajectory=1&frame=2&layer=2b")
    assert other.inspect()["whatIf"] is None
    other.page.go_back()
    assert computed(other, "view.frame === 5")["edited"] == found["edited"]


def test_changes_that_no_address_holds_are_said_to_be_left_out(opened):
    opened.get("editor").scroll_into_view_if_needed()
    opened.get("tool-select").check(force=True)
    drag(opened, (0, 0), (63, 63))
    opened.get("fill-selection").click()
    assert "too many" in opened.get("too-many-changes").inner_text().lower()
    address = opened.inspect()["address"]
    assert "whatif=1" in address and "edits" not in address
    opened.get("undo").click()
    assert opened.get("too-many-changes").count() == 0


def test_it_works_in_a_single_file_and_is_absent_without_the_model(
    open_page, page, small_settings, tmp_path
):
    settings = dataclasses.replace(
        small_settings,
        output_dir=tmp_path / "single",
        cache_dir=small_settings.cache_path,
        single_file=True,
    )
    found = start(open_page(make_interface(settings)))
    assert found["before"]["value"] == found["after"]["value"]
    settings = dataclasses.replace(settings, live_model=False)
    viewer = open_page(make_interface(settings))
    viewer.settle()
    assert viewer.get("open-what-if").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_and_it_fits(open_page, filmed, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    viewer = open_page(
        filmed,
        "#layer=2b&frame=6",
        viewport={"width": width, "height": 844},
        color_scheme=scheme,
    )
    start(viewer)
    viewer.get("films").get_by_role("button").first.click()
    viewer.get("play-films").wait_for()
    computed(viewer)
    found = axe.Axe().run(viewer.page).response["violations"]
    assert [(v["id"], [node["target"] for node in v["nodes"]]) for v in found] == []
    assert viewer.page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )


@pytest.fixture(scope="module")
def films():
    """Of the original agent and a changed one, u8 [frames, 64, 64, 3]."""
    rng = np.random.default_rng(0)
    shape = (64, 64, 3)
    return [rng.integers(0, 256, (n, *shape), dtype=np.uint8) for n in (5, 3)]


@pytest.fixture(scope="module")
def filmed(page, films, tmp_path_factory):
    """A copy of the page with films from its fifth frame on."""
    folder = tmp_path_factory.mktemp("filmed") / "page"
    shutil.copytree(page.parent, folder)
    failed = {"share": 0.0, "low": 0.0, "high": 0.3}
    common = {"causes": {}, "cut": False, "outcome": "completed"}
    moment = {
        "trajectory": 0,
        "frame": 4,
        "change": "buzzsaw",
        "n_samples": 10,
        "seed": 0,
        "original": {
            **common,
            "name": "a",
            "film": 0,
            "failed": {**failed, "count": 1, "n": 10},
        },
        "changed": {
            **common,
            "name": "b",
            "film": 1,
            "failed": {**failed, "count": 9, "n": 10},
            "causes": {"buzzsaw": 9},
            "outcome": "buzzsaw",
        },
        "p_value": 0.001,
    }
    layouts = {"observations": Layout("webp", 0, tuple(map(len, films)))}
    arrays = {"observations": np.concatenate(films)}
    write_part(Part.encode("what_if", {"moments": [moment]}, arrays, layouts), folder)
    manifest = read_bundle(folder).part("manifest")
    meta = {**manifest.meta, "what_if": "what_if"}
    write_part(dataclasses.replace(manifest, meta=meta), folder)
    return folder / "index.html"


def test_films_of_both_agents_stand_side_by_side(open_page, filmed, films):
    viewer = open_page(filmed, "#layer=2b")
    viewer.settle()
    link = viewer.get("films").get_by_role("button")
    assert "buzzsaw: fails 1 → 9 of 10" in link.inner_text()
    link.click()
    viewer.wait_for("view.frame === 4 && view.films.number === 0")
    assert viewer.get("failed-original").inner_text() == "1 of 10"
    assert viewer.get("failed-changed").inner_text() == "9 of 10"
    for step in (1, 4):
        viewer.get("film-step").fill(str(step))
        for side, film in zip(("original", "changed"), films, strict=True):
            expected = film[min(step, len(film) - 1)]
            wait_for_pixels(viewer, f"film-{side}", expected)
    text = viewer.get("played-on").inner_text()
    assert "failed: buzzsaw" in text and "completed" in text
    address = viewer.inspect()["address"]
    assert address.endswith("&films=1&step=4")
    other = open_page(filmed, address.replace("step=4", "step=2"))
    other.settle()
    wait_for_pixels(other, "film-original", films[0][2])
    assert other.inspect()["films"] == {"number": 0, "step": 2}
    other.go(address.replace("films=1", "films=7"))
    assert "no films 7" in other.get("played-on").inner_text()
    viewer.get("close-played-on").click()
    assert viewer.get("played-on").count() == 0
    assert "films" not in viewer.inspect()["address"]


def wait_for_pixels(viewer, test_id, expected):
    deadline = time.monotonic() + PATIENCE / 1000
    while not (viewer.pixels(test_id)[..., :3] == expected).all():
        assert time.monotonic() < deadline, f"{test_id} does not show what it should"


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture(open_page, architecture, golden, tmp_path):
    model = Model(build_graph_def(random_params(architecture), architecture))
    layer = model.layers[len(model.layers) // 2]
    names = ("observations", "actions", "rewards", "firsts")
    trajectories = Trajectories(**{n: golden[f"traj_{n}"][:, :4] for n in names})
    settings = InterfaceSettings(
        layers=(layer,),
        input_gradients=False,
        attribution=AttributionSettings(n_steps=N_STEPS),
        error_tolerance=0,
        nmf=NMFSettings(n_features=3),
    )
    page = make_page(
        model,
        tmp_path / "page",
        observations=golden["obs_u8"][:16],
        trajectories=trajectories,
        settings=settings,
    )
    viewer = open_page(page)
    found = start(viewer)
    check(found, model, page, layer)
    viewer.get("factor-1").focus()
    viewer.page.keyboard.press("Home")
    found = computed(viewer, "view.whatIf.factors[1] === 0")
    check(found, model, page, layer, without=(1,))

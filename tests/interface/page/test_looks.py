"""Accessibility by axe-core, sizes that fit, and pictures for a person to look at."""

import numpy as np
import pytest
from PIL import Image

from tests.conftest import PATIENCE
from tests.programs import run_script

pytestmark = pytest.mark.browser

VIEWS = {
    "main": "#trajectory=1&frame=124&layer=2b",
    "policy": "#trajectory=1&frame=124&layer=4a&rows=value,8,6%2B8",
    "input": "#trajectory=2&frame=20&layer=input&combine=1",
}


def _audit(viewer) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(viewer.page).response["violations"]
    return [
        f"{v['id']}: {v['help']}: {[node['target'] for node in v['nodes']]}"
        for v in found
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page, site, scheme):
    viewer = open_page(site, "#trajectory=2&frame=9&x=1", color_scheme=scheme)
    viewer.settle()  # with a notice on view
    assert _audit(viewer) == []
    viewer.get("settings-button").click()
    assert _audit(viewer) == []
    viewer.get("about-button").click()
    assert _audit(viewer) == []
    viewer.go(VIEWS["policy"])
    viewer.get("output").first.click()
    viewer.open_find()
    assert _audit(viewer) == []
    viewer.get("logit-menu").click()
    viewer.get("open-1").click()
    viewer.get("map").click()
    assert _audit(viewer) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [820, 390])
def test_axe_finds_nothing_in_narrow_windows(open_page, site, scheme, width):
    viewer = open_page(
        *(site, "#trajectory=1&frame=124&layer=2b&feature=1&change=1&find=falls"),
        viewport={"width": width, "height": 844},
        color_scheme=scheme,
    )
    viewer.settle()
    assert _audit(viewer) == []
    viewer.get("share-button").click()
    assert _audit(viewer) == []
    viewer.page.keyboard.press("Escape")
    viewer.get("open-1").click()
    viewer.get("map").click()
    assert _audit(viewer) == []


@pytest.mark.parametrize("layer", ["2b", "4a"])  # of four and of eight features
@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
def test_everything_fits(open_page, site, size, layer):
    viewport = dict(zip(("width", "height"), size, strict=True))
    address = f"#trajectory=1&frame=124&layer={layer}"
    viewer = open_page(site, address, viewport=viewport)
    viewer.settle()
    scrolled = viewer.page.evaluate(
        """() => ['html', '.centre', '.legend'].filter((selector) => {
            const box = document.querySelector(selector);
            return box.scrollWidth > box.clientWidth
                || box.scrollHeight > box.clientHeight;
        })"""
    )
    assert scrolled == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080), (820, 1180), (390, 844)])
def test_screenshots_for_people(open_page, site, screenshots, scheme, size):
    viewport = dict(zip(("width", "height"), size, strict=True))
    viewer = open_page(site, VIEWS["main"], viewport=viewport, color_scheme=scheme)
    mark = f"{scheme}_{size[0]}.png"
    for name, fragment in VIEWS.items():
        viewer.go(fragment)
        viewer.page.screenshot(path=screenshots / f"{name}_{mark}")
    viewer.go(VIEWS["main"])
    viewer.get("open-1").click()
    viewer.wait_for_text("density-text", "8")
    viewer.get("map").click()
    viewer.page.screenshot(path=screenshots / f"popup_{mark}")
    assert len(list(screenshots.glob(f"*_{mark}"))) == 4


def test_one_command_takes_a_picture(site, tmp_path, chromium):
    path = tmp_path / "picture.png"
    flags = [f"--page={site}", f"--output={path}", "--height=720", "--theme=dark"]
    done = run_script("picture_interface", *flags, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert picture.shape == (720, 1280, 3)
    assert picture[:40].mean() < 60  # dark
    # The first bookmark's observation: its sky, in the rows of the pictures.
    blue = picture[400:, 220:800, 2] - picture[400:, 220:800, 0] > 40
    assert blue.mean(axis=1).max() > 0.3

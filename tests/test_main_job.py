"""The main job from its flags to the page in a browser, on the bundled model."""

import pytest
from absl import flags
from absl.testing import flagsaver

from lucid_rl.interface import read_bundle
from scripts import make_interface
from tests.conftest import PATIENCE
from tests.script_errors import errors_of

_TINY = {
    "model": "bundled",
    "layers": ["2b", "4a"],
    "n_trajectories": 2,
    "n_steps": 40,
    "n_observations": 32,
    "observation_interval": 8,
    "n_features": 4,
    "attribution_steps": 2,
}


def _run(**changes):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["make_interface"])
    with flagsaver.flagsaver(**_TINY | changes):
        make_interface.main()


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("main_job") / "page"
    _run(output_dir=str(folder))
    return folder / "index.html"


def test_the_files_are_those_that_the_format_names(page_path):
    files = {
        str(path.relative_to(page_path.parent)) for path in page_path.parent.rglob("*")
    }
    assert files == {
        "index.html",
        "data",
        "data/manifest.js",
        "data/frames.js",
        "data/examples.js",
        "data/engine.js",
        "data/model_network.js",
        "data/model_input.js",
        "data/model_2b.js",
        "data/model_4a.js",
        "data/model_4a_without.js",
    }


def test_the_bundle_holds_what_the_flags_asked_for(page_path):
    bundle = read_bundle(page_path)
    assert bundle.layers() == ("input", "2b", "4a")
    assert [t["length"] for t in bundle.manifest["trajectories"]] == [40, 40]
    assert bundle.attribution("2b", 1).shape == (5, 40, 32, 32)
    assert bundle.manifest["environment"]["name"] == "coinrun"
    seeds = [t["episodes"][0]["level_seed"] for t in bundle.manifest["trajectories"]]
    assert None not in seeds
    assert len(bundle.part("examples").array("observations")) == 32
    assert bundle.observations(0).std() > 10  # real frames


def test_the_path_is_printed_and_finished_stages_are_reused(page_path, capsys):
    stages = page_path.parent.with_name("page.stages")
    before = {path: path.stat().st_mtime_ns for path in stages.glob("*.stage")}
    _run(output_dir=str(page_path.parent))
    assert capsys.readouterr().out.splitlines()[-1] == str(page_path)
    assert {path: path.stat().st_mtime_ns for path in stages.glob("*.stage")} == before


def test_the_same_seed_gives_the_same_frames(page_path, tmp_path):
    _run(output_dir=str(tmp_path / "page"), layers=["4a"], input_gradients=False)
    ours, theirs = read_bundle(page_path), read_bundle(tmp_path / "page")
    assert ours.part("frames").data == theirs.part("frames").data


def test_a_wrong_model_is_one_line_and_writes_nothing(tmp_path):
    folder = tmp_path / "page"
    flags_given = [f"--model={tmp_path / 'none.jd'}", f"--output_dir={folder}"]
    line, stray = errors_of("make_interface", [flags_given, ["page"]])
    assert "none.jd" in line and "\n" not in line
    assert "unexpected argument 'page'" in stray
    assert not folder.exists()


@pytest.mark.browser
@pytest.mark.parametrize("single_file", [False, True])
def test_the_page_opens_moves_and_switches_layer(
    page_path, chromium, tmp_path, single_file
):
    if single_file:
        stages = str(page_path.parent.with_name("page.stages"))
        _run(output_dir=str(tmp_path), cache_dir=stages, single_file=True)
        page_path = tmp_path / "index.html"
    complaints = []
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.on(
        "console",
        lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(page_path.as_uri())

    def shown():
        """Layer, frame and pixels of the pictures in the first row."""
        page.wait_for_function(
            "(() => { const i = window.lucidRL?.inspect(); const d = i?.drawn?.[0];"
            " return d && d.s === i.s && d.layer === i.layer; })()"
        )
        return page.evaluate("window.lucidRL.inspect().drawn[0]")

    first = shown()
    assert (first["layer"], first["s"]) == ("4a", 0)
    assert any(any(picture["rgba"]) for picture in first["pictures"])
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("window.lucidRL.inspect().s === 10")
    moved = shown()
    assert moved["pictures"] != first["pictures"]
    page.get_by_title("Attribution from 2b").click()
    page.wait_for_function("window.lucidRL.inspect().layer === '2b'")
    other = shown()
    assert other["layer"] == "2b"
    assert other["pictures"] != moved["pictures"]
    assert complaints == []
    page.close()

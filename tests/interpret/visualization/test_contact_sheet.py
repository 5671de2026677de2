"""Presets into a folder: pictures, numbers, the page, and going on."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from lucid_rl.errors import FileFormatError, InputError, LucidRLError, ModelError
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.interpret.visualization import figures
from lucid_rl.interpret.visualization import run as run_module
from lucid_rl.interpret.visualization.contact_sheet import ContactSheet
from lucid_rl.interpret.visualization.figures import (
    ImagenetNetwork,
    Subject,
    check_row,
    make_row,
    observation_numbers,
)
from lucid_rl.interpret.visualization.presets import (
    DIFFERENT,
    PRESETS,
    DatasetRow,
    GradientRow,
    ObservationRow,
    Preset,
)
from lucid_rl.interpret.visualization.report import write_report
from lucid_rl.interpret.visualization.run import run_presets
from lucid_rl.interpret.visualization.transformations import Transformations
from lucid_rl.interpret.visualization.visualize import VisualizationSettings
from lucid_rl.model.loading import load
from tests.interpret.visualization.networks import colour_network

QUICK = VisualizationSettings(steps=2)
ABOUT = {"title": "A <model>"}


@pytest.fixture(scope="module")
def subject(model_a, golden):
    return Subject(model_a, golden["obs_u8"][:32], nmf=NMFSettings(n_features=3))


@pytest.fixture(scope="module")
def presets():
    rows = (
        GradientRow("Neurons", targets=(1, 2), settings=QUICK),
        GradientRow("Features", "direction", targets=(), settings=QUICK),
        GradientRow("Like it", "caricature", "1a", (0,), settings=QUICK),
        GradientRow("MaCo", game_statistics=True, targets=(1,), settings=QUICK),
        GradientRow("Penalized", settings=dataclasses.replace(QUICK, penalty=0.1)),
        GradientRow("No ImageNet", network="imagenet", settings=QUICK),
        GradientRow("No second model", "difference", settings=QUICK),
        ObservationRow("Observations", (3,)),
        DatasetRow("Patches", side=2),
        DatasetRow("Map", features=(2,), spatial=True),
    )
    return {"some": Preset("Some & others", "What they show.", rows)}


@pytest.fixture(scope="module")
def folder(subject, presets, tmp_path_factory):
    path = tmp_path_factory.mktemp("sheet")
    run_presets(presets, subject, path, ABOUT)
    return path


def test_the_article_names_them_all():
    presets = {name: make(QUICK) for name, make in PRESETS.items()}
    settings = {
        name: [r.settings for r in preset.rows if isinstance(r, GradientRow)]
        for name, preset in presets.items()
    }
    jitters = [s.transformations.jitter for s in settings["jitters"]]
    assert jitters == sorted(jitters) and 0 in jitters
    assert [s.transformations.jitter for s in settings["layers"]] == [2, 8, 2, 8]
    penalties = [s.penalty for s in settings["penalties"]]
    assert penalties == sorted(penalties) and penalties[0] == 0
    assert all(s.steps == 2 for found in settings.values() for s in found)


def test_pictures_and_numbers(folder, subject):
    results = json.loads((folder / "results.json").read_text())
    rows = {row["title"]: row for row in results["figures"]["some"]["rows"]}
    assert list(rows) == [
        "Neurons", "Features", "Like it", "MaCo", "Penalized", "Observations",
        "Patches", "Map",
    ]  # fmt: skip
    for row in rows.values():
        assert len(row["files"]) == len(row["labels"])
        for file in row["files"]:
            with Image.open(folder / file) as image:
                assert image.mode == (
                    "RGBA" if row["title"] in ("Patches", "Map") else "RGB"
                )
    assert rows["Features"]["labels"] == ["feature 0", "feature 1", "feature 2"]
    assert rows["Penalized"]["settings"]["penalty"] == "0.1 at 1a"
    assert rows["MaCo"]["settings"]["statistics"] == "observations"
    with Image.open(folder / rows["Observations"]["files"][0]) as image:
        np.testing.assert_array_equal(np.asarray(image), subject.observations[3])
    with Image.open(folder / rows["Patches"]["files"][0]) as image:
        assert image.size == (24, 24)  # 2 x 2 patches of 6 positions of 2 pixels
    table = {entry["row"]: entry for entry in results["table"]}
    assert set(table) == {"Neurons", "Features", "Like it", "MaCo", "Penalized"}
    assert 0 <= table["Neurons"]["extremal fraction"] <= 1
    numbers = rows["Neurons"]["numbers"]
    ratios = [
        a / b
        for a, b in zip(numbers["reached"], numbers["dataset maximum"], strict=True)
        if b > 0
    ]
    if ratios:
        assert table["Neurons"]["reached"] == pytest.approx(np.median(ratios), abs=1e-3)


def test_the_page_holds_everything(folder):
    page = (folder / "index.html").read_text()
    assert page.count("data:image/png;base64,") == len(list(folder.glob("some/*.png")))
    assert "A &lt;model&gt;" in page and "Some &amp; others" in page
    for foreign in ("http:", "https:", 'src="some/'):
        assert foreign not in page.replace("http://www.w3.org", "")


def test_a_second_run_goes_on(folder, subject, presets, monkeypatch):
    before = (folder / "index.html").read_bytes()
    made = []

    def counted(row, subject):
        made.append(row.title)
        return make_row(row, subject)

    monkeypatch.setattr(run_module, "make_row", counted)
    run_presets(presets, subject, folder, ABOUT)
    assert made == ["No ImageNet", "No second model"]
    assert (folder / "index.html").read_bytes() == before
    lost = next(folder.glob("some/*-01.png"))
    lost.unlink()
    made.clear()
    run_presets(presets, subject, folder, ABOUT)
    assert len(made) == 3
    assert lost.is_file()
    assert (folder / "index.html").read_bytes() == before


def test_another_network_beside(model_a, subject):
    node = model_a.node_name("1a")
    beside = dataclasses.replace(
        subject, imagenet=ImagenetNetwork(model_a, node, node, size=32)
    )
    row = GradientRow("Beside", network="imagenet", settings=QUICK)
    assert make_row(row, beside).images.shape == (3, 32, 32, 3)
    row = GradientRow("Difference", "difference", settings=QUICK)
    same = dataclasses.replace(subject, compare_to=model_a)
    np.testing.assert_array_equal(make_row(row, same).numbers["reached"], 0)


def test_many_targets_in_parts_are_the_same(subject, monkeypatch):
    row = GradientRow("All", "direction", "1a", targets=(), settings=QUICK)
    whole = make_row(row, subject)
    monkeypatch.setattr(figures, "BATCH_SIZE", 2)
    parts = make_row(row, subject)
    assert parts.labels == whole.labels == ("feature 0", "feature 1", "feature 2")
    np.testing.assert_allclose(parts.images, whole.images, atol=1e-4)
    np.testing.assert_allclose(parts.losses, whole.losses, rtol=1e-4)
    for name, numbers in whole.numbers.items():
        np.testing.assert_allclose(parts.numbers[name], numbers, rtol=1e-3)


def test_layers_without_positions_and_a_whole_layers_difference(subject, model_a):
    flat = Transformations(jitter=0)
    settings = dataclasses.replace(QUICK, transformations=flat)
    row = GradientRow("", "channel", "value", targets=(), settings=settings)
    assert make_row(row, subject).labels == ("channel 0",)
    row = GradientRow("", "caricature", "logits", (1,), settings=settings)
    assert make_row(row, subject).images.shape == (1, 64, 64, 3)
    row = GradientRow("", "layer_difference", "4a", settings=settings)
    found = make_row(row, dataclasses.replace(subject, compare_to=model_a))
    assert found.labels == ("all channels",)
    np.testing.assert_array_equal(found.numbers["dataset maximum"], [0])


def test_an_edited_model_differs_behind_what_it_no_longer_sees(
    subject, checkpoint_a, model_a
):
    name = "ppo2_model/pi/3a/conv2d/kernel:0"
    blind = checkpoint_a.params[name].copy()
    blind[:, :, 5] = 0  # what 3a reads of channel 5 of 2b
    edited = load(checkpoint_a.replace_params({name: blind}))
    compared = dataclasses.replace(subject, compare_to=edited)
    row = GradientRow("", "difference", DIFFERENT, targets=(), settings=QUICK)
    found = make_row(row, compared)
    assert found.settings["layer"] == "3a"
    centre = [
        model.activations(subject.observations, ["3a"])["3a"][:, 8, 8]
        for model in (model_a, edited)
    ]
    largest = (centre[0] - centre[1]).max(axis=0)
    np.testing.assert_allclose(found.numbers["dataset maximum"], largest, atol=1e-4)


def test_attribution_based_features(model_a, golden):
    subject = Subject(
        model_a,
        golden["obs_u8"][:16],
        features_of="attribution",
        nmf=NMFSettings(n_features=1),
    )
    found = make_row(DatasetRow("", "3a", side=3, max_per_position=1), subject)
    assert found.labels == ("feature 0",)
    assert found.settings["features"] == "1, NMF of attributions"
    assert found.settings["from one position"] == "at most 1"
    assert found.images.shape == (1, 3 * 24, 3 * 24, 4)
    assert found.images[..., 3].min() > 0 and found.images[..., 3].max() == 1


def test_rows_are_checked_before_any_is_made(subject, model_a, presets, tmp_path):
    compared = dataclasses.replace(subject, compare_to=model_a)
    for row, error, message in (
        (GradientRow("", layer="9z"), ModelError, "9z"),
        (GradientRow("", targets=(32,)), InputError, "no channel 32: there are 32"),
        (GradientRow("", "difference", targets=(99,)), InputError, "no channel 99"),
        (DatasetRow("", "logits"), InputError, "needs? a layer with positions"),
        (DatasetRow("", features=(7,)), InputError, "no feature 7: there are 3"),
    ):
        both = {"some": Preset("", "", (*presets["some"].rows, row))}
        with pytest.raises(error, match=message):
            run_presets(both, compared, tmp_path, ABOUT)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="the same at every layer"):
        check_row(GradientRow("", "difference", DIFFERENT), compared)
    other = dataclasses.replace(subject, compare_to=colour_network(64))
    row = GradientRow("", "difference", "input")
    with pytest.raises(LucidRLError):
        check_row(GradientRow("", "difference", "1a"), other)
    check_row(row, other)


def test_another_models_figures_do_not_stay(folder, subject, presets, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    row = Preset("Others", "", (ObservationRow("Observations"),))
    run_presets({"others": row}, subject, tmp_path, ABOUT)
    figures = json.loads((tmp_path / "results.json").read_text())["figures"]
    assert list(figures) == ["some", "others"]
    run_presets({"others": row}, subject, tmp_path, {"title": "Another model"})
    figures = json.loads((tmp_path / "results.json").read_text())["figures"]
    assert list(figures) == ["others"]


@pytest.mark.browser
def test_the_page_in_a_browser(folder, chromium):
    page = chromium.new_page(viewport={"width": 400, "height": 800})
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((folder / "index.html").as_uri())
    widths = page.eval_on_selector_all("img", "all => all.map(i => i.naturalWidth)")
    assert len(widths) == len(list(folder.glob("some/*.png"))) and all(widths)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert problems == []
    page.close()


def test_bad_input(subject, model_a, tmp_path):
    for row in (
        GradientRow("", "direction", targets=(3,), settings=QUICK),
        GradientRow("", "caricature", targets=(32,), settings=QUICK),
        ObservationRow("", (-1,)),
    ):
        with pytest.raises(InputError, match="there are"):
            make_row(row, subject)
    with pytest.raises(InputError, match="shape"):
        Subject(model_a, np.zeros((3, 32, 32, 3), np.uint8))
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(FileFormatError, match="not written by this package"):
        ContactSheet(tmp_path, {}, {})


def test_the_report(folder, subject, tmp_path):
    numbers = observation_numbers(subject.observations)
    sheet = ContactSheet(folder, ABOUT, numbers)
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "old.png").write_bytes(b"")
    page = write_report(sheet, tmp_path / "page.md", "python -m it")
    text = page.read_text()
    assert "`python -m it`" in text
    strips = sorted(path.name for path in (tmp_path / "page").iterdir())
    assert strips == [f"some-{i}.png" for i in range(8)]
    assert all(f"(page/{name})" in text for name in strips)
    with Image.open(tmp_path / "page" / "some-0.png") as image:
        assert image.size == (2 * 64 + 2, 64)

"""Presets into a folder: pictures, numbers, the page, and going on."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from lucid_rl.errors import FileFormatError, InputError
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.interpret.visualization import run as run_module
from lucid_rl.interpret.visualization.contact_sheet import ContactSheet
from lucid_rl.interpret.visualization.figures import (
    ImagenetNetwork,
    Subject,
    make_row,
    observation_numbers,
)
from lucid_rl.interpret.visualization.presets import (
    PRESETS,
    DatasetRow,
    GradientRow,
    ObservationRow,
    Preset,
)
from lucid_rl.interpret.visualization.report import write_report
from lucid_rl.interpret.visualization.run import run_presets
from lucid_rl.interpret.visualization.visualize import VisualizationSettings

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
    assert 0 <= table["Neurons"]["extremal share"] <= 1
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

"""Blind scoring: what raters see, what they export, and how it is opened."""

import json

import numpy as np
import pytest

from lucid_rl.errors import FileFormatError, InputError
from lucid_rl.experiments.blind_scoring import (
    BEST_GRADE,
    KEY_FILE,
    BlindSettings,
    Grades,
    make_blind_page,
    open_blind,
    read_grades,
    read_key,
    report,
)
from lucid_rl.experiments.interpretability import InterpretabilitySettings

_N_FEATURES = 3
_SMALL = BlindSettings(
    InterpretabilitySettings(
        n_features=_N_FEATURES, n_observations=24, n_steps=1, n_bootstrap=10
    ),
    n_frames=2,
)
_MODELS = {"one": "bundled", "other": "bundled:100_levels"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A page of two models with its key."""
    folder = tmp_path_factory.mktemp("blind")
    return make_blind_page(_MODELS, folder, _SMALL), read_key(folder)


def _key(verdicts):
    """A key of two models whose items have objective verdicts."""
    half = len(verdicts) // 2
    items = {
        f"item-{i}": {
            "model": "a" if i < half else "b",
            "objective": {"interpretable": verdict},
        }
        for i, verdict in enumerate(verdicts)
    }
    return {"page": "1", "models": ["a", "b"], "items": items}


def _grades(rater, values):
    return Grades(rater, {f"item-{i}": v for i, v in enumerate(values)})


def test_the_page_does_not_say_whose_features_it_shows(made):
    page, key = made
    text = page.read_text()
    models = [entry["model"] for entry in key["items"].values()]
    assert sorted(models) == ["one"] * _N_FEATURES + ["other"] * _N_FEATURES
    assert models != sorted(models)  # mixed
    for name in ("coinrun_hard", "100_levels", "bundled", "other"):
        assert name not in text
    content = text.split('id="content">')[1].split("</script>")[0]
    items = json.loads(content)["items"]
    assert {item["id"] for item in items} == set(key["items"])
    # Two kinds of pictures: examples, and 3 of each of 2 observations.
    assert all(item["html"].count("<img") == 1 + 3 * 2 for item in items)


def test_percentages_and_agreement():
    key = _key([True, True, False, False])
    files = [_grades("ada", [4, 4, 0, 0]), _grades("bob", [4, 3, 1, 1])]
    opened = open_blind(key, files)
    assert opened["models"]["a"] == {"objective": 100.0, "ada": 100.0, "bob": 87.5}
    assert opened["models"]["b"] == {"objective": 0.0, "ada": 0.0, "bob": 25.0}
    pair = opened["raters"]["ada, bob"]
    assert pair["n_items"] == 4 and pair["classes"] == 1.0
    # By hand, quadratic weights: observed disagreement is (0 + 1 + 1 + 1) / 4, and by
    # chance the mean of (x - y)^2 over all pairs,
    # (0 + 1 + 9 + 9 + 0 + 1 + 9 + 9 + 16 + 9 + 1 + 1 + 16 + 9 + 1 + 1) / 16.
    assert pair["grades"] == pytest.approx(1 - (3 / 4) / (92 / 16))
    assert opened["objective"]["ada"]["classes"] == 1.0
    text = report(opened)
    assert "| a | 100.0 % | 100.0 % | 87.5 % | 93.8 % |" in text
    assert "| ada, bob | 4 | 0.87 | 1.00 |" in text


def test_chance_agreement_is_0_and_one_class_is_undefined():
    rng = np.random.default_rng(0)
    key = _key([bool(v) for v in rng.integers(2, size=2000)])
    values = [rng.integers(BEST_GRADE + 1, size=2000).tolist() for _ in range(2)]
    opened = open_blind(key, [_grades("ada", values[0]), _grades("bob", values[1])])
    pair = opened["raters"]["ada, bob"]
    assert abs(pair["grades"]) < 0.1 and abs(pair["classes"]) < 0.1
    same = open_blind(_key([True, True]), [_grades("ada", [4, 4])])
    assert same["objective"]["ada"]["classes"] is None
    assert "undefined" in report(same)


def test_raters_are_compared_on_what_both_graded():
    key = _key([True, True, False, False])
    files = [_grades("ada", [4, 4, 0, 0]), Grades("bob", {"item-0": 4})]
    opened = open_blind(key, files)
    assert opened["raters"]["ada, bob"]["n_items"] == 1
    assert opened["models"]["b"]["bob"] is None
    for wrong in ([], [files[0], files[0]]):
        with pytest.raises(InputError, match="one file of each"):
            open_blind(key, wrong)


def test_files_of_other_forms_are_refused(made, tmp_path):
    _, key = made
    good = {
        "format": "lucid_rl_blind_scoring",
        "page": key["page"],
        "rater": "ada",
        "grades": {"item-1": 3},
    }
    path = tmp_path / "grades.json"
    path.write_text(json.dumps(good))
    assert read_grades(path, key) == Grades("ada", {"item-1": 3})
    for change, words in (
        ({"format": "other"}, "did not export"),
        ({"page": "other"}, "another page"),
        ({"rater": ""}, "no rater"),
        ({"grades": {}}, "no grades"),
        ({"grades": {"item-1": 5}}, "grade 5"),
        ({"grades": {"item-1": True}}, "'item-1': expected a whole number"),
        ({"grades": {"item-99": 1}}, "no 'item-99'"),
    ):
        path.write_text(json.dumps(good | change))
        with pytest.raises(FileFormatError, match=words):
            read_grades(path, key)
    (tmp_path / KEY_FILE).write_text(json.dumps(good))
    with pytest.raises(FileFormatError, match="the key of a page"):
        read_key(tmp_path)


@pytest.mark.browser
def test_a_rater_grades_by_keyboard_and_exports(made, chromium, tmp_path):
    page, key = made
    context = chromium.new_context()
    opened = context.new_page()
    problems = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(page.as_uri())
    n = len(key["items"])
    assert opened.inner_text("#place") == f"feature 1 of {n}"
    opened.click("#export")
    assert "name first" in opened.inner_text("#notice")
    opened.fill("#rater", "Ada 2")  # a digit in a name is no grade
    opened.click("h1")
    grades = [i % (BEST_GRADE + 1) for i in range(n)]
    for grade in grades:
        opened.keyboard.press(str(grade))
    opened.keyboard.press("9")  # no such grade
    # What is graded stays in the browser, and going back changes it.
    opened.reload()
    assert opened.input_value("#rater") == "Ada 2"
    assert opened.inner_text("#place") == f"feature {n} of {n}"
    opened.keyboard.press("ArrowLeft")
    pressed = opened.locator("#grades [aria-pressed=true]").inner_text()
    assert pressed.startswith(f"{grades[-2]}:")
    grades[-2] = 4
    opened.keyboard.press("4")
    with opened.expect_download() as download:
        opened.click("#export")
    path = tmp_path / "grades.json"
    download.value.save_as(path)
    found = read_grades(path, key)
    assert found.rater == "Ada 2" and list(found.grades.values()) == grades
    assert problems == []
    context.close()

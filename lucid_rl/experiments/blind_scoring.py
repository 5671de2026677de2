"""Blind scoring: raters grade features without knowing which model they are of.

The article's researchers graded features of 14 models (section "Interpretability and
generalization") and named two flaws: they saw value curves, whose smoothness hints at
the number of levels, and they knew where one model ended. Here a page shows features of
several models one by one in random order: dataset examples, and the feature's
attribution on random observations, nothing else. Grades go from 0 to 4.
"""

import dataclasses
import hashlib
import itertools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lucid_rl import notebook
from lucid_rl.bounded import check_schema, read_json
from lucid_rl.errors import FileFormatError, InputError
from lucid_rl.experiments.interpretability import (
    InterpretabilitySettings,
    score_with_features,
)
from lucid_rl.files import PathLike, check_output_folder, write_json, write_text
from lucid_rl.folder_lock import folder_lock
from lucid_rl.interpret.attribution import attribute
from lucid_rl.interpret.attribution_sheet import attribution_sheet
from lucid_rl.interpret.feature_sheet import feature_sheet
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.progress import progress
from lucid_rl.reports import markdown_table
from lucid_rl.validation import Natural, Positive, Settings

BEST_GRADE = 4
PAGE_FILE = "blind_scoring.html"
KEY_FILE = "blind_scoring_key.json"
_FORMAT = "lucid_rl_blind_scoring"
_MARK = "<!--lucid-rl:items-->"
# What the key and the exported grades must hold; see `check_schema`.
_KEY = {
    "format": str,
    "page": str,
    "models": [str],
    "items": {str: {"model": str, "objective": {"interpretable": bool}}},
}
_GRADES = {"format": str, "page": str, "rater": str, "grades": {str: int}}
# Responses are interpretable for a kappa of two classes from this grade on.
_INTERPRETABLE = BEST_GRADE / 2
_PATCHES_WIDTH = 384


@dataclasses.dataclass(frozen=True)
class BlindSettings(Settings):
    """What raters see."""

    features: InterpretabilitySettings = InterpretabilitySettings()
    """Layer, number of features and observations of each model."""
    n_frames: Positive = 6
    """Random observations on which a feature's attribution is shown."""
    seed: Natural = 0
    """Seed of the order and of the observations shown."""


@dataclasses.dataclass(frozen=True)
class Grades:
    """One rater's file: grades from 0 to `BEST_GRADE`, by item."""

    rater: str
    grades: dict[str, int]


def make_blind_page(
    models: Mapping[str, Any], folder: PathLike, settings: BlindSettings | None = None
) -> pathlib.Path:
    """Writes a page for raters, and the key: which model each feature is of.

    Args:
        models: models of Procgen's CoinRun by name: each a `Model`, or what `load`
            takes.
        folder: where `blind_scoring.html` and `blind_scoring_key.json` go. The page is
            one file and can be sent around; keep the key.
        settings: what raters see.

    Returns:
        The page.

    Raises:
        InputError: a model plays another game.
        SaveError: the folder cannot be written, or another run uses it.
    """
    settings = settings or BlindSettings()
    check_output_folder(folder)
    with folder_lock(folder, "blind scoring"):
        return _make_page(models, pathlib.Path(folder), settings)


def _make_page(
    models: Mapping[str, Any], folder: pathlib.Path, settings: BlindSettings
) -> pathlib.Path:
    rng = np.random.default_rng(settings.seed)
    shown: list[tuple[str, dict[str, Any]]] = []
    for name, spec in models.items():
        model = load(spec)
        score, nmf, observations = score_with_features(model, settings.features)
        pictures = _pictures(model, nmf, observations, settings, rng)
        for measured, picture in zip(score.features, pictures, strict=True):
            entry = {"model": name, "objective": dataclasses.asdict(measured)}
            shown.append((picture, entry))
    order = rng.permutation(len(shown))
    items = {f"item-{i + 1}": shown[k] for i, k in enumerate(order)}
    # Another page's grades are recognized.
    page_id = hashlib.sha256(
        json.dumps([picture for picture, _ in items.values()]).encode()
    ).hexdigest()[:16]
    content = {
        "page": page_id,
        "best": BEST_GRADE,
        "items": [{"id": i, "html": picture} for i, (picture, _) in items.items()],
    }
    write_text(folder / PAGE_FILE, _filled(content))
    key = {
        "format": _FORMAT,
        "page": page_id,
        "models": list(models),
        "items": {i: entry for i, (_, entry) in items.items()},
    }
    write_json(folder / KEY_FILE, key)
    return folder / PAGE_FILE


def read_key(folder: PathLike) -> dict[str, Any]:
    """Reads the key beside a page.

    Raises:
        FileFormatError: there is none, or it is damaged.
    """
    path = pathlib.Path(folder) / KEY_FILE
    key = read_json(path)
    check_schema(key, _KEY, f"{path}, the key of a page")
    for entry in key["items"].values():
        if key["format"] != _FORMAT or entry["model"] not in key["models"]:
            raise FileFormatError(f"{path} is not the key of a page for raters")
    return key


def read_grades(path: PathLike, key: Mapping[str, Any]) -> Grades:
    """Reads a file that the page of a key exported.

    Raises:
        FileFormatError: the file is of another form, or of another page.
    """
    found = read_json(path)
    check_schema(found, _GRADES, f"{path}, exported grades")
    problem = None
    if found["format"] != _FORMAT:
        problem = "the page did not export it"
    elif found["page"] != key["page"]:
        problem = "it holds grades of another page"
    elif not found["rater"] or not found["grades"]:
        problem = "it names no rater, or has no grades"
    for item, grade in found["grades"].items():
        if item not in key["items"]:
            problem = problem or f"there is no {item!r}"
        elif not 0 <= grade <= BEST_GRADE:
            problem = f"{item} has the grade {grade}, not 0 to {BEST_GRADE}"
    if problem:
        raise FileFormatError(f"{path} holds no grades: {problem}")
    return Grades(found["rater"], found["grades"])


def open_blind(key: Mapping[str, Any], files: Sequence[Grades]) -> dict[str, Any]:
    """Assigns the grades to models, and computes the agreement of raters.

    Returns:
        Plain values: "models" with the objective score and each rater's percentage of
        interpretable features, which is the mean grade over the best one; "raters" with
        Cohen's kappa of each pair, of grades (quadratic weights) and of two classes
        (at least half of the best grade); "objective" with the kappa of each rater's
        two classes and the objective verdicts.

    Raises:
        InputError: no files, or two of the same rater.
    """
    from sklearn.metrics import cohen_kappa_score

    raters = [one.rater for one in files]
    if not files or len(set(raters)) < len(raters):
        raise InputError(
            f"grades of {', '.join(raters) or 'nobody'}: expected one file of each of "
            "one or more raters"
        )

    def classes(one: Grades, items: Sequence[str]) -> list[bool]:
        return [one.grades[item] >= _INTERPRETABLE for item in items]

    def kappa(first: Sequence[Any], second: Sequence[Any], **how: Any) -> float | None:
        # Undefined where both give one and the same class to all.
        if len(first) < 2 or len({*first, *second}) < 2:
            return None
        return float(cohen_kappa_score(first, second, **how))

    verdicts = {
        item: entry["objective"]["interpretable"]
        for item, entry in key["items"].items()
    }
    models = {}
    for name in key["models"]:
        mine = [item for item, e in key["items"].items() if e["model"] == name]
        models[name] = {
            "objective": 100 * float(np.mean([verdicts[item] for item in mine])),
            **{
                one.rater: _percentage([one.grades.get(item) for item in mine])
                for one in files
            },
        }
    pairs = {}
    for one, other in itertools.combinations(files, 2):
        items = sorted(set(one.grades) & set(other.grades))
        grades = [[rater.grades[item] for item in items] for rater in (one, other)]
        pairs[f"{one.rater}, {other.rater}"] = {
            "n_items": len(items),
            # Without labels scikit-learn weights by the ranks of grades that occur.
            "grades": kappa(*grades, weights="quadratic", labels=range(BEST_GRADE + 1)),
            "classes": kappa(classes(one, items), classes(other, items)),
        }
    objective = {}
    for one in files:
        items = sorted(one.grades)
        objective[one.rater] = {
            "n_items": len(items),
            "classes": kappa(classes(one, items), [verdicts[item] for item in items]),
        }
    return {"models": models, "raters": pairs, "objective": objective}


def report(opened: Mapping[str, Any]) -> str:
    """Markdown: the article's table, and how far raters agree."""
    raters = list(opened["objective"])
    models = []
    for name, row in opened["models"].items():
        given = [row[rater] for rater in raters]
        known = [value for value in given if value is not None]
        mean = float(np.mean(known)) if known else None
        models.append((name, *map(_percent, (row["objective"], *given, mean))))
    kappas = [
        (names, found["n_items"], _kappa(found["grades"]), _kappa(found["classes"]))
        for names, found in opened["raters"].items()
    ]
    kappas += [
        (f"{rater}, objective score", found["n_items"], "", _kappa(found["classes"]))
        for rater, found in opened["objective"].items()
    ]
    models_header = ("model", "objective score", *raters, "mean of raters")
    kappas_header = (
        "",
        "features",
        "grades, quadratic weights",
        "interpretable or not",
    )
    return (
        "Percentage of features interpretable:\n\n"
        f"{markdown_table(models_header, models)}\n\n"
        "Cohen's kappa (1: perfect agreement, 0: chance):\n\n"
        f"{markdown_table(kappas_header, kappas)}\n"
    )


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} %"


def _percentage(grades: Sequence[int | None]) -> float | None:
    given = [grade for grade in grades if grade is not None]
    return 100 * float(np.mean(given)) / BEST_GRADE if given else None


def _kappa(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _pictures(
    model: Model,
    nmf: NMF,
    observations: np.ndarray,
    settings: BlindSettings,
    rng: np.random.Generator,
) -> list[str]:
    """HTML of each feature: examples, and its attribution on random observations."""
    examples = feature_sheet(model, observations, nmf).images
    chosen = rng.choice(len(observations), settings.n_frames, replace=False)
    found = attribute(model, observations[chosen], settings.features.layer)
    reduced, _ = nmf.reduce(found.values)
    htmls = []
    for k in progress(range(nmf.n_features), f"{model.name}: pictures"):
        alone = dataclasses.replace(found, values=reduced[..., k : k + 1])
        sheet = attribution_sheet(observations[chosen], alone)
        rows = [
            notebook.row(
                notebook.picture(image)
                for image in (seen, sheet.positive[n], sheet.negative[n])
            )
            for n, seen in enumerate(sheet.observations)
        ]
        patches = notebook.picture(examples[k], width=_PATCHES_WIDTH)
        htmls.append(f"<div>{patches}</div><div>{''.join(rows)}</div>")
    return htmls


def _filled(content: Mapping[str, Any]) -> str:
    """The page with its items."""
    path = pathlib.Path(__file__).parent / "static" / PAGE_FILE
    template = path.read_text(encoding="utf-8")
    text = json.dumps(content).replace("<", "\\u003c")
    before, after = template.split(_MARK)
    return f"{before}{text}{after}"

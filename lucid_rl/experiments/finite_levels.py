"""Measures of interpretability of the article's models of few training levels.

The article had researchers judge the features of 14 models, trained on 100 to 100,000
levels, and found that diversity of levels makes features interpretable. Here each
model's own observations give what can be measured of that: whether features come out
the same from two halves of the observations, how much responses depend on backgrounds,
how concentrated attributions are, and how close features are to single channels. None
of these is what the researchers judged; the report says how they go together, and which
parts of the score of interpretability (`interpretability`) are missing.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Annotated

import numpy as np

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.checkpoints.released import ReleasedModel, fetch_released
from lucid_rl.errors import InputError
from lucid_rl.experiments.article import article_numbers
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.files import PathLike
from lucid_rl.interpret.attribution import attribute
from lucid_rl.interpret.feature_set import feature_responses
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.measures import (
    changed_fraction,
    matched_cosines,
    one_hotness,
    top_fraction,
    with_other_backgrounds,
)
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.reports import figure, markdown_table
from lucid_rl.sampling.observations import read_observations
from lucid_rl.validation import Settings, at_least, some_of

RUNS = (1, 2)
N_TRAIN_LEVELS: tuple[int, ...] = tuple(
    article_numbers()["finite_levels"]["n_train_levels"]
)
MEASURES = ("consistency", "background", "sparsity", "one_hotness")
NAME = "finite_levels"
PICTURE_FILE = f"{NAME}.png"

TITLES = {
    "consistency": "cosine of features fitted to two halves",
    "background": "change of responses before other coarse colours",
    "sparsity": "fraction of attribution in the top 10 pairs",
    "one_hotness": "cosine of features with their nearest channel",
}


@dataclasses.dataclass(frozen=True)
class FiniteLevelsSettings(Settings):
    """Which models are measured, and how.

    Attributes:
        runs: the article's two models of each number of levels, 1 and 2.
        n_train_levels: numbers of training levels, of the article's.
        layer: layer whose features are measured; the article's.
        n_observations: observations of each model from which features are found.
        n_sparsity: observations on which sparsity and background are measured.
        nmf: how features are found.
    """

    runs: Annotated[tuple[int, ...], some_of(RUNS)] = RUNS
    n_train_levels: Annotated[tuple[int, ...], some_of(N_TRAIN_LEVELS)] = N_TRAIN_LEVELS
    layer: str = "2b"
    n_observations: Annotated[int, at_least(2)] = 2048
    n_sparsity: Annotated[int, at_least(2)] = 256
    nmf: NMFSettings = NMFSettings()

    @property
    def models(self) -> list[tuple[int, int]]:
        """Run and number of training levels of each model."""
        return [(run, n) for n in self.n_train_levels for run in self.runs]


@dataclasses.dataclass(frozen=True)
class ModelMeasures:
    """What one model's features measure; see `interpret.measures`.

    Attributes:
        run: 1 or 2.
        n_train_levels: levels it was trained on.
        consistency: mean cosine of features fitted to two halves of its observations.
        background: mean change of responses before other coarse colours.
        sparsity: mean fraction of the total absolute attribution in the top 10 pairs.
        one_hotness: mean cosine of each feature with its nearest channel.
        interpretable: the article's percentage of features that are interpretable,
            mean of its two researchers.
    """

    run: int
    n_train_levels: int
    consistency: float
    background: float
    sparsity: float
    one_hotness: float
    interpretable: float


def measure_model(
    model: ReleasedModel, settings: FiniteLevelsSettings
) -> dict[str, float]:
    """`MEASURES` of a model's features on its own observations.

    Raises:
        InputError: the model comes without checkpoint or observations.
    """
    if model.checkpoint is None or model.observations is None:
        raise InputError(
            f"{model.name}: measuring needs the checkpoint and its observations"
        )
    graph = load(load_checkpoint(model.checkpoint))
    observations = read_observations(model.observations).observations
    observations = observations[: settings.n_observations]
    measures, _ = measure_layer(
        graph, observations, settings.layer, settings.n_sparsity, settings.nmf
    )
    return measures


def measure_layer(
    model: Model,
    observations: np.ndarray,
    layer: str,
    n_sparsity: int,
    nmf: NMFSettings,
) -> tuple[dict[str, float], NMF]:
    """`MEASURES` of a layer's features on a model's observations, and the features.

    Of the observations, u8 [N, 64, 64, 3], neighbours must be of different
    environments, so that both halves, of even and odd numbers, see all. Sparsity and
    background are measured on the first `n_sparsity`.
    """
    parts = [observations, observations[0::2], observations[1::2]]
    whole, first, second = (fit_features(model, part, layer, nmf=nmf) for part in parts)
    shown = observations[:n_sparsity]
    reduced, _ = whole.reduce(attribute(model, shown, layer).values)
    cosines = matched_cosines(first.directions, second.directions)
    redrawn = with_other_backgrounds(shown, np.random.default_rng(0))
    responses = [feature_responses(model, seen, whole) for seen in (shown, redrawn)]
    measures = {
        "consistency": float(np.mean(cosines)),
        "background": float(np.nanmean(changed_fraction(*responses))),
        "sparsity": float(np.nanmean(top_fraction(reduced))),
        "one_hotness": float(np.nanmean(one_hotness(whole.directions))),
    }
    return measures, whole


def measure_finite_levels(
    settings: FiniteLevelsSettings, folder: PathLike
) -> list[ModelMeasures]:
    """Measures the article's finite-level models and draws the result.

    Args:
        settings: which, and how.
        folder: where `finite_levels.json`, `.md` and `.png` go. Models measured there
            before with the same settings are not measured again.

    Returns:
        A row for each model, by number of levels.

    Raises:
        DownloadError: a model cannot be fetched; those before it are reported.
    """
    how = dataclasses.asdict(settings)
    del how["runs"], how["n_train_levels"]

    def measured(name: str) -> dict[str, float]:
        files = fetch_released(name, ("checkpoint", "observations"))
        return measure_model(files, settings)

    rows: list[ModelMeasures] = []
    with ResultsFolder(folder, NAME).locked() as results:
        try:
            for run, n in settings.models:
                name = f"finite_levels/run_{run}/coinrun_{n}"
                found = results.keep(name, how, functools.partial(measured, name))
                measures = {measure: found[measure] for measure in MEASURES}
                judged = _judged(run, n)
                rows.append(ModelMeasures(run, n, **measures, interpretable=judged))
        finally:
            if rows:
                results.write({"settings": how, "models": rows}, report(rows))
                draw(rows, results.path / PICTURE_FILE)
    return rows


def report(rows: Sequence[ModelMeasures]) -> str:
    """Markdown: each model's figures beside the article's, and how they correlate."""
    from scipy.stats import spearmanr

    table = markdown_table(
        ("training levels", "run", *MEASURES, "interpretable (article)"),
        (
            (
                *(f"{row.n_train_levels:,}", row.run),
                *(f"{getattr(row, measure):.3f}" for measure in MEASURES),
                f"{row.interpretable:.1f} %",
            )
            for row in rows
        ),
    )
    lines = [table, "", *(f"- {name}: {title}." for name, title in TITLES.items())]
    lines.append(
        "- missing: what the score of interpretability takes from the game's states, "
        "which the original CoinRun does not give (concentration of responses and "
        "attributions near objects, consistency over levels)."
    )
    if len(rows) > 2:
        judged = [row.interpretable for row in rows]
        lines += ["", "Rank correlation with the article's judgement (Spearman):", ""]
        for measure in MEASURES:
            found = spearmanr([getattr(row, measure) for row in rows], judged)
            lines.append(
                f"- {measure}: {found.statistic:.2f} (p = {found.pvalue:.2g}, "
                f"{len(rows)} models)"
            )
    return "\n".join(lines) + "\n"


def draw(rows: Sequence[ModelMeasures], path: PathLike) -> None:
    """A picture: the article's plot of interpretable features, and each measure."""
    with figure(path, 1 + len(MEASURES), (13, 3.4)) as panels:
        judged = article_numbers()["finite_levels"]
        percents = np.array(list(judged["features_interpretable"].values()))
        panels[0].errorbar(
            judged["n_train_levels"],
            percents.mean(axis=0),
            # The article's error bars: population standard deviation of the four.
            percents.std(axis=0),
            marker="o",
            capsize=3,
        )
        panels[0].set_title("article: features interpretable (%)", fontsize=9)
        for axes, measure in zip(panels[1:], MEASURES, strict=True):
            for run in sorted({row.run for row in rows}):
                ours = [row for row in rows if row.run == run]
                axes.plot(
                    [row.n_train_levels for row in ours],
                    [getattr(row, measure) for row in ours],
                    marker="o",
                    label=f"run {run}",
                )
            axes.set_title(TITLES[measure], fontsize=9)
            axes.legend(fontsize=8)
        for axes in panels:
            axes.set(xscale="log", xlabel="training levels")


def _judged(run: int, n_train_levels: int) -> float:
    """Mean of the two researchers' percentages."""
    numbers = article_numbers()["finite_levels"]
    place = numbers["n_train_levels"].index(n_train_levels)
    judgements = numbers["features_interpretable"].items()
    return float(np.mean([v[place] for k, v in judgements if k.endswith(f"run_{run}")]))

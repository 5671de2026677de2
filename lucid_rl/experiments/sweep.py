"""Diversity sweep: models trained on few to unlimited levels, all else equal.

The article varied the number of training levels and had two researchers grade each
model's features (section "Interpretability and generalization"). Here each model is
trained by PPO or policy distillation, plays its own and unseen levels, and its features
are scored against the game's states (`interpretability`). The article's claim, that
interpretability goes with generalization, is tested by the rank correlation of test
success with the score, and with the mean response concentration of the features, which
tells models apart whose features all fail the score's thresholds.
"""

import dataclasses
import functools
import json
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.errors import SettingsError
from lucid_rl.evaluation.many import connected_ray
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.experiments.article import article_numbers
from lucid_rl.experiments.diversity import success_rates
from lucid_rl.experiments.interpretability import (
    InterpretabilitySettings,
    score_with_features,
)
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.files import PathLike
from lucid_rl.model.loading import load
from lucid_rl.reports import figure, markdown_table
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.saves import MODEL_NAME
from lucid_rl.validation import Positive, Settings

NAME = "sweep"
# Each seed's level sets begin here times the seed, so that they do not overlap.
_SEEDS_APART = 10_000_000
_MEASURES = {"score": "score", "concentration": "mean response concentration"}
# What changes nothing about a trained model.
_NO_EFFECT = ("n_threads", "save_interval", "distributed")


@dataclasses.dataclass(frozen=True)
class SweepSettings(Settings):
    """What is swept, and how each model is trained and measured."""

    n_levels: tuple[int, ...] = (100, 300, 1000, 3000, 10_000, 30_000, 100_000, 0)
    """Numbers of training levels; 0 for unlimited."""
    seeds: tuple[int, ...] = (0, 1)
    """A model of each number of levels for each of these; every seed has its own
    levels."""
    train: TrainConfig = TrainConfig()
    """How each model is trained; levels, seed and folder are set by the sweep."""
    n_episodes: Positive = 1000
    """Levels that each model plays, of its own and of unseen ones."""
    score: InterpretabilitySettings = InterpretabilitySettings()
    """How features are scored."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_levels", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values) or min(values) < 0:
                raise SettingsError(
                    f"{name}={','.join(map(str, values))}: expected different whole "
                    "numbers of 0 or more, at least one"
                )

    def config(self, n_levels: int, seed: int, folder: pathlib.Path) -> TrainConfig:
        """The training run of one model."""
        game = self.train.game.replace(
            n_levels=n_levels,
            start_level=seed * _SEEDS_APART if n_levels else 0,
            seed=seed,
        )
        run = folder / "runs" / _name(n_levels, seed)
        return dataclasses.replace(
            self.train, game=game, seed=seed, output_dir=str(run)
        )


@dataclasses.dataclass(frozen=True)
class SweepPoint:
    """One model.

    Attributes:
        n_levels: training levels; 0 for unlimited.
        seed: of training.
        train: fraction of its training levels that it completes; of unseen levels
            where they are unlimited.
        test: fraction of unseen levels that it completes.
        score: its score of interpretability.
        low: lower end of the score's 95 % interval.
        high: upper end.
        interpretable: the object of each interpretable feature.
        concentration: mean response concentration of its features (`interpretability`).
    """

    n_levels: int
    seed: int
    train: float
    test: float
    score: float
    low: float
    high: float
    interpretable: list[str]
    concentration: float


def sweep(
    settings: SweepSettings,
    folder: PathLike,
    *,
    max_seconds: float | None = None,
    ray_address: str | None = None,
) -> list[SweepPoint]:
    """Trains and measures each model, and writes table, figure and JSON.

    An interrupted sweep resumes: training from its last save, and models that were
    measured are not measured again. Table and figure are written after every model.

    Args:
        settings: what is swept.
        folder: where everything goes; the runs in `runs/`.
        max_seconds: longest training of one call for each model; a run that has not
            ended by then is measured as it is, and resumed by the next call.
        ray_address: train models at the same time on a Ray cluster, "auto" or
            "local", whose machines share the folder; None for one after the other.

    Returns:
        A point for each model, by number of levels; unlimited last.

    Raises:
        SettingsError: the game is not Procgen's CoinRun, or a run in the folder has
            other settings.
        SaveError: the folder cannot be written, or another sweep uses it.
    """
    if settings.train.game.name != "coinrun":
        raise SettingsError(
            f"game={settings.train.game.name}: features are scored against the states "
            "of Procgen's coinrun only"
        )
    folder = pathlib.Path(folder).absolute()
    order = sorted(settings.n_levels, key=lambda n: n or np.inf)
    models = [(n, seed) for n in order for seed in settings.seeds]
    configs = [settings.config(*model, folder) for model in models]
    points: list[SweepPoint] = []
    with ResultsFolder(folder, NAME).locked() as results:
        if ray_address is not None:
            _train_on_ray(configs, max_seconds, ray_address)
        for (n_levels, seed), config in zip(models, configs, strict=True):
            steps = _train(config, max_seconds)
            name = _name(n_levels, seed)
            found = results.keep(
                name,
                {**_identity(settings, config), "steps": steps},
                functools.partial(_measure, settings, config, results.episodes / name),
            )
            points.append(SweepPoint(n_levels, seed, **found))
            results.write(as_dict(points, settings), report(points))
            draw(points, folder / f"{NAME}.png")
    return points


def rank_correlation(
    points: Sequence[SweepPoint],
    measure: str = "score",
    *,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Spearman's correlation of test success with a measure, and its p-value.

    `measure` is "score" or "concentration".

    The p-value is one-sided, of a permutation test of `n_permutations` random pairings,
    or of all if there are no more. Both are NaN for fewer than 3 models, or where all
    have one success or one value.
    """
    from scipy.stats import permutation_test, rankdata

    tests, scores = (
        rankdata([getattr(point, name) for point in points]) if points else np.empty(0)
        for name in ("test", measure)
    )
    if len(points) < 3 or len(set(tests)) < 2 or len(set(scores)) < 2:
        return float("nan"), float("nan")

    def correlation(first: np.ndarray) -> float:
        return float(np.corrcoef(first, scores)[0, 1])

    found = permutation_test(
        (tests,),
        correlation,
        permutation_type="pairings",
        alternative="greater",
        n_resamples=n_permutations,
        random_state=seed,
    )
    return float(found.statistic), float(found.pvalue)


def as_dict(points: Sequence[SweepPoint], settings: SweepSettings) -> dict[str, Any]:
    """Plain values for a results file."""
    tests = {}
    for measure in _MEASURES:
        correlation, p_value = rank_correlation(points, measure)
        if not np.isnan(correlation):
            tests[measure] = {"rank_correlation": correlation, "p_value": p_value}
    return {
        "settings": dataclasses.asdict(settings),
        "points": [dataclasses.asdict(point) for point in points],
        "tests": tests,
    }


def report(points: Sequence[SweepPoint]) -> str:
    """Markdown: a row for each model, and the rank correlations."""
    table = markdown_table(
        (
            *("training levels", "seed", "train success", "test success"),
            *("score", "95 % interval", "interpretable features"),
            "mean response concentration",
        ),
        (
            (
                *(f"{p.n_levels:,}" if p.n_levels else "unlimited", p.seed),
                *(f"{p.train:.1%}", f"{p.test:.1%}", f"{p.score:.3f}"),
                *(f"{p.low:.3f} to {p.high:.3f}", ", ".join(p.interpretable)),
                f"{p.concentration:.3f}",
            )
            for p in points
        ),
    )
    lines = [table]
    for measure, name in _MEASURES.items():
        correlation, p_value = rank_correlation(points, measure)
        if not np.isnan(correlation):
            lines.append(
                f"Rank correlation of test success with the {name} (Spearman): "
                f"{correlation:.2f}, one-sided permutation p = {p_value:.2g}, "
                f"{len(points)} models."
            )
    return "\n\n".join(lines) + "\n"


def draw(points: Sequence[SweepPoint], path: PathLike) -> None:
    """The article's figure with both data: success, and interpretable features."""
    article = article_numbers()["finite_levels"]
    levels = article["n_train_levels"]
    graded = np.array(list(article["features_interpretable"].values()))
    with figure(path, 2, (9, 3.4)) as (left, right):
        for name, colour in (("train", "C0"), ("test", "C1")):
            percents = np.array(list(article[f"completed_{name}"].values()))
            label = f"{name}, article"
            left.plot(levels, percents.mean(axis=0), "--", color=colour, label=label)
            _draw_ours(left, points, name, colour, f"{name}, here")
        right.errorbar(
            levels,
            graded.mean(axis=0),
            # The article's error bars: population standard deviation of the four.
            graded.std(axis=0),
            fmt="--o",
            color="0.5",
            capsize=3,
            label="article: graded by two researchers",
        )
        _draw_ours(right, points, "score", "C2", "here: scored against states")
        _draw_ours(
            right, points, "concentration", "C4", "here: mean response concentration"
        )
        left.set_title("levels completed (%)", fontsize=9)
        right.set_title("interpretability (%)", fontsize=9)
        for axes in (left, right):
            axes.set(xscale="log", xlabel="training levels", ylim=(-3, 103))
            axes.legend(fontsize=7)


def _draw_ours(
    axes: Any, points: Sequence[SweepPoint], name: str, colour: str, label: str
) -> None:
    """Points of each model, and a line through the means; unlimited at the right."""
    most = max((p.n_levels for p in points), default=1)
    unlimited = 10 * max(
        most, max(article_numbers()["finite_levels"]["n_train_levels"])
    )
    places = sorted({p.n_levels or unlimited for p in points})
    values = {
        x: [100 * getattr(p, name) for p in points if (p.n_levels or unlimited) == x]
        for x in places
    }
    for x, found in values.items():
        axes.plot([x] * len(found), found, "o", color=colour, ms=4, alpha=0.6)
    means = [float(np.mean(found)) for found in values.values()]
    axes.plot(places, means, "-", color=colour, label=label)
    if unlimited in values:
        axes.axvline(unlimited, color="0.8", lw=0.8)
        axes.text(unlimited, 0, "unlimited", rotation=90, fontsize=6, ha="right")


def _name(n_levels: int, seed: int) -> str:
    return f"{n_levels or 'unlimited'}_levels_seed_{seed}"


def _plain(config: TrainConfig) -> dict[str, Any]:
    """What a trained model depends on, as JSON gives it back."""
    values = json.loads(json.dumps(config.as_dict()))
    return {name: value for name, value in values.items() if name not in _NO_EFFECT}


def _identity(settings: SweepSettings, config: TrainConfig) -> dict[str, Any]:
    """What a model's measures depend on."""
    return {
        "train": _plain(config),
        "n_episodes": settings.n_episodes,
        "score": dataclasses.asdict(settings.score),
    }


def _train(config: TrainConfig, max_seconds: float | None) -> list[int]:
    """Trains a model, or resumes; returns its steps of distillation and PPO."""
    path = config.folder / MODEL_NAME
    if os.path.exists(path):
        args = load_checkpoint(path).args
        kept = json.loads(json.dumps(args.get("lucid_rl", {})))
        same = _plain(config).items() <= kept.items()
        steps = [args.get("distillation_updates", 0), args.get("steps_done", 0)]
        if (
            same
            and steps[1] >= config.n_total_steps
            and (config.n_total_steps or steps[0] >= config.distillation.n_updates)
        ):
            return steps
    # Keras, which this imports, is not needed to read a sweep that has ended.
    from lucid_rl.training.run import train

    args = train(config, max_seconds).args
    return [args.get("distillation_updates", 0), args.get("steps_done", 0)]


def _train_on_ray(
    configs: Sequence[TrainConfig], max_seconds: float | None, address: str
) -> None:
    ray = connected_ray(address)
    remote = ray.remote(_train)
    ray.get(
        [
            remote.options(num_cpus=config.n_threads or 1).remote(config, max_seconds)
            for config in configs
        ]
    )


def _measure(
    settings: SweepSettings, config: TrainConfig, episodes: pathlib.Path
) -> dict[str, Any]:
    """Success on its own and unseen levels, and the score of its features."""
    model = load(load_checkpoint(config.folder / MODEL_NAME))
    # Episodes of an earlier, less trained model are no longer wanted.
    shutil.rmtree(episodes, ignore_errors=True)
    own, unseen = success_rates(
        model, config.game, EvaluationSettings(settings.n_episodes), episodes
    )
    score, _, _ = score_with_features(model, settings.score)
    return {
        "train": (own or unseen).fraction,
        "test": unseen.fraction,
        "score": score.score,
        "low": score.interval[0],
        "high": score.interval[1],
        "interpretable": [f.object_class for f in score.features if f.interpretable],
        "concentration": float(np.mean([f.response for f in score.features])),
    }

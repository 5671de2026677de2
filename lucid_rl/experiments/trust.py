"""Which attribution predicts what happens when a feature is removed?

Each feature of a layer is projected out of the model, and the edited models play the
levels that the original played. A method is good if its attributions on a few frames of
the original's games, predict how many levels are lost without each feature, and which.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.evaluation.evaluation import Evaluation, evaluate
from lucid_rl.evaluation.replay import replay_episodes
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.files import PathLike
from lucid_rl.games.registry import game_settings
from lucid_rl.interpret.attribution import AttributionSettings, attribute
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.mean_baseline import attribute_from_mean
from lucid_rl.interpret.multi_path import MultiPathSettings, attribute_along_paths
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.interpret.shapley import shapley_values
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.progress import progress
from lucid_rl.reports import figure, markdown_table
from lucid_rl.statistics import bootstrap, percentile_interval
from lucid_rl.validation import Natural, Positive, Settings, at_least

NAME = "trust"
_CHUNK = 64  # observations attributed at once
# The measures of `Agreement`, in the order of the report.
_TITLES = {
    "pooled": "games and features pooled (AUC)",
    "within": "games of a feature (AUC)",
    "rank": "features (rank correlation)",
}


@dataclasses.dataclass(frozen=True)
class TrustSettings(Settings):
    """What is removed, how often the models play, and how much is attributed."""

    layer: str = "2b"
    """Layer whose features are removed."""
    n_features: Annotated[int, at_least(2)] = 8
    """Features of the layer."""
    n_levels: Positive = 200
    """Levels that the original and each edited model play; the same for all."""
    n_frames: Positive = 4
    """Frames of each of the original's games that attributions are computed on."""
    n_fit: Positive = 1024
    """Frames that features are fitted to."""
    n_orders: Positive = 16
    """Orders of features for Shapley values."""
    n_bootstrap: Positive = 1000
    """Resamples of levels for the intervals."""
    seed: Natural = 0
    """Seed of levels, actions, orders, paths and resamples."""
    bfloat16: bool = False
    """Play with convolutions in bfloat16; attributions are computed without."""


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """What removing features does to whole games.

    Attributes:
        lost: bool [N, K], whether a level that the original completes is not completed
            without the feature.
        failed: fraction of all levels that fail without each feature, f64 [K].
        original_failed: the original's.
        features: the features.
    """

    lost: np.ndarray
    failed: np.ndarray
    original_failed: float
    features: NMF


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How well a method predicts whole games; each with a 95 % bootstrap interval.

    Attributes:
        method: its name.
        rank: Spearman's correlation, over features, of the mean absolute attribution
            with the fraction of levels lost.
        within: for a feature, the probability that the mean absolute attribution in a
            lost game is larger than in one that is not lost (area under the ROC curve);
            mean over features that lose at least five.
        pooled: the same over all pairs of a game and a feature.
    """

    method: str
    rank: tuple[float, float, float]
    within: tuple[float, float, float]
    pooled: tuple[float, float, float]


def compare_attributions(
    model: Any, settings: TrustSettings, folder: PathLike
) -> tuple[list[Agreement], Outcomes]:
    """Compares attribution methods with what removing features does to whole games.

    Args:
        model: a `Model`, or what `load` takes, whose game can start given levels.
        settings: how much.
        folder: where `trust.json`, `trust.md`, `trust.png` and the episodes go; an
            interrupted run resumes.

    Returns:
        The methods, best `pooled` first, and the outcomes.

    Raises:
        InputError: the model completes none of the levels.
        ModelError: no such layer.
        GameError: the game cannot start given levels.
    """
    model = load(model)
    with ResultsFolder(folder, NAME).locked() as results:
        play = functools.partial(_play, settings=settings, folder=results.episodes)
        player = model
        if settings.bfloat16 and model.checkpoint is not None:
            player = load(model.checkpoint, bfloat16=True)
        original = play(player, "original")
        completed = [e for e in original.episodes if e.completed]
        if not completed:
            raise InputError(
                f"{model.name} completes none of the {settings.n_levels} levels, so "
                "that none can be lost: play more (n_levels), or a model that succeeds"
            )
        frames, fitted = _frames(original, settings)
        nmf = fit_features(
            model,
            fitted,
            settings.layer,
            nmf=NMFSettings(n_features=settings.n_features, seed=settings.seed),
        )
        # Episodes of other features are of other models.
        digest = hashlib.sha256(nmf.directions.tobytes()).hexdigest()[:12]
        edited = [
            play(player.without(direction, settings.layer), f"without_{k}_{digest}")
            for k, direction in enumerate(nmf.directions)
        ]
        outcomes = _outcomes(original, edited, nmf)
        predicted = predictions(model, frames, nmf, settings)
        kept = np.array([e.completed for e in original.episodes])
        agreements = [
            _agreement(name, values[kept], outcomes.lost, settings)
            for name, values in predicted.items()
        ]
        agreements.sort(key=lambda one: -one.pooled[0])
        results.write(
            _as_dict(agreements, outcomes, settings), report(agreements, outcomes)
        )
        draw(agreements, results.path / f"{NAME}.png")
    return agreements, outcomes


def predictions(
    model: Model, frames: np.ndarray, nmf: NMF, settings: TrustSettings
) -> dict[str, np.ndarray]:
    """Each method's mean absolute attribution of features in games, f32 [N, K].

    `frames` are u8 [N, F, H, W, C], F of each of N games.
    """
    flat = frames.reshape(-1, *frames.shape[2:])
    found = {}
    for name, method in _methods(model, nmf, settings).items():
        values = np.concatenate(
            [
                method(flat[start : start + _CHUNK])
                for start in progress(range(0, len(flat), _CHUNK), name)
            ]
        )
        found[name] = np.abs(values.reshape(*frames.shape[:2], -1)).mean(axis=1)
    return found


def _methods(
    model: Model, nmf: NMF, settings: TrustSettings
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Functions of frames [n, H, W, C] that give features' attributions [n, K]."""
    layer, rng = settings.layer, np.random.default_rng([settings.seed, 1])

    def reduced(found: Any) -> np.ndarray:
        return nmf.reduce(found.values)[0].sum(axis=(1, 2))

    def by(**how: Any) -> Callable[[np.ndarray], np.ndarray]:
        chosen = AttributionSettings(**how)
        return lambda seen: reduced(attribute(model, seen, layer, settings=chosen))

    def occlusion(seen: np.ndarray, replaced_by: Any) -> np.ndarray:
        how = AttributionSettings(method="occlusion", occlude_with=replaced_by)
        return attribute(model, seen, layer, settings=how, features=nmf).by_channel()

    def edit(seen: np.ndarray) -> np.ndarray:
        without = model.outputs_without(nmf.directions, layer, seen)[1]
        return (model(seen)[1] - without).T

    article = {"method": "integrated_gradients", "n_steps": 10}
    paths = MultiPathSettings(max_paths=10)
    return {
        "gradient": by(method="gradient"),
        "gradient x activation": by(method="gradient_x_activation"),
        "integrated gradients, the article's 10 steps": by(**article),
        "difference quotients, 10 steps": by(n_steps=10),
        "difference quotients from the mean activation": lambda seen: reduced(
            attribute_from_mean(model, seen, layer)
        ),
        "along 10 paths, 10 steps each": lambda seen: reduced(
            attribute_along_paths(model, seen, layer, nmf, rng, settings=paths)
        ),
        "Shapley values of features": lambda seen: shapley_values(
            model, seen, layer, nmf, rng, n_orders=settings.n_orders
        ).by_channel(),
        "occlusion with 0": functools.partial(occlusion, replaced_by="zero"),
        "occlusion with the mean": functools.partial(occlusion, replaced_by="mean"),
        "the edit itself, value of the frame": edit,
        "the edit itself, policy of the frame": lambda seen: _policy_change(
            model, seen, layer, nmf.directions
        ),
        "amount of the feature": lambda seen: nmf.transform(
            model.activations(seen, layer)
        ).sum(axis=(1, 2)),
    }


def _policy_change(
    model: Model, seen: np.ndarray, layer: str, directions: np.ndarray
) -> np.ndarray:
    """KL(policy || policy without each direction), [n, K]."""
    from scipy.special import log_softmax

    logs = log_softmax(model(seen)[0], axis=-1)
    edited = log_softmax(model.outputs_without(directions, layer, seen)[0], axis=-1)
    return (np.exp(logs) * (logs - edited)).sum(axis=-1).T


def report(agreements: Sequence[Agreement], outcomes: Outcomes) -> str:
    """Markdown: levels lost by feature, and how well each method predicts them."""
    n, lost = len(outcomes.lost), outcomes.lost.mean(axis=0)
    failing = ", ".join(f"{k}: {part:.1%}" for k, part in enumerate(lost))
    rows = [
        (
            one.method,
            *(
                f"{value:.2f} ({low:.2f} to {high:.2f})"
                for value, low, high in (getattr(one, name) for name in _TITLES)
            ),
        )
        for one in agreements
    ]
    return (
        f"The original fails {outcomes.original_failed:.1%} of the levels. Of the {n} "
        f"that it completes, fail without feature (from 0) {failing}.\n\n"
        f"{markdown_table(('method', *_TITLES.values()), rows)}\n"
    )


def _as_dict(
    agreements: Sequence[Agreement], outcomes: Outcomes, settings: TrustSettings
) -> dict[str, Any]:
    return {
        "settings": settings,
        "original_failed": outcomes.original_failed,
        "failed": outcomes.failed,
        "n_completed": len(outcomes.lost),
        "lost": outcomes.lost.sum(axis=0),
        "methods": agreements,
    }


def draw(agreements: Sequence[Agreement], path: PathLike) -> None:
    """Draws the three measures of each method with their intervals."""
    rows = np.arange(len(agreements))
    size = 11, 0.9 + 0.27 * len(agreements)
    with figure(path, len(_TITLES), size, sharey=True) as panels:
        for axes, (name, title) in zip(panels, _TITLES.items(), strict=True):
            value, low, high = np.array([getattr(one, name) for one in agreements]).T
            errors = np.maximum([value - low, high - value], 0)
            axes.errorbar(value, rows, xerr=errors, fmt="o", capsize=3)
            axes.axvline(0.0 if name == "rank" else 0.5, color="0.6", ls="--", lw=1)
            axes.set_title(title, fontsize=9)
        panels[0].set_yticks(rows, [one.method for one in agreements], fontsize=8)
        panels[0].invert_yaxis()


def _play(
    model: Model, name: str, settings: TrustSettings, folder: pathlib.Path
) -> Evaluation:
    game = game_settings(model.args, model.n_actions, model.image_shape)
    how = EvaluationSettings(settings.n_levels, game, settings.seed, causes=False)
    return evaluate(model, settings=how, path=folder / f"{name}.npz")


def _frames(
    original: Evaluation, settings: TrustSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Frames of each game [N, F, H, W, C], and frames to fit features to [M, ...]."""
    per_game = -(-settings.n_fit // len(original.episodes))
    shown: list[np.ndarray] = []
    fitted: list[np.ndarray] = []
    replays = replay_episodes(original.episodes, original.settings.played)
    for replay in progress(replays, "frames", total=len(original.episodes)):
        last = len(replay.observations) - 1
        for kept, n in ((shown, settings.n_frames), (fitted, per_game)):
            # The middle of each of n parts of the game.
            places = ((np.arange(n) + 0.5) / n * last).round().astype(int)
            kept.append(replay.observations[places])
    return np.array(shown), np.concatenate(fitted)


def _outcomes(original: Evaluation, edited: Sequence[Evaluation], nmf: NMF) -> Outcomes:
    kept = np.array([e.completed for e in original.episodes])
    failed = np.array([[not e.completed for e in one.episodes] for one in edited]).T
    return Outcomes(failed[kept], failed.mean(axis=0), float(1 - kept.mean()), nmf)


def _agreement(
    name: str, predicted: np.ndarray, lost: np.ndarray, settings: TrustSettings
) -> Agreement:
    def resampled(times: np.ndarray) -> np.ndarray:
        rows = np.repeat(np.arange(len(lost)), times)
        return _measures(predicted[rows], lost[rows])

    rng = np.random.default_rng([settings.seed, 2])
    samples = bootstrap(resampled, len(lost), rng, settings.n_bootstrap)
    found = {
        key: (float(value), *percentile_interval(draws))
        for key, value, draws in zip(
            _TITLES, _measures(predicted, lost), samples.T, strict=True
        )
    }
    return Agreement(name, **found)


def _measures(predicted: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """The measures in the order of `_TITLES`, NaN where nothing can be compared.

    Of mean absolute attributions f [N, K] and losses bool [N, K].
    """
    from scipy.stats import spearmanr

    often = np.flatnonzero(lost.sum(axis=0) >= 5)
    within = [roc_area(predicted[:, k], lost[:, k]) for k in often]
    means, rates = predicted.mean(axis=0), lost.mean(axis=0)
    constant = np.ptp(means) == 0 or np.ptp(rates) == 0
    return np.array(
        [
            roc_area(predicted.ravel(), lost.ravel()),
            np.mean(within) if within else np.nan,
            np.nan if constant else spearmanr(means, rates).statistic,
        ]
    )


def roc_area(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve of scores f [n] for positives bool [n].

    Equal scores count half. NaN if all are positive, or none.
    """
    from scipy.stats import rankdata

    n_positive, n = int(positive.sum()), len(positive)
    if n_positive in (0, n):
        return float("nan")
    ranks = rankdata(scores)[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(ranks / (n_positive * (n - n_positive)))

"""Comparison of a model with edited versions that others made, such as the article's.

The weights show what was removed; the same edit is made with this package's features
and compared. Where the game is installed, all play the same levels, or, on an engine
that cannot start given levels, equally many.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid_rl.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lucid_rl.checkpoints.released import files_beside
from lucid_rl.editing.edit_comparison import (
    FoundEdit,
    MatchedEdit,
    find_edit,
    match_edit,
)
from lucid_rl.errors import GameError, reading
from lucid_rl.evaluation.evaluation import Evaluation, evaluate
from lucid_rl.evaluation.settings import NOT_KNOWN, EvaluationSettings
from lucid_rl.experiments.article import published_failures
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.files import PathLike
from lucid_rl.games.registry import engine_version, game_settings
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.reports import markdown_table
from lucid_rl.sampling.model_samples import sample_observations
from lucid_rl.sampling.observations import read_observations
from lucid_rl.statistics import Proportion, compare
from lucid_rl.validation import Natural, Positive, Settings

ORIGINAL = "original"
INVISIBLE = "original_invisible_buzzsaws"
NAME = "companions"
_N_ENVS = 128  # that observations are sampled in


@dataclasses.dataclass(frozen=True)
class CompanionSettings(Settings):
    """How models are compared with edited versions of them.

    Attributes:
        n_levels: levels that each model plays, by default the article's number; 0 for
            none.
        n_observations: observations from which features are found.
        nmf: how features are found.
        seed: of sampling, levels and actions.
        bfloat16: play with convolutions in bfloat16.
    """

    n_levels: Natural = 10_000
    n_observations: Positive = 2048
    nmf: NMFSettings = NMFSettings()
    seed: Natural = 0
    bfloat16: bool = False


@dataclasses.dataclass(frozen=True)
class CompanionResults:
    """Results of the comparison.

    Attributes:
        found: what was removed from each companion.
        matched: our own edit beside each.
        evaluations: episodes by name; empty if none were played.
        note: why none were played, or "".
    """

    found: dict[str, FoundEdit]
    matched: dict[str, MatchedEdit]
    evaluations: dict[str, Evaluation]
    note: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a results file."""
        return {
            "edits": {
                name: {"found": found.as_dict(), "ours": self.matched[name]}
                for name, found in self.found.items()
            },
            "played": {
                name: {
                    **evaluation.as_dict(),
                    "failed_in_all": evaluation.failed.as_dict(),
                    "causes": _causes(evaluation),
                }
                for name, evaluation in self.evaluations.items()
            },
            "note": self.note,
        }

    def markdown(self) -> str:
        """Markdown report: each edit, ours beside it, and failures by model."""
        edits = "\n".join(
            f"- **{name}**: {found}.\n  Beside ours: {self.matched[name]}."
            for name, found in self.found.items()
        )
        played = self.note or _table(self.evaluations)
        return f"## What was removed\n\n{edits}\n\n## Levels failed\n\n{played}\n"


def compare_companions(
    checkpoint: PathLike,
    companions: Mapping[str, PathLike],
    settings: CompanionSettings,
    folder: PathLike,
    game: GameSettings | None = None,
) -> CompanionResults:
    """Compares edited models' weights, and their play, with the original's.

    Args:
        checkpoint: the original's `.jd` file; observations that lie beside it in the
            article's layout are used.
        companions: `.jd` files of edited versions, by name. Named as the rows of the
            article's failure table, they are shown beside those.
        settings: how.
        folder: where `companions.md`, `companions.json` and the episodes go. Levels
            already played there are not played again.
        game: what to play; by default what the checkpoint says.

    Raises:
        InputError: a companion is not an edited version of the original.
        GameError: there are neither observations nor a game to sample them in.
    """
    original = load_checkpoint(checkpoint)
    edited = {name: load_checkpoint(path) for name, path in companions.items()}
    game = game or game_settings(
        original.args, original.n_actions, original.image_shape
    )
    found = {}
    for name, companion in edited.items():
        with reading(f"companion {name}"):
            found[name] = find_edit(original, companion)
    with ResultsFolder(folder, NAME).locked() as results:
        matched = {}
        if found:
            model = load(original)
            observations = _observations(checkpoint, model, game, settings)
            features = {
                layer: fit_features(model, observations, layer, nmf=settings.nmf)
                for layer in {edit.layer for edit in found.values()}
            }
            matched = {
                name: match_edit(edit, original, edited[name], features[edit.layer])
                for name, edit in found.items()
            }
        evaluations: dict[str, Evaluation] = {}
        note = _why_not_played(game, settings)
        if not note:
            models = {ORIGINAL: original, **edited}
            evaluations = _play(models, game, settings, results)
        compared = CompanionResults(found, matched, evaluations, note)
        results.write(compared.as_dict(), compared.markdown())
    return compared


def _why_not_played(game: GameSettings, settings: CompanionSettings) -> str:
    if settings.n_levels == 0:
        return "No levels were played, as none were asked for."
    try:
        engine_version(game)
    except GameError as error:
        return f"No levels were played: {error}."
    return ""


def _observations(
    checkpoint: PathLike,
    model: Model,
    game: GameSettings,
    settings: CompanionSettings,
) -> np.ndarray:
    own = files_beside(checkpoint).observations
    if own is not None:
        return read_observations(own).observations[: settings.n_observations]
    n, seed = settings.n_observations, settings.seed
    n_envs = min(_N_ENVS, n)
    sampled = sample_observations(model, n, game=game, seed=seed, n_envs=n_envs)
    return sampled.observations


def _play(
    models: Mapping[str, Checkpoint],
    game: GameSettings,
    settings: CompanionSettings,
    folder: ResultsFolder,
) -> dict[str, Evaluation]:
    players = {name: (model, game) for name, model in models.items()}
    players[INVISIBLE] = (models[ORIGINAL], game.replace(invisible=("buzzsaw",)))
    return {
        name: evaluate(
            model,
            settings=EvaluationSettings(
                settings.n_levels, played, settings.seed, bfloat16=settings.bfloat16
            ),
            path=folder.episodes / f"{name}.npz",
        )
        for name, (model, played) in players.items()
    }


def _table(evaluations: Mapping[str, Evaluation]) -> str:
    published = published_failures()
    before = evaluations[ORIGINAL].failed
    rows: list[tuple[object, ...]] = []
    for name, evaluation in evaluations.items():
        failed, against = evaluation.failed, ""
        if name != ORIGINAL:
            change = compare(failed, before)
            against = f"{change.difference:+.2%} ({change.p_text})"
        title = f"**{name.replace('_', ' ')}**"
        rows.append((title, f"{failed.n:,}", failed, against, _causes(evaluation)))
        if name in published:
            row = published[name]
            total = Proportion(sum(map(row.count, row.percent)), row.n_levels)
            causes = ", ".join(
                f"{cause.replace('_', ' ')} {percent:.2f} %"
                for cause, percent in row.percent.items()
            )
            rows.append(("the article's", f"{row.n_levels:,}", total, "", causes))
    header = ("", "levels", "failed", "against the original", "by cause")
    return markdown_table(header, rows)


def _causes(evaluation: Evaluation) -> str:
    if evaluation.causes_unknown:
        return NOT_KNOWN
    return ", ".join(
        f"{cause.replace('_', ' ')} {100 * rate.fraction:.2f} %"
        for cause, rate in evaluation.failures().items()
    )

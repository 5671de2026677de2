"""The article's experiments on one model, in the order of the article.

Features of a layer are fitted and named by what they detect; the model is edited;
original, edited and blindfolded agents play the same levels; what ended the failed
ones is counted, as far as the game tells. Also how sparse attributions and how one-hot
the features are.
"""

import dataclasses
import json
import pathlib
from typing import Any

from lucid_rl.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lucid_rl.evaluation.comparison import failures_dict, report
from lucid_rl.evaluation.comparison_settings import ALL_ROWS, ComparisonSettings
from lucid_rl.evaluation.evaluation import Evaluation, evaluate
from lucid_rl.evaluation.feature_search import (
    FeatureSearch,
    Removed,
    search_features,
)
from lucid_rl.evaluation.level_contents import levels_with
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.evaluation.verdicts import ROWS, Verdict, verdicts_of
from lucid_rl.files import PathLike, atomic_open
from lucid_rl.games.coinrun_original_files import NAME as ORIGINAL_COINRUN
from lucid_rl.games.registry import saves_states

RESULTS_FILE = "comparison.json"
REPORT_FILE = "comparison.md"


@dataclasses.dataclass(frozen=True)
class ComparisonResults:
    """What the experiments gave.

    Attributes:
        settings: what was done.
        evaluations: the failure table's rows.
        verdicts: on each row but the original.
        search: what each edit removed, sparsity and one-hotness.
    """

    settings: ComparisonSettings
    evaluations: dict[str, Evaluation]
    verdicts: dict[str, Verdict]
    search: FeatureSearch

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a results file."""
        return {
            "settings": dataclasses.asdict(self.settings),
            **failures_dict(self.evaluations, self.verdicts),
            **self.search.as_dict(),
        }


def repeat_experiments(
    checkpoint: Checkpoint | PathLike, settings: ComparisonSettings, folder: PathLike
) -> ComparisonResults:
    """Runs the article's experiments on a model.

    Args:
        checkpoint: the model, or its `.jd` file.
        settings: which experiments, how large.
        folder: where episodes, edited models, features, `comparison.md` and
            `comparison.json` are written, and `features_<layer>.html` that shows the
            features. Features found and levels played there are used again, so that
            an interrupted comparison goes on.

    Raises:
        InputError: the model has another number of actions than the game, or an
            object to be edited was never seen.
        ModelError: a layer does not exist.
        SettingsError: `folder` holds episodes of another model or other settings.
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = load_checkpoint(checkpoint)
    folder = pathlib.Path(folder)
    search = search_features(checkpoint, settings, folder)
    evaluations = {
        row: _play(row, checkpoint, search.removed.get(row), settings, folder)
        for row in ALL_ROWS
        if row == "original" or row in settings.rows
    }
    seeds = [episode.level_seed for episode in evaluations["original"].episodes]
    hazards = levels_with(settings.game, seeds) if saves_states(settings.game) else None
    verdicts = verdicts_of(evaluations, hazards)
    results = ComparisonResults(settings, evaluations, verdicts, search)
    with atomic_open(folder / RESULTS_FILE, "w") as stream:
        json.dump(results.as_dict(), stream, indent=1)
        stream.write("\n")
    with atomic_open(folder / REPORT_FILE, "w") as stream:
        stream.write(report(results.as_dict()))
    return results


def _play(
    row: str,
    checkpoint: Checkpoint,
    removed: Removed | None,
    settings: ComparisonSettings,
    folder: pathlib.Path,
) -> Evaluation:
    game, agent = settings.game, checkpoint
    if game.name == ORIGINAL_COINRUN:
        # Only so can it start given levels, the same for every row.
        game = game.replace(n_envs=1)
    if removed is not None:
        agent = removed.edit(checkpoint)
        save_checkpoint(agent, folder / f"{row}.jd")
        agent = dataclasses.replace(agent, path=f"{row}.jd")
    elif row in ROWS:
        game = game.replace(invisible=(ROWS[row].hazard,))
    evaluated = EvaluationSettings(
        settings.n_levels, game, settings.seed, bfloat16=settings.bfloat16
    )
    return evaluate(agent, evaluated, folder / f"{row}.npz")

"""The article's experiments on one model, in the order of the article.

Edits remove the directions of an object from the model. The original, the edited models
and the original with invisible objects play the same levels, and the causes of failure
are counted. Also how sparse attributions and how one-hot features are.
"""

import dataclasses
import pathlib
from typing import Any

from lucid_rl.evaluation.evaluation import Evaluation, evaluate
from lucid_rl.evaluation.level_contents import levels_with
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.experiments.comparison import failures_dict, report
from lucid_rl.experiments.comparison_settings import ALL_ROWS, ComparisonSettings
from lucid_rl.experiments.feature_search import (
    FeatureSearch,
    Removed,
    search_features,
)
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.experiments.verdicts import ROWS, Verdict, verdicts_of
from lucid_rl.files import PathLike
from lucid_rl.games.coinrun_original_files import NAME as ORIGINAL_COINRUN
from lucid_rl.games.registry import engine_version, saves_states
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model

NAME = "comparison"


@dataclasses.dataclass(frozen=True)
class ComparisonResults:
    """Results of the article's experiments.

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
    model: Any, settings: ComparisonSettings, folder: PathLike
) -> ComparisonResults:
    """Runs the article's experiments on a model.

    Args:
        model: a `Model`, or what `load` takes.
        settings: which experiments, how large.
        folder: where episodes, edited models, features, `comparison.md` and
            `comparison.json` are written, and `features_<layer>.html` that shows the
            features. A second run resumes an interrupted one.

    Raises:
        InputError: the model has another number of actions than the game, or an
            object to be edited was never seen.
        ModelError: a layer does not exist.
        SettingsError: `folder` holds episodes of another model or other settings.
        SaveError: `folder` cannot be written, or another run uses it.
    """
    network = load(model)
    settings = settings.for_model(network)
    player = load(model, bfloat16=settings.bfloat16)
    # Errors come before a folder is made.
    engine_version(settings.played)
    for layer in settings.layers:
        network.layer_shape(layer)
    with ResultsFolder(folder, NAME).locked() as results:
        search = search_features(network, settings, results)
        evaluations = {
            row: _play(row, player, search.removed.get(row), settings, results)
            for row in ALL_ROWS
            if row == "original" or row in settings.rows
        }
        seeds = [episode.level_seed for episode in evaluations["original"].episodes]
        hazards = None
        if saves_states(settings.played):
            hazards = levels_with(settings.played, seeds)
        verdicts = verdicts_of(evaluations, hazards)
        found = ComparisonResults(settings, evaluations, verdicts, search)
        results.write(found.as_dict(), report(found.as_dict()))
    return found


def draw_features(
    model: Any, settings: ComparisonSettings, folder: PathLike
) -> list[pathlib.Path]:
    """Fits the features of `settings.layers`, and draws them, to be named by hand.

    The other arguments are those of `repeat_experiments`.

    Returns:
        Paths of `features_<layer>.html`.
    """
    network = load(model)
    with ResultsFolder(folder, NAME).locked() as results:
        search_features(network, settings.for_model(network), results)
    return sorted(pathlib.Path(folder).glob("features_*.html"))


def _play(
    row: str,
    model: Model,
    removed: Removed | None,
    settings: ComparisonSettings,
    folder: ResultsFolder,
) -> Evaluation:
    game = settings.played
    if game.name == ORIGINAL_COINRUN:
        # Only so can it start given levels, the same for every row.
        game = game.replace(n_envs=1)
    if removed is not None:
        model = removed.edit(model)
        model.save(folder.path / f"{row}.jd")
    elif row in ROWS:
        game = game.replace(invisible=(ROWS[row].hazard,))
    played = EvaluationSettings(settings.n_levels, game, settings.seed)
    return evaluate(model, settings=played, path=folder.episodes / f"{row}.npz")

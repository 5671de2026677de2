"""Comparison of models of diverse and narrow training: success and features.

The article's diversity hypothesis is that features become interpretable where the
levels trained on are diverse enough (section "The diversity hypothesis"). Its
researchers judged; here each model plays the levels it was trained on and unseen ones,
and its features are measured: as in `finite_levels`, and by the best feature's average
precision for each object.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from lucid_rl.editing.feature_naming import (
    measure_features,
    sample_labelled_observations,
)
from lucid_rl.errors import InputError
from lucid_rl.evaluation.evaluation import evaluate
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.experiments.finite_levels import TITLES, measure_layer
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.files import PathLike
from lucid_rl.games.registry import game_settings
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.reports import markdown_table
from lucid_rl.statistics import Proportion
from lucid_rl.validation import Natural, Positive, Settings

NAME = "diversity"


@dataclasses.dataclass(frozen=True)
class DiversitySettings(Settings):
    """How models are compared.

    Attributes:
        n_episodes: levels that each model plays, of its own and of unseen ones.
        layer: layer whose features are measured; the article's.
        n_observations: observations of unseen levels from which features are found.
        interval: steps of an environment from one observation to the next.
        n_sparsity: observations on which sparsity is measured.
        objects: objects of CoinRun that features may detect.
        nmf: how features are found.
        seed: of levels, actions and fits.
        bfloat16: play with convolutions in bfloat16.
    """

    n_episodes: Positive = 1000
    layer: str = "2b"
    n_observations: Positive = 2048
    interval: Positive = 128
    n_sparsity: Positive = 256
    objects: tuple[str, ...] = ("buzzsaw", "enemy_left", "enemy_right", "lava")
    nmf: NMFSettings = NMFSettings()
    seed: Natural = 0
    bfloat16: bool = False


@dataclasses.dataclass(frozen=True)
class DiversityMeasures:
    """What was measured of one model.

    Attributes:
        n_train_levels: levels it was trained on; 0 for unlimited.
        own: success rate on these; None where they are unlimited.
        unseen: success rate on unseen levels.
        measures: of its features; see `finite_levels.ModelMeasures`.
        precisions: the best feature's average precision for each object.
    """

    n_train_levels: int
    own: Proportion | None
    unseen: Proportion
    measures: dict[str, float]
    precisions: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a results file."""
        rates = {
            "own": self.own and self.own.as_dict(),
            "unseen": self.unseen.as_dict(),
        }
        return {**vars(self), **rates}


def compare_diversity(
    models: Mapping[str, Any], settings: DiversitySettings, folder: PathLike
) -> dict[str, DiversityMeasures]:
    """Measures each model and writes `diversity.json` and `diversity.md`.

    Args:
        models: models by name: each a `Model`, or what `load` takes.
        settings: how.
        folder: where results and episodes go; a second run resumes there.

    Returns:
        Measures by name.

    Raises:
        InputError: a model of another game than Procgen's CoinRun.
    """
    loaded = {name: load(spec) for name, spec in models.items()}
    for name, model in loaded.items():
        game = game_settings(model.args, model.n_actions, model.image_shape)
        if game.name != "coinrun":
            raise InputError(f"{name}: objects are known for Procgen's coinrun only")
    with ResultsFolder(folder, NAME).locked() as results:
        measured = {
            name: _measure(model, settings, results.episodes / name)
            for name, model in loaded.items()
        }
        plain = {name: measures.as_dict() for name, measures in measured.items()}
        results.write({"settings": settings, "models": plain}, report(measured))
    return measured


def report(measured: Mapping[str, DiversityMeasures]) -> str:
    """Markdown: a column for each model."""
    rows: dict[str, list[str]] = {}
    for found in measured.values():
        levels = f"{found.n_train_levels:,}" if found.n_train_levels else "unlimited"
        cells = {
            "levels trained on": levels,
            "success rate on these": str(found.own) if found.own else "",
            "success rate on unseen levels": str(found.unseen),
            **{TITLES[name]: f"{value:.3f}" for name, value in found.measures.items()},
            **{
                f"average precision of the best feature for {name}": f"{precision:.2f}"
                for name, precision in found.precisions.items()
            },
        }
        for title, cell in cells.items():
            rows.setdefault(title, []).append(cell)
    table = markdown_table(
        ("", *measured), ((title, *row) for title, row in rows.items())
    )
    return f"{table}\n"


def success_rates(
    model: Model, own: GameSettings, settings: EvaluationSettings, folder: PathLike
) -> tuple[Proportion | None, Proportion]:
    """Success rates on the levels that a model was trained on, and on unseen ones.

    `own` is the game with its training levels; the first rate is None where these are
    unlimited. Episodes are kept in `folder`.
    """
    games = {"own": own, "unseen": own.replace(n_levels=0, start_level=0)}
    found = {}
    for name, game in games.items():
        if name == "unseen" or own.n_levels:
            how = dataclasses.replace(settings, game=game, causes=False)
            path = pathlib.Path(folder, f"{name}.npz")
            found[name] = evaluate(model, settings=how, path=path).completed
    return found.get("own"), found["unseen"]


def _measure(
    model: Model, settings: DiversitySettings, folder: pathlib.Path
) -> DiversityMeasures:
    own_game = game_settings(
        model.args, model.n_actions, model.image_shape, training_levels=True
    )
    how = EvaluationSettings(
        settings.n_episodes, seed=settings.seed, bfloat16=settings.bfloat16
    )
    own, unseen = success_rates(model, own_game, how, folder)
    sampled = sample_labelled_observations(
        model,
        settings.n_observations,
        seed=settings.seed,
        interval=settings.interval,
    )
    measures, features = measure_layer(
        model, sampled.observations, settings.layer, settings.n_sparsity, settings.nmf
    )
    objects = measure_features(model, features, sampled)
    precisions = {
        name: max(
            objects.average_precision(feature, name)
            for feature in range(objects.n_features)
        )
        for name in settings.objects
    }
    return DiversityMeasures(own_game.n_levels, own, unseen, measures, precisions)

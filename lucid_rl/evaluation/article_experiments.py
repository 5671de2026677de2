"""The article's experiments on one model, in the order of the article.

Features of a layer are fitted and named by what they detect; the model is edited;
original, edited and blindfolded agents play the same levels; what ended the failed
ones is counted. Also how sparse attributions and how one-hot the features are.
"""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from lucid_rl.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lucid_rl.editing.edit import EditSettings, edit_checkpoint, feature_directions
from lucid_rl.editing.feature_naming import (
    measure_features,
    sample_labelled_observations,
)
from lucid_rl.editing.feature_objects import Choice
from lucid_rl.errors import SettingsError
from lucid_rl.evaluation.article import article_numbers
from lucid_rl.evaluation.comparison import (
    TARGETS,
    comparison_dict,
    failure_table,
    verdicts_of,
)
from lucid_rl.evaluation.evaluation import Evaluation, evaluate
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.files import PathLike, atomic_open
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interpret.attribution import attribute
from lucid_rl.interpret.factorization import Factorization, save_factorization
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.measures import one_hotness, top_share
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.model.graph_model import GraphModel
from lucid_rl.sampling.observations import ObservationSettings

ROWS = ("original", *TARGETS)

# The object whose feature each edit removes, by the names of the objects' maps.
_EDITED_OBJECTS = {
    "buzzsaw_blind": "buzzsaw",
    "enemy_moving_left_blind": "enemy_left",
}
_N_SPARSITY = 256  # observations on which sparsity is measured


@dataclasses.dataclass(frozen=True)
class ComparisonSettings:
    """How the article's experiments are repeated."""

    n_levels: int = 10_000
    """Levels for each row of the table; the article's number."""
    rows: tuple[str, ...] = ROWS
    """Which rows; "original" is always among them."""
    layer: str = "2b"
    """The layer whose features are edited; the article's."""
    nmf: NMFSettings = dataclasses.field(default_factory=NMFSettings)
    """How features are found."""
    sampling: ObservationSettings = dataclasses.field(
        default_factory=lambda: ObservationSettings(n_per_env=64)
    )
    """Observations from which features are found and named."""
    game: GameSettings = dataclasses.field(default_factory=GameSettings)
    """The game that is played."""
    seed: int = 0
    """Of sampling, levels and actions; every row plays the same levels."""
    bfloat16: bool = False
    """Play with convolutions in bfloat16; about 1.7 times as fast."""

    def __post_init__(self) -> None:
        unknown = [row for row in self.rows if row not in ROWS]
        if unknown:
            raise SettingsError(
                f"unknown row {unknown[0]!r}; known are {', '.join(ROWS)}"
            )
        if self.game.name != "coinrun":
            raise SettingsError(
                "the article's experiments are on coinrun; got the game "
                f"{self.game.name!r}"
            )


@dataclasses.dataclass(frozen=True)
class ComparisonResults:
    """What the experiments gave."""

    evaluations: dict[str, Evaluation]
    """The failure table's rows."""
    choices: dict[str, Choice]
    """The feature that each edit removed, by row."""
    features: Factorization
    sparsity: float
    """Mean share of the total absolute attribution in the top 10 pairs."""
    one_hotness: np.ndarray
    """float64 [K], cosine of each feature's direction with its nearest channel."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a results file."""
        return {
            **comparison_dict(self.evaluations),
            "features_removed": {
                row: dataclasses.asdict(choice) for row, choice in self.choices.items()
            },
            "sparsity_top_10": self.sparsity,
            "one_hotness": [float(cosine) for cosine in self.one_hotness],
        }

    def markdown(self) -> str:
        """The report: table, verdicts, features, sparsity."""
        published = article_numbers()
        lines = [
            "## Levels failed, by cause",
            "",
            failure_table(self.evaluations),
            "",
            "In brackets: 95 % Wilson intervals. Below each row: the article's.",
            "",
            *(f"- {verdict}" for verdict in verdicts_of(self.evaluations).values()),
            "",
            "## Features removed",
            "",
            *(f"- {row}: {choice}" for row, choice in self.choices.items()),
            "",
            "## Attribution",
            "",
            f"- The top 10 position-channel pairs hold {self.sparsity:.0%} of the "
            "total absolute attribution on average (article: more than "
            f"{published['sparsity']['percent_more_than']:.0f} % in its example).",
            "- Cosine of each feature's direction with its nearest channel: "
            f"{', '.join(f'{cosine:.2f}' for cosine in self.one_hotness)} (article: "
            "close to one-hot).",
        ]
        return "\n".join(lines) + "\n"


def repeat_experiments(
    checkpoint: Checkpoint | PathLike, settings: ComparisonSettings, folder: PathLike
) -> ComparisonResults:
    """Runs the article's experiments on a model.

    Args:
        checkpoint: the model, or its `.jd` file.
        settings: which experiments, how large.
        folder: where episodes, edited models, features, `comparison.md` and
            `comparison.json` are written. Levels already played there are not played
            again, so that an interrupted comparison goes on.

    Raises:
        InputError: the model has another number of actions than the game, or an
            object to be edited was never seen.
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = load_checkpoint(checkpoint)
    folder = pathlib.Path(folder)
    model = GraphModel.from_checkpoint(checkpoint)
    sampled = sample_labelled_observations(
        model, settings.game, settings.sampling, settings.seed
    )
    features = fit_features(
        model, sampled.observations, settings.layer, nmf=settings.nmf
    )
    save_factorization(features, folder / f"features_{settings.layer}.npz")
    measured = measure_features(model, features, sampled)
    with atomic_open(folder / "feature_objects.md", "w") as stream:
        stream.write(measured.table() + "\n")
    choices = {
        row: measured.choose(object_class, np.random.default_rng(settings.seed))
        for row, object_class in _EDITED_OBJECTS.items()
        if row in settings.rows
    }
    evaluations = {}
    for row in ("original", *(row for row in settings.rows if row != "original")):
        game, agent = settings.game, checkpoint
        if row in choices:
            agent = _blinded(checkpoint, features, choices[row], settings.layer)
            save_checkpoint(agent, folder / f"{row}.jd")
        elif row == "original_invisible_buzzsaws":
            game = dataclasses.replace(game, invisible=("buzzsaw",))
        evaluations[row] = evaluate(
            agent,
            EvaluationSettings(
                settings.n_levels, game, settings.seed, bfloat16=settings.bfloat16
            ),
            folder / f"{row}.npz",
        )
    shown = sampled.observations[:_N_SPARSITY]
    attributions = attribute(model, shown, settings.layer).values
    reduced, _ = features.reduce_attribution(attributions)
    results = ComparisonResults(
        evaluations=evaluations,
        choices=choices,
        features=features,
        sparsity=float(np.nanmean(top_share(reduced))),
        one_hotness=one_hotness(features.directions),
    )
    with atomic_open(folder / "comparison.json", "w") as stream:
        json.dump(results.as_dict(), stream, indent=1)
    with atomic_open(folder / "comparison.md", "w") as stream:
        stream.write(results.markdown())
    return results


def _blinded(
    checkpoint: Checkpoint, features: Factorization, choice: Choice, layer: str
) -> Checkpoint:
    directions = feature_directions(features, [choice.feature], layer)
    note = {"object": choice.object_class, "features": [choice.feature]}
    return edit_checkpoint(checkpoint, directions, EditSettings(layer, note=note))

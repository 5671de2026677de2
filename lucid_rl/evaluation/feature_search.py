"""What each edit removes, and how sparse and one-hot features are.

Found from sampled observations, and kept: a comparison that goes on must play the very
models that it began with. What an edit removes may also be given, by whoever looked at
the features found.
"""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.bounded import read_json
from lucid_rl.checkpoints.checkpoint import Checkpoint
from lucid_rl.editing.edit import EditSettings, edit_checkpoint, feature_directions
from lucid_rl.editing.feature_naming import (
    measure_features,
    sample_labelled_observations,
)
from lucid_rl.editing.feature_objects import Choice, FeatureObjects, GivenChoice
from lucid_rl.errors import FileFormatError
from lucid_rl.evaluation.comparison_settings import ComparisonSettings
from lucid_rl.evaluation.players import describe_model
from lucid_rl.evaluation.verdicts import ROWS
from lucid_rl.files import atomic_open
from lucid_rl.games.registry import engine_version, make_game, saves_states
from lucid_rl.interpret.attribution import attribute
from lucid_rl.interpret.feature_sheet import feature_sheet
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.measures import one_hotness, top_share
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.sampling.observations import Observations, sample_observations

SEARCH_FILE = "features.json"
N_TOP = 10
"""Position-channel pairs whose share of the attribution is measured."""

_N_SPARSITY = 256  # observations on which sparsity is measured


@dataclasses.dataclass(frozen=True)
class Removed:
    """The features that an edit removes.

    Attributes:
        features: all of the layer's.
        choice: which of them, for which object, and, unless they were given, how sure
            that is.
    """

    features: NMF
    choice: Choice | GivenChoice

    def edit(self, checkpoint: Checkpoint) -> Checkpoint:
        """The model without these features."""
        chosen, layer = self.choice.features, self.features.layer
        directions = feature_directions(self.features, chosen, layer)
        note = {"object": self.choice.object_class, "features": list(chosen)}
        return edit_checkpoint(checkpoint, directions, EditSettings(layer, note=note))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a results file."""
        return {
            "layer": self.features.layer,
            "text": str(self.choice),
            "choice": dataclasses.asdict(self.choice),
        }


@dataclasses.dataclass(frozen=True)
class FeatureSearch:
    """What was found.

    Attributes:
        removed: what each edit removes, by row.
        layer: where attribution was measured.
        top_shares: float64 [n], share of an observation's total absolute attribution
            that its top 10 position-channel pairs hold.
        one_hotness: float64 [K], cosine of each feature's direction with its nearest
            channel.
    """

    removed: dict[str, Removed]
    layer: str
    top_shares: np.ndarray
    one_hotness: np.ndarray

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a results file."""
        return {
            "features_removed": {
                row: removed.as_dict() for row, removed in self.removed.items()
            },
            "layer": self.layer,
            "sparsity": {
                "n_top": N_TOP,
                "n": len(self.top_shares),
                "mean": float(np.nanmean(self.top_shares)),
                "above_80_percent": float((self.top_shares > 0.8).mean()),
            },
            "one_hotness": self.one_hotness.tolist(),
        }


def search_features(
    checkpoint: Checkpoint, settings: ComparisonSettings, folder: pathlib.Path
) -> FeatureSearch:
    """Fits features, finds what each responds to, and chooses what to remove.

    Args:
        checkpoint: the model.
        settings: of the comparison; features that it names to be removed are.
        folder: where features, their pictures and `features.json` are kept; what is
            found there of the same model and settings is not sought again.

    Raises:
        InputError: the model has another number of actions than the game, or an
            object to be edited was never seen.
        ModelError: a layer does not exist.
    """
    identity = _identity(checkpoint, settings)
    found = _read_kept(folder, identity)
    if found is None:
        found = _search(checkpoint, settings, folder)
        _keep(found, folder, identity)
    given = {
        row: Removed(
            NMF.load(_features_path(folder, chosen.layer)),
            GivenChoice(str(ROWS[row].object_class), chosen.features),
        )
        for row, chosen in settings.remove.items()
        if row in settings.rows
    }
    return dataclasses.replace(found, removed={**found.removed, **given})


def _search(
    checkpoint: Checkpoint, settings: ComparisonSettings, folder: pathlib.Path
) -> FeatureSearch:
    model = load(checkpoint)
    for layer in settings.layers:
        model.layer_shape(layer)  # an unknown one shows now
    sampled = _sampled(model, settings)
    features = [
        fit_features(model, sampled.observations, layer, nmf=settings.nmf)
        for layer in settings.layers
    ]
    for found in features:
        found.save(_features_path(folder, found.layer))
        _draw(model, found, sampled, folder)
    measured = []
    if saves_states(settings.game):
        measured = [_measure(model, found, sampled, folder) for found in features]
    first = features[0]
    attributions = attribute(model, sampled.observations[:_N_SPARSITY], first.layer)
    reduced, _ = first.reduce(attributions.values)
    return FeatureSearch(
        removed={
            row: _choose(features, measured, object_class, settings.seed)
            for row, object_class in _objects(settings).items()
        },
        layer=first.layer,
        top_shares=top_share(reduced, N_TOP),
        one_hotness=one_hotness(first.directions),
    )


def _sampled(model: Model, settings: ComparisonSettings) -> Observations:
    """Observations of the model at play, with states where the game has them."""
    game, sampling, seed = settings.game, settings.sampling, settings.seed
    if saves_states(settings.game):
        return sample_labelled_observations(model, game, sampling, seed)
    with make_game(game.replace(n_envs=sampling.n_envs, seed=seed)) as played:
        rng = np.random.default_rng(seed)
        return sample_observations(played, model, sampling, rng)


def _objects(settings: ComparisonSettings) -> dict[str, str]:
    """The object of each edit among the rows whose features are yet to be chosen."""
    return {
        name: row.object_class
        for name, row in ROWS.items()
        if row.object_class is not None
        and name in settings.rows
        and name not in settings.remove
    }


def _draw(
    model: Model,
    features: NMF,
    sampled: Observations,
    folder: pathlib.Path,
) -> None:
    """Writes a page that shows each feature by the observations it responds to."""
    sheet = feature_sheet(model, sampled.observations, features)
    with atomic_open(folder / f"features_{features.layer}.html", "w") as stream:
        stream.write(f'<!doctype html><meta charset="utf-8">{sheet._repr_html_()}\n')


def _features_path(folder: pathlib.Path, layer: str) -> pathlib.Path:
    return folder / f"features_{layer}.npz"


def _measure(
    model: Model,
    features: NMF,
    sampled: Observations,
    folder: pathlib.Path,
) -> FeatureObjects:
    measured = measure_features(model, features, sampled)
    with atomic_open(folder / f"feature_objects_{features.layer}.md", "w") as stream:
        stream.write(measured.table() + "\n")
    return measured


def _choose(
    features: Sequence[NMF],
    measured: Sequence[FeatureObjects],
    object_class: str,
    seed: int,
) -> Removed:
    """The features that tell an object best, of the layer that has the best one."""
    choices = [
        objects.choose(object_class, np.random.default_rng(seed))
        for objects in measured
    ]
    found, choice = max(
        zip(features, choices, strict=True),
        key=lambda candidate: candidate[1].average_precisions[0],
    )
    return Removed(found, choice)


def _identity(checkpoint: Checkpoint, settings: ComparisonSettings) -> dict[str, Any]:
    """What must be the same for kept features to be of use."""
    chosen = dataclasses.asdict(settings)
    for name in ("n_levels", "bfloat16", "rows", "remove"):
        del chosen[name]
    identity = {
        "model": describe_model(checkpoint)["sha256"],
        "settings": chosen,
        "objects": _objects(settings),
        "engine": engine_version(settings.game),
    }
    return json.loads(json.dumps(identity))


def _keep(search: FeatureSearch, folder: pathlib.Path, identity: dict) -> None:
    content = {
        "identity": identity,
        **search.as_dict(),
        "top_shares": search.top_shares.tolist(),
    }
    with atomic_open(folder / SEARCH_FILE, "w") as stream:
        json.dump(content, stream, indent=1)
        stream.write("\n")


def _read_kept(folder: pathlib.Path, identity: dict) -> FeatureSearch | None:
    try:
        content = read_json(folder / SEARCH_FILE)
        if content["identity"] != identity:
            return None
        return FeatureSearch(
            removed={
                row: Removed(
                    NMF.load(_features_path(folder, removed["layer"])),
                    Choice.from_dict(removed["choice"]),
                )
                for row, removed in content["features_removed"].items()
            },
            layer=str(content["layer"]),
            top_shares=np.array(content["top_shares"], np.float64),
            one_hotness=np.array(content["one_hotness"], np.float64),
        )
    except (ValueError, KeyError, TypeError, FileFormatError):
        # Not sought yet, or damaged.
        return None

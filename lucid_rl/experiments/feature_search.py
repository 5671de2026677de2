"""Choice of what each edit removes, and sparsity and one-hotness of features.

Computed from sampled observations and kept, so that a resumed comparison plays the same
edited models. What an edit removes can also be given by hand.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lucid_rl.editing.feature_naming import (
    feature_directions,
    measure_features,
    sample_labelled_observations,
)
from lucid_rl.editing.feature_objects import FeatureObjects
from lucid_rl.editing.object_directions import find_object_directions
from lucid_rl.editing.paired_observations import draw_pairs
from lucid_rl.experiments.comparison_settings import EDIT_ROWS, ComparisonSettings
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.experiments.verdicts import ROWS
from lucid_rl.files import write_text
from lucid_rl.games.registry import engine_version, saves_states
from lucid_rl.interpret.attribution import attribute
from lucid_rl.interpret.feature_sheet import feature_sheet
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.measures import one_hotness, top_fraction
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.model import Model
from lucid_rl.sampling.model_samples import sample_observations
from lucid_rl.sampling.observations import Observations

N_TOP = 10
"""Position-channel pairs whose fraction of the attribution is measured."""

_N_ENVS = 128  # that observations are sampled in
_N_SPARSITY = 256  # observations on which sparsity is measured


@dataclasses.dataclass(frozen=True)
class Removed:
    """What an edit removes.

    Attributes:
        object_class: the object that the model is no longer to see.
        layer: the layer.
        directions: float [k, C], the directions of its channels.
        text: how they were chosen.
        features: their numbers, where they are features of the layer.
    """

    object_class: str
    layer: str
    directions: np.ndarray
    text: str
    features: tuple[int, ...] = ()

    def edit(self, model: Model) -> Model:
        """The model without these directions."""
        note = {"object": self.object_class, "features": list(self.features)}
        return model.without(self.directions, self.layer, note=note)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a results file."""
        return {**dataclasses.asdict(self), "directions": self.directions.tolist()}


def _removed(
    nmf: NMF, object_class: str | None, features: Sequence[int], text: str
) -> Removed:
    """Features of a layer."""
    directions = feature_directions(nmf, features, nmf.layer).astype(np.float64)
    return Removed(str(object_class), nmf.layer, directions, text, tuple(features))


@dataclasses.dataclass(frozen=True)
class FeatureSearch:
    """Directions that edits remove, sparsity and one-hotness.

    Attributes:
        removed: what each edit removes, by row.
        layer: where attribution was measured.
        top_shares: float64 [n], fraction of an observation's total absolute attribution
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
    model: Model, settings: ComparisonSettings, folder: ResultsFolder
) -> FeatureSearch:
    """Fits features, and chooses what each edit removes.

    Args:
        model: the model.
        settings: of the comparison; features that it names to be removed are.
        folder: where features, their pictures and what was chosen are kept; what is
            kept there of the same model and settings is not computed again.
    """
    for layer in settings.layers:
        model.layer_shape(layer)  # raises for an unknown one
    kept = folder.keep(
        "features",
        _identity(model, settings),
        lambda: _search(model, settings, folder.path),
    )
    found = {
        row: Removed(
            **{
                **values,
                "directions": np.array(values["directions"], np.float64),
                "features": tuple(values["features"]),
            }
        )
        for row, values in kept["removed"].items()
    }
    for row, chosen in settings.remove.items():
        if row in settings.rows:
            nmf = NMF.load(_features_path(folder.path, chosen.layer))
            name = ROWS[row].object_class
            numbers = ", ".join(map(str, chosen.features))
            text = f"features {numbers} given by hand for {name}"
            found[row] = _removed(nmf, name, chosen.features, text)
    return FeatureSearch(
        removed={row: found[row] for row in EDIT_ROWS if row in found},
        layer=str(kept["layer"]),
        top_shares=np.array(kept["top_shares"], np.float64),
        one_hotness=np.array(kept["one_hotness"], np.float64),
    )


def _search(
    model: Model, settings: ComparisonSettings, folder: pathlib.Path
) -> dict[str, Any]:
    sampled = _sampled(model, settings)
    features = [
        fit_features(model, sampled.observations, layer, nmf=settings.nmf)
        for layer in settings.layers
    ]
    for found in features:
        found.save(_features_path(folder, found.layer))
        _draw(model, found, sampled, folder)
    first = features[0]
    attributions = attribute(model, sampled.observations[:_N_SPARSITY], first.layer)
    reduced, _ = first.reduce(attributions.values)
    objects = _objects(settings)
    removed: dict[str, Removed] = {}
    if saves_states(settings.played):
        measured = [_measure(model, found, sampled, folder) for found in features]
        if settings.choose == "features":
            removed = {
                row: _choose(features, measured, name, settings.seed)
                for row, name in objects.items()
            }
        elif objects:
            removed = _directions(model, settings, sampled, objects)
    return {
        "removed": {row: found.as_dict() for row, found in removed.items()},
        "layer": first.layer,
        "top_shares": top_fraction(reduced, N_TOP).tolist(),
        "one_hotness": one_hotness(first.directions).tolist(),
    }


def _directions(
    model: Model,
    settings: ComparisonSettings,
    sampled: Observations,
    objects: Mapping[str, str],
) -> dict[str, Removed]:
    pairs = draw_pairs(sampled, settings.played)
    layer, found = settings.layers[0], {}
    for row, name in objects.items():
        own = find_object_directions(model, pairs, name, layer, settings.directions)
        found[row] = Removed(name, layer, own.directions, str(own))
    return found


def _sampled(model: Model, settings: ComparisonSettings) -> Observations:
    """Observations of the model at play, with states where the game has them."""
    n, game = settings.n_observations, settings.played
    labelled = saves_states(game)
    sample = sample_labelled_observations if labelled else sample_observations
    return sample(model, n, game=game, seed=settings.seed, n_envs=min(_N_ENVS, n))


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
    page = f'<!doctype html><meta charset="utf-8">{sheet._repr_html_()}\n'
    write_text(folder / f"features_{features.layer}.html", page)


def _features_path(folder: pathlib.Path, layer: str) -> pathlib.Path:
    return folder / f"features_{layer}.npz"


def _measure(
    model: Model,
    features: NMF,
    sampled: Observations,
    folder: pathlib.Path,
) -> FeatureObjects:
    measured = measure_features(model, features, sampled)
    write_text(folder / f"feature_objects_{features.layer}.md", f"{measured.table()}\n")
    return measured


def _choose(
    features: Sequence[NMF],
    measured: Sequence[FeatureObjects],
    object_class: str,
    seed: int,
) -> Removed:
    """The features that detect an object best, of the layer with the best one."""
    choices = [
        objects.choose(object_class, np.random.default_rng(seed))
        for objects in measured
    ]
    found, choice = max(
        zip(features, choices, strict=True),
        key=lambda candidate: candidate[1].average_precisions[0],
    )
    return _removed(found, object_class, choice.features, str(choice))


def _identity(model: Model, settings: ComparisonSettings) -> dict[str, Any]:
    """What kept features depend on."""
    chosen = dataclasses.asdict(settings)
    for name in ("n_levels", "bfloat16", "rows", "remove"):
        del chosen[name]
    return {
        "model": model.digest,
        "settings": chosen,
        "objects": _objects(settings),
        "engine": engine_version(settings.played),
    }

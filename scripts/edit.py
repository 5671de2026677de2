"""Edits a model so that it no longer sees chosen features (article, Appendix A).

Examples:
  python -m scripts.edit --list     # which object each feature responds to
  python -m scripts.edit --object=buzzsaw --output=outputs/buzzsaw_blind.jd
  python -m scripts.edit --features=0,3 --factorization=outputs/features_2b.npz \
      --output=outputs/edited.jd
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np
from absl import flags

from lucid_rl import load_checkpoint, save_checkpoint
from lucid_rl.checkpoints.released import resolve_model
from lucid_rl.editing.edit import (
    EditSettings,
    edit_checkpoint,
    edit_model_pb,
    feature_directions,
)
from lucid_rl.editing.feature_naming import (
    measure_features,
    sample_labelled_observations,
)
from lucid_rl.errors import InputError
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES
from lucid_rl.games.registry import describe, game_settings
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.sampling.observations import Observations, ObservationSettings

from . import program

_DEFAULT = EditSettings()
_SAMPLING = ObservationSettings(n_per_env=16)

_MODEL = flags.DEFINE_string(
    "model", "bundled", 'Path of a .jd or .model.pb file, "released:<name>", "bundled".'
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Where the edited model is written, of the same kind as --model."
)
_LAYER = flags.DEFINE_string(
    "layer", _DEFAULT.layer, "Layer whose activations lose the features."
)
_FEATURES = flags.DEFINE_list("features", [], "Numbers of features to remove, from 0.")
_OBJECT = flags.DEFINE_string(
    "object", None, "Remove the features that respond best to this object."
)
_FACTORIZATION = flags.DEFINE_string(
    "factorization", None, "File of fitted features; without one they are fitted here."
)
_SAVE_FACTORIZATION = flags.DEFINE_string(
    "save_factorization", None, "Where features that were fitted here are kept."
)
_N_FEATURES = flags.DEFINE_integer(
    "n_features", NMFSettings().n_features, "Features to fit.", lower_bound=1
)
_STRENGTH = flags.DEFINE_float(
    "strength", _DEFAULT.strength, "1 removes a feature wholly, 0 not at all."
)
_N_OBSERVATIONS = flags.DEFINE_integer(
    "n_observations",
    _SAMPLING.n_envs * _SAMPLING.n_per_env,
    "Observations sampled to fit and to name features.",
    lower_bound=_SAMPLING.n_envs,
)
_GAME = flags.DEFINE_string(
    "game", None, "What the model plays, where its file does not say so."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of sampling and of fitting.")
_LIST = flags.DEFINE_bool(
    "list", False, "Print which object each feature responds to, and edit nothing."
)


def _list() -> None:
    model = _graph_model(resolve_model(_MODEL.value))
    kept = _kept_features([])
    sampled = _sampled(model)
    print(measure_features(model, kept or _fitted(model, sampled), sampled).table())


def _edit() -> None:
    chosen, output = _feature_numbers(), _OUTPUT.value
    if not output:
        raise InputError("give --output, the file for the edited model (or --list)")
    if not (chosen or _OBJECT.value):
        raise InputError("give --features or --object: what is the model not to see?")
    if _OBJECT.value and _OBJECT.value not in OBJECT_CLASSES:
        raise InputError(
            f"--object={_OBJECT.value}: expected one of {', '.join(OBJECT_CLASSES)}"
        )
    settings = EditSettings(_LAYER.value, _STRENGTH.value)
    source = resolve_model(_MODEL.value)
    model = _graph_model(source)
    kept = _kept_features(chosen)
    sampled = _sampled(model) if _OBJECT.value or kept is None else None
    factorization = kept or _fitted(model, sampled)
    note: dict[str, Any] = {}
    if _OBJECT.value and sampled is not None:
        measured = measure_features(model, factorization, sampled)
        choice = measured.choose(_OBJECT.value, np.random.default_rng(_SEED.value))
        print(choice)
        chosen += [k for k in choice.features if k not in chosen]
        note = {
            "object": _OBJECT.value,
            "average_precisions": list(choice.average_precisions),
        }
    directions = feature_directions(factorization, chosen, _LAYER.value)
    settings = dataclasses.replace(settings, note={**note, "features": chosen})
    if _is_graph(source):
        edit_model_pb(source, output, directions, settings)
    else:
        edited = edit_checkpoint(load_checkpoint(source), directions, settings)
        save_checkpoint(edited, output)
    print(f"edited model: {pathlib.Path(output).resolve()}")


def _is_graph(source: str) -> bool:
    return str(source).endswith(".pb")


def _graph_model(source: str) -> Model:
    model = load(source)
    model.layer_shape(_LAYER.value)  # an unknown one shows now, not after sampling
    return model


def _sampled(model: Model) -> Observations:
    n_per_env = _N_OBSERVATIONS.value // _SAMPLING.n_envs
    settings = ObservationSettings(n_per_env=n_per_env)
    game = game_settings(model.args, model.n_actions, name=_GAME.value)
    print(describe(game))
    return sample_labelled_observations(model, game, settings, _SEED.value)


def _kept_features(chosen: list[int]) -> NMF | None:
    if not _FACTORIZATION.value:
        return None
    kept = NMF.load(_FACTORIZATION.value)
    # Whether the file fits shows before anything is sampled.
    feature_directions(kept, chosen or [0], _LAYER.value)
    return kept


def _fitted(model: Model, sampled: Observations | None) -> NMF:
    assert sampled is not None  # The caller samples where there is no file.
    factorization = fit_features(
        model,
        sampled.observations,
        _LAYER.value,
        nmf=NMFSettings(n_features=_N_FEATURES.value, seed=_SEED.value),
        model_name=str(_MODEL.value),
    )
    if _SAVE_FACTORIZATION.value:
        factorization.save(_SAVE_FACTORIZATION.value)
    return factorization


def _feature_numbers() -> list[int]:
    try:
        return [int(number) for number in _FEATURES.value]
    except ValueError as error:
        raise InputError(
            f"--features={','.join(_FEATURES.value)}: expected whole numbers, from 0"
        ) from error


def main() -> None:
    """Lists features, or edits, as the flags say."""
    if _LIST.value:
        _list()
    else:
        _edit()


if __name__ == "__main__":
    program.run(main)

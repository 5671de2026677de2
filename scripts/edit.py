"""Edits a model so that it no longer sees an object or features (article, Appendix A).

Examples:
  python -m scripts.edit --list     # which object each feature responds to
  python -m scripts.edit --object=buzzsaw --output=outputs/buzzsaw_blind.jd
  python -m scripts.edit --features=0,3 --factorization=outputs/features_2b.npz \
      --output=outputs/edited.jd
"""

import pathlib
from typing import Any

import numpy as np
from absl import flags

from lucid_rl.editing.feature_naming import (
    feature_directions,
    measure_features,
    sample_labelled_observations,
)
from lucid_rl.editing.object_directions import (
    DirectionSettings,
    find_object_directions,
)
from lucid_rl.editing.paired_observations import ERASABLE_OBJECTS, draw_pairs
from lucid_rl.errors import InputError, SettingsError
from lucid_rl.files import check_writable
from lucid_rl.flags import define_flags
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES
from lucid_rl.games.registry import describe, game_settings
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.sampling.observations import Observations, ObservationSettings
from scripts import program

_SAMPLING = ObservationSettings(n_per_env=32, interval=32)

_MODEL = flags.DEFINE_string(
    "model", "bundled", 'Path of a model, "released:<name>" or "bundled".'
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "File of the edited model, of the same kind as --model."
)
_LAYER = flags.DEFINE_string(
    "layer", "2b", "Layer whose activations lose the directions."
)
_FEATURES = flags.DEFINE_list("features", [], "Numbers of features to remove, from 0.")
_OBJECT = flags.DEFINE_string("object", None, "The object to remove.")
_CHOOSE = flags.DEFINE_enum(
    "choose",
    "directions",
    ["directions", "features"],
    "What --object removes: its directions, found from pairs of observations with and "
    "without it; or the features with the best average precision.",
)
_FACTORIZATION = flags.DEFINE_string(
    "factorization", None, "File of fitted features; without one they are fitted here."
)
_SAVE_FACTORIZATION = flags.DEFINE_string(
    "save_factorization", None, "Where features that were fitted here are kept."
)
_N_FEATURES = flags.DEFINE_integer("n_features", 8, "Features to fit.", lower_bound=1)
_STRENGTH = flags.DEFINE_float(
    "strength", 1.0, "1 removes the directions wholly, 0 not at all."
)
_N_OBSERVATIONS = flags.DEFINE_integer(
    "n_observations",
    _SAMPLING.n_envs * _SAMPLING.n_per_env,
    "Observations sampled to find directions and features.",
    lower_bound=_SAMPLING.n_envs,
)
_GAME = flags.DEFINE_string(
    "game", None, "What the model plays, where its file does not say so."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of sampling and of fitting.")
_LIST = flags.DEFINE_bool(
    "list", False, "Print which object each feature responds to, and edit nothing."
)
_DIRECTIONS = define_flags(DirectionSettings())


def _list(model: Model) -> None:
    kept = _kept_features([])
    _, sampled = _sampled(model)
    print(measure_features(model, kept or _fitted(model, sampled), sampled).table())


def _edit(model: Model) -> None:
    numbers, output = _feature_numbers(), _OUTPUT.value
    if not output:
        raise InputError("give --output, the file for the edited model (or --list)")
    if not (numbers or _OBJECT.value):
        raise InputError("give --features or --object: what is the model not to see?")
    known = ERASABLE_OBJECTS if _CHOOSE.value == "directions" else OBJECT_CLASSES
    if _OBJECT.value and _OBJECT.value not in known:
        raise InputError(
            f"--object={_OBJECT.value}: expected one of {', '.join(known)}"
        )
    if not 0 <= _STRENGTH.value <= 1:
        raise SettingsError(f"strength is {_STRENGTH.value}; expected 0 to 1")
    check_writable(pathlib.Path(output).absolute().parent)
    directions, note = _directions(model, numbers)
    edited = model.without(directions, _LAYER.value, _STRENGTH.value, note)
    edited.save(output)
    print(f"edited model: {pathlib.Path(output).resolve()}")


def _directions(model: Model, numbers: list[int]) -> tuple[np.ndarray, dict[str, Any]]:
    """What is removed, [k, C], and what the edit records."""
    kept = _kept_features(numbers)
    removed: list[np.ndarray] = []
    note: dict[str, Any] = {}
    sampled = None
    by_features = _OBJECT.value and _CHOOSE.value == "features"
    if _OBJECT.value or kept is None:
        game, sampled = _sampled(model)
        note = {"object": _OBJECT.value} if _OBJECT.value else {}
        if _OBJECT.value and not by_features:
            pairs = draw_pairs(sampled, game)
            found = find_object_directions(
                model, pairs, _OBJECT.value, _LAYER.value, _DIRECTIONS()
            )
            print(found)
            removed.append(found.directions)
    if numbers or by_features:
        nmf = kept or _fitted(model, sampled)
        if by_features and sampled is not None and _OBJECT.value:
            measured = measure_features(model, nmf, sampled)
            choice = measured.choose(_OBJECT.value, np.random.default_rng(_SEED.value))
            print(choice)
            numbers = list(dict.fromkeys([*numbers, *choice.features]))
            note["average_precisions"] = list(choice.average_precisions)
        removed.append(feature_directions(nmf, numbers, _LAYER.value))
    return np.concatenate(removed), {**note, "features": numbers}


def _sampled(model: Model) -> tuple[GameSettings, Observations]:
    n_per_env = _N_OBSERVATIONS.value // _SAMPLING.n_envs
    settings = ObservationSettings(n_per_env=n_per_env, interval=_SAMPLING.interval)
    game = game_settings(model.args, model.n_actions, name=_GAME.value)
    print(describe(game))
    return game, sample_labelled_observations(model, game, settings, _SEED.value)


def _kept_features(chosen: list[int]) -> NMF | None:
    if not _FACTORIZATION.value:
        return None
    kept = NMF.load(_FACTORIZATION.value)
    # Whether the file fits shows before anything is sampled.
    feature_directions(kept, chosen or [0], _LAYER.value)
    return kept


def _fitted(model: Model, sampled: Observations | None) -> NMF:
    assert sampled is not None  # The caller samples where there is no file.
    nmf = fit_features(
        model,
        sampled.observations,
        _LAYER.value,
        nmf=NMFSettings(n_features=_N_FEATURES.value, seed=_SEED.value),
        model_name=model.name,
    )
    if _SAVE_FACTORIZATION.value:
        nmf.save(_SAVE_FACTORIZATION.value)
    return nmf


def _feature_numbers() -> list[int]:
    try:
        return [int(number) for number in _FEATURES.value]
    except ValueError as error:
        raise InputError(
            f"--features={','.join(_FEATURES.value)}: expected whole numbers, from 0"
        ) from error


def main() -> None:
    """Lists features, or edits, as the flags say."""
    model = load(_MODEL.value)
    model.layer_shape(_LAYER.value)  # an unknown one shows now, not after sampling
    if _LIST.value:
        _list(model)
    else:
        _edit(model)


if __name__ == "__main__":
    program.run(main)

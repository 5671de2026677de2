"""Measurement of which object of CoinRun each feature detects."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.editing.feature_objects import FeatureObjects, compare_with_objects
from lucid_rl.errors import InputError
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES, batch_object_maps
from lucid_rl.games.registry import game_settings
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interpret.feature_set import feature_responses
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.model import Model
from lucid_rl.sampling.model_samples import sample_observations
from lucid_rl.sampling.observations import Observations

_MAP_SIZE = 16


def sample_labelled_observations(
    model: Model, n: int = 512, game: GameSettings | None = None, **options: Any
) -> Observations:
    """Samples observations of Procgen's CoinRun with the game's states.

    `game` is by default the one that the model was trained on; `options` are those
    of `sample_observations`.

    Raises:
        InputError: another game, or a model of another number of actions.
    """
    game = game or game_settings(model.args, model.n_actions, model.image_shape)
    if game.name != "coinrun":
        raise InputError(
            f"objects are known for Procgen's coinrun only, not for {game.name!r}"
        )
    return sample_observations(model, n, game=game, states=True, **options)


def measure_features(
    model: Model, factorization: NMF, sampled: Observations
) -> FeatureObjects:
    """Compares features' responses with the locations of objects."""
    if sampled.states is None:
        raise InputError("the observations come without states; sample with states")
    responses = feature_responses(model, sampled.observations, factorization)
    maps = batch_object_maps(sampled.states, _MAP_SIZE)
    return compare_with_objects(responses, maps, OBJECT_CLASSES)


def feature_directions(
    factorization: NMF, features: Sequence[int], layer: str
) -> np.ndarray:
    """Directions of features of a factorization that was fitted at `layer`, f32 [k, C].

    Raises:
        InputError: no feature, a number out of range, or another layer's file.
    """
    if factorization.layer and factorization.layer != layer:
        raise InputError(
            f"the factorization was fitted at layer {factorization.layer!r}; the edit "
            f"is asked for at {layer!r}. Give the factorization of {layer!r}, or edit "
            f"at {factorization.layer!r}."
        )
    if len(features) == 0:
        raise InputError("no features given; name at least one, from 0")
    wrong = [k for k in features if not 0 <= k < factorization.n_features]
    if wrong:
        raise InputError(
            f"there is no feature {wrong[0]}; the factorization has features 0 to "
            f"{factorization.n_features - 1}"
        )
    return factorization.directions[list(features)]

"""Directions of an object, from observations of a model's own play."""

from typing import Any

from lucid_rl.editing.feature_naming import sample_labelled_observations
from lucid_rl.editing.object_directions import (
    DirectionSettings,
    ObjectDirections,
    find_object_directions,
)
from lucid_rl.editing.paired_observations import ERASABLE_OBJECTS, draw_pairs
from lucid_rl.errors import InputError
from lucid_rl.games.registry import game_settings
from lucid_rl.model.loading import load


def object_directions(
    model: Any,
    object_class: str,
    layer: str = "2b",
    *,
    n_observations: int = 512,
    seed: int = 0,
    settings: DirectionSettings | None = None,
) -> ObjectDirections:
    """Finds the directions of a layer that carry an object of CoinRun.

    Args:
        model: a `Model`, or what `load` takes, of Procgen's CoinRun.
        object_class: one of `paired_observations.ERASABLE_OBJECTS`, such as "buzzsaw".
        layer: whose activations have the directions.
        n_observations: sampled of the model's own play, each drawn with and without
            the object.
        seed: of levels and actions.
        settings: how many directions, and how specific.

    Returns:
        The directions, [K, C], and what removing them is predicted to do.

    Raises:
        InputError: there is no such object, the model plays another game, or the object
            is visible nowhere.
        ModelError: the layer does not exist or no kernel reads it.

    Example:
        >>> found = lucid_rl.object_directions(model, "buzzsaw")
        >>> blind = model.without(found.directions, found.layer)
    """
    if object_class not in ERASABLE_OBJECTS:
        raise InputError(
            f"object_class={object_class!r}: expected one of "
            f"{', '.join(ERASABLE_OBJECTS)}"
        )
    model = load(model)
    game = game_settings(model.args, model.n_actions, model.image_shape)
    sampled = sample_labelled_observations(model, n_observations, game, seed=seed)
    pairs = draw_pairs(sampled, game)
    return find_object_directions(model, pairs, object_class, layer, settings)

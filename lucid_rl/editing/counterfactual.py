"""Counterfactual value functions, with one direction removed."""

import numpy as np

from lucid_rl.model.model import Model


def values_without(
    model: Model, observations: np.ndarray, layer: str, directions: np.ndarray
) -> np.ndarray:
    """Computes the values of models from each of which one direction is removed.

    Args:
        model: the network.
        observations: uint8 or floats in [0, 1], [N, H, W, 3].
        layer: the layer whose activations lose a direction.
        directions: [K, C], in the layer's channels. One that is zero takes nothing
            away.

    Returns:
        f32 [N, K]: the values of the K models that `Model.without` makes.

    Raises:
        InputError: directions of another width, or not finite.
        ModelError: the layer does not exist, or no kernel reads it.
    """
    return model.outputs_without(np.atleast_2d(directions), layer, observations)[1].T

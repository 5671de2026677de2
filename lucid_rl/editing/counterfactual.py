"""What the value function would be without a feature, on given observations.

An edited model acts as if a direction had been taken out of a layer's activations
(`projection`). Where only a few values are asked for, they are taken out of the
activations themselves and no model is made.
"""

import numpy as np

from lucid_rl.editing.projection import orthonormal_basis
from lucid_rl.errors import InputError
from lucid_rl.interpret.outputs import value
from lucid_rl.model.batching import batch_slices
from lucid_rl.model.graph_model import GraphModel

_BATCH = 64


def values_without(
    model: GraphModel, observations: np.ndarray, layer: str, directions: np.ndarray
) -> np.ndarray:
    """The value function with each direction alone projected out of a layer.

    Args:
        model: the network.
        observations: uint8 or floats in [0, 1], [N, H, W, 3].
        layer: the layer whose activations lose a direction.
        directions: [K, C], in the layer's channels. One that is zero takes nothing
            away.

    Returns:
        f32 [N, K]: the values of the K models that `edit_checkpoint` would make.

    Raises:
        InputError: directions of another width, or not finite.
        ModelError: the layer does not exist.
    """
    directions = np.atleast_2d(np.asarray(directions))
    function = model.layer_function(layer, [value().target])
    if directions.shape[1:] != function.shape[-1:]:
        raise InputError(
            f"directions have shape {directions.shape}; layer {layer!r} has "
            f"{function.shape[-1]} channels"
        )
    observations = model.check_observations(observations)
    found = np.empty((len(observations), len(directions)), np.float32)
    for rows in batch_slices(len(observations), _BATCH):
        batch = model.float_observations(observations[rows], first=rows.start)
        points = model.activations(batch, [layer])[layer]
        for k, direction in enumerate(directions):
            left = points
            if direction.any():
                (unit,) = orthonormal_basis(direction).astype(np.float32)
                left = points - (points @ unit)[..., None] * unit
            (values,) = function.values(left, batch)
            found[rows, k] = values.reshape(-1)
    return found

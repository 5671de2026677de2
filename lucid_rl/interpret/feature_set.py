"""Feature directions of a layer, and responses of observations to them."""

from typing import Protocol

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.model.batching import batch_slices
from lucid_rl.model.model import Model
from lucid_rl.progress import progress

_CHUNK = 64  # observations whose activations are in memory at once


class FeatureSet(Protocol):
    """Directions of a layer's channels that activations are sums of, as in `NMF`."""

    layer: str

    @property
    def directions(self) -> np.ndarray:
        """f32 [K, C]."""

    def transform(self, activations: np.ndarray) -> np.ndarray:
        """Feature weights of activations, f32 [..., K]."""


def feature_responses(
    model: Model, observations: np.ndarray, features: FeatureSet
) -> np.ndarray:
    """Computes how strongly each position responds to each feature of a layer.

    f32 [N, h, w, K] >= 0, for uint8 or float observations [N, H, W, C].

    Raises:
        InputError: the features do not know their layer.
    """
    layer = features.layer
    if not layer:
        raise InputError(
            "the features do not know their layer: fit them to an Attribution, or name "
            "it, as in NMF(8, layer='2b')"
        )
    shape = (*model.layer_shape(layer)[:-1], len(features.directions))
    responses = np.empty((len(observations), *shape), np.float32)
    slices = list(batch_slices(len(observations), _CHUNK))
    for rows in progress(slices, f"{layer}: responses to observations"):
        activations = model.activations(observations[rows], layer)
        responses[rows] = features.transform(activations)
    return responses

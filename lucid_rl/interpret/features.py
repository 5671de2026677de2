"""Features of a layer: NMF of its value attributions, or of its activations.

Article, sections "Dimensionality reduction for attribution" and "Dataset
example-based feature visualization".
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from lucid_rl.interpret.attribution import AttributionSettings, attribute
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.model.batching import batch_slices
from lucid_rl.model.model import Model
from lucid_rl.progress import progress

_FIT_STEPS = 4  # directions do not change with more
CHUNK = 64
"""Observations whose values are in memory at once."""


def fit_features(
    model: Model,
    observations: np.ndarray,
    layer: str,
    of: Literal["attribution", "activation"] = "attribution",
    nmf: NMFSettings | None = None,
    attribution: AttributionSettings | None = None,
    model_name: str = "",
    positions: int | None = None,
) -> NMF:
    """Finds feature directions of a layer from sampled observations, in bounded memory.

    Args:
        model: the network.
        observations: uint8 or floats in [0, 1], [N, H, W, C]; the article takes a few
            thousand, sampled infrequently.
        layer: name of the layer.
        of: "attribution" of the value function (the article's interface) or
            "activation" (its dataset examples), which is also taken where the value
            function does not read the layer.
        nmf: number of features, seed and the fit's limits.
        attribution: how attributions are computed; by default in 4 steps.
        model_name: noted in the result.
        positions: use only as many observations, spread evenly, as hold this many
            positions of the layer; NMF fits a sample of positions in any case.

    Raises:
        InputError: observations that do not fit, or nothing but zeros at the layer.
        ModelError: no such layer.
    """
    if positions is not None:
        height, width, _ = model.layer_shape(layer)
        wanted = min(len(observations), -(-positions // (height * width)))
        chosen = np.linspace(0, len(observations) - 1, wanted).round().astype(int)
        observations = observations[chosen]

    if of == "attribution" and model.affects(layer, "value"):
        chunks = value_attributions(model, observations, layer, attribution)
    else:
        chunks = (
            model.activations(observations[rows], layer)
            for rows in _chunks(observations, f"activations of layer {layer}")
        )
    return NMF(settings=nmf, layer=layer, model=model_name).fit(chunks)


def value_attributions(
    model: Model,
    observations: np.ndarray,
    layer: str,
    settings: AttributionSettings | None = None,
) -> Iterator[np.ndarray]:
    """Attributions of the value function, f32 [n, *layer shape], `CHUNK` at a time.

    By default in 4 steps, as features are fitted.
    """
    settings = settings or AttributionSettings(n_steps=_FIT_STEPS)
    for rows in _chunks(observations, f"attributions of layer {layer}"):
        yield attribute(model, observations[rows], layer, settings=settings).values


def _chunks(observations: np.ndarray, what: str) -> Iterator[slice]:
    return iter(progress(list(batch_slices(len(observations), CHUNK)), what))

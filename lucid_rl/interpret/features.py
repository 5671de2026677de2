"""Features of a layer: NMF of its value attributions, or of its activations.

Article, sections "Dimensionality reduction for attribution" and "Dataset
example-based feature visualization".
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from lucid_rl.interpret.attribution import AttributionSettings, attribute
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.model.model import Model
from lucid_rl.progress import progress

_FIT_STEPS = 4  # directions do not change with more
_CHUNK = 64  # observations whose values are in memory at once


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
    """Finds feature directions of a layer from sampled observations.

    Args:
        model: the network.
        observations: uint8 or floats in [0, 1], [N, H, W, C]; the article takes a
            few thousand, sampled infrequently.
        layer: name of the layer.
        of: "attribution" of the value function (the article's interface), or
            "activation" (its dataset examples).
        nmf: number of features, seed and the fit's limits.
        attribution: how attributions are computed; by default in 4 steps.
        model_name: noted in the result.
        positions: use only as many observations, spread evenly, as hold this many
            positions of the layer; NMF fits a sample of positions anyhow.

    Returns:
        The features. Memory is bounded whatever the number of observations.

    Raises:
        InputError: observations that do not fit, or nothing but zeros at the layer.
        ModelError: no such layer.
    """
    if positions is not None:
        height, width, _ = model.layer_shape(layer)
        wanted = min(len(observations), -(-positions // (height * width)))
        chosen = np.linspace(0, len(observations) - 1, wanted).round().astype(int)
        observations = observations[chosen]

    settings = attribution or AttributionSettings(n_steps=_FIT_STEPS)

    def chunks() -> Iterator[np.ndarray]:
        starts = range(0, len(observations), _CHUNK)
        for start in progress(starts, f"{of}s of layer {layer}"):
            batch = observations[start : start + _CHUNK]
            if of == "attribution":
                yield attribute(model, batch, layer, settings=settings).values
            else:
                yield model.activations(batch, layer)

    return NMF(settings=nmf, layer=layer, model=model_name).fit(chunks())

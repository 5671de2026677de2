"""What a model would do without one of its features, at every frame."""

import numpy as np

from lucid_rl.interface.parts import Part
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.model import Model

_LARGEST_CODE = 2**15 - 1


def without_part(
    name: str, model: Model, layer: str, frames: np.ndarray, features: NMF
) -> Part:
    """Computes the outputs of the models that lost one feature each.

    Args:
        name: the part's name.
        model: the network.
        layer: a layer's short name.
        frames: u8 [S, H, W, C], all trajectories one after the other.
        features: the layer's features, whose directions are projected out
            (`Model.without`).

    Returns:
        The part, as docs/bundle_format.md describes it.

    Raises:
        ModelError: no kernel reads the layer.
    """
    logits, values = model.outputs_without(features.directions, layer, frames)
    scale = float(np.abs(logits).max(initial=0) / _LARGEST_CODE) or 1.0
    codes = np.rint(logits / scale).astype(np.int16)
    return Part.encode(
        name, {"logit_scale": scale}, {"values": values, "logits": codes}
    )

"""Editing models so that they no longer see chosen features (article, Appendix A)."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from lucid_rl.checkpoints.checkpoint import Checkpoint
from lucid_rl.errors import InputError, SettingsError
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.kernels import reading_kernels
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.model.projection import orthonormal_basis, project_out

EDITS_ARG = "edits"
"""Key of a checkpoint's args that holds the record of every edit, oldest first."""


@dataclasses.dataclass(frozen=True)
class EditSettings:
    """What an edit removes and how much of it."""

    layer: str = "2b"
    """Layer whose activations lose the directions; the next kernels are edited."""
    strength: float = 1.0
    """1 removes the directions wholly, as the article does; 0 changes nothing."""
    note: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What else to record with the edit, e.g. the features' numbers and names."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength <= 1.0:
            raise SettingsError(
                f"strength is {self.strength}; expected a number from 0 to 1"
            )


def feature_directions(
    factorization: NMF, features: Sequence[int], layer: str
) -> np.ndarray:
    """Chooses features' directions from a factorization that was fitted at `layer`.

    Args:
        factorization: the fitted features.
        features: numbers of the features, from 0.
        layer: the layer to be edited.

    Returns:
        float32 [len(features), C].

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


def edit_checkpoint(
    checkpoint: Checkpoint,
    directions: np.ndarray,
    settings: EditSettings | None = None,
) -> Checkpoint:
    """Projects directions of a layer out of the kernels that read the layer.

    Args:
        checkpoint: the model to edit; it is not changed.
        directions: [C] or [k, C] in the layer's channels.
        settings: layer, strength and what to record.

    Returns:
        The edited model; its args tell of the edit under `EDITS_ARG`.

    Raises:
        InputError: directions of another width, zero or not finite.
        ModelError: the layer does not exist or no kernel reads it.
    """
    settings = settings or EditSettings()
    model = load(checkpoint)
    kernels = _kernels(model, directions, settings)
    changes = {
        f"{name}:0": project_out(
            checkpoint.params[f"{name}:0"], directions, settings.strength
        )
        for name in kernels
    }
    record = {
        "layer": settings.layer,
        "kernels": kernels,
        "strength": settings.strength,
        "basis": orthonormal_basis(directions).tolist(),
        **settings.note,
    }
    earlier = list(checkpoint.args.get(EDITS_ARG, []))
    return checkpoint.replace_params(changes, args={EDITS_ARG: [*earlier, record]})


def edit_model(
    model: Model, directions: np.ndarray, settings: EditSettings | None = None
) -> Model:
    """Edits a network in memory as `edit_checkpoint` edits a checkpoint.

    Args:
        model: the network; it is not changed.
        directions: [C] or [k, C] in the layer's channels.
        settings: layer and strength.

    Raises:
        InputError: as `edit_checkpoint`.
        ModelError: as `edit_checkpoint`.
    """
    settings = settings or EditSettings()
    kernels = _kernels(model, directions, settings)
    graph_def = model.graph_def()
    for node in graph_def.node:
        if node.name in kernels:
            kernel = tf.make_ndarray(node.attr["value"].tensor)
            edited = project_out(kernel, directions, settings.strength)
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(edited))
    return Model(graph_def)


def edit_model_pb(
    source: str | os.PathLike,
    target: str | os.PathLike,
    directions: np.ndarray,
    settings: EditSettings | None = None,
) -> list[str]:
    """Edits a Lucid `.model.pb` file as `edit_checkpoint` edits a checkpoint.

    Args:
        source: the frozen model to read.
        target: where the edited model is written.
        directions: [C] or [k, C] in the layer's channels.
        settings: layer and strength.

    Returns:
        Names of the kernels that were edited.
    """
    settings = settings or EditSettings()
    model = load(source)
    edit_model(model, directions, settings).save(target)
    return _kernels(model, directions, settings)


def _kernels(model: Model, directions: np.ndarray, settings: EditSettings) -> list[str]:
    node = model.node_name(settings.layer)
    n_channels = model.layer_shape(settings.layer)[-1]
    if np.shape(directions)[-1:] != (n_channels,):
        raise InputError(
            f"directions have shape {np.shape(directions)}; layer {settings.layer!r} "
            f"has {n_channels} channels"
        )
    return reading_kernels(model.graph_def(), node)

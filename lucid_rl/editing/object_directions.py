"""Directions of a layer that carry one class of objects and little else.

Let d be the difference of the activations of one state drawn with and without the
object, and a the activations without it, both as the next kernel reads them (behind
the pooling). The directions are the generalized eigenvectors v of

    E[d d^T] v = lambda (E[a a^T] + sum over other classes E[d_c d_c^T] + r I) v

with the largest lambda: along v the object's energy is large against that of
everything else (contrastive principal components; Fisher's criterion without its
means). The ridge r, in units of the mean energy of a channel, moves them from the most
specific direction (r = 0) to the principal components of d (r large).

What an edit does is predicted from the same pairs, before a level is played: how much
of the object's effect on the policy it removes, and how far it moves the policy where
the object is not drawn.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated

import numpy as np
from scipy.linalg import eigh
from scipy.special import log_softmax

from lucid_rl import notebook
from lucid_rl.editing.paired_observations import ObservationPairs
from lucid_rl.errors import ModelError
from lucid_rl.model.batching import batch_slices
from lucid_rl.model.model import Model
from lucid_rl.validation import Fraction, Positive, Settings, above

_CHUNK = 256  # observations whose activations are in memory at once


@dataclasses.dataclass(frozen=True)
class DirectionSettings(Settings):
    """How the directions of an object are found.

    Attributes:
        ridge: regularization of the directions, in units of the mean energy of a
            channel: small values give the directions most specific to the object,
            large ones its principal components.
        least_blindness: directions are added until an edit is predicted to remove
            this fraction of the object's effect on the policy.
        max_directions: largest number of directions.
    """

    ridge: Annotated[float, above(0)] = 1.0
    least_blindness: Fraction = 0.6
    max_directions: Positive = 4


@dataclasses.dataclass(frozen=True)
class PredictedEffect:
    """Predicted effect of an edit on the policy, measured on pairs of observations.

    Attributes:
        object_class: the object that it is to remove.
        blindness: 1 - KL(edited without || edited with) / KL(original without ||
            original with), means over the observations that show the object: 1 if the
            edited policy does not depend on it.
        side_effect: mean KL(original || edited) where the object is not visible, in
            nats.
        by_object: the same where another object is visible.
    """

    object_class: str
    blindness: float
    side_effect: float
    by_object: dict[str, float]

    def __str__(self) -> str:
        others = ", ".join(f"{k} {v:.3f}" for k, v in self.by_object.items())
        return (
            f"predicted blindness {self.blindness:.0%}, side effect "
            f"{self.side_effect:.3f} nats ({others})"
        )


@dataclasses.dataclass(frozen=True)
class ObjectDirections:
    """Directions of an object, and the predicted effect of removing them.

    Attributes:
        object_class: the object.
        layer: the layer.
        directions: f64 [k, C], orthonormal.
        effect: predicted of removing all of them.
    """

    object_class: str
    layer: str
    directions: np.ndarray
    effect: PredictedEffect

    def remove(self, model: Model) -> Model:
        """The model without these directions."""
        note = {"object": self.object_class}
        return model.without(self.directions, self.layer, note=note)

    def __repr__(self) -> str:
        return notebook.summary(self)

    def __str__(self) -> str:
        n = len(self.directions)
        channels = np.argsort(-np.linalg.norm(self.directions, axis=0))[:3]
        return (
            f"{n} direction{'s' if n > 1 else ''} of {self.object_class}, largest in "
            f"channels {', '.join(map(str, channels))}; {self.effect}"
        )


def find_object_directions(
    model: Model,
    pairs: ObservationPairs,
    object_class: str,
    layer: str = "2b",
    settings: DirectionSettings | None = None,
) -> ObjectDirections:
    """Finds the fewest directions whose removal is predicted to blind the model.

    Args:
        model: the network.
        pairs: observations with and without objects; the other classes are spared.
        object_class: the object to remove.
        layer: whose activations lose the directions.
        settings: how many, and how specific.

    Raises:
        InputError: the object is visible nowhere in the pairs.
        ModelError: the layer does not exist or no kernel reads it.
    """
    settings = settings or DirectionSettings()
    ranked = rank_directions(model, pairs, object_class, layer, settings.ridge)
    most = min(settings.max_directions, len(ranked))
    candidates = [ranked[:n] for n in range(1, most + 1)]
    effects = predict_effects(model, candidates, layer, pairs, object_class)
    chosen = next(
        (i for i, e in enumerate(effects) if e.blindness >= settings.least_blindness),
        -1,
    )
    # Gram-Schmidt: what is removed is the space that they span.
    basis = np.linalg.qr(candidates[chosen].T)[0].T
    return ObjectDirections(object_class, layer, basis, effects[chosen])


def rank_directions(
    model: Model,
    pairs: ObservationPairs,
    object_class: str,
    layer: str,
    ridge: float = 1.0,
) -> np.ndarray:
    """Solves the eigenproblem; f64 [C, C], the most specific direction first.

    Raises:
        InputError: the object is visible nowhere in the pairs.
        ModelError: the layer does not exist or no kernel reads it.
    """
    pairs.check(object_class)
    plain = pairs.observations.copy()
    plain[pairs.visible[object_class]] = pairs.erased[object_class]
    background = _energy(model, layer, plain)
    mean_energy = np.trace(background) / len(background)
    others = [name for name in pairs.visible if name != object_class]
    rest = background + sum(_difference_energy(model, layer, pairs, c) for c in others)
    own = _difference_energy(model, layer, pairs, object_class)
    _, vectors = eigh(own, rest + ridge * mean_energy * np.eye(len(rest)))
    return vectors[:, ::-1].T


def predict_effects(
    model: Model,
    edits: Sequence[np.ndarray],
    layer: str,
    pairs: ObservationPairs,
    object_class: str,
    strength: float = 1.0,
) -> list[PredictedEffect]:
    """Predicts the effects of edits on the policy, from pairs of observations.

    Args:
        model: the network.
        edits: the directions that each edit removes, [C] or [k, C].
        layer: whose activations lose the directions.
        pairs: observations with and without objects.
        object_class: the object that the edits remove.
        strength: the fraction of the directions that is removed.

    Raises:
        InputError: the object is visible nowhere in the pairs.
        ModelError: the layer does not exist or no kernel reads it.
    """
    pairs.check(object_class)
    visible = pairs.visible[object_class]
    nothing = np.zeros(model.layer_shape(layer)[-1])
    (before, *with_object), (erased_before, *without_object) = (
        log_softmax(
            model.outputs_without([nothing, *edits], layer, seen, strength)[0].astype(
                np.float64
            ),
            axis=-1,
        )
        for seen in (pairs.observations, pairs.erased[object_class])
    )
    depends = max(_kl(erased_before, before[visible]).mean(), 1e-12)
    effects = []
    for after, erased_after in zip(with_object, without_object, strict=True):
        moved = _kl(before, after)
        by_object = {
            name: float(moved[shown & ~visible].mean())
            for name, shown in pairs.visible.items()
            if name != object_class and (shown & ~visible).any()
        }
        effects.append(
            PredictedEffect(
                object_class,
                float(1 - _kl(erased_after, after[visible]).mean() / depends),
                float(moved[~visible].mean()) if not visible.all() else float("nan"),
                by_object,
            )
        )
    return effects


def _kl(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """KL divergences [N] of log-probabilities [N, A], in nats."""
    return (np.exp(first) * (first - second)).sum(axis=-1)


def _difference_energy(
    model: Model, layer: str, pairs: ObservationPairs, name: str
) -> np.ndarray:
    """Sums of d d^T over the pairs of a class, f64 [C, C]."""
    return _energy(model, layer, pairs.shown(name), pairs.erased[name])


def _energy(
    model: Model, layer: str, observations: np.ndarray, less: np.ndarray | None = None
) -> np.ndarray:
    """Sums of outer products of activations, or of differences, f64 [C, C]."""
    n_channels = model.layer_shape(layer)[-1]
    total = np.zeros((n_channels, n_channels))
    for read in kernel_inputs(model, layer):
        for rows in batch_slices(len(observations), _CHUNK):
            values = model.activations(observations[rows], read).astype(np.float64)
            if less is not None:
                values -= model.activations(less[rows], read)
            values = values.reshape(-1, n_channels)
            total += values.T @ values
    return total


def kernel_inputs(model: Model, layer: str) -> Iterator[str]:
    """Names the tensors [N, ..., C] through which kernels read a layer.

    For the article's layers that is the pooled activation.

    Raises:
        ModelError: the layer does not exist or no kernel reads it.
    """
    n_channels = model.layer_shape(layer)[-1]
    index = model.index
    for kernel in model.kernels_reading(layer):
        readers = list(index.consumers[kernel])
        for name in readers:
            if index.nodes[name].op == "Identity":
                readers += index.consumers[name]
                continue
            read = index.inputs[name][0]
            while index.nodes[read].op == "Reshape":
                read = index.inputs[read][0]
            if model.layer_shape(read)[-1] != n_channels:
                raise ModelError(
                    f"{read} has shape {model.layer_shape(read)}: expected the "
                    f"{n_channels} channels of layer {layer!r} last"
                )
            yield read

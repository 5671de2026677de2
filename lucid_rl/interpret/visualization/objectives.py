"""Objectives of feature visualization, which compose.

An objective takes `T`, which gives the tensors of a network by name as Lucid's does
(`T("input")` is the image before its transformations), so that objectives work in
`visualize` and in Lucid's `render.render_vis` alike, and add up with Lucid's own.
There, name a layer by its tensor ("ppo2_model/pi/2b/Relu"); `visualize` also takes
the short names of a `Model` ("2b").

Every objective has one target or one for each image of the batch: image i is scored
for target i, and scores do not depend on the other images.

    directions("2b", features) - 0.01 * activation_norm("1a")
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.lazy_tensorflow import tf

Position = Literal["centre", "all"] | tuple[int, int]

# Cosines below this count as this, as in Lucid, so that gradients do not vanish.
_LEAST_COSINE = 0.1
_EPSILON = 1e-4


class Objective:
    """A score of images, to be maximized.

    Attributes:
        n_targets: how many targets there are; one serves a batch of any size.
        places: layers and positions, such as ("2b", "centre"), on which the score
            depends beside the image itself; None if these are not single ones.
        name: a few words.
        description: the same; Lucid asks for it.
    """

    def __init__(
        self,
        score: Callable[[Any, bool], Any],
        n_targets: int = 1,
        name: str = "objective",
        *,
        places: Iterable[tuple[str, Any]] | None = None,
        scores_every_pair: bool = True,
    ):
        """Makes an objective of a function.

        `score` gives, from T and False, f32 [N], image i scored for target i; from T
        and True f32 [N, n_targets], each image scored for each target, unless
        `scores_every_pair` is false. The rest are the attributes.
        """
        self._score = score
        self.n_targets = n_targets
        self.name = self.description = name
        self.places = None if places is None else frozenset(places)
        self.scores_every_pair = scores_every_pair

    def __call__(self, T: Any) -> Any:
        """Scores f32 [N] of image i for target i (or for the only one)."""
        n_images = T("input").shape[0]
        if self.n_targets > 1 and tf.dimension_value(n_images) not in (
            None,
            self.n_targets,
        ):
            raise InputError(
                f"{self.name}: {self.n_targets} targets for a batch of {n_images} "
                "images; make one image for each target"
            )
        return self._score(T, False)

    def every_pair(self, T: Any) -> Any:
        """Scores f32 [N, n_targets] of every image for every target."""
        return self._score(T, True)

    def __add__(self, other: Any) -> "Objective":
        return self._combined(other, operator.add, "{0} + {1}")

    def __mul__(self, other: Any) -> "Objective":
        return self._combined(other, operator.mul, "{1} {0}")

    def __sub__(self, other: Any) -> "Objective":
        return self + -1 * other

    def __rsub__(self, other: Any) -> "Objective":
        return -1 * self + other

    def __neg__(self) -> "Objective":
        return -1 * self

    __radd__ = __add__
    __rmul__ = __mul__

    def _combined(self, other: Any, combine: Callable, name: str) -> "Objective":
        if isinstance(other, int | float):
            theirs = Objective(lambda T, every: other, name=f"{other:g}", places=())
        elif callable(other):
            theirs = as_objective(other)
        else:
            return NotImplemented
        numbers = {self.n_targets, theirs.n_targets} - {1}
        if len(numbers) > 1:
            raise InputError(
                f"objectives of {self.n_targets} and {theirs.n_targets} targets do "
                "not combine; give both as many, or one of them a single one"
            )
        places = None
        if self.places is not None and theirs.places is not None:
            places = self.places | theirs.places
        return Objective(
            lambda T, every: combine(self._score(T, every), theirs._score(T, every)),
            max(self.n_targets, theirs.n_targets),
            name.format(self.name, theirs.name),
            places=places,
            scores_every_pair=self.scores_every_pair and theirs.scores_every_pair,
        )


def as_objective(objective: Any) -> Objective:
    """Converts a short form, such as "2b:7", to an objective.

    Args:
        objective: an `Objective`; "layer:channel", the channel's mean activation; a
            pair (layer, vectors [C] or [K, C]), the mean dot product with each; or
            one of Lucid's objectives.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(objective, Objective):
        return objective
    if isinstance(objective, str):
        layer, _, channel = objective.rpartition(":")
        if layer and channel.isdecimal():
            return channels(layer, int(channel))
    if isinstance(objective, tuple) and len(objective) == 2:
        return directions(*objective, position="all")
    if callable(objective):
        return _foreign(objective)
    raise InputError(
        "expected an objective such as 'layer:channel', (layer, direction), "
        f"directions(...) or one of Lucid's, got {objective!r}"
    )


def neurons(
    layer: str, channels: int | Iterable[int], position: Position = "centre"
) -> Objective:
    """A channel's activation at one position, one target for each channel.

    Args:
        layer: the layer's name.
        channels: channels of the layer, one or several.
        position: "centre" (row H // 2, column W // 2), (row, column), or "all" for
            the mean over positions.
    """
    chosen = np.atleast_1d(np.asarray(channels))
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or not len(chosen):
        raise InputError(f"expected channel numbers, at least one, got {channels!r}")

    def unit_vectors(n_channels: int) -> np.ndarray:
        if chosen.min() < 0 or chosen.max() >= n_channels:
            wrong = chosen[(chosen < 0) | (chosen >= n_channels)][0]
            raise InputError(
                f"layer {layer!r} has channels 0 to {n_channels - 1}, got {wrong}"
            )
        return np.eye(n_channels, dtype=np.float32)[chosen]

    name = "channel" if position == "all" else "neuron"
    return _projection(layer, unit_vectors, len(chosen), position, 0, name)


def channels(layer: str, channels: int | Iterable[int]) -> Objective:
    """A channel's mean activation over all positions, one target for each channel."""
    return neurons(layer, channels, "all")


def directions(
    layer: str,
    vectors: np.ndarray,
    position: Position = "centre",
    cosine_power: float = 0.0,
) -> Objective:
    """Dot product of activations with directions, one target for each direction.

    dot * max(0.1, cosine)^power, so that powers above 0 ask for this direction
    rather than for any activation that has a part in it.

    Args:
        layer: the layer's name.
        vectors: f32 [K, C] or [C], such as the directions of an `NMF`.
        position: as in `neurons`.
        cosine_power: the power.
    """
    array = np.atleast_2d(np.asarray(vectors, np.float32))
    if array.ndim != 2 or 0 in array.shape or not np.isfinite(array).all():
        raise InputError(
            "expected finite directions [features, channels], got shape "
            f"{np.shape(vectors)}"
        )

    def checked(n_channels: int) -> np.ndarray:
        if array.shape[1] != n_channels:
            raise InputError(
                f"directions of {array.shape[1]} channels for layer {layer!r}, which "
                f"has {n_channels}"
            )
        return array

    return _projection(layer, checked, len(array), position, cosine_power, "direction")


def caricature(
    layer: str, references: np.ndarray, cosine_power: float = 0.0
) -> Objective:
    """Dot product with a reference's activations, position by position.

    Article, "Alternative objectives". Where transformations change the layer's size,
    the middle of the reference is taken.

    Args:
        layer: the layer's name.
        references: f32 [K, H, W, C] or [H, W, C], activations for the reference
            observations (`Model.activations`); [K, C] or [C] for a dense layer.
        cosine_power: as in `directions`; at each position.
    """
    array = np.asarray(references, np.float32)
    array = array[None] if array.ndim in (1, 3) else array
    if array.ndim not in (2, 4) or 0 in array.shape or not np.isfinite(array).all():
        raise InputError(
            "expected a reference's finite activations, [height, width, channels] or "
            f"[channels], got shape {np.shape(references)}"
        )

    def score(T: Any, every: bool) -> Any:
        activations = T(layer)
        n_channels = tf.dimension_value(activations.shape[-1])
        if activations.shape.rank != array.ndim or n_channels != array.shape[-1]:
            raise InputError(
                f"a reference of shape {array.shape[1:]} does not fit layer "
                f"{layer!r} of shape {activations.shape[1:]}"
            )
        whole = T.shape(layer) if hasattr(T, "shape") else None
        if whole is not None and whole != array.shape[1:]:
            raise InputError(
                f"a reference of shape {array.shape[1:]} does not fit layer "
                f"{layer!r}, which has {whole} before transformations; give the "
                "activations of an image of the same size"
            )
        reference = array
        if array.ndim == 4:
            size = tf.shape(activations)[1:3]
            reference = tf.image.resize_with_crop_or_pad(array, size[0], size[1])
        return _mean_product(activations, reference, cosine_power, every)

    return Objective(score, len(array), f"caricature at {layer}")


def activation_norm(layer: str) -> Objective:
    """L2 norm of each image's activations at a layer.

    Subtracted at the first layer it is the article's penalty on extremal colours.
    Lucid's L2 takes the norm over the whole batch, and so ties its images together.
    """

    def score(T: Any, every: bool) -> Any:
        activations = T(layer)
        axes = list(range(1, activations.shape.rank))
        # The root's slope is infinite at 0.
        norm = tf.sqrt(tf.reduce_sum(activations**2, axes) + 1e-6)
        return norm[:, None] if every else norm

    return Objective(score, name=f"norm of {layer}")


def total_variation() -> Objective:
    """Sum of absolute differences between neighbouring pixels of each image."""

    def score(T: Any, every: bool) -> Any:
        variation = tf.image.total_variation(T("input"))
        return variation[:, None] if every else variation

    return Objective(score, name="total variation", places=())


def on_other_model(objective: Objective) -> Objective:
    """The same objective, of the second model that `visualize` is given.

    `o - on_other_model(o)` asks for what the first model sees and the second does
    not, such as a model before and after an edit.
    """

    def score(T: Any, every: bool) -> Any:
        return objective._score(_other(T), every)

    return Objective(
        score,
        objective.n_targets,
        f"{objective.name} of the other model",
        places=objective.places,
        scores_every_pair=objective.scores_every_pair,
    )


def activation_difference(layer: str) -> Objective:
    """Mean over positions of the squared distance between two models' activations."""

    def score(T: Any, every: bool) -> Any:
        difference = T(layer) - _other(T)(layer)
        axes = list(range(1, difference.shape.rank - 1))
        mean = tf.reduce_mean(tf.reduce_sum(difference**2, -1), axes)
        return mean[:, None] if every else mean

    return Objective(score, name=f"difference at {layer}")


def _foreign(objective: Any) -> Objective:
    def score(T: Any, every: bool) -> Any:
        if every:
            raise InputError("an objective of Lucid's scores whole batches only")
        return objective(T)

    name = getattr(objective, "name", None) or "objective"
    return Objective(score, name=str(name), scores_every_pair=False)


def _other(T: Any) -> Any:
    other = getattr(T, "other", None)
    if other is None:
        raise InputError(
            "this objective compares two models: pass the second as compare_to of "
            "visualize"
        )
    return other


def _projection(
    layer: str,
    vectors_of: Callable[[int], np.ndarray],
    n_targets: int,
    position: Position,
    cosine_power: float,
    name: str,
) -> Objective:
    place = _checked_position(position)

    def score(T: Any, every: bool) -> Any:
        activations = T(layer)
        vectors = vectors_of(tf.dimension_value(activations.shape[-1]))
        if activations.shape.rank == 4:
            if place is not None:
                activations = _at(activations, place)
            elif cosine_power:
                vectors = vectors[:, None, None]
            else:
                activations = tf.reduce_mean(activations, [1, 2])
        return _mean_product(activations, vectors, cosine_power, every)

    where = "" if position in ("all", "centre") else f" at {position}"
    places = None if place is None else [(layer, tuple(place) or "centre")]
    return Objective(score, n_targets, f"{name} of {layer}{where}", places=places)


def _at(activations: Any, place: Sequence[int]) -> Any:
    """Activations [N, C] at a row and column, or at the centre."""
    size = tf.shape(activations)[1:3]
    row, column = place or (size[0] // 2, size[1] // 2)
    return activations[:, row, column]


def _checked_position(position: Position) -> Sequence[int] | None:
    """() for the centre, None for all positions, else (row, column)."""
    if isinstance(position, str):
        if position in ("centre", "all"):
            return () if position == "centre" else None
    elif len(position) == 2 and all(int(n) == n >= 0 for n in position):
        return [int(n) for n in position]
    raise InputError(
        f"expected a position (row, column), 'centre' or 'all', got {position!r}"
    )


def _mean_product(activations: Any, targets: Any, power: float, every: bool) -> Any:
    """Mean over positions of dot products of [N, ..., C], [K, ..., C] times cosines."""
    targets = tf.convert_to_tensor(targets, tf.float32)
    if every:
        # Without an array of all pairs of activations and targets.
        products = tf.einsum("n...c,k...c->nk...", activations, targets)
        activations, targets = activations[:, None], targets[None]
    else:
        products = tf.reduce_sum(activations * targets, -1)
    if power:
        lengths = [
            tf.sqrt(tf.reduce_sum(x**2, -1) + _EPSILON**2) + _EPSILON
            for x in (activations, targets)
        ]
        cosines = products / lengths[0] / lengths[1]
        products *= tf.maximum(_LEAST_COSINE, cosines) ** power
    axes = list(range(2 if every else 1, products.shape.rank))
    return tf.reduce_mean(products, axes) if axes else products

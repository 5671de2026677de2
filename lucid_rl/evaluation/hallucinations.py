"""Hallucinations: detectors that respond where their object is absent.

The article found two by looking at spikes of the value function (section
"Hallucinations"): something was mistaken for an object, which moved the value. Where
the game's state is known, each part of that can be tested. A place of an observation
is a hallucination if

1. the detector fires there as strongly as, in observations as they usually are, means
   with a stated precision that its object is in that cell or one beside it;
2. the part of the picture that the place depends on, its receptive field, shows not
   one pixel of such an object, not even the edge of one that is mostly outside; and the
   painted velocity, which many features read as well, is not beside it. For an enemy,
   none that moves the other way either. Pixels are of the objects' outlines in the
   game's state, to within half a pixel;
3. the value function is another once the feature's direction is taken out of the
   layer's activations there.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.special import softmax

from lucid_rl.editing.feature_naming import measure_features
from lucid_rl.editing.feature_objects import FeatureObjects
from lucid_rl.errors import InputError
from lucid_rl.games.coinrun_objects import (
    OBJECT_CLASSES,
    PICTURE_SIZE,
    batch_object_maps,
)
from lucid_rl.interpret.nmf import NMF
from lucid_rl.interpret.visualization.receptive_field import receptive_window
from lucid_rl.model.batching import batch_slices
from lucid_rl.model.layer_function import ScoreTensor
from lucid_rl.model.model import Model
from lucid_rl.sampling.observations import Observations
from lucid_rl.validation import Fraction, NonNegativeFloat, Settings, above

_PAINTED = "velocity_boxes"
ENEMIES = ("enemy_left", "enemy_right")
# A precision of fewer responses is not significant.
_FEWEST_FIRINGS = 20
_BATCH = 128  # observations whose activations are in memory at once


@dataclasses.dataclass(frozen=True)
class HallucinationSettings(Settings):
    """Criteria of a hallucination.

    Attributes:
        precision: fraction of responses that strong at which the object is present.
        least_value_change: least change of the value function, as a fraction of its
            largest absolute value in the sample; the article's two are 0.03
            and 0.09.
    """

    precision: Annotated[Fraction, above(0)] = 0.9
    least_value_change: NonNegativeFloat = 0.02


@dataclasses.dataclass(frozen=True)
class Hallucination:
    """A detector's response where its object is absent.

    Attributes:
        observation: which.
        feature: the detector's number, from 0.
        object_class: what it detects.
        row: of the place, as a fraction of the picture's height, in [0, 1].
        column: the same of its width.
        response: of the feature there, in units of the one that means an object.
        value_change: by how much the value function is higher for it.
        action_change: fraction of the actions' probability that is elsewhere for it, in
            [0, 1].
    """

    observation: int
    feature: int
    object_class: str
    row: float
    column: float
    response: float
    value_change: float
    action_change: float

    def __str__(self) -> str:
        name = self.object_class.replace("_", " ")
        return (
            f"feature {self.feature} (from 0) sees a {name} at "
            f"({self.row:.2f}, {self.column:.2f}) of the picture, with none in reach: "
            f"{self.response:.1f} times the response that means one; value "
            f"{self.value_change:+.3f}, {self.action_change:.0%} of the actions' "
            "probability"
        )


def find_hallucinations(
    model: Model,
    sampled: Observations,
    factorization: NMF,
    detectors: Mapping[int, str],
    usual: FeatureObjects,
    settings: HallucinationSettings | None = None,
) -> list[Hallucination]:
    """Finds the strongest hallucination of each detector in each observation.

    Args:
        model: the network.
        sampled: observations with states, to look through.
        factorization: features of one of its layers.
        detectors: the object that each of some features detects, by number.
        usual: features and objects of observations as they usually are, which say how
            strong a response means an object. A feature that is never that precise
            finds nothing.
        settings: what counts.

    Returns:
        The hallucinations, ordered by their effect on the value function, of
        either sign.

    Raises:
        InputError: observations without states, or a detector or an object that is
            unknown.
    """
    settings = settings or HallucinationSettings()
    thresholds = {
        feature: response_that_means(usual, feature, name, settings.precision)
        for feature, name in detectors.items()
    }
    measured = measure_features(model, factorization, sampled)
    responses = _grid(measured.responses)
    visible = _visible(sampled.states or [], responses.shape[1])
    reach = receptive_cells(model, factorization.layer, responses.shape[1])
    painted = _near(visible[:, OBJECT_CLASSES.index(_PAINTED)])
    places = []
    for feature, name in detectors.items():
        threshold = thresholds[feature]
        if threshold is None:
            continue
        # An enemy that turns round is an enemy.
        same = ENEMIES if name in ENEMIES else (name,)
        kinds = [OBJECT_CLASSES.index(kind) for kind in same]
        there = _within(reach, visible[:, kinds].any(axis=1))
        false = np.where(there | painted, 0, responses[..., feature])
        cells = false.reshape(len(false), -1).argmax(axis=1)
        strongest = false.reshape(len(false), -1).max(axis=1) / threshold
        places += [
            (int(i), feature, divmod(int(cells[i]), false.shape[2]), strongest[i])
            for i in np.flatnonzero(strongest >= 1)
        ]
    scale = float(np.abs(model(sampled.observations)[1]).max())
    contributions = _contributions(
        model, sampled.observations, factorization, responses.shape, places
    )
    found = [
        Hallucination(
            observation=i,
            feature=feature,
            object_class=detectors[feature],
            row=(row + 0.5) / responses.shape[1],
            column=(column + 0.5) / responses.shape[2],
            response=float(response),
            value_change=value,
            action_change=actions,
        )
        for (i, feature, (row, column), response), (value, actions) in zip(
            places, contributions, strict=True
        )
        if abs(value) >= scale * settings.least_value_change
    ]
    return sorted(found, key=lambda one: -abs(one.value_change))


def response_that_means(
    usual: FeatureObjects, feature: int, object_class: str, precision: float
) -> float | None:
    """Finds the least response that detects an object with a given precision.

    The precision is the fraction of the cells with at least that response whose object
    is in that cell or one beside it; None if no response, or only a few, reach it.

    Raises:
        InputError: there is no such feature or object.
    """
    names = usual.object_classes
    if object_class not in names or not 0 <= feature < usual.n_features:
        raise InputError(
            f"feature {feature} as a detector of {object_class!r}: there are features "
            f"0 to {usual.n_features - 1} and {', '.join(names)}"
        )
    present = _grid(usual.present)
    counts = ~_near(present[..., names.index(_PAINTED)])
    there = _near(present[..., names.index(object_class)])[counts]
    responses = _grid(usual.responses)[..., feature][counts]
    order = np.argsort(-responses, kind="stable")
    order = order[responses[order] > 0]
    ordered = responses[order]
    found = np.cumsum(there[order]) / np.arange(1, len(order) + 1)
    # Cells of equal response are reached together.
    last = np.append(np.diff(ordered) != 0, True)[: len(ordered)]
    enough = np.arange(1, len(order) + 1) >= _FEWEST_FIRINGS
    precise = np.flatnonzero(last & enough & (found >= precision))
    return float(ordered[precise[-1]]) if len(precise) else None


def _grid(values: np.ndarray) -> np.ndarray:
    """Cells [N, S * S, n] as [N, S, S, n]."""
    side = round(values.shape[1] ** 0.5)
    return values.reshape(len(values), side, side, -1)


def _near(present: np.ndarray) -> np.ndarray:
    """Cells [N, S, S] that hold something, or whose neighbours do."""
    return maximum_filter(present, size=(1, 3, 3))


def _visible(states: Sequence[bytes], side: int) -> np.ndarray:
    """Cells that show a pixel of each class of object, bool [N, classes, S, S]."""
    cells = np.zeros((len(states), len(OBJECT_CLASSES), side, side), bool)
    pixels = PICTURE_SIZE // side
    for rows in batch_slices(len(states), _BATCH):
        masks = batch_object_maps(states[rows], PICTURE_SIZE)
        blocks = masks.reshape(-1, len(OBJECT_CLASSES), side, pixels, side, pixels)
        cells[rows] = blocks.any(axis=(3, 5))
    return cells


def receptive_cells(
    model: Model, layer: str, side: int
) -> tuple[list[slice], list[slice]] | None:
    """Rows and columns of cells that each row and column of cells depends on.

    None where that is not known: then a place depends on the whole picture.
    """
    height, width, _ = model.layer_shape(layer)
    size = model.image_shape[:2]
    node = model.node_name(layer)
    found: tuple[list[slice], list[slice]] = ([], [])
    for k in range(side):
        first = k * height // side, k * width // side
        last = (k + 1) * height // side - 1, (k + 1) * width // side - 1
        window = receptive_window(model, [(node, first), (node, last)], size)
        if window is None:
            return None
        for cells, (start, stop), pixels in zip(
            found, (window.rows, window.columns), size, strict=True
        ):
            cells.append(slice(start * side // pixels, -(-stop * side // pixels)))
    return found


def _within(
    reach: tuple[list[slice], list[slice]] | None, present: np.ndarray
) -> np.ndarray:
    """Cells [N, S, S] that depend on a cell that holds something."""
    if reach is None:
        anywhere = present.any(axis=(1, 2), keepdims=True)
        return np.broadcast_to(anywhere, present.shape)
    rows, columns = reach
    down = np.stack([present[:, cells].any(axis=1) for cells in rows], axis=1)
    return np.stack([down[:, :, cells].any(axis=2) for cells in columns], axis=2)


def _contributions(
    model: Model,
    observations: np.ndarray,
    factorization: NMF,
    grid: tuple[int, ...],
    places: list[tuple[int, int, tuple[int, int], float]],
) -> list[tuple[float, float]]:
    """Value, and fraction of the actions' probability, that each place accounts for.

    The feature's direction is projected out of the activations of the place's cell and
    those beside it.
    """
    layer = factorization.layer
    function = model.layer_function(
        layer, (ScoreTensor("value"), ScoreTensor("logits"))
    )
    found = []
    for start in range(0, len(places), _BATCH):
        batch = places[start : start + _BATCH]
        seen = observations[[i for i, *_ in batch]]
        with_it = model.activations(seen, [layer])[layer]
        without = with_it.copy()
        for one, (_, feature, cell, _) in zip(without, batch, strict=True):
            direction = factorization.directions[feature]
            unit = direction / max(float(np.linalg.norm(direction)), 1e-12)
            part = one[_around(cell, grid[1:3], one.shape[:2])]
            part -= (part @ unit)[..., None] * unit
        shown = model.float_observations(seen)
        (value, logits), (value_without, logits_without) = (
            function.values(points, shown) for points in (with_it, without)
        )
        changed = np.abs(softmax(logits, axis=-1) - softmax(logits_without, axis=-1))
        moved = changed.sum(axis=-1) / 2
        lost = (value - value_without).reshape(len(batch))
        found += list(zip(lost.tolist(), moved.tolist(), strict=True))
    return found


def _around(
    cell: tuple[int, int], grid: tuple[int, ...], size: tuple[int, ...]
) -> tuple[slice, ...]:
    """Positions of a layer of a size that lie in a cell or those beside it."""
    return tuple(
        slice(max(0, (k - 1) * n // cells), (k + 2) * n // cells)
        for k, cells, n in zip(cell, grid, size, strict=True)
    )

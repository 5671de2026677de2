"""Hallucinations: places where a detector fires although its object is not there.

The article found two by looking at spikes of the value function (section
"Hallucinations"). Where the game's state is known, it says whether the object that a
feature detects is there.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from scipy.ndimage import maximum_filter

from lucid_rl.editing.feature_naming import measure_features
from lucid_rl.editing.feature_objects import FeatureObjects
from lucid_rl.errors import InputError
from lucid_rl.interpret.attribution import AttributionSettings, attribute
from lucid_rl.interpret.factorization import Factorization
from lucid_rl.model.graph_model import GraphModel
from lucid_rl.sampling.observations import Observations

# Many features read the painted velocity as well, which is no hallucination.
_PAINTED = "velocity_boxes"


@dataclasses.dataclass(frozen=True)
class Hallucination:
    """A detector that fires at nothing.

    Attributes:
        observation: which.
        feature: the detector.
        object_class: what it detects.
        row: of the place, as a share of the picture's height, in [0, 1].
        column: the same of its width.
        response: of the feature there, in units of its median response at objects.
        attribution: the feature's attribution of the value function around the place:
            what the hallucination is worth.
    """

    observation: int
    feature: int
    object_class: str
    row: float
    column: float
    response: float
    attribution: float

    def __str__(self) -> str:
        return (
            f"feature {self.feature} sees a {self.object_class.replace('_', ' ')} at "
            f"({self.row:.2f}, {self.column:.2f}) of the picture, where there is none: "
            f"response {self.response:.0%} of the usual, attribution "
            f"{self.attribution:+.3f}"
        )


def find_hallucinations(
    model: GraphModel,
    sampled: Observations,
    factorization: Factorization,
    detectors: Mapping[int, str],
    usual: FeatureObjects,
    *,
    least_response: float = 0.5,
    attribution: AttributionSettings | None = None,
) -> list[Hallucination]:
    """Looks for the strongest one of each detector in each observation.

    Args:
        model: the network.
        sampled: observations with states, to look through.
        factorization: features of one of its layers.
        detectors: the object that each of some features detects, by number.
        usual: features and objects of observations as they usually are, which say how
            strongly a detector responds to its object.
        least_response: responses below this share of the usual do not count.
        attribution: how attributions are computed.

    Returns:
        The hallucinations, those first whose attribution is largest, of either sign. A
        place counts if neither its cell nor a neighbour, of a grid of 16 x 16, holds
        the object or the painted velocity.

    Raises:
        InputError: observations without states, or a detector of an object that is
            unknown or not in `usual`.
    """
    usual_responses = {
        feature: _median_response(usual, feature, name)
        for feature, name in detectors.items()
    }
    measured = measure_features(model, factorization, sampled)
    n, n_cells = measured.present.shape[:2]
    side = round(n_cells**0.5)
    grid = measured.responses.reshape(n, side, side, -1)
    present = measured.present.reshape(n, side, side, -1)
    painted = _near(present[..., measured.object_classes.index(_PAINTED)])
    found = []
    for feature, name in detectors.items():
        there = _near(present[..., measured.object_classes.index(name)])
        false = np.where(there | painted, 0, grid[..., feature]).reshape(n, -1)
        cells = false.argmax(axis=1)
        responses = false.max(axis=1) / usual_responses[feature]
        found += [
            (int(i), feature, name, int(cells[i]), float(responses[i]))
            for i in np.flatnonzero(responses >= least_response)
        ]
    shown = sorted({i for i, *_ in found})
    if not shown:
        return []
    values = attribute(
        model, sampled.observations[shown], factorization.layer, settings=attribution
    ).values
    parts = dict(zip(shown, factorization.reduce_attribution(values)[0], strict=True))
    hallucinations = []
    for i, feature, name, cell, response in found:
        row, column = ((index + 0.5) / side for index in divmod(cell, side))
        worth = _around(parts[i][..., feature], row, column, side)
        hallucinations.append(
            Hallucination(i, feature, name, row, column, response, worth)
        )
    return sorted(hallucinations, key=lambda found: -abs(found.attribution))


def _median_response(usual: FeatureObjects, feature: int, name: str) -> float:
    if name not in usual.object_classes or not 0 <= feature < usual.n_features:
        raise InputError(
            f"feature {feature} as a detector of {name!r}: there are features 0 to "
            f"{usual.n_features - 1} and {', '.join(usual.object_classes)}"
        )
    there = usual.present[..., usual.object_classes.index(name)]
    median = float(np.median(usual.responses[there, feature])) if there.any() else 0.0
    if not median:
        raise InputError(
            f"feature {feature} does not respond to {name} in {len(there)} "
            "observations: give more of them, or another detector"
        )
    return median


def _near(present: np.ndarray) -> np.ndarray:
    """Cells [N, S, S] that hold something, or whose neighbours do."""
    return maximum_filter(present, size=(1, 3, 3))


def _around(values: np.ndarray, row: float, column: float, side: int) -> float:
    """Sum of [h, w] over a cell and its neighbours."""
    slices = []
    for place, size in ((row, values.shape[0]), (column, values.shape[1])):
        low, high = ((place + step / side) * size for step in (-1.5, 1.5))
        slices.append(slice(max(0, round(low)), round(high)))
    return float(values[tuple(slices)].sum(dtype=np.float64))

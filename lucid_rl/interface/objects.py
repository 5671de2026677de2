"""Which objects of the game each feature of a page detects, by the game's own state."""

import dataclasses
from typing import Any

import numpy as np

from lucid_rl.editing.feature_objects import compare_with_objects
from lucid_rl.errors import InputError

_LEAST_RATIO = 2.0
_MOST_OBJECTS = 3


@dataclasses.dataclass(frozen=True)
class ObjectMaps:
    """Where objects are seen in observations.

    Attributes:
        classes: names of the n kinds of object.
        maps: bool or 0/1 [N, n, S, S].
    """

    classes: tuple[str, ...]
    maps: np.ndarray


def detected_objects(
    responses: np.ndarray, objects: ObjectMaps
) -> list[list[dict[str, Any]]]:
    """Finds the objects at which features respond at least twice as much as on average.

    Args:
        responses: f32 [N, H, W, K].
        objects: of the same observations.

    Returns:
        For each feature at most three objects, as plain values, the largest ratio
        first: {"object": name, "ratio": response at the object over the mean response,
        "average_precision": of the response as a detector of the object}. Empty where
        the layer's positions do not divide into the cells in which objects are known.
    """
    try:
        found = compare_with_objects(responses, objects.maps, objects.classes)
    except InputError:
        return []
    listed = []
    for feature in range(found.n_features):
        ratios = {name: found.mean_response(feature, name) for name in objects.classes}
        # NaN, where the object is not seen or the feature never fires, is not enough.
        enough = [name for name in objects.classes if ratios[name] >= _LEAST_RATIO]
        enough.sort(key=ratios.__getitem__, reverse=True)
        listed.append(
            [
                {
                    "object": name,
                    "ratio": ratios[name],
                    "average_precision": found.average_precision(feature, name),
                }
                for name in enough[:_MOST_OBJECTS]
            ]
        )
    return listed

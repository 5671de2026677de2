"""Average precision of features as detectors of the game's objects.

The article names features by eye. Here the game's state gives the location of every
object, so that each feature's response can be scored as a detector of each object. The
scores choose the features to edit (`--object=buzzsaw --choose=features`).
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from lucid_rl.editing.ranking import Ranking
from lucid_rl.errors import InputError
from lucid_rl.reports import markdown_table
from lucid_rl.statistics import bootstrap, percentile_interval

GRID_SIZE = 16
"""Cells along a side at which features and objects are compared: a cell of 4 x 4
pixels is a little less than a tile, so that a response at an object's edge counts."""

WORTH_AS_MUCH = 0.5
"""An object may have several detectors. Of the two features after the best one, those
are chosen whose average precision exceeds chance by at least this fraction of the best
one's excess."""

_N_RESAMPLES = 100
_N_CONTENDERS = 3


@dataclasses.dataclass(frozen=True)
class Choice:
    """The features chosen for an object, with a bootstrap interval.

    Attributes:
        object_class: the object.
        features: their numbers, the best first.
        average_precisions: of each.
        interval: 95 % bootstrap interval of the best one's, over observations.
        confidence: fraction of bootstrap samples in which the best one is the best.
        base_rate: average precision of an uninformative feature.
    """

    object_class: str
    features: tuple[int, ...]
    average_precisions: tuple[float, ...]
    interval: tuple[float, float]
    confidence: float
    base_rate: float

    def __str__(self) -> str:
        low, high = self.interval
        text = (
            f"feature {self.features[0]} responds to {self.object_class}: "
            f"average precision {self.average_precisions[0]:.2f} (95 % interval "
            f"{low:.2f} to {high:.2f}, chance {self.base_rate:.3f}), "
            f"best in {self.confidence:.0%} of resamples"
        )
        others = zip(self.features[1:], self.average_precisions[1:], strict=True)
        listed = ", ".join(f"feature {k} ({precision:.2f})" for k, precision in others)
        return f"{text}; so does {listed}" if listed else text


@dataclasses.dataclass(frozen=True)
class FeatureObjects:
    """Responses of features and locations of objects, on one grid of cells.

    Attributes:
        object_classes: names of the n classes.
        responses: float32 [N, cells, K], the largest response in each cell.
        present: bool [N, cells, n], whether the class is visible in the cell.
    """

    object_classes: tuple[str, ...]
    responses: np.ndarray
    present: np.ndarray

    @property
    def n_features(self) -> int:
        """K, the number of features."""
        return self.responses.shape[-1]

    def average_precision(self, feature: int, object_class: str) -> float:
        """Average precision of a feature's response as a detector of an object."""
        present = self.present[..., self._class_index(object_class)]
        return self._rankings[feature].average_precision(present)

    def mean_response(self, feature: int, object_class: str) -> float:
        """Mean response where the object is, over the mean response everywhere.

        NaN where the object is never seen or the feature never fires.
        """
        responses = self.responses[..., feature]
        here = self.present[..., self._class_index(object_class)]
        overall = float(responses.mean())
        if not here.any() or overall == 0:
            return float("nan")
        return float(responses[here].mean()) / overall

    def choose(self, object_class: str, rng: np.random.Generator) -> Choice:
        """Chooses the features with the best average precision for an object.

        The best one, and of the next two those that `WORTH_AS_MUCH` admits.

        Raises:
            InputError: an unknown class, or one that is nowhere in the sample.
        """
        present = self.present[..., self._class_index(object_class)]
        if not present.any():
            raise InputError(
                f"no {object_class} is in the {len(present)} sampled observations; "
                "sample more of them, or of levels that have one"
            )
        precisions = np.array([r.average_precision(present) for r in self._rankings])
        order = np.argsort(-precisions, kind="stable")
        contenders = order[:_N_CONTENDERS].tolist()
        resampled = bootstrap(
            lambda times: [
                self._rankings[k].average_precision(present, times) for k in contenders
            ],
            len(present),
            rng,
            _N_RESAMPLES,
        )
        # Resamples without the object have no average precision.
        resampled = resampled[np.isfinite(resampled[:, 0])]
        best = int(order[0])
        excess = precisions - present.mean()
        chosen = [
            k
            for k in contenders
            if k == best or excess[k] >= WORTH_AS_MUCH * excess[best]
        ]
        return Choice(
            object_class=object_class,
            features=tuple(chosen),
            average_precisions=tuple(float(precisions[k]) for k in chosen),
            interval=percentile_interval(resampled[:, 0]),
            confidence=float((resampled.argmax(axis=1) == 0).mean()),
            base_rate=float(present.mean()),
        )

    def table(self) -> str:
        """Markdown: average precision of each feature for each object.

        In brackets, its mean response at the object over its mean response; a dash
        where either is not known.
        """
        rows: list[tuple[object, ...]] = [
            (k, *(self._cell(k, name) for name in self.object_classes))
            for k in range(self.n_features)
        ]
        rates = self.present.mean(axis=(0, 1))
        rows.append(("(chance)", *(f"{rate:.3f}" for rate in rates)))
        return markdown_table(("feature", *self.object_classes), rows)

    def _cell(self, feature: int, object_class: str) -> str:
        precision = self.average_precision(feature, object_class)
        response = self.mean_response(feature, object_class)
        if np.isnan((precision, response)).any():
            return "-"
        return f"{precision:.2f} ({response:.1f}x)"

    def _class_index(self, object_class: str) -> int:
        if object_class not in self.object_classes:
            raise InputError(
                f"unknown object {object_class!r}; known are "
                f"{', '.join(self.object_classes)}"
            )
        return self.object_classes.index(object_class)

    @functools.cached_property
    def _rankings(self) -> list[Ranking]:
        return [Ranking(self.responses[..., k]) for k in range(self.n_features)]


def compare_with_objects(
    responses: np.ndarray, maps: np.ndarray, object_classes: Sequence[str]
) -> FeatureObjects:
    """Resamples features' responses and objects' maps to one grid of cells.

    Args:
        responses: float [N, H, W, K], features' activations at a layer.
        maps: bool or 0/1 [N, n, S, S], where objects of each class are seen.
        object_classes: names of the n classes.

    Returns:
        Both on a grid of at most `GRID_SIZE` cells a side (the layer's own where it
        is coarser), each cell holding the largest value in it.

    Raises:
        InputError: shapes that do not fit each other.
    """
    responses, maps = np.asarray(responses), np.asarray(maps)
    n, height, width = responses.shape[:3] if responses.ndim == 4 else (0, 0, 0)
    if not n or maps.shape[:2] != (n, len(object_classes)) or maps.ndim != 4:
        raise InputError(
            f"responses {responses.shape} and maps {maps.shape} do not fit; expected "
            f"[N, H, W, K] and [N, {len(object_classes)}, S, S]"
        )
    size = min(GRID_SIZE, height, width)
    if height % size or width % size or maps.shape[2] % size or maps.shape[3] % size:
        raise InputError(
            f"neither {height} x {width} responses nor {maps.shape[2]} x "
            f"{maps.shape[3]} maps may be cut into {size} cells unevenly"
        )
    pooled = _largest(responses, size)
    present = _largest(np.moveaxis(maps, 1, -1), size) > 0
    return FeatureObjects(
        tuple(object_classes),
        pooled.reshape(n, size * size, -1).astype(np.float32),
        present.reshape(n, size * size, -1),
    )


def _largest(values: np.ndarray, size: int) -> np.ndarray:
    n, height, width, depth = values.shape
    blocks = values.reshape(n, size, height // size, size, width // size, depth)
    return blocks.max(axis=(2, 4))

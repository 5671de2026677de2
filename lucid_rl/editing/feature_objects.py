"""Which object of the game each feature responds to, measured on labelled pictures.

The article names features by looking at them. Here the game's state says where each
object stands, so a feature can be scored: does it fire where buzzsaws are, and only
there? The scores choose the feature to edit (`--object=buzzsaw`).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score

from lucid_rl.errors import InputError

GRID_SIZE = 16
"""Cells along a side at which features and objects are compared: a cell of 4 x 4
pixels is a little less than a tile, so a response at an object's edge still counts."""

_N_RESAMPLES = 100


@dataclasses.dataclass(frozen=True)
class Choice:
    """The feature that responds best to an object, and how sure that is."""

    object_class: str
    feature: int
    average_precision: float
    interval: tuple[float, float]
    """95 % bootstrap interval of the average precision, over observations."""
    confidence: float
    """Share of bootstrap samples in which this feature is the best one."""
    base_rate: float
    """Average precision of a feature that knows nothing."""
    runner_up: int | None
    """The second best feature; None when there is only one."""

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"feature {self.feature} responds to {self.object_class}: "
            f"average precision {self.average_precision:.2f} (95 % interval "
            f"{low:.2f} to {high:.2f}, chance {self.base_rate:.3f}), "
            f"best in {self.confidence:.0%} of resamples"
        )


@dataclasses.dataclass(frozen=True)
class FeatureObjects:
    """Responses of features, and where objects are, on the same cells.

    Attributes:
        object_classes: names of the n classes.
        responses: float32 [N, cells, K], the largest response in each cell.
        present: bool [N, cells, n], whether the class is seen in the cell.
    """

    object_classes: tuple[str, ...]
    responses: np.ndarray
    present: np.ndarray

    @property
    def n_features(self) -> int:
        """K."""
        return self.responses.shape[-1]

    def average_precision(self, feature: int, object_class: str) -> float:
        """Area under precision and recall of "fires here" for "object is here"."""
        everything = np.arange(len(self.responses))
        return self._average_precision(
            everything, feature, self._class_index(object_class)
        )

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
        """Picks the feature with the best average precision for an object.

        Args:
            object_class: one of `object_classes`.
            rng: draws the bootstrap samples of observations.

        Raises:
            InputError: an unknown class, or one that is nowhere in the sample.
        """
        column = self._class_index(object_class)
        present = self.present[..., column]
        if not present.any():
            raise InputError(
                f"no {object_class} is in the {len(present)} sampled observations; "
                "sample more of them, or of levels that have one"
            )
        everything = np.arange(len(present))
        precisions = self._average_precisions(everything, column)
        order = np.argsort(-precisions, kind="stable")
        samples = []
        for _ in range(_N_RESAMPLES):
            chosen = rng.integers(len(present), size=len(present))
            if present[chosen].any():
                samples.append(self._average_precisions(chosen, column))
        resampled = np.array(samples)
        best = int(order[0])
        low, high = np.quantile(resampled[:, best], [0.025, 0.975])
        return Choice(
            object_class=object_class,
            feature=best,
            average_precision=float(precisions[best]),
            interval=(float(low), float(high)),
            confidence=float((resampled.argmax(axis=1) == best).mean()),
            base_rate=float(present.mean()),
            runner_up=int(order[1]) if len(order) > 1 else None,
        )

    def table(self) -> str:
        """Markdown: average precision of each feature for each object.

        In brackets how many times its mean response is exceeded where the object is.
        """
        lines = [
            "| feature | " + " | ".join(self.object_classes) + " |",
            "|---" * (len(self.object_classes) + 1) + "|",
        ]
        for feature in range(self.n_features):
            cells = [
                f"{self.average_precision(feature, name):.2f} "
                f"({self.mean_response(feature, name):.1f}x)"
                for name in self.object_classes
            ]
            lines.append(f"| {feature} | " + " | ".join(cells) + " |")
        rates = self.present.mean(axis=(0, 1))
        lines.append("| (chance) | " + " | ".join(f"{r:.3f}" for r in rates) + " |")
        return "\n".join(lines)

    def _class_index(self, object_class: str) -> int:
        if object_class not in self.object_classes:
            raise InputError(
                f"unknown object {object_class!r}; known are "
                f"{', '.join(self.object_classes)}"
            )
        return self.object_classes.index(object_class)

    def _average_precisions(self, chosen: np.ndarray, column: int) -> np.ndarray:
        return np.array(
            [
                self._average_precision(chosen, feature, column)
                for feature in range(self.n_features)
            ]
        )

    def _average_precision(
        self, chosen: np.ndarray, feature: int, column: int
    ) -> float:
        present = self.present[chosen, :, column].ravel()
        if not present.any():
            return float("nan")
        scores = self.responses[chosen, :, feature].ravel()
        return float(average_precision_score(present, scores))


def compare_with_objects(
    responses: np.ndarray, maps: np.ndarray, object_classes: Sequence[str]
) -> FeatureObjects:
    """Puts features' responses and objects' maps on the same cells.

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

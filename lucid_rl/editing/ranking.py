"""Average precision of one ranking for many labels and resamples."""

import numpy as np


class Ranking:
    """Cells ordered by a feature's response, the strongest first.

    The order is found once; after that a precision for other objects, or for other
    weights of the observations as a bootstrap needs them, is a matter of sums.

    Args:
        responses: float [N, cells], of one feature.
    """

    def __init__(self, responses: np.ndarray) -> None:
        scores = responses.ravel()
        self._order = np.argsort(-scores, kind="stable")
        self._rows = self._order // responses.shape[1]
        ordered = scores[self._order]
        # Cells of equal response are reached together.
        self._ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)

    def average_precision(
        self, present: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        """Average precision, as scikit-learn's `average_precision_score`.

        Args:
            present: bool [N, cells], where the object is; NaN if it is nowhere.
            weights: [N], how often each observation counts; None for once.
        """
        weights = np.ones(len(present)) if weights is None else weights
        counted = weights[self._rows].astype(np.float64)
        found = np.cumsum(counted * present.ravel()[self._order])[self._ends]
        looked_at = np.cumsum(counted)[self._ends]
        if found[-1] == 0:
            return float("nan")
        gained = np.diff(found, prepend=0.0)
        # Where nothing was looked at yet, nothing was gained.
        return float((gained * found / np.maximum(looked_at, 1e-12)).sum() / found[-1])

"""Measures of sparsity, one-hotness and consistency of features."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from lucid_rl.errors import InputError


def top_share(attribution: np.ndarray, n_top: int = 10) -> np.ndarray:
    """Fraction of the total absolute attribution in the strongest pairs.

    Article, "Attribution discussion", Sparsity: of one observation "the top 10
    position-channel pairs account for more than 80% of the total absolute
    attribution", channels after NMF.

    Args:
        attribution: float [N, H, W, K], reduced to features.
        n_top: number of position-channel pairs.

    Returns:
        float64 [N] in [0, 1]; NaN where an observation has no attribution at all.

    Raises:
        InputError: another shape, values not finite, or `n_top` below 1.
    """
    attribution = np.asarray(attribution)
    if attribution.ndim != 4 or not np.isfinite(attribution).all() or n_top < 1:
        raise InputError(
            f"top_share takes finite attributions [N, H, W, K] and n_top >= 1; got "
            f"shape {attribution.shape} and n_top={n_top}"
        )
    sizes = np.abs(attribution.reshape(len(attribution), -1)).astype(np.float64)
    n_top = min(n_top, sizes.shape[1])
    strongest = np.partition(sizes, sizes.shape[1] - n_top, axis=1)[:, -n_top:]
    totals = sizes.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(totals > 0, strongest.sum(axis=1) / totals, np.nan)


def one_hotness(directions: np.ndarray) -> np.ndarray:
    """How close directions are to single channels: cosine with the nearest axis.

    Article, Appendix A: "the NMF directions were close to one-hot".

    Args:
        directions: float [K, C].

    Returns:
        float64 [K], from 1 / sqrt(C) (all channels alike) to 1 (a single channel).
        NaN for a direction that is zero.
    """
    directions = np.abs(np.atleast_2d(np.asarray(directions, np.float64)))
    norms = np.linalg.norm(directions, axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(norms > 0, directions.max(axis=1) / norms, np.nan)


def matched_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosines of directions after matching them one to one as well as possible.

    Fitted to two halves of a dataset, features that mean something come out alike;
    so this measures how consistent the features of a model are.

    Args:
        first: float [K, C].
        second: float [K, C].

    Returns:
        float64 [K]: for each of `first`, the cosine with its partner in `second`; the
        matching has the largest sum (Kuhn's assignment).

    Raises:
        InputError: the shapes differ.
    """
    first, second = (np.asarray(array, np.float64) for array in (first, second))
    if first.shape != second.shape or first.ndim != 2:
        raise InputError(
            f"directions have shapes {first.shape} and {second.shape}; expected the "
            "same [K, C]"
        )
    units = [
        array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-30)
        for array in (first, second)
    ]
    cosines = units[0] @ units[1].T
    rows, columns = linear_sum_assignment(-cosines)
    return cosines[rows, columns]

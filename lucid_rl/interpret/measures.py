"""Measures of sparsity, one-hotness and consistency of features."""

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment

from lucid_rl.errors import InputError


def top_fraction(attribution: np.ndarray, n_top: int = 10) -> np.ndarray:
    """Fraction, f64 [N], of the total absolute attribution in the strongest pairs.

    Article, "Attribution discussion", Sparsity: of one observation "the top 10
    position-channel pairs account for more than 80% of the total absolute attribution",
    channels after NMF. NaN where an observation has no attribution at all.

    Args:
        attribution: float [N, H, W, K], reduced to features.
        n_top: number of position-channel pairs.

    Raises:
        InputError: another shape, values not finite, or `n_top` below 1.
    """
    attribution = np.asarray(attribution)
    if attribution.ndim != 4 or not np.isfinite(attribution).all() or n_top < 1:
        raise InputError(
            f"top_fraction takes finite attributions [N, H, W, K] and n_top >= 1; got "
            f"shape {attribution.shape} and n_top={n_top}"
        )
    sizes = np.abs(attribution.reshape(len(attribution), -1)).astype(np.float64)
    n_top = min(n_top, sizes.shape[1])
    strongest = np.partition(sizes, sizes.shape[1] - n_top, axis=1)[:, -n_top:]
    totals = sizes.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(totals > 0, strongest.sum(axis=1) / totals, np.nan)


def one_hotness(directions: np.ndarray) -> np.ndarray:
    """Cosine, f64 [K], of directions [K, C] with the nearest axis.

    Article, Appendix A: "the NMF directions were close to one-hot". From 1 / sqrt(C)
    (all channels alike) to 1 (a single channel); NaN for a direction that is zero.
    """
    directions = np.abs(np.atleast_2d(np.asarray(directions, np.float64)))
    norms = np.linalg.norm(directions, axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(norms > 0, directions.max(axis=1) / norms, np.nan)


def matched_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosines, f64 [K], of directions [K, C] with their partners among others.

    Partners maximize the sum (Kuhn's assignment). Fitted to two halves of a dataset,
    meaningful features come out alike: this measures how consistent a model's are.

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


def with_other_backgrounds(
    observations: np.ndarray, rng: np.random.Generator, radius: float = 4.0
) -> np.ndarray:
    """Puts the coarse colours of other observations in place of an observation's own.

    As if before another background: backgrounds are large and smooth, objects are
    small. It needs no game; where the game's states are known, draw them before another
    background instead.

    Args:
        observations: u8 [N, H, W, C], at least 2.
        rng: draws whose colours an observation gets; never its own.
        radius: standard deviation, in pixels, of the Gaussian that separates coarse
            from fine.

    Raises:
        InputError: fewer than 2 observations, or another type.
    """
    if (
        observations.ndim != 4
        or observations.dtype != np.uint8
        or len(observations) < 2
    ):
        raise InputError(
            f"observations are {observations.dtype} of shape {observations.shape}: "
            "expected uint8 [N, H, W, C], N at least 2"
        )
    order = rng.permutation(len(observations))
    others = np.empty_like(order)
    others[order] = np.roll(order, 1)
    changed = np.empty_like(observations)
    for i, other in enumerate(others):
        pair = observations[[i, other]].astype(np.float32)
        own, its = gaussian_filter(pair, (0, radius, radius, 0), mode="nearest")
        changed[i] = np.clip(np.rint(pair[0] - own + its), 0, 255)
    return changed


def changed_fraction(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Difference of features' responses [N, H, W, K] >= 0 as a fraction of their sum.

    sum of |differences| over the sum of both, f64 [K] in [0, 1]; NaN for a feature that
    never responds.
    """
    axes = tuple(range(np.ndim(first) - 1))
    changed = np.abs(first - second).sum(axis=axes, dtype=np.float64)
    both = (first + second).sum(axis=axes, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(both > 0, changed / both, np.nan)

"""NNDSVD initialization and coordinate descent of NMF, in blocks of rows."""

import concurrent.futures
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lucid_rl.interpret.blocks import block_threads

# Rows of a step: few enough for the processor's cache.
_BLOCK_ROWS = 1 << 13


class Descent(NamedTuple):
    """Result of coordinate descent."""

    weights: np.ndarray
    """f32 [K, n]."""
    directions: np.ndarray
    """f32 [K, C]."""
    explained: float
    """Fraction of the rows' sum of squares."""
    fractions: np.ndarray
    """f32 [K], sum of squares of each feature's own part, as a fraction of the same."""
    n_iterations: int
    violation: float
    """Projected gradient in the last iteration, relative to the first."""


def nndsvd(rows: np.ndarray, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """NNDSVD start (Boutsidis & Gallopoulos 2008) for rows f32 [n, C] >= 0, not all 0.

    From the C x C Gram matrix: weights f32 [K, n] (transposed) and directions f32 [K,
    C]; zero for features beyond the rank of the rows.
    """
    gram = sum(
        (block.T.astype(np.float64) @ block for block in _blocks(rows)),
        np.zeros((rows.shape[1], rows.shape[1])),
    )
    eigenvalues, eigenvectors = np.linalg.eigh(gram)
    largest = np.argsort(-eigenvalues, kind="stable")[:n_features]
    singular = np.sqrt(np.maximum(eigenvalues[largest], 0))
    # Directions lost in rounding would bring noise: their features stay empty.
    singular[singular < 1e-7 * singular[0]] = 0
    right = eigenvectors[:, largest].T
    left = np.empty((n_features, len(rows)), np.float32)
    scaled = right / np.where(singular == 0, np.inf, singular)[:, None]
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        left[:, block] = scaled.astype(np.float32) @ rows[block].T
    for k in range(n_features):
        # Of the two sign choices the one that carries more is kept.
        halves = [
            (np.maximum(sign * left[k], 0), np.maximum(sign * right[k], 0))
            for sign in (1, -1)
        ]
        norms = [tuple(float(np.linalg.norm(x)) for x in half) for half in halves]
        best = int(norms[1][0] * norms[1][1] > norms[0][0] * norms[0][1])
        (left_half, right_half), (a, b) = halves[best], norms[best]
        scale = np.sqrt(singular[k] * a * b) if a * b else 0.0
        left[k] = left_half * (scale / a if a else 0.0)
        right[k] = right_half * (scale / b if b else 0.0)
    right = right.astype(np.float32)
    # What is zero but for rounding starts as zero, from which it moves only if that
    # helps; weights and directions are of the size of the rows' root.
    floor = 1e-6 * np.trace(gram) ** 0.25 / rows.size**0.25
    left[left < floor] = 0
    right[right < floor] = 0
    return left, right


def coordinate_descent(
    rows: np.ndarray,
    weights: np.ndarray,
    directions: np.ndarray,
    tolerance: float,
    max_iterations: int,
) -> Descent:
    """Minimises ||X - Wᵀ H||² over W, H >= 0, one row of W and H at a time.

    Cichocki & Phan 2009, "Fast local algorithms for large scale nonnegative matrix and
    tensor factorizations", with scikit-learn's order and rule to stop. One iteration
    passes over the rows once, block by block: only the weights and the rows themselves
    are ever as long as the rows. The final weights are the best single step for the
    final directions.

    Args:
        rows: X, f32 [n, C].
        weights: W to start from, f32 [K, n]; changed in place.
        directions: H to start from, f32 [K, C]; changed in place.
        tolerance: of `Descent.violation`.
        max_iterations: ends the descent at the latest.
    """
    first = 0.0
    with block_threads() as pool:
        for n_iterations in itertools.count(1):
            violation, gram, projections = _pass(rows, weights, directions, pool)
            violation += _sweep(gram, projections, directions)
            first = first or violation
            relative = violation / first if first else 0.0
            if relative <= tolerance or n_iterations == max_iterations:
                break
        _, gram, projections = _pass(rows, weights, directions, pool)
    energy = float(np.einsum("nc,nc->", rows, rows, dtype=np.float64))
    parts = gram * (directions @ directions.T) / energy
    explained = 2 * float((projections * directions).sum()) / energy - parts.sum()
    fractions = np.diagonal(parts).astype(np.float32)
    return Descent(
        weights, directions, float(explained), fractions, n_iterations, relative
    )


def _pass(
    rows: np.ndarray,
    weights: np.ndarray,
    directions: np.ndarray,
    pool: concurrent.futures.Executor,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Sweeps over the weights of all rows in place.

    Returns:
        The violation, and the new weights' Wᵀ W f64 [K, K] and Wᵀ X f64 [K, C].
    """
    gram = directions @ directions.T

    def step(start: int) -> tuple[float, np.ndarray, np.ndarray]:
        block = rows[start : start + _BLOCK_ROWS]
        own = weights[:, start : start + _BLOCK_ROWS]
        violation = _sweep(gram, directions @ block.T, own)
        return violation, own @ own.T, own @ block

    violation = 0.0
    weight_gram = np.zeros(gram.shape)
    projections = np.zeros(directions.shape)
    # Summed in order, so that threads do not change the result.
    for parts in pool.map(step, range(0, len(rows), _BLOCK_ROWS)):
        violation += parts[0]
        weight_gram += parts[1]
        projections += parts[2]
    return violation, weight_gram, projections


def _sweep(gram: np.ndarray, targets: np.ndarray, unknowns: np.ndarray) -> float:
    """Minimises over each row of `unknowns` [K, n] in turn; in place.

    Returns:
        Sum of the projected gradient's absolute values met on the way.
    """
    violation = 0.0
    for k in range(len(gram)):
        if gram[k, k] == 0:
            continue
        gradient = gram[k] @ unknowns - targets[k]
        projected = np.where(unknowns[k] == 0, np.minimum(gradient, 0), gradient)
        violation += float(np.abs(projected).sum(dtype=np.float64))
        unknowns[k] = np.maximum(unknowns[k] - gradient / gram[k, k], 0)
    return violation


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _BLOCK_ROWS):
        yield rows[start : start + _BLOCK_ROWS]

"""The inner loop of `nnls`, compiled."""

import numba
import numpy as np

# Block exchanges without progress before single exchanges, which terminate.
_PATIENCE = 3
_TOLERANCE = 1e-12
# Smaller pivots (of a unit diagonal) show linear dependence.
_LEAST_PIVOT = 1e-8


@numba.njit(cache=True, nogil=True)
def solve_rows(
    gram: np.ndarray, targets: np.ndarray, solution: np.ndarray, solved: np.ndarray
) -> None:
    """Solves each row by block principal pivoting.

    The Gram matrix, f64 [K, K], has a unit diagonal, targets are f64 [n, K].
    `solution`, zeros f64 [n, K], is filled; so is `solved`, bool [n], false where
    unknowns depend on each other.
    """
    n_unknowns = len(gram)
    chosen = np.empty(n_unknowns, np.int64)
    factor = np.empty((n_unknowns, n_unknowns))
    weights = np.empty(n_unknowns)
    free = np.empty(n_unknowns, np.bool_)
    wrong = np.empty(n_unknowns, np.bool_)
    for row in range(len(targets)):
        target, result = targets[row], solution[row]
        tolerance = 0.0
        for k in range(n_unknowns):
            # At w = 0 the gradient is -b.
            free[k] = target[k] > 0
            tolerance = max(tolerance, _TOLERANCE * abs(target[k]))
        fewest, patience = n_unknowns + 1, _PATIENCE
        solved[row] = False
        for _ in range(20 + 4 * n_unknowns):
            n_free = 0
            for k in range(n_unknowns):
                if free[k]:
                    chosen[n_free] = k
                    n_free += 1
            if not _solve_free(gram, target, chosen[:n_free], factor, weights):
                break
            n_wrong, last = 0, 0
            i = 0
            for k in range(n_unknowns):
                if free[k]:
                    value = weights[i]
                    i += 1
                else:
                    value = -target[k]
                    for j in range(n_free):
                        value += gram[k, chosen[j]] * weights[j]
                wrong[k] = value < -tolerance
                if wrong[k]:
                    n_wrong += 1
                    last = k
            if not n_wrong:
                for j in range(n_free):
                    result[chosen[j]] = max(weights[j], 0.0)
                solved[row] = True
                break
            patience = _PATIENCE if n_wrong < fewest else patience - 1
            fewest = min(fewest, n_wrong)
            for k in range(n_unknowns):
                if wrong[k] and (patience >= 0 or k == last):
                    free[k] = not free[k]


@numba.njit(cache=True, nogil=True)
def _solve_free(
    gram: np.ndarray,
    target: np.ndarray,
    chosen: np.ndarray,
    factor: np.ndarray,
    weights: np.ndarray,
) -> bool:
    """Solves for the chosen unknowns by L D Lᵀ; False where they depend on others."""
    n = len(chosen)
    for i in range(n):
        value = target[chosen[i]]
        pivot = gram[chosen[i], chosen[i]]
        for j in range(i):
            entry = gram[chosen[i], chosen[j]]
            for k in range(j):
                entry -= factor[i, k] * factor[j, k]
            factor[i, j] = entry  # of L D
        for j in range(i):
            entry = factor[i, j] * factor[j, j]
            pivot -= entry * factor[i, j]
            value -= entry * weights[j]
            factor[i, j] = entry  # of L
        if pivot < _LEAST_PIVOT:
            return False
        factor[i, i] = 1 / pivot
        weights[i] = value
    for i in range(n - 1, -1, -1):
        weights[i] *= factor[i, i]
        for j in range(i + 1, n):
            weights[i] -= factor[j, i] * weights[j]
    return True

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
    """Solves each row by block principal pivoting, from the row before's free set.

    Neighbouring rows resemble each other, so most need no exchange, and no new factors.

    The Gram matrix, f64 [K, K], has a unit diagonal, targets are f64 [n, K].
    `solution`, zeros f64 [n, K], is filled; so is `solved`, bool [n], false where
    unknowns depend on each other.
    """
    n_unknowns = len(gram)
    chosen = np.empty(n_unknowns, np.int64)
    factor = np.empty((n_unknowns, n_unknowns))
    weights = np.empty(n_unknowns)
    free = np.zeros(n_unknowns, np.bool_)
    wrong = np.empty(n_unknowns, np.bool_)
    n_free = 0
    for row in range(len(targets)):
        target, result = targets[row], solution[row]
        tolerance = 0.0
        for k in range(n_unknowns):
            tolerance = max(tolerance, _TOLERANCE * abs(target[k]))
        fewest, patience = n_unknowns + 1, _PATIENCE
        solved[row] = False
        for _ in range(20 + 4 * n_unknowns):
            _solve_free(target, chosen[:n_free], factor, weights)
            n_wrong, last = 0, 0
            i = 0
            for k in range(n_unknowns):
                if free[k]:
                    value = weights[i]
                    i += 1
                else:
                    # The gradient.
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
            n_free = 0
            for k in range(n_unknowns):
                if wrong[k] and (patience >= 0 or k == last):
                    free[k] = not free[k]
                if free[k]:
                    chosen[n_free] = k
                    n_free += 1
            if not _factorize(gram, chosen[:n_free], factor):
                break
        if not solved[row]:
            free[:] = False
            n_free = 0


@numba.njit(cache=True, nogil=True)
def _factorize(gram: np.ndarray, chosen: np.ndarray, factor: np.ndarray) -> bool:
    """Finds L D Lᵀ of the chosen unknowns; False where they depend on others."""
    for i in range(len(chosen)):
        pivot = gram[chosen[i], chosen[i]]
        for j in range(i):
            entry = gram[chosen[i], chosen[j]]
            for k in range(j):
                entry -= factor[i, k] * factor[j, k]
            factor[i, j] = entry  # of L D
        for j in range(i):
            entry = factor[i, j] * factor[j, j]
            pivot -= entry * factor[i, j]
            factor[i, j] = entry  # of L
        if pivot < _LEAST_PIVOT:
            return False
        factor[i, i] = 1 / pivot
    return True


@numba.njit(cache=True, nogil=True)
def _solve_free(
    target: np.ndarray, chosen: np.ndarray, factor: np.ndarray, weights: np.ndarray
) -> None:
    """Solves for the chosen unknowns, whose factors are known."""
    n = len(chosen)
    for i in range(n):
        value = target[chosen[i]]
        for j in range(i):
            value -= factor[i, j] * weights[j]
        weights[i] = value
    for i in range(n - 1, -1, -1):
        weights[i] *= factor[i, i]
        for j in range(i + 1, n):
            weights[i] -= factor[j, i] * weights[j]

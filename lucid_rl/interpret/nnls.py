"""Exact non-negative least squares for many right-hand sides and few unknowns."""

import numpy as np
import scipy.optimize

from lucid_rl.errors import InputError
from lucid_rl.interpret.blocks import block_threads

# Rows that a thread takes at once.
_BLOCK_ROWS = 1 << 14


def solve_nonnegative(gram: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """Minimises ||x - w D||² over w >= 0 for many rows, exactly.

    Block principal pivoting (Kim & Park 2011, "Fast nonnegative matrix factorization").

    Args:
        gram: D Dᵀ, [K, K].
        projections: x Dᵀ, [N, K].

    Returns:
        w f32 [N, K]. Zero directions get weight 0.

    Raises:
        InputError: arrays of another shape, or not finite.
    """
    # Numba is slow to import.
    from lucid_rl.interpret.nnls_kernel import solve_rows

    gram = np.asarray(gram, np.float64)
    projections = np.asarray(projections, np.float64)
    if gram.shape != 2 * projections.shape[1:]:
        raise InputError(
            f"expected a [K, K] matrix and [N, K] rows, got {gram.shape} and "
            f"{projections.shape}"
        )
    if not (np.isfinite(gram).all() and np.isfinite(projections).all()):
        raise InputError("the least-squares problem holds NaN or infinite values")
    # With a unit diagonal every tolerance below is relative.
    scale = np.sqrt(np.diagonal(gram))
    scale = np.where(scale == 0, np.inf, scale)
    unit = gram / np.outer(scale, scale)
    targets = projections / scale
    solution = np.zeros_like(targets)
    solved = np.empty(len(targets), bool)

    def solve(start: int) -> None:
        rows = slice(start, start + _BLOCK_ROWS)
        solve_rows(unit, targets[rows], solution[rows], solved[rows])

    with block_threads() as pool:
        list(pool.map(solve, range(0, len(targets), _BLOCK_ROWS)))
    # Linearly dependent directions have many optimal weights, between which the
    # exchanges may cycle.
    solution[~solved] = _solve_one_by_one(unit, targets[~solved])
    return solution / scale


def _solve_one_by_one(gram: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The same by Lawson & Hanson's method, whose free directions never depend."""
    if not len(targets):
        return targets
    eigenvalues, eigenvectors = np.linalg.eigh(gram)
    kept = eigenvalues > 1e-12 * eigenvalues[-1]
    roots = np.sqrt(eigenvalues[kept])
    # G = Aᵀ A, b = Aᵀ y.
    matrix = roots[:, None] * eigenvectors[:, kept].T * (np.diagonal(gram) > 0)
    values = targets @ eigenvectors[:, kept] / roots
    # Its tolerance is of numbers about 1.
    sizes = np.abs(values).max(axis=1, keepdims=True)
    sizes[sizes == 0] = 1
    found = [scipy.optimize.nnls(matrix, row)[0] for row in values / sizes]
    return np.stack(found) * sizes

"""Exact non-negative least squares for many right-hand sides and few unknowns."""

import numpy as np
import scipy.optimize

from lucid_rl.errors import InputError
from lucid_rl.interpret.blocks import block_threads

# Rows worked on at once: small enough for the processor's cache.
_BLOCK_ROWS = 4096
# Up to this many unknowns every sub-matrix's inverse may be kept (134 MB at most).
_MAX_KEPT_UNKNOWNS = 16
# Exchanges of whole blocks that may fail before single ones guarantee an end.
_PATIENCE = 3


def solve_nonnegative(gram: np.ndarray, projections: np.ndarray) -> np.ndarray:
    r"""Solves min over w >= 0 of ½ wᵀ G w - bᵀ w for each row b.

    With G = H Hᵀ and b = H x this is the best non-negative combination of the rows
    of H for x. Block principal pivoting (Kim & Park 2011, "Fast nonnegative matrix
    factorization: an active-set-like method and comparisons"): unknowns move between
    free and held at zero until w >= 0 where free and the gradient is >= 0 where held,
    which is the optimum itself and no approximation of it. Few unknowns have few
    sets, so that rows share the inverses of G's sub-matrices.

    Args:
        gram: G, [K, K], symmetric and positive semidefinite. An unknown with
            G[k, k] = 0 stays at zero.
        projections: b, [N, K].

    Returns:
        w, f64 [N, K].

    Raises:
        InputError: the shapes do not fit, or a value is not finite.
    """
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
    solution = np.empty_like(targets)
    inverses = _SubmatrixInverses(unit)

    def solve(start: int) -> np.ndarray:
        rows = slice(start, start + _BLOCK_ROWS)
        solution[rows], left = _solve_block(inverses, targets[rows], 20 + 4 * len(unit))
        return start + left

    with block_threads() as pool:
        unsolved = list(pool.map(solve, range(0, len(targets), _BLOCK_ROWS)))
    # Directions that depend on each other have many best weights, between which the
    # exchanges may go in circles.
    hard = np.concatenate([*unsolved, np.zeros(0, int)])
    solution[hard] = _solve_one_by_one(unit, targets[hard])
    return solution / scale


class _SubmatrixInverses:
    """The inverse of G restricted to each set of free unknowns, zero elsewhere.

    Threads may share one: at worst they compute the same inverse twice.
    """

    def __init__(self, gram: np.ndarray):
        self.gram = gram
        n_unknowns = len(gram)
        self._bits = 1 << np.arange(n_unknowns)
        self._keep = n_unknowns <= _MAX_KEPT_UNKNOWNS
        if self._keep:
            # Untouched pages of an empty array cost no memory.
            self._known = np.zeros(1 << n_unknowns, bool)
            self._kept = np.empty((1 << n_unknowns, n_unknowns, n_unknowns))

    def __call__(self, free: np.ndarray) -> np.ndarray:
        """Inverses f64 [n, K, K] for free sets bool [n, K]."""
        if not self._keep:
            patterns, which = np.unique(free, axis=0, return_inverse=True)
            return self._invert(patterns)[which.ravel()]
        codes = free @ self._bits
        new = np.unique(codes[~self._known[codes]])
        if len(new):
            self._kept[new] = self._invert((new[:, None] & self._bits) > 0)
            self._known[new] = True
        return self._kept[codes]

    def _invert(self, patterns: np.ndarray) -> np.ndarray:
        masked = self.gram * patterns[:, :, None] * patterns[:, None, :]
        # Collinear directions share a weight where no inverse exists.
        return np.linalg.pinv(masked, rcond=1e-12, hermitian=True)


def _solve_block(
    inverses: _SubmatrixInverses, targets: np.ndarray, max_exchanges: int
) -> tuple[np.ndarray, np.ndarray]:
    """Solutions [n, K], and the numbers of rows that are not at their optimum."""
    n_unknowns = targets.shape[1]
    solution = np.zeros_like(targets)
    tolerance = 1e-12 * np.abs(targets).max(axis=1, initial=0.0, keepdims=True)
    # At w = 0 the gradient is -b: a row with no positive b is solved already.
    rows = np.flatnonzero((targets > 0).any(axis=1))
    free = targets[rows] > 0
    fewest = np.full(len(rows), n_unknowns + 1)
    patience = np.full(len(rows), _PATIENCE)
    for _ in range(max_exchanges):
        if not len(rows):
            break
        candidate = np.einsum("nkl,nl->nk", inverses(free), targets[rows]) * free
        gradient = candidate @ inverses.gram - targets[rows]
        wrong = np.where(free, candidate, gradient) < -tolerance[rows]
        solution[rows] = candidate
        n_wrong = wrong.sum(axis=1)
        patience = np.where(n_wrong < fewest, _PATIENCE, patience - 1)
        fewest = np.minimum(fewest, n_wrong)
        last = n_unknowns - 1 - wrong[:, ::-1].argmax(axis=1)
        single = np.arange(n_unknowns) == last[:, None]
        free = free ^ np.where(patience[:, None] < 0, single, wrong)
        left = n_wrong > 0
        rows, free = rows[left], free[left]
        fewest, patience = fewest[left], patience[left]
    solution = np.maximum(solution, 0.0)
    gradient = solution @ inverses.gram - targets
    error = np.where(solution > 0, np.abs(gradient), -gradient).max(axis=1, initial=0)
    return solution, np.flatnonzero(error > 1e3 * tolerance[:, 0])


def _solve_one_by_one(gram: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The same by Lawson & Hanson's method, whose free directions never depend."""
    if not len(targets):
        return targets
    eigenvalues, eigenvectors = np.linalg.eigh(gram)
    kept = eigenvalues > 1e-12 * eigenvalues[-1]
    roots = np.sqrt(eigenvalues[kept])
    # G = Aᵀ A, b = Aᵀ y.
    matrix = roots[:, None] * eigenvectors[:, kept].T
    values = targets @ eigenvectors[:, kept] / roots
    return np.stack([scipy.optimize.nnls(matrix, row)[0] for row in values])

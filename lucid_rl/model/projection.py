"""Projecting directions out of a kernel (article, Appendix A).

Let v be a direction in the activation space of a layer with c channels. The
orthogonal projection P = I - v v^T / |v|^2 removes v from an activation
vector. Left-multiplying each c x d slice of the following kernel by P gives a
kernel that acts on activations as if v had been removed from them first.
"""

import numpy as np

from lucid_rl.errors import InputError

# Below this fraction of the largest singular value, directions count as dependent.
_RANK_TOLERANCE = 1e-5


def orthonormal_basis(directions: np.ndarray) -> np.ndarray:
    """Returns an orthonormal basis, f64 [r, c], of the span of directions.

    Args:
        directions: float [c] or [k, c], any scale, not zero. Dependent ones count once.

    Raises:
        InputError: wrong number of dimensions, or values not finite, or all zero.
    """
    matrix = np.atleast_2d(np.asarray(directions, np.float64))
    if matrix.ndim != 2 or matrix.size == 0:
        raise InputError(
            f"directions have shape {np.shape(directions)}; expected [channels] or "
            "[directions, channels]"
        )
    if not np.isfinite(matrix).all():
        raise InputError("directions hold NaN or infinite values")
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not (norms > 0).all():
        raise InputError(
            f"direction {int(np.argmin(norms))} is zero: there is nothing to project "
            "out. Choose a feature that the factorization uses."
        )
    _, sizes, rows = np.linalg.svd(matrix / norms, full_matrices=False)
    return rows[sizes > _RANK_TOLERANCE * sizes[0]]


def project_out(
    kernel: np.ndarray, directions: np.ndarray, strength: float = 1.0
) -> np.ndarray:
    """Removes directions of the input channels from a kernel.

    Computes K - strength * B^T (B K) over the input-channel axis, where the rows of B
    are an orthonormal basis of the directions.

    Args:
        kernel: [height, width, c, d] of a convolution, or [positions * c, d] of a dense
            layer that reads a flattened [positions, c] activation.
        directions: [c] or [k, c]; only the space that they span matters.
        strength: 0 leaves the kernel as it is, 1 removes the directions wholly.

    Raises:
        InputError: shapes that do not fit, or a strength outside [0, 1].
    """
    if not 0.0 <= strength <= 1.0:
        raise InputError(f"strength is {strength}; expected a number from 0 to 1")
    basis = orthonormal_basis(directions)
    n_channels = basis.shape[1]
    kernel = np.asarray(kernel)
    if kernel.ndim == 4 and kernel.shape[2] == n_channels:
        slices = kernel.astype(np.float64)  # [height, width, c, d]
    elif kernel.ndim == 2 and kernel.shape[0] % n_channels == 0:
        slices = kernel.astype(np.float64).reshape(-1, n_channels, kernel.shape[1])
    else:
        raise InputError(
            f"a kernel of shape {kernel.shape} does not read {n_channels} channels; "
            "expected [height, width, channels, outputs] or "
            "[positions * channels, outputs]. Is the direction from another layer?"
        )
    removed = np.einsum("kc,ke,...ed->...cd", basis, basis, slices)
    return (slices - strength * removed).reshape(kernel.shape).astype(kernel.dtype)

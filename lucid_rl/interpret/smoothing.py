"""Smoothing of sparse attribution, so that strength takes up area."""

import functools
from collections.abc import Callable

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.interpret.blocks import block_threads

# Bytes of images smoothed at once: what fits the processor's cache.
_CHUNK_BYTES = 1 << 18


def norm_filter(
    length: int = 15,
    norm_ord: float = 2,
    norm_func: Callable[[np.ndarray], np.ndarray] = lambda distance: np.exp(-distance),
    clip: bool = True,
) -> np.ndarray:
    """A square filter, f64 [length, length], of the distance from its centre.

    Args:
        length: height and width.
        norm_ord: order of the norm that measures distance (2 is Euclidean).
        norm_func: falls from the centre outwards; takes an array of distances.
        clip: cuts the corners off: values below the largest on the rim are 0.
    """
    if length < 1:
        raise InputError(f"a filter's length is at least 1, got {length}")
    axis = np.arange(length) - (length - 1) / 2
    offsets = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    values = norm_func(np.linalg.norm(offsets, ord=norm_ord, axis=-1))
    if clip:
        rim = values.min(axis=0).max()
        # Values on the rim itself may differ in rounding.
        values = np.where(values >= rim * (1 - 1e-5), values, 0.0)
    return values


def smooth(images: np.ndarray, kernel: np.ndarray | None = None) -> np.ndarray:
    """Correlates each channel of images [N, H, W, C] with a filter; zeros lie around.

    Each row of the filter is a banded matrix that acts on rows of the images, and a
    symmetric filter has half as many different rows: a few matrix products do it. By
    default the filter is `norm_filter(15)`; sides of even length reach one position
    further to the right and bottom.

    Raises:
        InputError: images or a filter of another shape.
    """
    kernel = norm_filter() if kernel is None else kernel
    if images.ndim != 4 or kernel.ndim != 2:
        raise InputError(
            f"expected images [N, H, W, C] and a filter [h, w], got shapes "
            f"{images.shape} and {kernel.shape}"
        )
    _, height, width, n_channels = images.shape
    margin = len(kernel) - 1
    different, which = np.unique(kernel, axis=0, return_inverse=True)
    bands = [
        (
            np.flatnonzero(which.ravel() == i),
            np.asarray(_band(row, width), images.dtype),
        )
        for i, row in enumerate(different)
        if row.any()
    ]
    per_image = (height + margin) * width * n_channels * images.itemsize
    n_at_once = max(1, _CHUNK_BYTES // max(1, per_image))
    smoothed = np.empty_like(images)

    def smooth_chunk(start: int) -> None:
        chunk = images[start : start + n_at_once].transpose(1, 0, 3, 2)
        padded = np.zeros((height + margin, *chunk.shape[1:]), images.dtype)
        padded[margin // 2 : margin // 2 + height] = chunk
        total = np.zeros(chunk.shape, images.dtype)
        for rows, band in bands:
            shifted = functools.reduce(np.add, (padded[i : i + height] for i in rows))
            total += (shifted.reshape(-1, width) @ band).reshape(chunk.shape)
        smoothed[start : start + n_at_once] = total.transpose(1, 0, 3, 2)

    with block_threads() as pool:
        list(pool.map(smooth_chunk, range(0, len(images), n_at_once)))
    return smoothed


def _band(row: np.ndarray, width: int) -> np.ndarray:
    """Matrix [width, width] that correlates vectors with a filter's row."""
    offsets = np.arange(width)[:, None] - np.arange(width) + (len(row) - 1) // 2
    inside = (offsets >= 0) & (offsets < len(row))
    return np.where(inside, row[np.clip(offsets, 0, len(row) - 1)], 0)

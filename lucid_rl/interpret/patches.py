"""Rendering of dataset examples as patches of observations with opacity."""

from collections.abc import Sequence

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.interpret.dataset_examples import ExampleGrid


def render_examples(
    grid: ExampleGrid, observations: np.ndarray, patch_size: int | tuple[int, int]
) -> np.ndarray:
    """Draws each cell's patch; opacity is its weight relative to the largest.

    Args:
        grid: what to draw.
        observations: uint8 or floats in [0, 1], [N, H, W, 3], of any resolution.
        patch_size: height and width of a patch, in pixels of `observations`.

    Returns:
        RGBA f32 [h * patch height, w * patch width, 4] in [0, 1].

    Raises:
        InputError: observations of another shape, or too few for the grid.
    """
    size = np.broadcast_to(np.asarray(patch_size, int), 2)
    if observations.ndim != 4 or observations.shape[-1] != 3:
        raise InputError(
            f"expected observations [N, H, W, 3], got shape {observations.shape}"
        )
    if grid.observations.max() >= len(observations):
        raise InputError(
            f"the grid shows observation {grid.observations.max()}, but there are "
            f"only {len(observations)}"
        )
    if size.min() < 1:
        raise InputError(f"a patch has at least one pixel, got {patch_size}")
    corners = np.floor(grid.centres * observations.shape[1:3] - size / 2 + 0.5).astype(
        int
    )
    return assemble_patches(
        observations,
        grid.observations,
        corners,
        np.full(grid.observations.shape[0], size[0]),
        np.full(grid.observations.shape[1], size[1]),
        grid.weights,
    )


def assemble_patches(
    observations: np.ndarray,
    indices: np.ndarray,
    corners: np.ndarray,
    heights: Sequence[int] | np.ndarray,
    widths: Sequence[int] | np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """One RGBA image of patches; a checkerboard lies beyond the screen's edge.

    Args:
        observations: uint8 or floats in [0, 1], [N, H, W, 3].
        indices: int [h, w], the observation of each cell.
        corners: int [h, w, 2], the top left pixel of each cell's patch.
        heights: int [h], height of each row of cells.
        widths: int [w], width of each column of cells.
        weights: [h, w] >= 0, made opacities by division by the largest.

    Returns:
        [sum(heights), sum(widths), 4]; f32 for uint8 observations, else of their type.
    """
    row_cell = np.repeat(np.arange(len(heights)), heights)[:, None]
    column_cell = np.repeat(np.arange(len(widths)), widths)[None, :]
    within_row = np.concatenate([np.arange(n) for n in heights])[:, None]
    within_column = np.concatenate([np.arange(n) for n in widths])[None, :]
    row = corners[row_cell, column_cell, 0] + within_row
    column = corners[row_cell, column_cell, 1] + within_column
    height, width = observations.shape[1:3]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    pixels = observations[
        indices[row_cell, column_cell],
        np.clip(row, 0, height - 1),
        np.clip(column, 0, width - 1),
    ]
    if pixels.dtype == np.uint8:
        pixels = pixels.astype(np.float32) / np.float32(255)
    # Light greys, alternating from pixel to pixel.
    checkerboard = (0.75 + 0.25 * ((row + column) % 2)).astype(pixels.dtype)
    largest = weights.max()
    opacity = (weights / (largest if largest > 0 else 1))[row_cell, column_cell]
    image = np.empty((*row.shape, 4), pixels.dtype)
    image[..., :3] = np.where(inside[..., None], pixels, checkerboard[..., None])
    image[..., 3] = opacity
    return image


def rescale_opacity(
    images: np.ndarray,
    min_opacity: float = 15 / 255,
    opaque_frac: float = 0.1,
    max_scale: float = 10.0,
    keep_zeros: bool = False,
) -> np.ndarray:
    """Stretches opacities of RGBA floats [..., H, W, 4], each image by itself.

    Opacity a becomes min(1, m + (1 - m) a / t), where m is `min_opacity` and t the
    opacity that the strongest `opaque_frac` of pixels exceed, but at least the largest
    opacity divided by `max_scale`. With `keep_zeros`, pixels without opacity stay so.
    """
    opacity = images[..., 3]
    flat = opacity.reshape(*opacity.shape[:-2], -1)
    threshold = np.maximum(
        np.percentile(flat, (1 - opaque_frac) * 100, axis=-1),
        flat.max(axis=-1) / max_scale,
    )[..., None, None]
    threshold = np.where(threshold == 0, 1, threshold)
    rescaled = np.minimum(1, min_opacity + opacity * (1 - min_opacity) / threshold)
    if keep_zeros:
        rescaled = np.where(opacity == 0, 0, rescaled)
    result = images.copy()
    result[..., 3] = rescaled
    return result

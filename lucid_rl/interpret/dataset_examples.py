"""Selection of dataset examples for features.

Article sections "Dataset example-based feature visualization" (`diverse_examples`)
and "Spatially-aware feature visualization" (`spatial_examples`). The choice does not
depend on the size at which patches are shown, so it is made once for each feature;
`lucid_rl.interpret.patches` draws it.
"""

import dataclasses
import math

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.interpret.blocks import block_threads

# Rows of scores sorted at once.
_CHUNK_ROWS = 512


@dataclasses.dataclass(frozen=True, eq=False)
class ExampleGrid:
    """Examples of one feature, laid out on a grid.

    Attributes:
        observations: int32 [h, w], index of the observation shown in each cell.
        centres: f32 [h, w, 2], the patch's centre (row, column) as a fraction of the
            observation's height and width, in [0, 1].
        weights: f32 [h, w] >= 0, how strongly the feature responds there.
    """

    observations: np.ndarray
    centres: np.ndarray
    weights: np.ndarray


def spatial_examples(
    weights: np.ndarray, subdivision: float = 1.0, top_fraction: float = 0.1
) -> ExampleGrid:
    """For each position, the observation with the strongest response there.

    For diversity an observation is used at about `cells / (N * top_fraction)` positions
    at most; positions where the feature never responds get weight 0.

    Args:
        weights: reduced activations of one feature, f32 [N, H, W] >= 0.
        subdivision: cells per position along each axis, so that the grid has round(H *
            subdivision) x round(W * subdivision); in between the response is
            interpolated linearly.
        top_fraction: fraction of the observations that must be enough to fill the grid.

    Raises:
        InputError: weights of another shape, not finite or negative, or a subdivision
            that leaves no cell.
    """
    weights = _checked(weights)
    if not 0 < top_fraction <= 1:
        raise InputError(f"top_fraction must lie in (0, 1], got {top_fraction}")
    size = [math.floor(n * subdivision + 0.5) for n in weights.shape[1:]]
    if min(size) < 1:
        raise InputError(
            f"a subdivision of {subdivision} leaves no cell of "
            f"{weights.shape[1]}x{weights.shape[2]} positions"
        )
    rows, columns = (
        (np.arange(cells) + 0.5) * n / cells
        for cells, n in zip(size, weights.shape[1:], strict=True)
    )
    return examples_at(weights, rows, columns, top_fraction)


def examples_at(
    weights: np.ndarray, rows: np.ndarray, columns: np.ndarray, top_fraction: float
) -> ExampleGrid:
    """As `spatial_examples`, for an h x w grid of any places.

    `rows`, f64 [h] in [0, H], and `columns`, f64 [w] in [0, W], are the cells' centres;
    i + 0.5 is the centre of position i.
    """
    n_observations, height, width = weights.shape
    scores = _resample(weights, rows, columns)
    max_uses = math.ceil(len(scores) / (n_observations * top_fraction))
    # Positions without any response need no example.
    live = scores.max(axis=1) > 0
    chosen = limited_argmax(scores, max_uses, strict=False, live=live)
    size = len(rows), len(columns)
    places = np.meshgrid(rows / height, columns / width, indexing="ij")
    return ExampleGrid(
        observations=chosen.reshape(size).astype(np.int32),
        centres=np.stack(places, axis=-1).astype(np.float32),
        weights=np.take_along_axis(scores, chosen[:, None], axis=1).reshape(size),
    )


def diverse_examples(
    weights: np.ndarray, side: int = 4, max_per_position: int | None = None
) -> ExampleGrid:
    """The strongest observations, from many positions, in reading order.

    Each observation takes part with its best position, or a lesser one where more than
    `max_per_position` (by default `side`) stronger ones claim that; the strongest side²
    then fill a side x side grid.

    Raises:
        InputError: weights, f32 [N, H, W] >= 0, of another shape, not finite or
            negative, or fewer observations than cells.
    """
    weights = _checked(weights)
    n_observations, height, width = weights.shape
    if not 1 <= side**2 <= n_observations:
        raise InputError(
            f"a grid of {side}x{side} examples needs {side**2} observations, got "
            f"{n_observations}"
        )
    scores = weights.reshape(n_observations, -1)
    live = scores.max(axis=1) > 0
    positions = limited_argmax(scores, max_per_position or side, strict=True, live=live)
    best = scores[np.arange(n_observations), positions]
    strongest = np.argsort(-best, kind="stable")[: side**2]
    strongest = reading_order(strongest, positions, width, side)
    centres = (np.stack(np.divmod(positions[strongest], width), axis=-1) + 0.5) / (
        height,
        width,
    )
    return ExampleGrid(
        observations=strongest.astype(np.int32),
        centres=centres.astype(np.float32),
        weights=best[strongest].astype(np.float32),
    )


def reading_order(
    items: np.ndarray, positions: np.ndarray, width: int, side: int
) -> np.ndarray:
    """Lays side² items [n] out by their flat positions, rows sorted by column."""
    grid = items[np.argsort(positions[items], kind="stable")].reshape(side, side)
    order = np.argsort(positions[grid] % width, axis=1, kind="stable")
    return np.take_along_axis(grid, order, axis=1)


def limited_argmax(
    scores: np.ndarray, max_uses: float, strict: bool, live: np.ndarray | None = None
) -> np.ndarray:
    """Each row's best column, int64 [rows], of which none serves over `max_uses` rows.

    In round i every column with too many rows gives the weakest of them up, to their
    i-th best column (counted from 0), until none has too many. Equal scores rank by
    column.

    Args:
        scores: floats [rows, columns].
        max_uses: may be infinite.
        strict: whether rows that found no place end with their worst column (so that
            few columns are overfull) or with their best.
        live: bool [rows], rows that take part, by default all; others get their best.
    """
    chosen = scores.argmax(axis=1)
    if live is None:
        live = np.ones(len(scores), bool)
    n_columns = scores.shape[1]
    counts = np.bincount(chosen[live], minlength=n_columns)
    # Only rows that move are sorted, and only once; the others' memory stays untouched.
    ranking = np.empty(scores.shape, np.min_scalar_type(n_columns))
    ranked = np.zeros(len(scores), bool)
    for rank in range(1, n_columns + (not strict)):
        crowded = np.flatnonzero(live & (counts[chosen] > max_uses))
        if not len(crowded):
            break
        column = chosen[crowded]
        order = np.lexsort((scores[crowded, column], column))
        crowded, column = crowded[order], column[order]
        place = np.arange(len(column)) - np.searchsorted(column, column)
        moved = crowded[place < counts[column] - max_uses]
        counts -= np.bincount(chosen[moved], minlength=n_columns)
        unranked = moved[~ranked[moved]]
        for start in range(0, len(unranked), _CHUNK_ROWS):
            rows = unranked[start : start + _CHUNK_ROWS]
            ranking[rows] = np.argsort(-scores[rows], axis=1, kind="stable")
        ranked[unranked] = True
        chosen[moved] = ranking[moved, rank % n_columns]
        counts += np.bincount(chosen[moved], minlength=n_columns)
    return chosen


def _checked(weights: np.ndarray) -> np.ndarray:
    weights = np.asarray(weights)
    if weights.ndim != 3 or 0 in weights.shape:
        raise InputError(
            "expected one feature's reduced activations [observations, height, "
            f"width], got shape {weights.shape}"
        )
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise InputError("reduced activations must be finite and not negative")
    return weights


def _resample(weights: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Responses at places of a grid, f32 [h * w, N]."""
    vertical = _interpolation(rows, weights.shape[1])
    horizontal = _interpolation(columns, weights.shape[2])
    with block_threads():
        found = np.tensordot(vertical, np.moveaxis(weights, 0, -1), 1)  # [h, W, N]
        return np.matmul(horizontal, found).reshape(-1, len(weights))


def _interpolation(places: np.ndarray, n: int) -> np.ndarray:
    """Linear interpolation between n positions' centres, f32 [places, n]."""
    indices = np.clip(places - 0.5, 0, n - 1)
    return np.maximum(1 - np.abs(indices[:, None] - np.arange(n, dtype=np.float32)), 0)

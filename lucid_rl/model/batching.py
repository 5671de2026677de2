"""Splitting work into batches that fit a memory bound."""

from collections.abc import Iterator
from typing import Any

from lucid_rl.lazy_tensorflow import tf

BATCH_BYTES = 128 * 2**20
"""Default bound of the arrays that one pass through a network makes."""


def rows_within(n_bytes: int, bytes_per_row: int) -> int:
    """Largest batch whose rows fit a number of bytes, at least 1."""
    return max(1, n_bytes // max(1, bytes_per_row))


def batch_slices(n: int, batch_size: int) -> Iterator[slice]:
    """Slices of at most `batch_size` rows that cover `n` rows in order."""
    for start in range(0, n, batch_size):
        yield slice(start, min(n, start + batch_size))


def repeat_rows(rows: Any, n: Any) -> Any:
    """Repeats a tensor's rows [R, ...], all in turn, to make n, a multiple of R."""
    # Whole rows are copied, which is faster than tf.tile.
    return tf.gather(rows, tf.range(n) % tf.shape(rows)[0])

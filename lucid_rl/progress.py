"""Progress lines with rate and remaining time, on standard error."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import tqdm

_Item = TypeVar("_Item")


def progress(
    items: Iterable[_Item], description: str, total: int | None = None
) -> Iterator[_Item]:
    """Iterates over `items` while showing how many are done and the time left.

    `total` is their number where `items` has no length. Where standard error is not a
    terminal there is one line at the end.
    """
    terminal = sys.stderr.isatty()
    yield from tqdm.tqdm(
        items,
        desc=description,
        total=total,
        mininterval=0.2 if terminal else 30.0,
        dynamic_ncols=terminal,
        file=sys.stderr,
    )

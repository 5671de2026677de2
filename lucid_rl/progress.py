"""Progress lines with rate and remaining time, on standard error."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import tqdm

_Item = TypeVar("_Item")


def progress(
    items: Iterable[_Item],
    description: str,
    total: int | None = None,
    delay: float = 0.0,
) -> Iterator[_Item]:
    """Iterates over `items` while showing how many are done and the time left.

    `total` is their number where `items` has no length; nothing is shown before `delay`
    seconds. Where standard error is not a terminal there is one line at the end.
    """
    yield from progress_bar(description, iterable=items, total=total, delay=delay)


def progress_bar(description: str, **options: Any) -> tqdm.tqdm:
    """A bar of `tqdm` on standard error."""
    terminal = sys.stderr.isatty()
    return tqdm.tqdm(
        desc=description,
        mininterval=0.2 if terminal else 30.0,
        dynamic_ncols=terminal,
        file=sys.stderr,
        **options,
    )

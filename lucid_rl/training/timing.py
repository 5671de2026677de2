"""Where the time goes."""

import collections
import contextlib
import time
from collections.abc import Iterator


class Stopwatch:
    """Adds up wall-clock time by part."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = collections.defaultdict(float)
        self._start = time.perf_counter()

    @contextlib.contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Adds the time of the block to `part`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[part] += time.perf_counter() - start

    @property
    def seconds(self) -> float:
        """Time since the stopwatch was made."""
        return time.perf_counter() - self._start

    def part_seconds(self, part: str) -> float:
        """Returns the time spent in `part`."""
        return self._seconds[part]

    def shares(self) -> dict[str, float]:
        """Returns each part's share of the time so far, and "other"."""
        total = max(self.seconds, 1e-9)
        shares = {part: spent / total for part, spent in self._seconds.items()}
        return shares | {"other": max(0.0, 1 - sum(shares.values()))}

"""Searches that run beside each other."""

from collections.abc import Callable, Iterable
from concurrent import futures
from typing import Generic, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


class Pending(Generic[Found]):
    """Searches under way."""

    def __init__(self, parts: list[futures.Future[list[Found]]]):
        """Keeps them.

        Args:
            parts: the k-th of n finds what is wanted of every n-th item from the k-th.
        """
        self._parts = parts

    def result(self) -> list[Found]:
        """Waits for what they find, in the items' order."""
        parts = [part.result() for part in self._parts]
        n_items = sum(map(len, parts))
        return [parts[k % len(parts)][k // len(parts)] for k in range(n_items)]


class SearchPool:
    """Threads for searches, which hold no lock."""

    def __init__(self, n_threads: int = 2):
        """Starts no thread yet.

        Args:
            n_threads: that search beside each other.
        """
        self._n_threads = n_threads
        self._executor = futures.ThreadPoolExecutor(n_threads)

    def begin(
        self, search: Callable[[Item], Found], items: Iterable[Item]
    ) -> Pending[Found]:
        """Begins to search.

        Args:
            search: what to find of an item; is called in threads.
            items: any number.

        Returns:
            The searches under way.
        """
        items = list(items)
        # A few long lists: for a search alone a thread's turn costs too much.
        parts = [items[k :: self._n_threads] for k in range(self._n_threads)]
        return Pending(
            [
                self._executor.submit(lambda part: [search(item) for item in part], p)
                for p in parts
            ]
        )

    def find(
        self, search: Callable[[Item], Found], items: Iterable[Item]
    ) -> list[Found]:
        """What `search` finds of each item, in order; see `begin`."""
        return self.begin(search, items).result()

"""Work on blocks of rows, each in one thread."""

import concurrent.futures
import contextlib
import functools
import os
from collections.abc import Iterator

import threadpoolctl


@contextlib.contextmanager
def block_threads() -> Iterator[concurrent.futures.Executor]:
    """An executor for blocks that are small for a matrix product.

    Sharing such a product among threads costs more than it saves, and far more where
    other work keeps the processors busy; so each block stays in one thread.
    """
    with (
        _controller().limit(limits=1, user_api="blas"),
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        yield pool


@functools.cache
def _controller() -> threadpoolctl.ThreadpoolController:
    # Finding the libraries takes milliseconds.
    return threadpoolctl.ThreadpoolController()

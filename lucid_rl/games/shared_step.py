"""A game's step in shared memory."""

import math
import mmap
import os
import tempfile

import numpy as np

from lucid_rl.games.vector_game import GameStep, VectorGame, read_only

_ALIGNMENT = 64  # bytes


class SharedStep:
    """The arrays of a step, in memory that two processes share.

    Args:
        file: descriptor of the file behind the memory, from `make_file`.
        n_envs: number of environments.
        shape: of one observation.
    """

    def __init__(self, file: int, n_envs: int, shape: tuple[int, ...]) -> None:
        layout: list[tuple[str, tuple[int, ...]]] = [
            ("f4", (n_envs,)),
            ("u1", (n_envs, *shape)),
            ("?", (n_envs,)),
            ("i8", (n_envs,)),
            ("?", (n_envs,)),
        ]
        n_bytes = [math.prod(s) * np.dtype(kind).itemsize for kind, s in layout]
        sizes = [-(-n // _ALIGNMENT) * _ALIGNMENT for n in n_bytes]
        if os.fstat(file).st_size < sum(sizes):
            os.truncate(file, sum(sizes))
        self._map = mmap.mmap(file, sum(sizes))
        offsets = [sum(sizes[:i]) for i in range(len(sizes))]
        arrays: list[np.ndarray] = [
            np.ndarray(s, kind, self._map, offset)
            for (kind, s), offset in zip(layout, offsets, strict=True)
        ]
        *step, self.level_seeds, self.last_level_complete = arrays
        self._writable = GameStep(*step)
        self.step = GameStep(*(read_only(array) for array in step))

    def write(self, game: VectorGame) -> None:
        """Copies what `game` now shows into the memory."""
        for mine, its in zip(self._writable, game.observe(), strict=True):
            mine[:] = its
        self.level_seeds[:] = game.level_seeds()
        self.last_level_complete[:] = game.last_level_complete()


def make_file() -> int:
    """Descriptor of an empty file without a name.

    It goes when all processes that hold it have gone, however they end.
    """
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())

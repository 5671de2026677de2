"""A game's step in shared memory."""

import mmap
import os
import tempfile
import weakref

import numpy as np

from lucid_rl.games.vector_game import (
    OBSERVATION_SIZE,
    GameStep,
    VectorGame,
    read_only,
)


class SharedStep:
    """The arrays of a step, in memory that two processes share.

    Args:
        n_envs: number of environments.
        file: descriptor of the file behind the memory, as another process made
            it; None makes one. It has no name, so that it goes when both
            processes have gone, however they end.
    """

    def __init__(self, n_envs: int, file: int | None = None) -> None:
        self.file = _make_file(n_envs) if file is None else file
        weakref.finalize(self, os.close, self.file)
        self._map = mmap.mmap(self.file, 0)
        offset = 0
        arrays = []
        for kind, shape in _layout(n_envs):
            array: np.ndarray = np.ndarray(shape, kind, self._map, offset)
            arrays.append(array)
            offset += _aligned(array.nbytes)
        *step, self.level_seeds, self.last_level_complete = arrays
        self._writable = GameStep(*step)
        self.step = GameStep(*(read_only(array) for array in step))

    def write(self, game: VectorGame) -> None:
        """Copies what `game` now shows into the memory."""
        for mine, its in zip(self._writable, game.observe(), strict=True):
            mine[:] = its
        self.level_seeds[:] = game.level_seeds()
        self.last_level_complete[:] = game.last_level_complete()


def _layout(n_envs: int) -> list[tuple[str, tuple[int, ...]]]:
    return [
        ("f4", (n_envs,)),
        ("u1", (n_envs, OBSERVATION_SIZE, OBSERVATION_SIZE, 3)),
        ("?", (n_envs,)),
        ("i8", (n_envs,)),
        ("?", (n_envs,)),
    ]


def _make_file(n_envs: int) -> int:
    size = sum(
        _aligned(int(np.prod(shape)) * np.dtype(kind).itemsize)
        for kind, shape in _layout(n_envs)
    )
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(size)
        return os.dup(file.fileno())


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // 64) * 64

"""The original CoinRun's level seeds, which its interface does not report.

One Mersenne Twister of the whole process is seeded with the game's seed, and every
reset draws one number from it. Environments that end at the same step are reset in
their order, as long as one thread steps them.
"""

import numpy as np

from lucid_rl.games.vector_game import GameSettings


class LevelSeeds:
    """The level seeds of one process, in the order in which it draws them.

    Args:
        settings: `seed` starts the stream; `n_levels`, `start_level` and
            `level_set_seed` make the set of levels.

    Attributes:
        level_set: int32 [n_levels], the levels that are drawn from; None where all
            are, or where they are simply the first.
    """

    def __init__(self, settings: GameSettings) -> None:
        self._stream = mersenne_twister(settings.seed)
        self._n_levels = settings.n_levels
        self.level_set: np.ndarray | None = None
        if settings.n_levels and settings.level_set_seed is not None:
            chosen = mersenne_twister(settings.level_set_seed)
            self.level_set = as_int32(chosen.random_raw(settings.n_levels))
        elif settings.start_level:
            levels = settings.start_level + np.arange(settings.n_levels)
            self.level_set = levels.astype(np.int32)

    def draw(self, n: int) -> np.ndarray:
        """The next `n` resets' level seeds, int64 [n]; negative ones occur."""
        raw = self._stream.random_raw(n)
        if not self._n_levels:
            return as_int32(raw).astype(np.int64)
        index = (raw % np.uint64(self._n_levels)).astype(np.int64)
        return index if self.level_set is None else self.level_set[index].astype("i8")


def mersenne_twister(seed: int) -> np.random.MT19937:
    """A generator of the same numbers as C++'s `std::mt19937(seed)`."""
    generator = np.random.MT19937()
    generator._legacy_seeding(seed)  # type: ignore[attr-defined]
    return generator


def as_int32(raw: np.ndarray) -> np.ndarray:
    """Draws in [0, 2^32) as C++ turns them into an `int`."""
    return np.asarray(raw, np.uint64).astype(np.uint32).view(np.int32)

"""A weighted sample of the rows of a matrix too large to keep."""

import numpy as np


class RowSample:
    """Keeps at most `max_rows` rows so that sums over rows stay unbiased.

    Priority sampling (Duffield, Lund & Thorup 2007, "Priority sampling for
    estimation of arbitrary subset sums"): row i with energy e = ||x||² gets the
    priority e / u, u uniform on (0, 1]; the rows of highest priority are kept, with
    weight max(1, t / e) where t is the first priority left out. Rows without energy
    are dropped, which changes no sum. While no more than `max_rows` rows have
    energy, all are kept with weight 1 and nothing is random.

    Args:
        max_rows: rows kept; twice as many are held while adding.
        rng: draws two numbers for each row added, so that the sample does not
            depend on how the rows are cut into chunks.
    """

    def __init__(self, max_rows: int, rng: np.random.Generator):
        self.n_seen = 0
        self._max_rows = max_rows
        self._rng = rng
        self._rows: list[np.ndarray] = []
        self._energies: list[np.ndarray] = []
        self._priorities: list[np.ndarray] = []
        self._n_held = 0
        self._threshold = 0.0

    def add_signed(self, values: np.ndarray) -> None:
        """Adds max(0, x) and max(0, -x) of each row x of f32 [N, C] as two rows."""
        positive = np.maximum(values, 0)
        negative = np.maximum(-values, 0)
        energies = np.stack(
            [np.einsum("nc,nc->n", part, part) for part in (positive, negative)],
            axis=1,
            dtype=np.float64,
        )
        priorities = energies / (1.0 - self._rng.random(energies.shape))
        row, sign = np.nonzero(priorities > self._threshold)
        self.n_seen += int(np.count_nonzero(energies))
        self._rows.append(np.where(sign[:, None] == 0, positive[row], negative[row]))
        self._energies.append(energies[row, sign])
        self._priorities.append(priorities[row, sign])
        self._n_held += len(row)
        if self._n_held > 2 * self._max_rows:
            self._prune()

    def rows(self) -> np.ndarray:
        """The kept rows f32 [n, C], each multiplied by the root of its weight."""
        if not self._rows:
            return np.zeros((0, 0), np.float32)
        self._prune()
        weights = np.maximum(1.0, self._threshold / self._energies[0])
        return self._rows[0] * np.sqrt(weights, dtype=np.float32)[:, None]

    def _prune(self) -> None:
        rows = np.concatenate(self._rows)
        energies = np.concatenate(self._energies)
        priorities = np.concatenate(self._priorities)
        if len(rows) > self._max_rows:
            cut = len(rows) - self._max_rows
            self._threshold = float(np.partition(priorities, cut - 1)[cut - 1])
            kept = priorities > self._threshold
            rows, energies, priorities = rows[kept], energies[kept], priorities[kept]
        self._rows, self._energies = [rows], [energies]
        self._priorities = [priorities]
        self._n_held = len(rows)

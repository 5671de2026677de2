"""A run's learning curve, as a table and as a picture."""

import csv
import pathlib
from collections.abc import Sequence

import numpy as np

from lucid_rl.bounded import check_schema
from lucid_rl.errors import InputError
from lucid_rl.files import PathLike, atomic_open
from lucid_rl.reports import figure
from lucid_rl.training.logs import LOG_NAME, read_log

COLUMNS = (
    "steps",
    "episodes",
    "success_rate",
    "episode_length",
    "entropy",
    "value_loss",
    "explained_variance",
    "approximate_kl",
    "learning_rate",
    "steps_per_second",
)

_RECORD = {"steps": int, "episodes": int, "success_rate": (float, None)}


def write_curve(
    run: PathLike, table: PathLike, picture: PathLike | None = None, n_smooth: int = 10
) -> int:
    """Writes the log of a run as CSV, and success against steps as a PNG.

    Args:
        run: the run's folder.
        table: CSV file of `COLUMNS`, one row for each update.
        picture: PNG file.
        n_smooth: updates over which episodes are counted together in the picture.

    Returns:
        Number of updates.

    Raises:
        InputError: the folder holds no log.
        FileFormatError: the log is damaged, or of another kind of run.
        SaveError: a file cannot be written.
    """
    path = pathlib.Path(run) / LOG_NAME
    records = read_log(path)
    if not records:
        raise InputError(f"{path} has no records: give the folder of a training run.")
    for record in records:
        check_schema(record, _RECORD, str(path))
    with atomic_open(table, "w") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for record in records:
            writer.writerow({name: _short(record.get(name)) for name in COLUMNS})
    if picture is not None:
        steps, success = smoothed_success(records, n_smooth)
        _draw(steps, success, picture)
    return len(records)


def smoothed_success(
    records: Sequence[dict], n_smooth: int
) -> tuple[np.ndarray, np.ndarray]:
    """Success rate over the last `n_smooth` updates.

    Returns:
        Steps int64 [k] and rates f64 [k], where any episode ended.
    """
    steps = np.array([r["steps"] for r in records], np.int64)
    episodes = np.array([r["episodes"] for r in records])
    finished = np.array([(r["success_rate"] or 0) * r["episodes"] for r in records])
    window = np.ones(min(n_smooth, len(steps)))
    counts, sums = (
        np.convolve(values, window)[: len(steps)] for values in (episodes, finished)
    )
    known = counts > 0
    return steps[known], sums[known] / counts[known]


def _short(value):
    return round(value, 6) if isinstance(value, float) else value


def _draw(steps: np.ndarray, success: np.ndarray, picture: PathLike) -> None:
    with figure(picture, 1, (6.4, 3.6)) as (axes,):
        axes.plot(steps, success)
        axes.set(xlabel="environment steps", ylabel="success rate", ylim=(0, 1))

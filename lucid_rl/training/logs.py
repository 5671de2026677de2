"""A run's logs: a progress line, JSON lines and TensorBoard scalars; a stopwatch."""

import collections
import contextlib
import datetime
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

# TensorBoard's own writer: a run on another engine needs no TensorFlow.
from tensorboard.compat import tf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from lucid_rl.bounded import check_schema, parse_json
from lucid_rl.errors import SaveError, reading
from lucid_rl.files import atomic_open, read_input

LOG_NAME = "log.jsonl"
BOARD_FOLDER = "tensorboard"


class TrainingLog:
    """Writes one record for each update."""

    def __init__(self, path: pathlib.Path, counter: str, total: int, done: int):
        """Opens the logs, dropping records of what a resumed run repeats.

        Args:
            path: JSON lines; TensorBoard's file goes into a folder beside it.
            counter: what a record counts, such as "steps".
            total: the count at the end of the run.
            done: the count at its beginning; above 0 for a resumed run.

        Raises:
            SaveError: the logs cannot be written.
        """
        self._path = path
        self._counter = counter
        self._total = total
        self._start = time.monotonic(), done
        kept = read_log(self._path)
        for record in kept:
            check_schema(record, {counter: int}, str(self._path))
        kept = [record for record in kept if record[counter] <= done]
        with atomic_open(self._path, "w") as file:
            file.writelines(json.dumps(record) + "\n" for record in kept)
        with _writing(path):
            self._board = EventFileWriter(str(path.parent / BOARD_FOLDER))

    def write(self, record: Mapping[str, Any]) -> None:
        """Adds a record, which has the counter and numbers by name.

        JSON has none that are not finite: they become null.
        """
        record = {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in record.items()
        }
        with (
            _writing(self._path),
            open(self._path, "a", encoding="utf-8") as file,
        ):
            file.write(json.dumps(record) + "\n")
        values = [
            Summary.Value(tag=_tag(name), simple_value=value)
            for name, value in record.items()
            if name != self._counter and value is not None
        ]
        event = Event(
            wall_time=time.time(),
            step=record[self._counter],
            summary=Summary(value=values),
        )
        with _writing(self._path):
            self._board.add_event(event)
            self._board.flush()
        self._show(record)

    def _show(self, record):
        start, first = self._start
        done = record[self._counter]
        left = (self._total - done) * (time.monotonic() - start)
        left /= max(1, done - first)
        success = record["success_rate"]
        kl = record.get("student_kl")
        parts = [
            f"{done:,} / {self._total:,} {self._counter}",
            "no episode ended" if success is None else f"success {success:.3f}",
            *([] if kl is None else [f"KL {kl:.3f}"]),
            f"{record['steps_per_second']:,.0f} steps/s",
            f"learner {record['learner_frames_per_second']:,.0f} frames/s",
            *(
                f"{name.removeprefix('share_')} {value:.0%}"
                for name, value in record.items()
                if name.startswith("share_")
            ),
            f"{datetime.timedelta(seconds=int(left))} left",
        ]
        report(" | ".join(parts))

    def close(self) -> None:
        """Closes the TensorBoard file."""
        with _writing(self._path):
            self._board.close()


@contextlib.contextmanager
def _writing(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    # TensorBoard writes by TensorFlow where that is installed.
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", "") or getattr(error, "message", "")
        raise SaveError(
            f"cannot write {path}: {reason or error!r}. Make room and resume the run "
            "from its last save."
        ) from error


def report(line: str) -> None:
    """Shows a line of progress on standard error; a terminal shows the latest only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{line}")
    else:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def read_log(path: pathlib.Path) -> list[dict[str, Any]]:
    """Reads a run's records; a last line cut short by a kill is left out.

    Raises:
        FileFormatError: it cannot be read, or a line is no record of numbers.
    """
    if not os.path.exists(path):
        return []
    with reading(path):
        lines = read_input(path).split(b"\n")
    # A whole line has an end; what follows the last is empty.
    records = []
    for i, line in enumerate(lines[:-1]):
        where = f"{path}, line {i + 1}"
        record = parse_json(line, where)
        check_schema(record, {str: (float, None)}, where)
        records.append(record)
    return records


def _tag(name):
    return f"time/{name}" if name.startswith(("share_", "steps_per")) else name


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

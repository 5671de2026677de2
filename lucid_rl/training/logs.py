"""A run's logs: a progress line, JSON lines and TensorBoard scalars."""

import json
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

# TensorBoard's own writer: a run on another engine needs no TensorFlow.
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from lucid_rl.errors import SaveError
from lucid_rl.files import atomic_open

LOG_NAME = "log.jsonl"
BOARD_FOLDER = "tensorboard"


class TrainingLog:
    """Writes one record for each update."""

    def __init__(self, folder: pathlib.Path, n_total_steps: int, n_steps_done: int):
        """Opens the logs, dropping records of steps that a resumed run repeats.

        Args:
            folder: of the run.
            n_total_steps: environment steps in all.
            n_steps_done: steps done when the run was resumed, or 0.

        Raises:
            SaveError: the logs cannot be written.
        """
        self._path = folder / LOG_NAME
        self._n_total_steps = n_total_steps
        self._start = time.monotonic(), n_steps_done
        kept = [r for r in read_log(self._path) if r["steps"] <= n_steps_done]
        with atomic_open(self._path, "w") as file:
            file.writelines(json.dumps(record) + "\n" for record in kept)
        self._board = EventFileWriter(str(folder / BOARD_FOLDER))

    def write(self, record: Mapping[str, Any]) -> None:
        """Adds a record, which has "steps" and numbers by name.

        Raises:
            SaveError: the disk is full or the folder is gone.
        """
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise SaveError(
                f"cannot write {self._path}: {error.strerror or error}. Make room and "
                "resume the run from its last save."
            ) from error
        values = [
            Summary.Value(tag=_tag(name), simple_value=value)
            for name, value in record.items()
            if name != "steps" and value is not None
        ]
        self._board.add_event(
            Event(
                wall_time=time.time(),
                step=record["steps"],
                summary=Summary(value=values),
            )
        )
        self._board.flush()
        self._show(record)

    def _show(self, record):
        start, first = self._start
        done = record["steps"]
        left = (self._n_total_steps - done) * (time.monotonic() - start)
        left /= max(1, done - first)
        success = record["success_rate"]
        parts = [
            f"{done:,} / {self._n_total_steps:,} steps",
            "no episode ended" if success is None else f"success {success:.3f}",
            f"{record['steps_per_second']:,.0f} steps/s",
            f"learner {record['learner_frames_per_second']:,.0f} frames/s",
            *(
                f"{name.removeprefix('share_')} {value:.0%}"
                for name, value in record.items()
                if name.startswith("share_")
            ),
            f"{_duration(left)} left",
        ]
        report(" | ".join(parts))

    def close(self) -> None:
        """Closes the TensorBoard file."""
        self._board.close()


def report(line: str) -> None:
    """Shows a line of progress on standard error; a terminal shows the latest only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{line}")
    else:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def read_log(path: pathlib.Path) -> list[dict[str, Any]]:
    """Reads a run's records; a last line cut short by a kill is left out."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def _tag(name):
    return f"time/{name}" if name.startswith(("share_", "steps_per")) else name


def _duration(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"

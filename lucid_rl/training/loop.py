"""The loop that PPO and policy distillation share: updates, log, saves, time limit."""

import time
from collections.abc import Callable
from typing import Any

from lucid_rl.training.logs import TrainingLog


def run_updates(
    update: Callable[[], dict[str, Any]],
    finished: Callable[[], bool],
    save: Callable[[], None],
    log: TrainingLog,
    *,
    save_interval: float,
    max_seconds: float | None,
) -> None:
    """Updates until all are done or time is up; saves and closes the log at the end.

    Args:
        update: does one update, and returns its record.
        finished: whether all updates are done.
        save: writes the state after the last completed update, and its model.
        log: of the records.
        save_interval: seconds between saves.
        max_seconds: time to stop after; None for no limit.
    """
    last_save = start = time.monotonic()
    try:
        while not finished():
            log.write(update())
            now = time.monotonic()
            if max_seconds is not None and now - start > max_seconds:
                break
            if now - last_save > save_interval:
                save()
                last_save = now
    finally:
        log.close()
        save()

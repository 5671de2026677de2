"""What evaluating a model costs, in float32 and in bfloat16.

    python -m benchmarks.evaluation
    python -m benchmarks.evaluation --n_episodes=10000 --n_workers=2

The second is a row of the article's table. The bundled model plays unseen hard levels;
causes of failure are found. Prints a table and writes
benchmarks/results/evaluation.json. Processor seconds are those of all threads and
processes, so that other work on the machine hardly shows.
"""

import argparse
import os
import time
from typing import Any

from benchmarks.measuring import print_table, write_result
from lucid_rl.evaluation.evaluation import evaluate
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.model.loading import load


def measure(settings: EvaluationSettings, n_workers: int) -> dict[str, Any]:
    """What one evaluation takes, and what it found."""
    model = load("bundled", bfloat16=settings.bfloat16)
    wall, before = time.perf_counter(), os.times()
    found = evaluate(model, settings=settings, n_workers=n_workers)
    wall, after = time.perf_counter() - wall, os.times()
    cpu = sum(after[:4]) - sum(before[:4])  # of child processes, too
    per_row = 10_000 / settings.n_episodes / 60
    return {
        "n_steps": sum(len(episode.actions) for episode in found.episodes),
        "completed": found.completed.fraction,
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "minutes_for_10000_levels": wall * per_row,
        "cpu_minutes_for_10000_levels": cpu * per_row,
    }


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n_episodes", type=int, default=512)
    parser.add_argument("--n_workers", type=int, default=1)
    options = parser.parse_args()
    rows = {
        precision: measure(
            EvaluationSettings(options.n_episodes, bfloat16=precision == "bfloat16"),
            options.n_workers,
        )
        for precision in ("float32", "bfloat16")
    }
    columns = list(rows["float32"])
    print_table(["", *columns], [[name, *row.values()] for name, row in rows.items()])
    print(write_result("evaluation", {**vars(options), "evaluation": rows}))


if __name__ == "__main__":
    main()

"""Stepping games and evaluating a model: how fast.

    python -m benchmarks.evaluation
    python -m benchmarks.evaluation --n_episodes=10000 --only=evaluation

The second is a row of the article's table, which bfloat16 is meant to play in 5 minutes
on two idle cores. Prints tables and writes benchmarks/results/evaluation.json.
Processor seconds count all threads and processes, so that other work on the machine
hardly shows.
"""

import argparse
import contextlib
import functools
import io
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measuring import print_table, write_result
from lucid_rl import bundled_checkpoint_path, load_checkpoint
from lucid_rl.evaluation.evaluation import evaluate
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings

_N_ENVS = 64


def seconds(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """A call's result, and its wall-clock and processor seconds, children's too."""
    wall, before = time.perf_counter(), os.times()
    result = call()
    after = os.times()
    return result, time.perf_counter() - wall, sum(after[:4]) - sum(before[:4])


def time_stepping(n_steps: int) -> dict[str, dict[str, float]]:
    """Steps a second of the engine alone, of the game, and of an isolated one."""
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 15, (n_steps, _N_ENVS)).astype(np.int32)

    def play(game: Any, n: int) -> None:
        for row in actions[:n]:
            game.act(row)
            game.observe()

    def engine(n: int) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            from procgen import ProcgenGym3Env
        play(
            ProcgenGym3Env(
                num=_N_ENVS, env_name="coinrun", paint_vel_info=True, num_threads=2
            ),
            n,
        )

    def game(n: int, isolated: bool = False) -> None:
        with make_game(GameSettings(n_envs=_N_ENVS, isolated=isolated)) as vector_game:
            play(vector_game, n)

    calls: dict[str, Callable[[int], None]] = {
        "procgen's own interface": engine,
        "ProcgenGame": game,
        "IsolatedGame": functools.partial(game, isolated=True),
    }
    results = {}
    for name, call in calls.items():
        # The first engine of a process reads all pictures; that is left out.
        call(1)
        _, start_wall, start_cpu = seconds(functools.partial(call, 1))
        _, wall, cpu = seconds(functools.partial(call, n_steps))
        wall, cpu = wall - start_wall, cpu - start_cpu
        frames = (n_steps - 1) * _N_ENVS
        results[name] = {
            "steps_per_second": frames / wall,
            "steps_per_cpu_second": frames / cpu,
        }
    return results


def time_evaluations(n_episodes: int, workers: list[int]) -> dict[str, dict[str, Any]]:
    """Seconds an evaluation of the bundled model takes, and what it found."""
    model = load_checkpoint(bundled_checkpoint_path())
    results = {}
    for bfloat16 in (False, True):
        for n_workers in workers:
            settings = EvaluationSettings(n_episodes=n_episodes, bfloat16=bfloat16)
            evaluation, wall, cpu = seconds(
                functools.partial(
                    evaluate, model, settings=settings, n_workers=n_workers
                )
            )
            lengths = [len(episode.actions) for episode in evaluation.episodes]
            kind = "bfloat16" if bfloat16 else "float32"
            results[f"{kind}, {n_workers} processes"] = {
                "n_levels": n_episodes,
                "n_steps": sum(lengths),
                "completed": evaluation.completed.fraction,
                "wall_seconds": wall,
                "cpu_seconds": cpu,
                "steps_per_second": sum(lengths) / wall,
                "steps_per_cpu_second": sum(lengths) / cpu,
                "minutes_for_10000_levels": wall / n_episodes * 10_000 / 60,
                "cpu_minutes_for_10000_levels": cpu / n_episodes * 10_000 / 60,
            }
    return results


def main() -> None:
    """Runs what the arguments choose."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n_episodes", type=int, default=512)
    parser.add_argument("--n_steps", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", choices=["stepping", "evaluation"])
    arguments = parser.parse_args()
    result: dict[str, Any] = {"load_average": os.getloadavg()[0]}
    if arguments.only != "evaluation":
        result["stepping"] = time_stepping(arguments.n_steps)
        columns = list(next(iter(result["stepping"].values())))
        rows = [[name, *row.values()] for name, row in result["stepping"].items()]
        print_table(["64 CoinRun environments", *columns], rows)
    if arguments.only != "stepping":
        result["evaluation"] = time_evaluations(arguments.n_episodes, arguments.workers)
        columns = list(next(iter(result["evaluation"].values())))
        rows = [[name, *row.values()] for name, row in result["evaluation"].items()]
        print_table(["evaluation", *columns], rows)
    print(write_result("evaluation", result))


if __name__ == "__main__":
    main()

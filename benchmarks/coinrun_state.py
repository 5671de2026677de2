"""CoinRun's state, copied rules, planner and causes of failure: how fast, how right.

    python -m benchmarks.coinrun_state --output=benchmarks/results/coinrun_state.json

Prints a table and writes JSON. Times are of the processor, all threads together, so
that other work on the machine hardly shows.
"""

import argparse
import dataclasses
import json
import pathlib
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from lucid_rl.evaluation.failure_causes import FailureClassifier
from lucid_rl.games.coinrun_objects import batch_object_maps
from lucid_rl.games.coinrun_physics import COIN, RUNNING
from lucid_rl.games.coinrun_planner import (
    CarefulSettings,
    PlannerSettings,
    action_costs,
    careful_plan,
    deadly_to_the_slow,
    plan,
)
from lucid_rl.games.coinrun_world import World, as_world
from lucid_rl.games.procgen_state import parse_state
from lucid_rl.games.registry import make_game
from lucid_rl.games.tracked_game import TrackedGame
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.progress import progress
from lucid_rl.training.guidance import GuidanceSettings

_RIGHT = 7
_N_ENVS = 64
_STUMBLES = (0.0, 0.1, 0.25)
_CLUMSINESS = (0.0, 0.3)  # share of steps in which a player keeps its keys as they are
_SEED = 0


def cpu_seconds(call: Callable[[], Any], n_repeats: int) -> float:
    """Processor seconds a call takes; it is called once before, to warm up."""
    call()
    start = time.process_time()
    for _ in range(n_repeats):
        call()
    return (time.process_time() - start) / n_repeats


def time_reading(states: list[bytes]) -> dict[str, float]:
    """Microseconds per state of parsing, copying the world, stepping and drawing."""
    parsed = [parse_state(state) for state in states]
    worlds = [as_world(state) for state in parsed]
    calls: dict[str, Callable[[], Any]] = {
        "parse_state": lambda: [parse_state(state) for state in states],
        "World.from_state": lambda: [as_world(state) for state in parsed],
        "World.step": lambda: [world.step(_RIGHT) for world in worlds],
        "batch_object_maps of worlds": lambda: batch_object_maps(worlds),
        "batch_object_maps of bytes": lambda: batch_object_maps(states),
    }
    return {
        name: 1e6 * cpu_seconds(call, 20) / len(states) for name, call in calls.items()
    }


def time_steps(n_steps: int) -> dict[str, float]:
    """Milliseconds per step of 64 environments, by what is known of each step."""
    rng = np.random.default_rng(0)
    actions = rng.choice([1, 4, 5, 7, 7, 8, 8], (n_steps, _N_ENVS))

    def run(tracked: bool, look: Callable[[Any], Any]) -> float:
        plain = make_game(GameSettings(n_envs=_N_ENVS))
        game: Any = TrackedGame(plain) if tracked else plain
        with game:
            look(game)
            start = time.process_time()
            for row in actions:
                game.act(row)
                game.observe()
                look(game)
            return 1e3 * (time.process_time() - start) / n_steps

    return {
        "step alone": run(False, lambda game: None),
        "tracked": run(True, lambda game: game.worlds()),
        "tracked, with object maps": run(
            True, lambda game: batch_object_maps(game.worlds())
        ),
        "states fetched, with object maps": run(
            False, lambda game: batch_object_maps(game.get_states())
        ),
    }


def play_with_stumbles(
    world: World, settings: PlannerSettings, share: float, rng: np.random.Generator
) -> bool:
    """Plays plans, some actions replaced by random ones; whether the coin is taken."""
    world, ending = world.copy(), RUNNING
    actions = plan(world, settings)
    while actions and ending == RUNNING:
        action, actions = actions[0], actions[1:]
        stumbles = rng.random() < share
        ending = world.step(int(rng.integers(9)) if stumbles else action)
        if stumbles and ending == RUNNING:
            actions = plan(world, settings) or []
    return ending == COIN


def compare_planners(worlds: list[World]) -> dict[str, Any]:
    """The planner as it is, and without what makes its plans sturdy."""
    careless = PlannerSettings(hazard_cost=0, jump_delay_cost=0)
    return {
        name: {"settings": dataclasses.asdict(settings)}
        | measure_planner(worlds, settings)
        for name, settings in (("default", PlannerSettings()), ("careless", careless))
    }


def measure_planner(worlds: list[World], settings: PlannerSettings) -> dict[str, Any]:
    """Share of levels solved, cost of plans, and how well they bear disturbance."""
    times, lengths = [], []
    plan(worlds[0], settings)
    for world in progress(worlds, "plans"):
        start = time.process_time()
        actions = plan(world, settings)
        times.append(1e3 * (time.process_time() - start))
        lengths.append(len(actions) if actions else 0)
    rng = np.random.default_rng(0)
    finished = {
        f"{share:.0%}": float(
            np.mean([play_with_stumbles(w, settings, share, rng) for w in worlds])
        )
        for share in _STUMBLES
    }
    return {
        "levels": len(worlds),
        "solved": int(np.count_nonzero(lengths)),
        "mean_length": float(np.mean([n for n in lengths if n])),
        "cpu_ms": {
            "mean": float(np.mean(times)),
            "median": float(np.median(times)),
            "90 %": float(np.percentile(times, 90)),
        },
        "finished_with_random_actions": finished,
    }


def measure_sight(worlds: list[World]) -> dict[str, dict[str, float]]:
    """Share of levels that planners finish by what they see, and in which time.

    They plan anew at each step and remember nothing. The last ones plan as the
    warm-up's teacher does. Clumsy players plan now and then only, and keep on with
    what they did until then, as one does who copies another not quite exactly.
    """
    holding = CarefulSettings()
    careful = holding.holding(1)
    bold = dataclasses.replace(careful, depth=np.inf)
    results: dict[str, dict[str, float]] = {}
    for name, settings, sees_all in (
        ("know all hazards", bold, True),
        ("see those in the picture", bold, False),
        ("see them, and avoid to fall deeper than the picture", careful, False),
        ("do so, and hold keys for three steps", holding, False),
    ):
        results[name] = {}
        for share in _CLUMSINESS:
            won, steps = zip(
                *(
                    _play_level(world, settings, sees_all, share)
                    for world in progress(worlds, f"{name}, {share:.0%} clumsy")
                ),
                strict=True,
            )
            suffix = f"_{share:.0%}_clumsy" if share else ""
            results[name] |= {
                f"finished{suffix}": float(np.mean(won)),
                f"mean_length{suffix}": float(np.mean(steps)),
            }
    return results


def _play_level(
    world: World, settings: CarefulSettings, sees_all: bool, clumsiness: float
) -> tuple[bool, int]:
    """Whether a player finishes the level, and after how many steps it ends."""
    rng = np.random.default_rng(_SEED)
    world, ending, action, n_steps = world.copy(), RUNNING, _RIGHT, 0
    while ending == RUNNING and world.time < world.timeout:
        if rng.random() >= clumsiness:
            actions = careful_plan(world if sees_all else world.as_seen(), settings)
            action = actions[0] if actions else _RIGHT
        ending = world.step(action)
        n_steps += 1
    return ending == COIN, n_steps


def time_labels(worlds: list[World]) -> dict[str, float]:
    """Mean processor time, in ms, of what the warm-up's teacher asks for."""
    careful, guidance = CarefulSettings(), GuidanceSettings()
    tasks = {
        "plan": lambda world: plan(world),
        "careful_plan": lambda world: careful_plan(world.as_seen(), careful),
        "action_costs": lambda world: action_costs(world.as_seen(), careful),
        "deadly_to_the_slow": lambda world: deadly_to_the_slow(
            world.as_seen(), guidance.hold, guidance.reaction
        ),
    }
    result = {}
    for name, task in tasks.items():
        task(worlds[0])
        start = time.process_time()
        for world in worlds:
            task(world)
        result[name] = 1e3 * (time.process_time() - start) / len(worlds)
    return result


def measure_choices(worlds: list[World]) -> dict[str, float]:
    """Share of worlds in which the second best action costs hardly more, or much."""
    costs = np.sort([action_costs(world.as_seen()) for world in worlds], axis=1)
    costs = costs[np.isfinite(costs[:, 0]), 1]
    return {
        "less than half a step": float((costs < 0.5).mean()),
        "less than a step": float((costs < 1).mean()),
        "more than four steps": float((costs > 4).mean()),
    }


def _mid_level(worlds: list[World]) -> list[World]:
    """The worlds after some steps to the right, where hazards are."""
    later = [world.copy() for world in worlds]
    for world in later:
        for _ in range(20):
            if world.copy().step(_RIGHT) == RUNNING:
                world.step(_RIGHT)
    return later


def measure_physics(n_steps: int) -> dict[str, int]:
    """Steps after which the copied world was compared with the engine's."""
    rng = np.random.default_rng(1)
    compared = different = 0
    with make_game(GameSettings(n_envs=_N_ENVS, seed=1)) as game:
        worlds = [as_world(state) for state in game.get_states()]
        for _ in progress(range(n_steps), "physics"):
            actions = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 8, 8, 8], _N_ENVS)
            game.act(actions)
            firsts = game.observe().firsts
            fresh = [as_world(state) for state in game.get_states()]
            for i, (mine, its) in enumerate(zip(worlds, fresh, strict=True)):
                mine.step(int(actions[i]))
                if firsts[i]:
                    worlds[i] = its
                    continue
                compared += 1
                different += not (
                    np.array_equal(mine.agent[:6], its.agent[:6])
                    and np.array_equal(mine.enemies, its.enemies)
                )
    return {"steps": compared, "different": different}


def measure_causes(n_failures: int) -> dict[str, Any]:
    """Causes of a running and jumping policy's failures, and what judging costs."""
    rng = np.random.default_rng(2)
    failures: list[tuple[int, list[int]]] = []
    with make_game(GameSettings(n_envs=_N_ENVS, seed=2)) as game:
        played: list[list[int]] = [[] for _ in range(_N_ENVS)]
        seeds = game.level_seeds()
        while len(failures) < n_failures:
            actions = rng.choice([1, 4, 7, 7, 7, 8, 8], _N_ENVS)
            game.act(actions)
            rewards, _, firsts = game.observe()
            for i, action in enumerate(actions):
                played[i].append(int(action))
                if firsts[i]:
                    if rewards[i] == 0:
                        failures.append((int(seeds[i]), played[i]))
                    played[i] = []
            seeds = game.level_seeds()
    failures = failures[:n_failures]
    with FailureClassifier(GameSettings()) as classifier:
        start = time.process_time()
        causes = [
            classifier.classify(*failure) for failure in progress(failures, "causes")
        ]
        elapsed = time.process_time() - start
    return {
        "failures": n_failures,
        "rules_agree": sum(found.cause == found.cause_by_position for found in causes),
        "causes": dict(Counter(found.cause for found in causes)),
        "cpu_ms_per_failure": 1e3 * elapsed / n_failures,
        "mean_length": float(np.mean([len(actions) for _, actions in failures])),
    }


def main() -> None:
    """Measures everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write")
    parser.add_argument("--levels", type=int, default=300, help="levels to plan on")
    parser.add_argument("--failures", type=int, default=500, help="to classify")
    parser.add_argument("--steps", type=int, default=400, help="of 64 environments")
    args = parser.parse_args()

    with make_game(GameSettings(n_envs=args.levels, seed=1234)) as game:
        states = game.get_states()
    worlds = [as_world(state) for state in states]
    later = _mid_level(worlds)
    results = {
        "command": f"python -m benchmarks.coinrun_state --levels={args.levels} "
        f"--failures={args.failures} --steps={args.steps}",
        "physics": measure_physics(args.steps),
        "planner": compare_planners(worlds),
        "players_who_see": measure_sight(worlds),
        "cpu_ms_per_label": time_labels(later),
        "second_best_actions": measure_choices(later),
        "causes": measure_causes(args.failures),
        "microseconds_per_state": time_reading(states),
        "milliseconds_per_step_of_64": time_steps(args.steps),
    }
    print(json.dumps(results, indent=2))
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

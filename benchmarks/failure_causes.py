"""Whether two rules for the cause of a failed episode agree, and what judging costs.

    python -m benchmarks.failure_causes --failures=500

The failures are those of a policy that runs and jumps to the right. Writes
benchmarks/results/failure_causes.json.
"""

import argparse
import time
from collections import Counter

import numpy as np

from benchmarks.measuring import write_result
from lucid_rl.evaluation.failure_causes import FailureClassifier
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.progress import progress

_N_ENVS = 64
_ACTIONS = (1, 4, 7, 7, 7, 8, 8)  # mostly to the right, with and without a jump


def failed_episodes(n_failures: int) -> list[tuple[int, list[int]]]:
    """Plays until so many episodes failed; level seed and actions of each."""
    rng = np.random.default_rng(2)
    failures: list[tuple[int, list[int]]] = []
    with make_game(GameSettings(n_envs=_N_ENVS, seed=2)) as game:
        played: list[list[int]] = [[] for _ in range(_N_ENVS)]
        seeds = game.level_seeds()
        while len(failures) < n_failures:
            actions = rng.choice(_ACTIONS, _N_ENVS)
            game.act(actions)
            rewards, _, firsts = game.observe()
            for i, action in enumerate(actions):
                played[i].append(int(action))
                if firsts[i]:
                    if rewards[i] == 0:
                        failures.append((int(seeds[i]), played[i]))
                    played[i] = []
            seeds = game.level_seeds()
    return failures[:n_failures]


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--failures", type=int, default=500)
    n_failures = parser.parse_args().failures
    failures = failed_episodes(n_failures)
    with FailureClassifier(GameSettings()) as classifier:
        start = time.process_time()
        causes = [classifier.classify(*f) for f in progress(failures, "causes")]
        elapsed = time.process_time() - start
    result = {
        "failures": n_failures,
        "rules_agree": sum(found.cause == found.cause_by_position for found in causes),
        "causes": dict(Counter(found.cause for found in causes)),
        "cpu_ms_per_failure": 1e3 * elapsed / n_failures,
        "mean_length": float(np.mean([len(actions) for _, actions in failures])),
    }
    print(result)
    write_result("failure_causes", result)


if __name__ == "__main__":
    main()

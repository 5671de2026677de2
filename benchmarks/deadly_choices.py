"""Where a policy risks its life: frames in which one action kills and another does not.

In each such frame of its own play the probability of the deadly actions is added up,
by the nearest hazard and by whether the agent stands or flies. The sum over an episode
is the number of fatal choices to expect in it.

    python -m benchmarks.deadly_choices --output=benchmarks/results/deadly_choices.json
"""

import argparse
import json
import pathlib
from typing import Any

import numpy as np

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.checkpoints.released import resolve_model
from lucid_rl.games.coinrun_physics import X
from lucid_rl.games.coinrun_planner import deadly_actions
from lucid_rl.games.coinrun_world import World
from lucid_rl.games.tracked_game import TrackedGame
from lucid_rl.games.vector_game import GameSettings, make_game
from lucid_rl.model.graph_model import GraphModel
from lucid_rl.progress import progress
from lucid_rl.training.rollout import sample_actions

_N_ENVS = 128
_SEED = 777
_NEAR = 8.0  # tiles


def nearest_hazard(world: World) -> str:
    """Kind of the hazard whose column is nearest."""
    distances = {
        kind: np.abs(bodies[:, X] - world.agent[X]).min(initial=_NEAR)
        for kind, bodies in (("buzzsaw", world.saws), ("enemy", world.enemies))
    }
    kind = min(distances, key=lambda name: distances[name])
    return kind if distances[kind] < _NEAR else "lava"


def risks(model: GraphModel, n_steps: int) -> dict[str, Any]:
    """Plays by sampled actions and measures what is said above.

    Args:
        model: of Procgen's CoinRun.
        n_steps: of each of the environments.

    Returns:
        Figures for a results file.
    """
    rng = np.random.default_rng(_SEED)
    by_place: dict[str, list[float]] = {}
    n_episodes = 0
    settings = GameSettings(n_envs=_N_ENVS, seed=_SEED)
    with TrackedGame(make_game(settings)) as game:
        for _ in progress(range(n_steps), "playing"):
            step = game.observe()
            n_episodes += int(step.firsts.sum())
            logits, _ = model.policy(step.observations)
            policy = np.exp(logits - logits.max(axis=1, keepdims=True))
            policy /= policy.sum(axis=1, keepdims=True)
            for world, probabilities in zip(game.worlds(), policy, strict=True):
                deadly = deadly_actions(world)
                if deadly.any() and not deadly.all():
                    place = "on the ground" if world.has_support() else "in the air"
                    risk = float(probabilities[deadly].sum())
                    key = f"{nearest_hazard(world)}, {place}"
                    by_place.setdefault(key, []).append(risk)
            game.act(sample_actions(logits, rng)[0])
    return {
        "episodes": n_episodes,
        "fatal_choices_per_episode": sum(map(sum, by_place.values())) / n_episodes,
        "frames": {
            key: {
                "per_episode": len(found) / n_episodes,
                "mean_probability": float(np.mean(found)),
                "share_above_0.9": float(np.mean(np.array(found) > 0.9)),
                "fatal_choices_per_episode": sum(found) / n_episodes,
            }
            for key, found in sorted(by_place.items())
        },
    }


def main() -> None:
    """Measures each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["bundled"])
    parser.add_argument("--steps", type=int, default=250, help=f"of {_N_ENVS} games")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write")
    args = parser.parse_args()
    results = {
        "command": "python -m benchmarks.deadly_choices --models "
        + " ".join(args.models)
        + f" --steps={args.steps}",
        "models": {
            name: risks(
                GraphModel.from_checkpoint(load_checkpoint(resolve_model(name))),
                args.steps,
            )
            for name in args.models
        },
    }
    print(json.dumps(results, indent=2))
    if args.output:
        args.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Which failures a player could have avoided that sees no more than the model does.

Each failed episode is taken back, step by step, to the last frame from which a planner
lives on that plans anew at each step by the hazards in the picture
(`coinrun_planner.careful_plan`). What the model did there was its mistake. PPO's
guidance tells some: those that kill a slow player, and those that leave no way on. Some
were due in one frame: in the frame before and in the one after, the planner does what
the model did. A copy of the planner hardly learns those. Some come where no hazard is
close by in the picture: the agent falls deeper than that reaches.

    python -m benchmarks.avoidable_failures --output=avoidable_failures.json
    python -m benchmarks.avoidable_failures --model=bundled:100_levels --n_levels=100
"""

import argparse
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
from scipy import special

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.checkpoints.released import resolve_model
from lucid_rl.games.coinrun_planner import (
    careful_action,
    deadly_to_the_slow,
    hopeless_actions,
    lives_on,
)
from lucid_rl.games.coinrun_world import World
from lucid_rl.games.registry import make_game
from lucid_rl.games.tracked_game import TrackedGame
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.progress import progress
from lucid_rl.training.guidance import GuidanceSettings
from lucid_rl.training.hindsight import HindsightSettings
from lucid_rl.training.rollout import sample_actions

_N_ENVS = 128
_SEED = 778
_HINDSIGHT = HindsightSettings()
_GUIDANCE = GuidanceSettings()
_KEYS = [horizontal + vertical for horizontal in "L-R" for vertical in "D-U"]


@dataclasses.dataclass(frozen=True)
class Frame:
    """What an agent met, and did."""

    world: World
    policy: np.ndarray  # f32 [A]
    action: int
    value: float


def failed_episodes(
    model: Model, n_steps: int, n_levels: int
) -> tuple[list[list[Frame]], int]:
    """Plays by sampled actions; the last frames of failures, and how many played."""
    rng = np.random.default_rng(_SEED)
    played: list[list[Frame]] = [[] for _ in range(_N_ENVS)]
    failures, n_episodes = [], 0
    settings = GameSettings(n_envs=_N_ENVS, seed=_SEED, n_levels=n_levels)
    with TrackedGame(make_game(settings)) as game:
        for step in progress(range(n_steps), "playing"):
            _, observations, firsts = game.observe()
            complete = game.last_level_complete()
            for i in np.flatnonzero(firsts):
                if step:
                    n_episodes += 1
                    if not complete[i]:
                        failures.append(played[i])
                played[i] = []
            logits, values = model(observations)
            policies = special.softmax(logits, axis=1)
            actions, _ = sample_actions(logits, rng)
            for i, world in enumerate(game.worlds()):
                frame = Frame(
                    world.copy(), policies[i], int(actions[i]), float(values[i])
                )
                played[i] = [*played[i], frame][-_HINDSIGHT.most_steps :]
            game.act(actions)
    return failures, n_episodes


def find_mistake(frames: list[Frame]) -> dict[str, Any] | None:
    """The last frame from which the planner lives; None if it never does."""
    for k in reversed(range(len(frames))):
        frame, n_left = frames[k], len(frames) - k
        if lives_on(frame.world, n_left + _HINDSIGHT.survival):
            planned = careful_action(frame.world)
            around = [
                careful_action(other.world)
                for other in (*frames[max(0, k - 1) : k], *frames[k + 1 : k + 2])
            ]
            seen = frame.world.as_seen()
            deadly = deadly_to_the_slow(seen, _GUIDANCE.hold, _GUIDANCE.reaction)
            hopeless = hopeless_actions(seen, [frame.action], _GUIDANCE.planner)
            return {
                "steps_before_the_end": n_left,
                "in_the_air": not frame.world.has_support(),
                "hazard_close": any(
                    seen.hazards_between(-_GUIDANCE.near_left, _GUIDANCE.near_right)
                ),
                "pressed": _keys(frame.action),
                "planner_presses": _keys(planned),
                "due_in_one_frame": all(action == frame.action for action in around),
                "probability_of_the_plan": float(frame.policy[planned]),
                "value": frame.value,
                "deadly": bool(deadly[frame.action] and not deadly.all()),
                "hopeless": bool(hopeless[frame.action]),
            }
    return None


def _keys(action):
    return _KEYS[action] if action < len(_KEYS) else "--"


def main() -> None:
    """Looks at a model's failures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--steps", type=int, default=250, help=f"of {_N_ENVS} games")
    parser.add_argument("--failures", type=int, default=60, help="to look at")
    parser.add_argument("--n_levels", type=int, default=0, help="0: unlimited")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write")
    args = parser.parse_args()
    checkpoint = load_checkpoint(resolve_model(args.model))
    model = load(checkpoint)
    failures, n_episodes = failed_episodes(model, args.steps, args.n_levels)
    looked_at = failures[: args.failures]
    found = [find_mistake(frames) for frames in progress(looked_at, "failures")]
    mistakes = [mistake for mistake in found if mistake is not None]
    results = {
        "command": f"python -m benchmarks.avoidable_failures --model={args.model} "
        f"--steps={args.steps} --failures={args.failures} --n_levels={args.n_levels}",
        "episodes": n_episodes,
        "failures": len(failures),
        "looked_at": len(looked_at),
        "avoidable": len(mistakes),
        "in_the_air": sum(mistake["in_the_air"] for mistake in mistakes),
        "no_hazard_close": sum(not mistake["hazard_close"] for mistake in mistakes),
        "due_in_one_frame": sum(mistake["due_in_one_frame"] for mistake in mistakes),
        "deadly": sum(mistake["deadly"] for mistake in mistakes),
        "deadly_or_hopeless": sum(
            mistake["deadly"] or mistake["hopeless"] for mistake in mistakes
        ),
        "mistakes": mistakes,
    }
    print(json.dumps(results, indent=2))
    if args.output:
        args.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Episodes of trajectories, and the moments in them worth looking at."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.sampling.advantages import bookmarks, generalized_advantages
from lucid_rl.sampling.trajectories import Trajectories

SINGLE_GOAL_GAMES = (
    "coinrun",
    "coinrun_old",
    "coinrun_original",
    "heist",
    "jumper",
    "leaper",
    "maze",
    "ninja",
)
"""Games whose only reward is that of success, at an episode's end."""

# A value jump between consecutive frames is listed once in this many frames.
_JUMP_SPACING = 16
_MOST_JUMPS = 20
_ARROWS = {
    ("LEFT",): "←",
    ("RIGHT",): "→",
    ("UP",): "↑",
    ("DOWN",): "↓",
    ("DOWN", "LEFT"): "↙",
    ("LEFT", "UP"): "↖",
    ("DOWN", "RIGHT"): "↘",
    ("RIGHT", "UP"): "↗",
    (): "no-op",
}


def action_name(keys: Sequence[str]) -> str:
    """How an action is shown: an arrow, its keys, or "no-op"."""
    return _ARROWS.get(tuple(sorted(keys)), "+".join(keys))


def action_keys(combos: list[list[str]] | None, n_actions: int) -> list[list[str]]:
    """The keys of each action, with names made up for those that are unknown."""
    known = combos or []
    return [known[i] if i < len(known) else [f"action {i}"] for i in range(n_actions)]


def advantages_of(
    trajectories: Trajectories,
    values: np.ndarray,
    last_values: np.ndarray | None,
    gamma: float,
    lam: float,
    reward_scale: float = 1.0,
) -> np.ndarray:
    """Generalized advantages f32 [n, T] at values f32 [n, T]."""
    return generalized_advantages(
        values,
        reward_scale * trajectories.rewards,
        trajectories.firsts,
        gamma,
        lam,
        last_values=last_values,
        last_firsts=trajectories.last_firsts,
    )


def episodes(
    trajectories: Trajectories, trajectory: int, game: str
) -> list[dict[str, Any]]:
    """The episodes of a trajectory, as the manifest lists them.

    Args:
        trajectories: all of them.
        trajectory: number of the one.
        game: the game's name; success is only known where success is the sole
            reward.
    """
    firsts = trajectories.firsts[trajectory]
    starts = np.union1d([0], np.flatnonzero(firsts)).tolist()
    last_first = trajectories.last_firsts
    finished = last_first is not None and bool(last_first[trajectory])
    ends = [*starts[1:], len(firsts) if finished else None]
    listed = []
    for start, end in zip(starts, ends, strict=True):
        success = None
        if end is not None and game in SINGLE_GOAL_GAMES:
            success = bool(trajectories.rewards[trajectory, end - 1] > 0)
        seed = None
        if trajectories.level_seeds is not None:
            seed = int(trajectories.level_seeds[trajectory, start])
        listed.append(
            {"start": start, "end": end, "level_seed": seed, "success": success}
        )
    return listed


def trajectory_title(number: int, listed: list[dict[str, Any]]) -> str:
    """A few words on how the episodes of trajectory `number` (from 0) ended."""
    outcomes = [episode["success"] for episode in listed if episode["end"] is not None]
    words = [
        f"{count} {word}"
        for count, word in (
            (outcomes.count(True), "succeeded"),
            (outcomes.count(False), "failed"),
            (outcomes.count(None), "ended"),
        )
        if count
    ]
    return f"Trajectory {number + 1}: {', '.join(words) or 'one unfinished episode'}"


def moments(
    trajectories: Trajectories,
    values: np.ndarray,
    advantages: np.ndarray,
    listed: list[list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """Moments to jump to: advantages, failures and value jumps, best first by kind.

    Args:
        trajectories: the trajectories.
        values: f32 [n, T].
        advantages: f32 [n, T].
        listed: each trajectory's episodes.
    """
    found = []
    for kind, highest in (("advantage_low", False), ("advantage_high", True)):
        for i, t in bookmarks(advantages, trajectories.firsts, highest=highest):
            score = float(advantages[i, t])
            found.append(_moment(i, t, kind, score, f"advantage {score:+.2f}"))
    for i, of_trajectory in enumerate(listed):
        for episode in of_trajectory:
            if episode["success"] is False:
                last = episode["end"] - 1
                seed = episode["level_seed"]
                text = "episode failed" + (
                    f" in level {seed}" if seed is not None else ""
                )
                score = float(values[i, last])
                found.append(_moment(i, last, "failure", score, text))
    return found + _value_jumps(values, trajectories.firsts)


def _value_jumps(values: np.ndarray, firsts: np.ndarray) -> list[dict[str, Any]]:
    """The largest changes of value from one frame to the next of an episode."""
    changes = np.diff(values, axis=1)
    changes[firsts[:, 1:]] = 0
    found: list[dict[str, Any]] = []
    taken = np.zeros(changes.shape, bool)
    for flat in np.argsort(-np.abs(changes), axis=None, kind="stable"):
        i, t = np.unravel_index(flat, changes.shape)
        change = float(changes[i, t])
        if change == 0 or len(found) == _MOST_JUMPS:
            break
        if not taken[i, t]:
            taken[i, max(0, t - _JUMP_SPACING) : t + _JUMP_SPACING] = True
            text = f"value {change:+.2f}"
            found.append(_moment(i, t + 1, "value_jump", change, text))
    return found


def _moment(
    trajectory: int, frame: int, kind: str, score: float, text: str
) -> dict[str, Any]:
    return {
        "trajectory": int(trajectory),
        "frame": int(frame),
        "kind": kind,
        "score": score,
        "text": text,
    }

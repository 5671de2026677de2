"""Episodes of trajectories, and their bookmarks."""

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

PLATFORM_GAMES = (
    *("climber", "coinrun", "coinrun_old", "coinrun_original", "heist", "jumper"),
    *("leaper", "maze"),
)
"""Games in which only the keys of the four directions do anything."""

_DIRECTIONS = {"LEFT", "RIGHT", "UP", "DOWN"}
# A fall, or a rise, of the value is listed once in this many frames.
_CHANGE_SPACING = 16
_MOST_CHANGES = 10
# Returns of a trajectory's episodes that its title lists at most.
_MOST_RETURNS = 4
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


def idle_actions(keys: list[list[str]], game: str) -> list[int]:
    """Actions that do what pressing nothing does, by index; none where unknown."""
    if game not in PLATFORM_GAMES:
        return []
    idle = [i for i, combo in enumerate(keys) if not {*combo} & _DIRECTIONS]
    return idle if len(idle) > 1 else []


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
            # Games without levels have -1.
            seed = int(trajectories.level_seeds[trajectory, start])
            seed = seed if seed >= 0 else None
        listed.append(
            {"start": start, "end": end, "level_seed": seed, "success": success}
        )
    return listed


def trajectory_title(
    number: int, listed: list[dict[str, Any]], rewards: np.ndarray
) -> str:
    """A few words on how the episodes of a trajectory ended.

    Args:
        number: of the trajectory, from 0.
        listed: its episodes.
        rewards: f32 [T], its rewards; where success means nothing, returns are told.
    """
    outcomes = [episode["success"] for episode in listed if episode["end"] is not None]
    words = [
        f"{count} {word}"
        for count, word in (
            (outcomes.count(True), "succeeded"),
            (outcomes.count(False), "failed"),
            (outcomes.count(None), f"ended{_returns(listed, rewards)}"),
        )
        if count
    ]
    return f"Trajectory {number + 1}: {', '.join(words) or 'one unfinished episode'}"


def _returns(listed: list[dict[str, Any]], rewards: np.ndarray) -> str:
    """Returns of the episodes that ended without success or failure, in words."""
    found = [
        f"{rewards[episode['start'] : episode['end']].sum():.4g}"
        for episode in listed
        if episode["end"] is not None and episode["success"] is None
    ]
    if not found or len(found) > _MOST_RETURNS:
        return ""
    return f" (return {', '.join(found)})"


def returns_note(listed: list[list[dict[str, Any]]], rewards: np.ndarray) -> list[str]:
    """A sentence on the mean return where episodes have neither success nor failure."""
    found = [
        float(rewards[i, episode["start"] : episode["end"]].sum())
        for i, of_trajectory in enumerate(listed)
        for episode in of_trajectory
        if episode["end"] is not None and episode["success"] is None
    ]
    if len(found) < 2:
        return []
    half = 1.96 * np.std(found, ddof=1) / np.sqrt(len(found))
    return [
        f"Mean return of the {len(found)} episodes that end: {np.mean(found):.4g} "
        f"(95% interval {np.mean(found) - half:.4g} to {np.mean(found) + half:.4g})."
    ]


def moments(
    trajectories: Trajectories,
    values: np.ndarray,
    advantages: np.ndarray,
    listed: list[list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """Moments to jump to: advantages, failures, falls and rises of the value.

    Best first by kind.

    `values` and `advantages` are f32 [n, T].
    """
    found = []
    for kind, highest in (("advantage_low", False), ("advantage_high", True)):
        for i, t in bookmarks(advantages, trajectories.firsts, highest=highest):
            score = float(advantages[i, t])
            found.append(_moment(i, t, kind, score, f"advantage {score:+.3g}"))
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
    changes = np.diff(values, axis=1)
    changes[np.asarray(trajectories.firsts, bool)[:, 1:]] = 0
    return [
        *found,
        *_value_changes(-changes, "value_fall", -1),
        *_value_changes(changes, "value_rise", 1),
    ]


def _value_changes(sizes: np.ndarray, kind: str, sign: int) -> list[dict[str, Any]]:
    """The largest changes of one sign, [n, T - 1] by size, each once in some frames."""
    found: list[dict[str, Any]] = []
    taken = np.zeros(sizes.shape, bool)
    for flat in np.argsort(-sizes, axis=None, kind="stable"):
        i, t = np.unravel_index(flat, sizes.shape)
        size = float(sizes[i, t])
        if size <= 0 or len(found) == _MOST_CHANGES:
            break
        if not taken[i, t]:
            taken[i, max(0, t - _CHANGE_SPACING + 1) : t + _CHANGE_SPACING] = True
            text = f"value {sign * size:+.3g}"
            found.append(_moment(i, t + 1, kind, sign * size, text))
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

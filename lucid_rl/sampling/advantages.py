"""Advantages, episode ends and bookmarks of trajectories."""

import numpy as np

from lucid_rl.errors import InputError


def episode_ends(
    firsts: np.ndarray, last_firsts: np.ndarray | None = None
) -> np.ndarray:
    """Whether actions ended their episodes: `firsts` one step earlier, bool [n, T].

    `last_firsts`, bool [n], are those of the observations after the last actions; by
    default none is first (the article's choice, as it is not recorded).
    """
    ends = np.zeros(np.shape(firsts), bool)
    ends[:, :-1] = firsts[:, 1:]
    if last_firsts is not None:
        ends[:, -1] = last_firsts
    return ends


def generalized_advantages(
    values: np.ndarray,
    rewards: np.ndarray,
    firsts: np.ndarray,
    gamma: float = 0.999,
    lam: float = 0.95,
    *,
    last_values: np.ndarray | None = None,
    last_firsts: np.ndarray | None = None,
) -> np.ndarray:
    """Generalized advantage estimation (Schulman et al. 2015, arXiv 1506.02438).

    With d_t saying that the action at t ended the episode, and e_t = 1 - d_t:
    A_t = delta_t + gamma lam e_t A_{t+1}, delta_t = r_t + gamma e_t V_{t+1} - V_t.

    The last step needs the value of the observation after it. Given `last_values`
    it is used; without, the last advantage is 0 and the ones before are cut short,
    as in the article's files, which do not hold that observation.

    Args:
        values: f32 [n, T], value function at each observation.
        rewards: f32 [n, T], reward for the action at each observation.
        firsts: bool [n, T], whether an observation is the first of its episode.
        gamma: discount of a step, in [0, 1].
        lam: discount of a step's own error, in [0, 1].
        last_values: f32 [n], value after the last action.
        last_firsts: bool [n], whether the last action ended its episode.

    Returns:
        f32 [n, T].

    Raises:
        InputError: shapes differ, or gamma or lam outside [0, 1].
    """
    values = np.asarray(values, np.float64)
    rewards = np.asarray(rewards, np.float64)
    if values.ndim != 2 or not values.shape == rewards.shape == np.shape(firsts):
        raise InputError(
            "values, rewards and firsts must share one shape [trajectories, steps], "
            f"got {values.shape}, {rewards.shape} and {np.shape(firsts)}"
        )
    if not (0 <= gamma <= 1 and 0 <= lam <= 1):
        raise InputError(f"gamma and lam must lie in [0, 1], got {gamma} and {lam}")
    continues = ~episode_ends(firsts, last_firsts)
    if last_values is not None:
        values = np.column_stack([values, np.asarray(last_values, np.float64)])
    advantages = np.zeros_like(rewards)
    advantage = np.zeros(len(values))
    for t in reversed(range(values.shape[1] - 1)):
        delta = (
            rewards[:, t] + gamma * continues[:, t] * values[:, t + 1] - values[:, t]
        )
        advantage = delta + gamma * lam * continues[:, t] * advantage
        advantages[:, t] = advantage
    return advantages.astype(np.float32)


def bookmarks(
    advantages: np.ndarray,
    firsts: np.ndarray,
    *,
    highest: bool,
    limit: int | None = None,
) -> np.ndarray:
    """Finds the step of the highest, or lowest, advantage in each episode.

    Args:
        advantages: f32 [n, T].
        firsts: bool [n, T].
        highest: of each episode the highest advantage above 0, in descending order;
            else the lowest below 0, in ascending order.
        limit: episodes returned at most.

    Returns:
        int64 [k, 2]: trajectory and step.
    """
    signed = np.asarray(advantages if highest else -np.asarray(advantages))
    found = []
    for trajectory, first in enumerate(np.asarray(firsts)):
        starts = np.union1d([0], np.flatnonzero(first))
        for start, stop in zip(starts, [*starts[1:], len(first)], strict=True):
            step = start + signed[trajectory, start:stop].argmax()
            if signed[trajectory, step] > 0:
                found.append((trajectory, step))
    moments = np.array(found, np.int64).reshape(-1, 2)
    order = np.argsort(-signed[moments[:, 0], moments[:, 1]], kind="stable")
    return moments[order][:limit]

"""Episodes within sampled trajectories, such as those that come with a model.

`find_moments` looks through episodes. Trajectories hold them, too, so that moments are
found where no game is installed.
"""

import dataclasses

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.evaluation.episodes import COMPLETED, FAILED, Episode
from lucid_rl.evaluation.moments import ValueCurve
from lucid_rl.sampling.trajectories import Trajectories


@dataclasses.dataclass(frozen=True)
class EpisodeInTrajectory:
    """An episode that ended within a trajectory.

    Attributes:
        trajectory: which.
        start: its first step in it.
        curve: the value function along it; `curve.episode.index` is the place in
            `episodes_within`'s list.
    """

    trajectory: int
    start: int
    curve: ValueCurve


def episodes_within(
    trajectories: Trajectories, values: np.ndarray, reward_scale: float = 1.0
) -> list[EpisodeInTrajectory]:
    """Cuts trajectories into episodes; one that is still going on is left out.

    Args:
        trajectories: n of T steps. Only the coin brings a reward: an episode that ends
            with one is completed.
        values: the value function at every step, f32 [n, T].
        reward_scale: makes rewards into the value function's units.

    Returns:
        The episodes that end, by trajectory. The first of a trajectory begins where
        that does.

    Raises:
        InputError: values of another shape.
    """
    n, n_steps = trajectories.actions.shape
    if np.shape(values) != (n, n_steps):
        raise InputError(
            f"values of shape {np.shape(values)} for {n} trajectories of {n_steps} "
            "steps"
        )
    found: list[EpisodeInTrajectory] = []
    for i in range(n):
        starts = [0, *(np.flatnonzero(trajectories.firsts[i, 1:]) + 1)]
        ends = starts[1:]
        if trajectories.last_firsts is not None and trajectories.last_firsts[i]:
            ends.append(n_steps)
        # Without an end of its own the last one is still going on.
        for start, end in zip(starts, ends, strict=False):
            steps = slice(int(start), int(end))
            rewards = trajectories.rewards[i, steps]
            seeds = trajectories.level_seeds
            episode = Episode(
                index=len(found),
                level_seed=-1 if seeds is None else int(seeds[i, start]),
                actions=trajectories.actions[i, steps].astype(np.uint8),
                reward=float(rewards.sum()),
                outcome=COMPLETED if rewards[-1] > 0 else FAILED,
            )
            curve = ValueCurve(episode, values[i, steps], reward_scale * rewards)
            found.append(EpisodeInTrajectory(i, int(start), curve))
    return found

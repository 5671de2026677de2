"""Playing environments, and collecting what PPO learns from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import log_softmax

from lucid_rl.games.registry import saves_states
from lucid_rl.games.vector_game import VectorGame
from lucid_rl.sampling.actions import choose_actions
from lucid_rl.sampling.advantages import generalized_advantages
from lucid_rl.training.logs import Stopwatch
from lucid_rl.training.noise import NoiseSettings, add_noise
from lucid_rl.training.saves import generator_state, restore_generator

Batch = dict[str, np.ndarray]  # transitions by name; the first axis of each array is N


class Actor(Protocol):
    """What chooses actions: a learner, or a teacher."""

    def act(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns logits f32 [N, A] and values f32 [N] of u8 observations."""
        ...


@dataclass(frozen=True)
class Episode:
    """An episode that ended."""

    environment: int
    success: bool  # whether the level was completed
    length: int  # steps


class Environments:
    """A game and its own random numbers.

    What is observed depends on nothing but the game, the generator and the logits
    given to `act`, whichever process this lives in.

    Attributes:
        game: the environments.
        rng: draws noise and actions.
    """

    def __init__(self, game: VectorGame, noise: NoiseSettings, seed: Sequence[int]):
        """Starts with no episodes."""
        self.game = game
        self.rng = np.random.default_rng(list(seed))
        self._noise = noise
        self._ages = np.zeros(game.n_envs, np.int64)
        self._acted = False
        self._episodes: list[Episode] = []

    def observe(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Waits for the present step.

        Returns:
            Observations u8 [n, H, W, C], rewards f32 [n] of the actions before, and
            whether an episode starts, bool [n].
        """
        step = self.game.observe()
        rewards, firsts = step.rewards.copy(), step.firsts.copy()
        if self._acted:
            self._note_ends(firsts)
        return (
            add_noise(step.observations.copy(), self._noise, self.rng),
            rewards,
            firsts,
        )

    def act(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draws actions of the softmax policy and starts the step.

        Returns:
            Actions int32 [n] and their log-probabilities f32 [n].
        """
        actions, log_probabilities = sample_actions(logits, self.rng)
        self.game.act(actions)
        self._acted = True
        return actions, log_probabilities

    def take_episodes(self) -> list[Episode]:
        """Returns the episodes that ended since the last call."""
        episodes, self._episodes = self._episodes, []
        return episodes

    def _note_ends(self, firsts):
        self._acted = False
        self._ages += 1
        ended = np.flatnonzero(firsts)
        complete = self.game.last_level_complete() if len(ended) else firsts
        for i in ended.tolist():
            episode = Episode(i, bool(complete[i]), int(self._ages[i]))
            self._episodes.append(episode)
        self._ages[ended] = 0

    def get_state(self) -> dict[str, Any]:
        """Returns everything that further play depends on.

        Some games cannot save their state (`games.registry.saves_states`): they start
        anew when the run is resumed.
        """
        saved = saves_states(self.game.settings)
        return {
            "games": self.game.get_states() if saved else None,
            "ages": self._ages.copy(),
            "rng": generator_state(self.rng),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores what `get_state` returned."""
        restore_generator(self.rng, state["rng"])
        self._ages = np.zeros_like(self._ages)
        if state["games"] is not None:
            self.game.set_states(state["games"])
            self._ages = np.array(state["ages"])
        self._acted, self._episodes = False, []


def sample_actions(
    logits: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws actions int32 [n] of the policy of logits f32 [n, A].

    Returns:
        The actions, and their log-probabilities f32 [n].
    """
    actions = choose_actions(logits, rng)
    chosen = log_softmax(logits, axis=1)[np.arange(len(actions)), actions]
    return actions.astype(np.int32), chosen.astype(np.float32)


def collect(
    groups: Sequence[Environments],
    actor: Actor,
    n_steps: int,
    stopwatch: Stopwatch,
    teacher: Actor | None = None,
) -> list[dict[str, np.ndarray]]:
    """Plays `n_steps` steps in every environment of every group.

    While one group steps in the game's own threads, the actor computes for the next.

    With a `teacher`, its outputs are collected too.

    Returns:
        Each group's rollout: arrays [n_steps + 1, n, ...], "observations", "rewards"
        of the actions before, "firsts", "actions", "log_probabilities", "values", and
        with a teacher "teacher_logits" and "teacher_values". The last step's action
        is not taken.
    """
    steps: list[list[dict[str, np.ndarray]]] = [[] for _ in groups]
    for t in range(n_steps + 1):
        for group, taken in zip(groups, steps, strict=True):
            with stopwatch("stepping"):
                observations, rewards, firsts = group.observe()
            with stopwatch("acting"):
                logits, values = actor.act(observations)
            if t < n_steps:
                actions, log_probabilities = group.act(logits)
            taken.append(
                {
                    "observations": observations,
                    "rewards": rewards,
                    "firsts": firsts,
                    "actions": actions,
                    "log_probabilities": log_probabilities,
                    "values": values,
                }
            )
            if teacher is not None:
                with stopwatch("teacher"):
                    teacher_logits, teacher_values = teacher.act(observations)
                taken[-1] |= {
                    "teacher_logits": teacher_logits,
                    "teacher_values": teacher_values,
                }
    return [
        {name: np.stack([step[name] for step in taken]) for name in taken[0]}
        for taken in steps
    ]


def make_batch(
    rollout: dict[str, np.ndarray], gamma: float, lam: float, reward_scale: float
) -> Batch:
    """Makes transitions of a rollout, with generalized advantage estimates.

    `rollout` is what `collect` returns, of n environments and T steps.

    Returns:
        n * T transitions, each environment's in a row: the rollout's arrays but
        "rewards" and "firsts", "returns" (targets of the value function) and
        "advantages".
    """
    by_environment = {name: a.swapaxes(0, 1) for name, a in rollout.items()}
    rewards, firsts = by_environment.pop("rewards"), by_environment.pop("firsts")
    values = by_environment["values"]
    transitions = {name: a[:, :-1] for name, a in by_environment.items()}
    # A reward is seen with the observation after its action.
    advantages = generalized_advantages(
        values[:, :-1],
        reward_scale * rewards[:, 1:],
        firsts[:, :-1],
        gamma,
        lam,
        last_values=values[:, -1],
        last_firsts=firsts[:, -1],
    )
    transitions["advantages"] = advantages
    transitions["returns"] = advantages + values[:, :-1]
    return {n: a.reshape(-1, *a.shape[2:]) for n, a in transitions.items()}


def concatenate(batches: Sequence[Batch]) -> Batch:
    """Puts the transitions of several batches one after another."""
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


def take(batch: Batch, indices: np.ndarray) -> Batch:
    """Returns the transitions at `indices`."""
    return {name: array[indices] for name, array in batch.items()}

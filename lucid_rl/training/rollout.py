"""Playing a policy to collect what PPO learns from, stepping while computing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lucid_rl.games.registry import saves_states
from lucid_rl.games.tracked_game import TrackedGame
from lucid_rl.games.vector_game import VectorGame
from lucid_rl.sampling.advantages import generalized_advantages
from lucid_rl.training.engine import Batch, Engine
from lucid_rl.training.guidance import NO_ADVICE, GuidanceSettings, Guide
from lucid_rl.training.hindsight import Hindsight, HindsightSettings
from lucid_rl.training.noise import NoiseSettings, add_noise
from lucid_rl.training.restarts import Restarts, RestartSettings
from lucid_rl.training.saves import generator_state, restore_generator
from lucid_rl.training.timing import Stopwatch


@dataclass(frozen=True)
class Rollout:
    """`n_steps` steps of every environment; arrays are [n_steps, n_envs, ...]."""

    observations: np.ndarray  # [T, n, H, W, C], as the engine perceived them
    firsts: np.ndarray  # bool [T, n], whether an episode starts here
    actions: np.ndarray  # int32 [T, n]
    log_probabilities: np.ndarray  # f32 [T, n]
    values: np.ndarray  # f32 [T, n]
    deadly: np.ndarray  # bool [T, n, A], actions known to lose the game
    advice: np.ndarray  # int32 [T, n], actions known to be good, or NO_ADVICE
    rewards: np.ndarray  # f32 [T, n], of the action taken here, unscaled
    next_values: np.ndarray  # f32 [n], after the last step
    next_firsts: np.ndarray  # bool [n], after the last step

    def batch(self, gamma: float, lam: float, reward_scale: float) -> Batch:
        """Returns the transitions with their generalized advantage estimates.

        Args:
            gamma: discount per step.
            lam: lambda of generalized advantage estimation.
            reward_scale: factor of the rewards.

        Returns:
            n_envs * n_steps transitions, each environment's in a row.
        """
        values = self.values.T
        advantages = generalized_advantages(
            values,
            reward_scale * self.rewards.T,
            self.firsts.T,
            gamma,
            lam,
            last_values=self.next_values,
            last_firsts=self.next_firsts,
        )
        arrays = {
            "observations": self.observations.swapaxes(0, 1),
            "actions": self.actions.T,
            "log_probabilities": self.log_probabilities.T,
            "values": values,
            "returns": advantages + values,
            "deadly": self.deadly.swapaxes(0, 1),
            "advice": self.advice.T,
        }
        return Batch(**{k: a.reshape(-1, *a.shape[2:]) for k, a in arrays.items()})


@dataclass(frozen=True)
class Episodes:
    """Episodes that ended."""

    finished: list[bool]  # whether the level was completed
    lengths: list[int]  # steps played
    restarts_finished: list[bool]  # the same of those begun before a failure


class Group:
    """Environments that step together, with random numbers of their own.

    A group's rollouts depend on nothing but its game, its generator and the
    policy, whichever process it lives in.
    """

    def __init__(
        self,
        game: VectorGame,
        noise: NoiseSettings,
        seed: Sequence[int],
        restarts: RestartSettings = RestartSettings(),  # noqa: B008
        guidance: GuidanceSettings | None = None,
        hindsight: HindsightSettings = HindsightSettings(),  # noqa: B008
    ):
        """Keeps the game.

        Args:
            game: the environments.
            noise: added to observations before anyone sees them.
            seed: of the group's random numbers.
            restarts: which episodes begin before failures.
            guidance: which frames of CoinRun its rules are asked about.
            hindsight: where failed episodes of CoinRun were lost.
        """
        self.rng = np.random.default_rng(list(seed))
        self._guide: Guide | None = None
        self._hindsight: Hindsight | None = None
        if guidance is not None or hindsight.used:
            game = tracked = TrackedGame(game)
            if guidance is not None:
                self._guide = Guide(tracked, guidance, self.rng)
            if hindsight.used:
                self._hindsight = Hindsight(tracked, hindsight)
        self.game = game
        self._restarts = Restarts(game, restarts, self.rng) if restarts.share else None
        self._noise = noise
        self._ages = np.zeros(game.n_envs, np.int64)
        self._steps: list[tuple] = []
        self._episodes = Episodes([], [], [])

    def observe(self) -> np.ndarray:
        """Returns what the policy is to see, u8 [n, H, W, C]."""
        step = self.game.observe()
        rewards, firsts = step.rewards.copy(), step.firsts.copy()
        if self._steps:
            self._note_ends(firsts)
        if self._guide is not None:
            self._guide.look(firsts)
        # Restarts may have changed what the game shows.
        observations = self.game.observe().observations.copy()
        self._steps.append((rewards, firsts))
        return add_noise(observations, self._noise, self.rng)

    def act(
        self, perceived: np.ndarray, logits: np.ndarray, values: np.ndarray, last: bool
    ) -> None:
        """Draws actions and, but for the last time, starts the step."""
        actions, log_probabilities = sample_actions(logits, self.rng)
        deadly = np.zeros(logits.shape, bool)
        advice = np.full(len(logits), NO_ADVICE, np.int32)
        if self._guide is not None:
            deadly, lost, advice = self._guide.hints(logits)
            # What is known need not be estimated: the level will not be finished.
            values = np.where(lost, np.float32(0), values)
        played = (perceived, actions, log_probabilities, values, deadly, advice)
        self._steps[-1] += played
        if not last:
            if self._hindsight is not None:
                self._hindsight.note(logits, actions)
            self.game.act(actions)

    def take_rollout(self) -> tuple[Rollout, Episodes]:
        """Returns what was collected, and starts anew."""
        rewards, firsts, *played = (
            np.stack(field) for field in zip(*self._steps, strict=True)
        )
        observations, actions, log_probabilities, values, deadly, advice = played
        if self._hindsight is not None:
            self._hindsight.apply(values, deadly)
            self._hindsight.start()
        rollout = Rollout(
            observations=observations[:-1],
            firsts=firsts[:-1],
            actions=actions[:-1],
            log_probabilities=log_probabilities[:-1],
            values=values[:-1],
            deadly=deadly[:-1],
            advice=advice[:-1],
            rewards=rewards[1:],  # a reward is seen with the observation after it
            next_values=values[-1],
            next_firsts=firsts[-1],
        )
        episodes = self._episodes
        self._steps, self._episodes = [], Episodes([], [], [])
        return rollout, episodes

    def _note_ends(self, firsts):
        self._ages += 1
        ended = np.flatnonzero(firsts)
        complete = self.game.last_level_complete()[ended] if len(ended) else ended
        for i, finished in zip(ended.tolist(), complete.tolist(), strict=True):
            if self._hindsight is not None:
                self._hindsight.end(i, finished)
            if self._restarts is not None and self._restarts.began[i]:
                self._episodes.restarts_finished.append(finished)
            else:
                self._episodes.finished.append(finished)
                self._episodes.lengths.append(int(self._ages[i]))
        if self._restarts is not None:
            self._restarts.follow(self._ages, ended, complete)
        self._ages[ended] = 0

    def get_state(self) -> dict[str, Any]:
        """Returns everything that further rollouts depend on.

        Some games cannot tell their state (`registry.saves_states`): they start
        anew when the run is resumed.
        """
        saved = saves_states(self.game.settings)
        return {
            "games": self.game.get_states() if saved else None,
            "ages": self._ages.copy(),
            "rng": generator_state(self.rng),
            "restarts": self._restarts and self._restarts.get_state(),
            "lost": None if self._guide is None else self._guide.lost.copy(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores what `get_state` returned, and drops an unfinished rollout."""
        self._steps, self._episodes = [], Episodes([], [], [])
        if self._hindsight is not None:
            self._hindsight.start()
        restore_generator(self.rng, state["rng"])
        # A save may be of a run that had not these options yet, or had them still.
        if self._restarts is not None and state.get("restarts") is not None:
            self._restarts.set_state(state["restarts"])
        if self._guide is not None and state.get("lost") is not None:
            self._guide.lost = np.array(state["lost"])
        if state["games"] is not None:
            self.game.set_states(state["games"])
            self._ages = np.array(state["ages"])
        else:
            self._ages = np.zeros_like(self._ages)


def collect(
    groups: Sequence[Group],
    engine: Engine,
    n_steps: int,
    stopwatch: Stopwatch,
) -> list[tuple[Rollout, Episodes]]:
    """Plays `n_steps` steps in every environment of every group.

    While one group steps in the game's own threads, the engine chooses the actions
    of the next: with two groups neither waits unless it is the faster one.

    Returns:
        Each group's rollout and the episodes that ended in it.
    """
    for t in range(n_steps + 1):
        for group in groups:
            with stopwatch("stepping"):
                observations = group.observe()
            with stopwatch("acting"):
                perceived = engine.perceive(observations)
                logits, values = engine.act(perceived)
                group.act(perceived, logits, values, last=t == n_steps)
    return [group.take_rollout() for group in groups]


def sample_actions(
    logits: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws actions of the softmax policy, by the Gumbel trick.

    Args:
        logits: f32 [n, A].
        rng: where the draws come from.

    Returns:
        Actions int32 [n] and their log-probabilities f32 [n].
    """
    actions = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    top = logits.max(axis=1, keepdims=True)
    log_totals = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    chosen = logits[np.arange(len(actions)), actions] - log_totals
    return actions.astype(np.int32), chosen.astype(np.float32)

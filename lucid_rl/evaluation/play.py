"""Vectorized play of levels, without bias towards short episodes.

Environments finish at different times. The first N episodes to end are too often
short ones, and short episodes are failures more often than not. So what is played is
fixed in advance:

- where the game can start a given level, each of N levels drawn in advance is
  played once, by whichever environment is free;
- where it cannot, each environment plays a fixed number of episodes of its own.

An episode's actions are drawn from a random generator of its own, seeded by the
evaluation's seed and the episode's index. It therefore depends neither on the number of
environments, nor on which of them plays it, nor on interruptions.
"""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.evaluation.episodes import (
    COMPLETED,
    ENDED,
    FAILED,
    Episode,
)
from lucid_rl.games.registry import check_fits
from lucid_rl.games.vector_game import VectorGame
from lucid_rl.sampling.actions import Policy, policy_logits, sample_at

# An environment's time within its episode, or one of:
_IDLE = -2  # nothing left to play
_STARTING = -1  # its level starts with the next act
# Random numbers drawn at a time for an episode.
_BLOCK = 256


Plan = Callable[[int], tuple[int, int | None] | None]
"""Gives index and level seed of the next episode of an environment that is free.

The seed is None where the game continues with a level of its own; instead of both, None
says that nothing is left for this environment.
"""


def given_levels(indices: Sequence[int], level_seeds: Sequence[int]) -> Plan:
    """A plan of each of the given levels once, by whichever environment is free."""
    if len(indices) != len(level_seeds):
        raise InputError(f"{len(indices)} episodes for {len(level_seeds)} levels")
    left = collections.deque(zip(indices, level_seeds, strict=True))
    return lambda environment: left.popleft() if left else None


def own_levels(indices: Iterable[int], n_envs: int) -> Plan:
    """A plan of episodes dealt to the environments, on levels that the game draws."""
    indices = list(indices)
    left = [collections.deque(indices[i::n_envs]) for i in range(n_envs)]

    def next_episode(environment: int) -> tuple[int, None] | None:
        return (left[environment].popleft(), None) if left[environment] else None

    return next_episode


def play(
    game: VectorGame, policy: Policy, plan: Plan, seed: int, greedy: bool = False
) -> Iterator[Episode]:
    """Plays what `plan` says and yields each episode as it ends.

    Args:
        game: a game that shows the beginning of an episode in each environment, as
            a new one does.
        policy: gives the logits of the actions.
        plan: which episodes to play.
        seed: with an episode's index, chooses the actions drawn in it.
        greedy: take the most probable actions rather than sampled ones.

    Yields:
        Episodes, those that take fewest steps first, so do not stop early: every
        one of the plan must be counted, or none.

    Raises:
        InputError: the policy has not as many actions as the game, or returns
            something else than logits.
    """
    playing = _Episodes(game, plan, seed)
    playing.assign(range(game.n_envs))
    while True:
        step = game.observe()
        running = playing.time >= 1
        playing.reward[running] += step.rewards[running]
        ended = np.flatnonzero(running & step.firsts)
        if len(ended):
            complete = game.last_level_complete()
            for environment in ended:
                yield playing.finish(environment, bool(complete[environment]))
            playing.assign(ended)
        if (playing.time == _IDLE).all():
            return
        acting = playing.time >= 0
        actions = np.zeros(game.n_envs, np.int64)
        if acting.any():
            rows = _rows_to_evaluate(acting)
            logits = policy_logits(policy, step.observations[rows])
            check_fits(game, logits.shape[-1])
            if greedy:
                actions[rows] = np.argmax(logits, axis=-1)
            else:
                actions[rows] = sample_at(logits, playing.quantiles()[rows])
        playing.record(actions)
        game.act(actions)


class _Episodes:
    """Current episode of each environment, and its actions so far."""

    def __init__(self, game: VectorGame, plan: Plan, seed: int) -> None:
        n = game.n_envs
        self._game, self._plan, self._seed = game, plan, seed
        self._failed = FAILED if game.has_completion else ENDED
        self._rngs = [np.random.default_rng(0)] * n
        self._blocks = np.zeros((n, _BLOCK))
        self._actions = np.zeros((n, 1024), np.uint8)
        self._index = np.zeros(n, np.int64)
        self._level_seed = np.zeros(n, np.int64)
        self.time = np.full(n, _IDLE)
        self.reward = np.zeros(n)

    def assign(self, environments: Iterable[int]) -> None:
        """Gives environments that are free their next episodes."""
        starting: dict[int, int] = {}
        for environment in environments:
            following = self._plan(environment)
            if following is None:
                self.time[environment] = _IDLE
                continue
            index, level_seed = following
            if level_seed is None:
                self.time[environment] = 0
                level_seed = int(self._game.level_seeds()[environment])
            else:
                self.time[environment] = _STARTING
                starting[environment] = level_seed
            self.reward[environment] = 0.0
            self._index[environment] = index
            self._level_seed[environment] = level_seed
            self._rngs[environment] = np.random.default_rng([self._seed, index])
        if starting:
            self._game.start_levels(list(starting), list(starting.values()))

    def quantiles(self) -> np.ndarray:
        """One random number for each environment's present step."""
        place = self.time % _BLOCK
        for environment in np.flatnonzero((place == 0) & (self.time >= 0)):
            self._blocks[environment] = self._rngs[environment].random(_BLOCK)
        return self._blocks[np.arange(len(place)), place]

    def record(self, actions: np.ndarray) -> None:
        """Records the actions and advances the step counters."""
        if self.time.max() >= self._actions.shape[1]:
            self._actions = np.pad(self._actions, ((0, 0), (0, len(self._actions[0]))))
        acting = np.flatnonzero(self.time >= 0)
        self._actions[acting, self.time[acting]] = actions[acting]
        self.time[self.time != _IDLE] += 1

    def finish(self, environment: int, complete: bool) -> Episode:
        """The episode that an environment has just ended."""
        return Episode(
            index=int(self._index[environment]),
            level_seed=int(self._level_seed[environment]),
            actions=self._actions[environment, : self.time[environment]].copy(),
            reward=float(self.reward[environment]),
            outcome=COMPLETED if complete else self._failed,
        )


def _rows_to_evaluate(acting: np.ndarray) -> np.ndarray | slice:
    """Rows for the network: all, or when most are idle only as many as are needed.

    A network is prepared anew for each size of batch, so sizes are powers of two.
    """
    n_acting = int(acting.sum())
    if 2 * n_acting > len(acting):
        return slice(None)
    size = 1 << (n_acting - 1).bit_length()
    # Those that act come first.
    return np.argsort(~acting, kind="stable")[:size]

"""Policies and a game whose outcomes are known, for the tests of evaluation."""

import numpy as np

from lucid_rl.games.vector_game import GameSettings, GameStep, VectorGame

RIGHT, RIGHT_JUMP = 7, 8


def eager_policy(observations):
    """Runs and jumps to the right, a little more so where it is bright."""
    logits = np.zeros((len(observations), 15), np.float32)
    logits[:, RIGHT_JUMP] = 4 + observations[:, 20:40, 32].mean(axis=(1, 2)) / 128
    logits[:, RIGHT] = 4
    return logits, logits[:, 0]


def blind_policy(observations):
    """The same without looking."""
    logits = np.zeros((len(observations), 15), np.float32)
    logits[:, [RIGHT, RIGHT_JUMP]] = 4, 5
    return logits, logits[:, 0]


class KnownGame(VectorGame):
    """A game of two actions whose episodes end when the level's seed says.

    Level s lasts s actions. It is completed exactly if s is even, and its reward is
    1 for each action 1. The first pixel shows the time.
    """

    n_actions = 2

    def __init__(self, settings, chooses_levels=True):
        self.settings, self.n_envs = settings, settings.n_envs
        self.chooses_levels = chooses_levels
        self._rng = np.random.default_rng(settings.seed)
        self._seeds = self._draw(self.n_envs)
        self._time = np.zeros(self.n_envs, int)
        self._rewards = np.zeros(self.n_envs, np.float32)
        self._complete = np.zeros(self.n_envs, bool)
        self._start = {}

    def _draw(self, n):
        """Short levels are failed, long ones completed."""
        return self._rng.choice([3, 41, 44], n)

    def observe(self):
        observations = np.zeros((self.n_envs, 64, 64, 3), np.uint8)
        observations[:, 0, 0, 0] = self._time % 256
        return GameStep(self._rewards, observations, self._time == 0)

    def act(self, actions):
        self._time += 1
        self._rewards[:] = actions
        for i in np.flatnonzero(self._time == self._seeds):
            self._complete[i] = self._seeds[i] % 2 == 0
            self._time[i] = 0
            self._seeds[i] = self._draw(1)[0]
        for i, seed in self._start.items():
            self._seeds[i], self._time[i], self._rewards[i] = seed, 0, 0
        self._start = {}

    def level_seeds(self):
        return self._seeds.copy()

    def last_level_complete(self):
        return self._complete.copy()

    def start_levels(self, environments, seeds):
        assert self.chooses_levels
        self._start |= dict(zip(environments, seeds, strict=True))


def known_game(n_envs, **changes):
    return KnownGame(GameSettings(n_envs=n_envs), **changes)


def coin_policy(observations):
    """Both actions equally often, in `KnownGame`."""
    return np.zeros((len(observations), 2)), np.zeros(len(observations))

"""A CoinRun game that always knows its worlds.

Asking the engine for a state takes four times as long as a step. The copied rules
give the same positions, so a state is asked for at the beginning of each episode
only, and stepped beside the engine from then on.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.errors import GameError
from lucid_rl.games.coinrun_physics import RUNNING
from lucid_rl.games.coinrun_world import World, as_world
from lucid_rl.games.vector_game import GameStep, VectorGame


class TrackedGame:
    """Procgen's CoinRun with, beside each observation, the world that it shows.

    It is a `VectorGame` itself and takes the game over: step and close it here.

    Args:
        game: Procgen's CoinRun.

    Raises:
        GameError: the game is another.
    """

    def __init__(self, game: VectorGame) -> None:
        if game.settings.name != "coinrun":
            raise GameError(
                f"worlds are known for Procgen's coinrun, not for {game.settings.name}"
            )
        self._game = game
        self.settings = game.settings
        self.n_envs, self.n_actions = game.n_envs, game.n_actions
        self.action_combos = game.action_combos
        self.chooses_levels = game.chooses_levels
        self._worlds: list[World] = [as_world(state) for state in game.get_states()]
        self._endings = np.full(self.n_envs, RUNNING)
        self._is_current = True

    def worlds(self) -> list[World]:
        """The world that each environment shows; they change with the next `act`."""
        self.observe()
        return self._worlds

    def observe(self) -> GameStep:
        """The present step; see `VectorGame`."""
        step = self._game.observe()
        if not self._is_current:
            self._is_current = True
            # An end that only the copy saw would be an error of the copy; it is
            # put right here.
            self._fetch(np.flatnonzero(step.firsts | (self._endings != RUNNING)))
        return step

    def act(self, actions: np.ndarray) -> None:
        """Starts the next step; see `VectorGame`."""
        self.observe()
        self._game.act(actions)
        self._is_current = False
        # The engine's threads step at the same time.
        for i, (world, action) in enumerate(zip(self._worlds, actions, strict=True)):
            self._endings[i] = world.step(int(action))

    def level_seeds(self) -> np.ndarray:
        """Level seed of the episode now shown, int64 [n]."""
        return self._game.level_seeds()

    def last_level_complete(self) -> np.ndarray:
        """Whether the episode that just ended was completed, bool [n]."""
        return self._game.last_level_complete()

    def start_levels(self, environments: Sequence[int], seeds: Sequence[int]) -> None:
        """Starts given levels with the next `act`; see `VectorGame`."""
        self._game.start_levels(environments, seeds)

    def full_resolution(self) -> np.ndarray:
        """The present frames in high resolution, u8 [n, 512, 512, 3]."""
        return self._game.full_resolution()

    def get_states(self, environments: Sequence[int] | None = None) -> list[bytes]:
        """Complete states; see `VectorGame`."""
        return self._game.get_states(environments)

    def set_states(
        self, states: Sequence[bytes], environments: Sequence[int] | None = None
    ) -> None:
        """Restores states; see `VectorGame`."""
        self.observe()
        self._game.set_states(states, environments)
        if environments is None:
            environments = range(self.n_envs)
        self._take(environments, states)

    def drawn_as(
        self, states: Sequence[bytes], environments: Sequence[int]
    ) -> np.ndarray:
        """What environments would show in other states; the game stays as it is.

        Args:
            states: complete states of this game.
            environments: one for each.

        Returns:
            Their frames, u8 [k, 64, 64, 3].
        """
        self.observe()
        now = self._game.get_states(environments)
        self._game.set_states(states, environments)
        frames = self._game.observe().observations[list(environments)].copy()
        self._game.set_states(now, environments)
        return frames

    def close(self) -> None:
        """Frees the game; see `VectorGame`."""
        self._game.close()

    def __enter__(self) -> "TrackedGame":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def _fetch(self, environments: np.ndarray) -> None:
        self._take(environments, self._game.get_states(environments.tolist()))

    def _take(self, environments, states):
        for i, state in zip(environments, states, strict=True):
            self._worlds[i] = as_world(state)
            self._endings[i] = RUNNING

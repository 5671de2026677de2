"""Frame stacking."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.errors import GameError
from lucid_rl.games.vector_game import GameSettings, GameStep, VectorGame, read_only


class StackedGame:
    """A game whose observations are its last few frames, the newest last.

    An episode begins with frames of zeros, as in OpenAI's baselines and in
    Stable-Baselines3.

    Closing it closes the game.
    """

    settings: GameSettings
    n_envs: int
    n_actions: int
    action_combos: list[tuple[str, ...]]
    chooses_levels: bool
    has_completion: bool

    def __init__(self, game: VectorGame, n_frames: int) -> None:
        self._game = game
        first = game.observe().observations
        self._n_channels = first.shape[-1]
        shape = (*first.shape[:-1], n_frames * self._n_channels)
        self._stack = np.zeros(shape, np.uint8)
        self._is_new = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._game, name)

    def observe(self) -> GameStep:
        """Returns the current step; see `VectorGame`."""
        step = self._game.observe()
        if self._is_new:
            self._is_new = False
            self._stack[step.firsts] = 0
            kept = self._stack[..., self._n_channels :].copy()
            self._stack[..., : -self._n_channels] = kept
            self._stack[..., -self._n_channels :] = step.observations
        return step._replace(observations=read_only(self._stack))

    def act(self, actions: np.ndarray) -> None:
        """Starts the next step; see `VectorGame`."""
        self.observe()
        self._game.act(actions)
        self._is_new = True

    def set_states(
        self, states: Sequence[bytes], environments: Sequence[int] | None = None
    ) -> None:
        """Not possible, as a state does not hold the frames before it."""
        raise GameError("states cannot be set in a game with frame_stack above 1")

    def __enter__(self) -> "StackedGame":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._game.close()

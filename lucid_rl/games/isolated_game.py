"""Games that run in a child process.

Some engines keep what belongs to a game in the process: Procgen reads its
pictures once, the original CoinRun has one configuration and ends the process
on an error. `IsolatedGame` runs any `VectorGame` in a child process: steps pass
through shared memory, everything else as messages.
"""

import os
import weakref
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from lucid_rl.child_process import ChildProcess, as_message
from lucid_rl.errors import GameError, ProcessError
from lucid_rl.games.shared_step import SharedStep, make_file
from lucid_rl.games.vector_game import GameSettings, GameStep, VectorGame

_ATTRIBUTES = ("n_actions", "action_combos", "chooses_levels", "has_completion")


class IsolatedGame(VectorGame):
    """Any `VectorGame`, run in a child process.

    Args:
        make: what makes the game in the child from its settings; a class or
            function that can be imported by name.
        settings: passed to `make`.

    Raises:
        GameError: the child failed or ended unexpectedly; its last output is in
            the message. The package's other errors pass through as they are.
    """

    n_actions: int
    action_combos: list[tuple[str, ...]]

    def __init__(
        self, make: Callable[[GameSettings], VectorGame], settings: GameSettings
    ) -> None:
        self.settings = settings
        self.n_envs = settings.n_envs
        file = make_file()
        weakref.finalize(self, os.close, file)
        self._child = ChildProcess(
            _serve,
            (make, settings, file),
            name=f"{settings.name} game",
            files=(file,),
        )
        self._stepping = False
        try:
            shape, attributes = self._answer()
            for name, value in attributes.items():
                setattr(self, name, value)
            self._memory = SharedStep(file, self.n_envs, shape)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int | None:
        """Identifier of the child process."""
        return self._child.pid

    def observe(self) -> GameStep:
        """Returns the current step; see `VectorGame`."""
        if self._child.closed:
            raise GameError(f"this {self.settings.name} game is closed")
        if self._stepping:
            self._stepping = False
            self._answer()
        return self._memory.step

    def act(self, actions: np.ndarray) -> None:
        """Starts the next step; see `VectorGame`.

        Actions that do not fit are refused at the next `observe`.
        """
        self.observe()
        self._send("act", np.asarray(actions))
        self._stepping = True

    def level_seeds(self) -> np.ndarray:
        """Level seeds of the current episodes, int64 [n]; -1 where unknown."""
        self.observe()
        return self._memory.level_seeds.copy()

    def last_level_complete(self) -> np.ndarray:
        """Whether the episode that just ended was completed, bool [n]."""
        self.observe()
        return self._memory.last_level_complete.copy()

    def start_levels(self, environments: Sequence[int], seeds: Sequence[int]) -> None:
        """Starts given levels with the next `act`; see `VectorGame`."""
        self._ask("start_levels", environments, seeds)

    def full_resolution(self) -> np.ndarray:
        """The current frames in high resolution, u8 [n, 512, 512, 3]."""
        return self._ask("full_resolution")

    def get_states(self, environments: Sequence[int] | None = None) -> list[bytes]:
        """Complete states; see `VectorGame`."""
        return self._ask("get_states", environments)

    def set_states(
        self, states: Sequence[bytes], environments: Sequence[int] | None = None
    ) -> None:
        """Restores states; see `VectorGame`."""
        self._ask("set_states", states, environments)

    def close(self) -> None:
        """Ends the child; see `VectorGame`."""
        self._child.close()

    def _ask(self, request: str, *arguments: Any) -> Any:
        self.observe()
        self._send(request, *arguments)
        return self._answer()

    def _send(self, request: str, *arguments: Any) -> None:
        try:
            self._child.send((request, arguments))
        except ProcessError as error:
            raise GameError(str(error)) from error

    def _answer(self) -> Any:
        try:
            return self._child.receive()
        except ProcessError as error:
            raise GameError(str(error)) from error


def _serve(
    connection: Connection,
    make: Callable[[GameSettings], VectorGame],
    settings: GameSettings,
    shared_file: int,
) -> None:
    """Makes the game, then answers requests until the parent goes."""
    with make(settings) as game:
        shape = game.observe().observations.shape[1:]
        memory = SharedStep(shared_file, settings.n_envs, shape)
        memory.write(game)
        attributes = {name: getattr(game, name) for name in _ATTRIBUTES}
        connection.send((shape, attributes))
        while True:
            request, arguments = connection.recv()
            try:
                answer = getattr(game, request)(*arguments)
                memory.write(game)
            except Exception as error:
                answer = as_message(error, f"{settings.name} game")
            connection.send(answer)

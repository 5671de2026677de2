"""Episodes that begin shortly before earlier ones failed.

Most steps of a player that finishes most levels teach it nothing. What it fails at it
meets once in an episode at most; beginning there, it meets it all the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.games.vector_game import VectorGame


@dataclass(frozen=True)
class RestartSettings:
    """How many episodes begin before a failure, and how long before.

    Attributes:
        share: of the episodes; 0 for none.
        least_steps: steps between where such an episode begins and the failure. What
            a jump leads to is decided where it begins, some 20 steps before its end.
        most_steps: the same, at most.
        interval: steps between the states of an episode that are kept until it ends.
        n_kept: states before failures that are kept to begin at.
    """

    share: float = 0.0
    least_steps: int = 20
    most_steps: int = 60
    interval: int = 8
    n_kept: int = 1000

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise SettingsError(
                f"the share of episodes that are restarts is {self.share}: expected 0 "
                "or more and less than 1."
            )
        if (
            self.interval < 1
            or self.n_kept < 1
            or not (0 < self.least_steps <= self.most_steps - self.interval)
        ):
            raise SettingsError(
                "restarts need an interval and n_kept of at least 1, and most_steps "
                f"{self.interval} or more above least_steps, got {self}."
            )


class Restarts:
    """Keeps states from before failures, and begins episodes at them.

    The stream of levels is the game's own: where a level would have begun in place of
    a restart, it begins when the restarts are over.

    Attributes:
        began: bool [n], whether each environment's episode began before a failure.
    """

    def __init__(
        self, game: VectorGame, settings: RestartSettings, rng: np.random.Generator
    ):
        """Keeps the game.

        Args:
            game: one that tells its states.
            settings: how often.
            rng: decides when and where.
        """
        self._game = game
        self._settings = settings
        self._rng = rng
        self.began = np.zeros(game.n_envs, bool)
        self._kept: list[bytes] = []
        # Of each environment: its episode's states so far, with their times, and the
        # beginning of the level that waits for the restarts to end.
        self._recent: list[list[tuple[int, bytes]]] = [[] for _ in self.began]
        self._waiting: list[bytes | None] = [None for _ in self.began]

    def note_failure(self, environment: int, age: int) -> None:
        """Keeps a state from before the failure that an episode has just come to.

        Args:
            environment: whose episode failed.
            age: the steps it had.
        """
        settings, rng = self._settings, self._rng
        candidates = [
            state
            for time, state in self._recent[environment]
            if settings.least_steps <= age - time <= settings.most_steps
        ]
        if not candidates:
            return
        state = candidates[rng.integers(len(candidates))]
        if len(self._kept) < settings.n_kept:
            self._kept.append(state)
        else:
            self._kept[rng.integers(settings.n_kept)] = state

    def begin(self, environment: int) -> None:
        """Decides where an episode begins whose first observation is shown."""
        game = self._game
        self._recent[environment] = []
        if self._kept and self._rng.random() < self._settings.share:
            if not self.began[environment]:
                (self._waiting[environment],) = game.get_states([environment])
            state = self._kept[self._rng.integers(len(self._kept))]
            game.set_states([state], [environment])
            self.began[environment] = True
        elif self.began[environment]:
            waiting = self._waiting[environment]
            assert waiting is not None
            game.set_states([waiting], [environment])
            self._waiting[environment] = None
            self.began[environment] = False

    def keep_states(self, ages: np.ndarray) -> None:
        """Keeps the states that are due.

        Args:
            ages: int [n], steps since each environment's episode began.
        """
        settings = self._settings
        due = np.flatnonzero(ages % settings.interval == 0).tolist()
        for i, state in zip(due, self._game.get_states(due), strict=True):
            youngest = ages[i] - settings.most_steps
            recent = [entry for entry in self._recent[i] if entry[0] >= youngest]
            self._recent[i] = [*recent, (int(ages[i]), state)]

    def follow(self, ages: np.ndarray, ended: np.ndarray, complete: np.ndarray) -> None:
        """Notes a step: failures, where new episodes begin, and states that are due.

        Args:
            ages: int [n], steps since each environment's episode began, those that have
                just ended included.
            ended: int [m], the environments whose episode has just ended.
            complete: bool [m], whether with a level completed.
        """
        for i, finished in zip(ended.tolist(), complete.tolist(), strict=True):
            # Where a restart fails is known. Kept again each time, states from which
            # nobody lives would soon be most of those kept.
            if not finished and not self.began[i]:
                self.note_failure(i, int(ages[i]))
            self.begin(i)
        begun = ages.copy()
        begun[ended] = 0
        self.keep_states(begun)

    def get_state(self) -> dict[str, Any]:
        """Returns everything but the random numbers that is needed to go on."""
        return {
            "began": self.began.copy(),
            "kept": list(self._kept),
            "recent": [list(map(list, entries)) for entries in self._recent],
            "waiting": list(self._waiting),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores what `get_state` returned."""
        self.began = np.array(state["began"])
        self._kept = list(state["kept"])
        self._recent = [[(t, s) for t, s in entries] for entries in state["recent"]]
        self._waiting = list(state["waiting"])

"""Where failed episodes of CoinRun were lost, found when they are over.

A failure is often decided many steps before it comes. Policy gradients blame every
action on the way there; most had no part in it, and after the decisive one none had.
Where rules can be computed that one can be found: the last after which a player who
sees what the policy sees would still have lived.
"""

import bisect
from collections.abc import Sequence
from concurrent import futures
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy import special

from lucid_rl.errors import SettingsError
from lucid_rl.games.coinrun_planner import (
    CarefulSettings,
    lives_on,
    losing_actions,
)
from lucid_rl.games.coinrun_world import World
from lucid_rl.games.tracked_game import TrackedGame


@dataclass(frozen=True)
class HindsightSettings:
    """How far to look back, and for whom.

    Attributes:
        used: whether to look at all.
        most_steps: steps before a failure that are looked at.
        survival: steps to live beyond the time of the failure, to have avoided it.
        least_probability: of an action, for it to be asked whether it loses the level,
            too, where it is decided.
        planner: who would have lived.
    """

    used: bool = False
    most_steps: int = 45
    survival: int = 12
    least_probability: float = 0.02
    planner: CarefulSettings = field(default_factory=CarefulSettings)

    def __post_init__(self) -> None:
        if self.most_steps < 1 or self.survival < 1:
            raise SettingsError(
                "hindsight needs most_steps and survival of at least 1, got "
                f"{self.most_steps} and {self.survival}"
            )
        if not 0 <= self.least_probability <= 1:
            raise SettingsError(
                f"least_probability must lie in [0, 1], got {self.least_probability}"
            )


class Moment(NamedTuple):
    """What an agent met, and did."""

    world: World
    logits: np.ndarray  # f32 [A]
    action: int


class Mistake(NamedTuple):
    """How a level was lost.

    Attributes:
        n_lost: moments at the end of the episode in which it was lost already.
        deadly: bool [A], actions that lose it in the moment before; all False where
            that one is not among the moments looked at.
    """

    n_lost: int
    deadly: np.ndarray


def find_mistake(moments: Sequence[Moment], settings: HindsightSettings) -> Mistake:
    """Finds the last moment from which a careful player would have lived.

    By bisection: who would have lived from a moment would have from those before.

    Args:
        moments: the last of an episode that failed, in order.
        settings: who plays.

    Returns:
        How it was lost.
    """

    def survives(world: World, n_left: int) -> bool:
        return lives_on(world, n_left + settings.survival, settings.planner)

    looked_at = moments[-settings.most_steps :]
    n = len(looked_at)
    n_lost = n - bisect.bisect_left(
        range(n), True, key=lambda k: not survives(looked_at[k].world, n - k)
    )
    if n_lost == n:
        # Lost since before; beyond what is looked at nobody knows since when.
        nothing = np.zeros(moments[0].logits.shape, bool)
        return Mistake(n_lost if n == len(moments) else 0, nothing)
    decisive = looked_at[-n_lost - 1]
    likely = special.softmax(decisive.logits) >= settings.least_probability
    deadly = losing_actions(
        decisive.world,
        np.flatnonzero(likely).tolist(),
        lambda after: survives(after, n_lost),
    )
    deadly[decisive.action] = True
    return Mistake(n_lost, deadly)


class Hindsight:
    """Notes what every environment goes through, and looks back at failures."""

    def __init__(self, game: TrackedGame, settings: HindsightSettings):
        """Keeps the game.

        Args:
            game: the environments.
            settings: how far to look back.
        """
        self._game = game
        self._settings = settings
        self._pool = futures.ThreadPoolExecutor(2)
        self._moments: list[list[Moment]] = []
        self._found: list[tuple[int, int, futures.Future[Mistake]]] = []
        self.start()

    def start(self) -> None:
        """Forgets everything: a rollout begins."""
        self._moments = [[] for _ in range(self._game.n_envs)]
        self._found = []
        self._n_steps = 0

    def note(self, logits: np.ndarray, actions: np.ndarray) -> None:
        """Notes the moment shown; to be called before the worlds change.

        Args:
            logits: f32 [n, A], the policy's.
            actions: int32 [n], those taken.
        """
        self._n_steps += 1
        for moments, world, its_logits, action in zip(
            self._moments, self._game.worlds(), logits, actions, strict=True
        ):
            moments.append(Moment(world.copy(), its_logits, int(action)))

    def end(self, environment: int, finished: bool) -> None:
        """Begins to look back at an episode that has just ended, if the agent died.

        Args:
            environment: whose episode ended.
            finished: whether the level was completed.
        """
        moments = self._moments[environment]
        self._moments[environment] = []
        if finished or not moments:
            return
        world = moments[-1].world
        if world.time + 1 < world.timeout:
            found = self._pool.submit(find_mistake, moments, self._settings)
            self._found.append((self._n_steps - 1, environment, found))

    def apply(self, values: np.ndarray, deadly: np.ndarray) -> None:
        """Waits for what was looked for, and puts it into a rollout.

        What is known need not be estimated: where a level is lost already its value is
        0, so that all blame falls on what lost it.

        Args:
            values: f32 [T, n], of the policy's value function; changed.
            deadly: bool [T, n, A], actions known to lose the game; changed.
        """
        for last, i, found in self._found:
            n_lost, actions = found.result()
            decisive = last - n_lost
            values[decisive + 1 : last + 1, i] = 0
            if actions.any():
                deadly[decisive, i] |= actions

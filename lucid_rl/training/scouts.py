"""Players who look for frames worth learning from, without asking a network.

Rules are quick and the network is slow: a disturbed planner gets into trouble in
hundreds of environments, and the student is shown the frames in which something is at
stake alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.games.coinrun_planner import CarefulSettings, careful_plan
from lucid_rl.games.coinrun_search import RIGHT, SEARCHED_ACTIONS
from lucid_rl.games.coinrun_world import World
from lucid_rl.training.searches import SearchPool


@dataclass(frozen=True)
class ScoutSettings:
    """How many scouts there are, and how they play.

    Attributes:
        count: environments that they play in. The student is shown nothing of these but
            frames in which something is at stake: an action that kills, where another
            does not. They are one in ten.
        stake_share: share of these frames kept.
        disturbance: share of a scout's steps at which it begins to do something at
            random.
        most_disturbed: steps that this lasts, at most.
        plan_steps: of a plan, that a scout follows before it plans anew.
    """

    count: int = 0
    stake_share: float = 0.8
    disturbance: float = 0.06
    most_disturbed: int = 8
    plan_steps: int = 8

    def __post_init__(self) -> None:
        for name in ("stake_share", "disturbance"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(
                    f"{name} of scouts must lie in [0, 1], got {getattr(self, name)}"
                )
        for name, least in (("count", 0), ("most_disturbed", 1), ("plan_steps", 1)):
            if getattr(self, name) < least:
                raise SettingsError(
                    f"{name} of scouts must be at least {least}, "
                    f"got {getattr(self, name)}"
                )


class Scout:
    """Plays by plans, now and then disturbed."""

    def __init__(
        self,
        settings: ScoutSettings,
        planner: CarefulSettings,
        rng: np.random.Generator,
    ):
        """Begins with no plan.

        Args:
            settings: how it is disturbed.
            planner: how it plans.
            rng: by what it is disturbed, and when.
        """
        self._settings = settings
        self._planner = planner
        self._rng = rng
        self._actions: list[int] = []

    def begin(self) -> None:
        """Forgets its plan: an episode begins."""
        self._actions = []

    def act(self, world: World) -> int:
        """What it does next.

        Args:
            world: what is shown.
        """
        settings, rng = self._settings, self._rng
        if rng.random() < settings.disturbance:
            action = SEARCHED_ACTIONS[rng.integers(len(SEARCHED_ACTIONS))]
            self._actions = [action] * rng.integers(1, settings.most_disturbed + 1)
        elif not self._actions:
            way = careful_plan(world, self._planner)
            self._actions = way[: settings.plan_steps] or [RIGHT]
        return self._actions.pop(0)


class Scouts:
    """All of them, each in an environment of its own."""

    def __init__(
        self,
        settings: ScoutSettings,
        planner: CarefulSettings,
        rng: np.random.Generator,
        pool: SearchPool,
    ):
        """Begins with no plans.

        Args:
            settings: how many there are, and how they are disturbed.
            planner: how they plan.
            rng: what the scouts' own generators are seeded by.
            pool: plans.
        """
        self._pool = pool
        self._scouts = [
            Scout(settings, planner, np.random.default_rng(rng.integers(2**63)))
            for _ in range(settings.count)
        ]

    def begin(self, scouts: Iterable[int]) -> None:
        """Lets those begin anew whose episodes do.

        Args:
            scouts: their numbers.
        """
        for k in scouts:
            self._scouts[k].begin()

    def act(self, worlds: Iterable[World]) -> list[int]:
        """What they do next.

        Args:
            worlds: what each is shown.
        """
        pairs = zip(self._scouts, worlds, strict=True)
        return self._pool.find(lambda pair: pair[0].act(pair[1]), pairs)

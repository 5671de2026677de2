"""What CoinRun's rules tell while the policy plays.

Policy gradients learn from the one action that was taken, by how the episode went on.
Where the rules of a game can be computed, more is known at once: which of all actions
leave a way to live and to go on, and what a careful planner would do. PPO can use both
(`LossSettings.risk_coefficient` and `imitation_coefficient`).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy import special

from lucid_rl.errors import SettingsError
from lucid_rl.games.coinrun_planner import (
    CarefulSettings,
    careful_plan,
    deadly_to_the_slow,
    hopeless_actions,
    lost,
)
from lucid_rl.games.coinrun_world import World
from lucid_rl.games.tracked_game import TrackedGame
from lucid_rl.training.searches import Pending, SearchPool

NO_ADVICE = -1


class Hints(NamedTuple):
    """What is told of n frames."""

    deadly: np.ndarray  # bool [n, A], actions that kill, or leave no way on
    lost: np.ndarray  # bool [n], whether the agent dies whatever it does
    advice: np.ndarray  # int32 [n], the planner's action, or NO_ADVICE


@dataclass(frozen=True)
class GuidanceSettings:
    """Where the rules are asked, and for whom.

    What is deadly, and what a planner does, goes by the hazards in the picture. An
    agent is lost to hazards outside it, too: it falls onto what it could not see.

    Attributes:
        risk_share: of the frames near a hazard, those looked at for actions that kill
            (`coinrun_planner.deadly_to_the_slow`) or leave no way on
            (`coinrun_planner.hopeless_actions`).
        least_probability: of an action, for it to be asked whether it leaves a way on:
            that takes a search each.
        advice_share: of the frames near a hazard, those planned from.
        hold: see `coinrun_planner.deadly_actions`: the player is no acrobat.
        reaction: see `coinrun_planner.deadly_to_the_slow`.
        near_left: tiles to the left of the agent where a hazard is near.
        near_right: and to the right.
        planner: who gives the advice and finds the ways.
    """

    risk_share: float = 0.4
    least_probability: float = 0.02
    advice_share: float = 0.2
    hold: int = 6
    reaction: int = 3
    near_left: float = 2.0
    near_right: float = 7.0
    planner: CarefulSettings = field(default_factory=CarefulSettings)

    def __post_init__(self) -> None:
        for name in ("risk_share", "advice_share", "least_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(
                    f"{name} must lie in [0, 1], got {getattr(self, name)}"
                )
        if self.hold < 1 or self.reaction < 1:
            raise SettingsError(
                "guidance needs hold and reaction of at least 1, got "
                f"{self.hold} and {self.reaction}"
            )


class Guide:
    """Looks ahead in every environment, in threads of its own."""

    def __init__(
        self, game: TrackedGame, settings: GuidanceSettings, rng: np.random.Generator
    ):
        """Keeps the game.

        Args:
            game: the environments.
            settings: where to look.
            rng: draws the frames that are looked at.
        """
        self._game = game
        self._settings = settings
        self._rng = rng
        self._pool = SearchPool()
        self.lost = np.zeros(game.n_envs, bool)
        self._found: Pending = Pending([])

    def look(self, firsts: np.ndarray) -> None:
        """Begins to look at the present worlds.

        Args:
            firsts: bool [n], whether an episode begins here.
        """
        settings, rng, n = self._settings, self._rng, len(firsts)
        self.lost &= ~firsts  # who is lost stays lost
        risky = rng.random(n) < settings.risk_share
        advised = rng.random(n) < settings.advice_share
        worlds = self._game.worlds()
        self._found = self._pool.begin(
            lambda i: (i, *self._look_at(worlds[i], risky[i], advised[i])),
            np.flatnonzero((risky | advised) & ~self.lost),
        )

    def _look_at(
        self, world: World, risky: bool, advised: bool
    ) -> tuple[bool, np.ndarray, bool, int]:
        """Whether to ask for ways on, and what `Hints` has of one frame."""
        settings = self._settings
        deadly, advice = np.zeros(self._game.n_actions, bool), NO_ADVICE
        if not any(world.hazards_between(-settings.near_left, settings.near_right)):
            return False, deadly, False, advice
        if lost(world):
            return False, deadly, True, advice
        # Nobody can learn to avoid what is not shown.
        seen = world.as_seen()
        if risky:
            deadly = deadly_to_the_slow(seen, settings.hold, settings.reaction)
            deadly &= ~deadly.all()
        if advised:
            actions = careful_plan(seen, settings.planner)
            advice = actions[0] if actions else NO_ADVICE
        return risky, deadly, False, advice

    def hints(self, logits: np.ndarray) -> Hints:
        """Waits for what `look` finds; to be called before the worlds change.

        Args:
            logits: f32 [n, A], the policy's: what it may do is worth asking about.
        """
        hints = Hints(
            np.zeros(logits.shape, bool),
            self.lost.copy(),
            np.full(len(logits), NO_ADVICE, np.int32),
        )
        asked = []
        for i, ask, *found in self._found.result():
            for array, value in zip(hints, found, strict=True):
                array[i] = value
            if ask:
                asked.append(i)
        self.lost = hints.lost.copy()
        settings, worlds = self._settings, self._game.worlds()
        likely = special.softmax(logits, axis=1) >= settings.least_probability
        likely &= ~hints.deadly
        found = self._pool.find(
            lambda i: hopeless_actions(
                worlds[i].as_seen(), np.flatnonzero(likely[i]), settings.planner
            ),
            asked,
        )
        for i, hopeless in zip(asked, found, strict=True):
            hints.deadly[i] |= hopeless
        return hints

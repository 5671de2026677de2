"""Which actions kill, found from CoinRun's rules while the policy plays.

Policy gradients learn from the one action that was taken, by how the episode went on.
Where the rules of a game can be computed, more is known at once: which of all actions
leave a way to live. PPO can use both (`LossSettings.risk_coefficient`).
"""

from concurrent import futures
from dataclasses import dataclass

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.games.coinrun_planner import deadly_to_the_slow, lost
from lucid_rl.games.coinrun_world import World
from lucid_rl.games.tracked_game import TrackedGame


@dataclass(frozen=True)
class RiskSettings:
    """What counts as deadly, and where to look.

    Deadly is what hazards in the picture make so. An agent is lost to hazards outside
    it, too: it falls onto what it could not see.

    Attributes:
        share: of the frames near a hazard that are looked at.
        hold: see `coinrun_planner.deadly_actions`: the player is no acrobat.
        reaction: see `coinrun_planner.deadly_to_the_slow`.
        near_left: tiles to the left of the agent where a hazard is near.
        near_right: and to the right.
    """

    share: float = 0.6
    hold: int = 6
    reaction: int = 3
    near_left: float = 2.0
    near_right: float = 7.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or self.hold < 1 or self.reaction < 1:
            raise SettingsError(
                "risks need a share of frames above 0 and at most 1, and hold and "
                f"reaction of at least 1, got {self}."
            )


class RiskWatch:
    """Looks ahead in every environment, in threads of its own."""

    def __init__(
        self, game: TrackedGame, settings: RiskSettings, rng: np.random.Generator
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
        self._pool = futures.ThreadPoolExecutor(2)
        self.lost = np.zeros(game.n_envs, bool)
        self._found: list[futures.Future] = []

    def look(self, firsts: np.ndarray) -> None:
        """Begins to look at the present worlds.

        Args:
            firsts: bool [n], whether an episode begins here.
        """
        self.lost &= ~firsts  # who is lost stays lost
        drawn = self._rng.random(len(firsts)) < self._settings.share
        wanted = drawn & ~self.lost
        worlds = self._game.worlds()
        chosen = [[i for i in range(k, len(worlds), 2) if wanted[i]] for k in range(2)]
        self._found = [
            self._pool.submit(self._look_at, [(i, worlds[i]) for i in part])
            for part in chosen
        ]

    def _look_at(
        self, worlds: list[tuple[int, World]]
    ) -> list[tuple[int, np.ndarray | None]]:
        settings = self._settings
        found: list[tuple[int, np.ndarray | None]] = []
        for i, world in worlds:
            if any(world.hazards_between(-settings.near_left, settings.near_right)):
                if lost(world):
                    found.append((i, None))
                else:
                    # By what it sees: nobody can learn to avoid what is not shown.
                    seen = world.as_seen()
                    deadly = deadly_to_the_slow(seen, settings.hold, settings.reaction)
                    found.append((i, deadly & ~deadly.all()))
        return found

    def found(self) -> tuple[np.ndarray, np.ndarray]:
        """Waits for what `look` finds; to be called before the worlds change.

        Returns:
            Deadly actions, bool [n, A], none of an agent that is lost; and which
            agents are lost, bool [n]: whatever they do they die.
        """
        deadly = np.zeros((len(self.lost), self._game.n_actions), bool)
        for part in self._found:
            for i, actions in part.result():
                if actions is None:
                    self.lost[i] = True
                else:
                    deadly[i] = actions
        return deadly, self.lost.copy()

"""Settings of an evaluation."""

import dataclasses
from typing import Any

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.games.procgen_engine import N_LEVEL_SEEDS
from lucid_rl.games.registry import check_game, engine_version
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.validation import Natural, Positive, Settings

NOT_KNOWN = "not known on this engine"
"""Shown in tables where causes of failure are not known."""

# Sets of up to this many levels are sampled without replacement.
_LARGEST_SHUFFLED = 2**20


@dataclasses.dataclass(frozen=True)
class EvaluationSettings(Settings):
    """Which levels are played, how many, and how actions are chosen.

    Attributes:
        n_episodes: levels to play.
        game: the game; its `n_levels` and `start_level` say which levels ("train"
            levels, or unseen ones when unlimited), its `n_envs` how many are played
            together in each process. Its `seed` is not used. None: the model's own
            game, unlimited levels.
        seed: chooses the levels and the actions drawn. Two models evaluated with
            the same seed play the same levels.
        greedy: take the most probable actions rather than sampled ones.
        bfloat16: convolve in bfloat16; without effect on a model in memory.
        causes: find out what ended each failed episode (Procgen's CoinRun only).
    """

    n_episodes: Positive = 1000
    game: GameSettings | None = None
    seed: Natural = 0
    greedy: bool = False
    bfloat16: bool = False
    causes: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.game is not None:
            check_game(self.game)

    @property
    def played(self) -> GameSettings:
        """The game; `evaluate` fills in a model's own.

        Raises:
            SettingsError: none is given.
        """
        if self.game is None:
            raise SettingsError(
                "game=None: only a model says which game it plays; give one, such as "
                'GameSettings(name="coinrun")'
            )
        return self.game

    @property
    def finds_causes(self) -> bool:
        """Whether causes of failure are requested and known for the game."""
        return (
            self.causes
            and self.played.name == "coinrun"
            and not self.played.use_generated_assets
        )

    def level_seeds(self) -> np.ndarray:
        """The level of each episode, int64 [n_episodes].

        Unlimited levels are drawn independently. A limited set is sampled without
        replacement, then again, so that each is played equally often. A larger
        `n_episodes` begins with the same levels.
        """
        # Episodes use [seed, index] for their actions; this is none of these.
        rng = np.random.default_rng([self.seed, 0, 1])
        n, n_levels = self.n_episodes, self.played.n_levels
        if n_levels == 0 or n_levels > _LARGEST_SHUFFLED:
            drawn = rng.integers(n_levels or N_LEVEL_SEEDS, size=n)
        else:
            rounds = -(-n // n_levels)
            drawn = np.concatenate([rng.permutation(n_levels) for _ in range(rounds)])
        return self.played.start_level + drawn[:n]

    def engine(self) -> str:
        """The engine that plays and its version."""
        return engine_version(self.played)

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values that JSON can hold, for a results file."""
        return {**dataclasses.asdict(self), "game": self.game and self.game.as_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "EvaluationSettings":
        """The settings that `as_dict` described."""
        try:
            game = values["game"] and GameSettings(**values["game"])
            return cls(**{**values, "game": game})
        except (TypeError, KeyError) as error:
            raise SettingsError(f"no settings of an evaluation: {error}") from error

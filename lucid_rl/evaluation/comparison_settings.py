"""How the article's experiments are repeated."""

import dataclasses

from lucid_rl.errors import SettingsError
from lucid_rl.evaluation.verdicts import ROWS
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.sampling.observations import ObservationSettings

ALL_ROWS = ("original", *ROWS)


@dataclasses.dataclass(frozen=True)
class ComparisonSettings:
    """How the article's experiments are repeated."""

    n_levels: int = 10_000
    """Levels for each row of the table; the article's number."""
    rows: tuple[str, ...] = ALL_ROWS
    """Which rows; "original" is always among them."""
    layers: tuple[str, ...] = ("2b", "3a")
    """Layers whose features may be edited; the one whose features tell the object best
    is, before any level is played. The article edits the first, which is also where
    attribution is measured."""
    nmf: NMFSettings = dataclasses.field(default_factory=NMFSettings)
    """How features are found."""
    sampling: ObservationSettings = dataclasses.field(
        default_factory=lambda: ObservationSettings(
            n_envs=128, n_per_env=16, interval=32
        )
    )
    """Observations from which features are found and named."""
    game: GameSettings = dataclasses.field(default_factory=GameSettings)
    """The game that is played."""
    seed: int = 0
    """Of sampling, levels and actions; every row plays the same levels."""
    bfloat16: bool = False
    """Play with convolutions in bfloat16; about 1.7 times as fast."""

    def __post_init__(self) -> None:
        unknown = [row for row in self.rows if row not in ALL_ROWS]
        if unknown:
            raise SettingsError(
                f"unknown row {unknown[0]!r}; known are {', '.join(ALL_ROWS)}"
            )
        if self.n_levels < 1:
            raise SettingsError(
                f"n_levels={self.n_levels}: expected at least one level to play"
            )
        if not self.layers:
            raise SettingsError("no layers given: name one or more, such as 2b")
        if self.game.name != "coinrun":
            raise SettingsError(
                "the article's experiments are on coinrun; got the game "
                f"{self.game.name!r}"
            )

"""Descriptions of game engines, for the registry."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from lucid_rl.games.model_args import Argument
from lucid_rl.games.vector_game import OBSERVATION_SIZE, GameSettings, VectorGame

FRAME_SHAPE = (OBSERVATION_SIZE, OBSERVATION_SIZE, 3)
"""Of both CoinRuns and of Procgen: (height, width, channels) of one frame."""


def levels_text(settings: GameSettings) -> str:
    """Describes which levels are played."""
    if not settings.n_levels:
        return "unlimited levels"
    first = f" from {settings.start_level}" if settings.start_level else ""
    return f"{settings.n_levels} levels{first}"


def velocity_text(settings: GameSettings) -> str:
    """Describes whether the velocity is painted."""
    return f"velocity {'' if settings.paints_velocity else 'not '}painted"


@dataclasses.dataclass(frozen=True)
class Engine:
    """An engine that runs games.

    Attributes:
        title: for messages, such as "Procgen".
        names: names of its games; examples of them where there is a `prefix`.
        arguments: those that a checkpoint's args may hold, by name.
        check: raises `SettingsError` if a game lacks an option.
        make: starts a game of checked settings.
        version: package and version, or hash, for a results file.
        outline: number of actions of a game, and the shape of one frame, (height,
            width, channels).
        describe: descriptions of the settings that matter for it.
        options: fields of `GameSettings` that only some engines have, beside those of
            `arguments`.
        prefix: what all names begin with, where they cannot be listed.
        saves_states: whether a game's `get_states` works.
        has_completion: whether its episodes can be completed.
    """

    title: str
    names: Sequence[str]
    arguments: Mapping[str, Argument]
    check: Callable[[GameSettings], None]
    make: Callable[[GameSettings], VectorGame]
    version: Callable[[GameSettings], str]
    outline: Callable[[GameSettings], tuple[int, tuple[int, int, int]]]
    describe: Callable[[GameSettings], Sequence[str]]
    options: Sequence[str] = ()
    prefix: str | None = None
    saves_states: Callable[[GameSettings], bool] = lambda settings: False
    has_completion: bool = True

    @property
    def fields(self) -> set[str]:
        """Fields of `GameSettings` that it has and others may not."""
        return {a.field for a in self.arguments.values()}.union(self.options)

    def has(self, name: str) -> bool:
        """Whether it has a game of this name."""
        return name.startswith(self.prefix) if self.prefix else name in self.names

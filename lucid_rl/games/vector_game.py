"""The protocol of vectorized games, their settings and their steps.

A `VectorGame` runs several environments in lockstep, in the manner of gym3:
`observe()` reads the present state, `act()` starts the next step, and the step
may run in the background until the next `observe()`. An environment whose
episode ends starts the next one by itself: the reward of the last action and
`firsts` come together, with the next episode's first observation.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple, Protocol

import numpy as np

from lucid_rl.errors import GameError, InputError, SettingsError
from lucid_rl.validation import Natural, Positive, Settings, whole

# Side of the square observations, in pixels.
OBSERVATION_SIZE = 64
# Side of the square frames of `VectorGame.full_resolution`, in pixels.
FULL_RESOLUTION_SIZE = 512
_INT32_MAX = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class GameSettings(Settings):
    """Every option of a game.

    Attributes:
        name: one of Procgen's 16 games, such as "coinrun"; "coinrun_original", the
            article's game; or "gymnasium:<id>" (docs/games.md).
        n_envs: number of environments that step together.
        seed: chooses the streams of levels; the same seed gives the same levels.
        distribution_mode: Procgen's "hard", "easy", or, for some games, "extreme",
            "memory" or "exploration" (one fixed level); coinrun_original's "hard"
            or "mixed" (difficulties 1 to 3).
        n_levels: levels to draw from; 0 means unlimited.
        start_level: the first of the `n_levels` level seeds.
        level_set_seed: draws the `n_levels` level seeds at random instead, if their
            number is limited (coinrun_original only).
        n_actions: actions of coinrun_original: 7, or 9 with the two that do nothing
            which the article's model has; None means 7.
        paint_vel_info: paint the agent's velocity in the top left corner, as the
            article does; None means yes for CoinRun and no for other games.
        invisible: CoinRun's objects to draw fully transparent, of "buzzsaw",
            "enemy" and "coin"; the game itself is unchanged.
        full_resolution: whether `VectorGame.full_resolution()` will be called.
        n_threads: threads of the engine that step environments.
        isolated: run the game in a process of its own even where that is not
            needed (for `invisible` it always is).
        center_agent: keep the agent in the middle of the view.
        use_backgrounds: draw backgrounds; otherwise they are black.
        use_monochrome_assets: draw plain coloured rectangles.
        restrict_themes: use one theme of walls and enemies only.
        use_generated_assets: draw procedurally generated sprites; this changes
            the levels too, and states can be neither saved nor set.
        debug_mode: bits of the engine's own; CoinRun: 2 no pits, 4 no crates,
            8 flat.
        keep_last_frame: show the step between an episode's end and the next one's
            beginning (coinrun_original only).
        wrappers: "atari" for Gymnasium's standard preprocessing (Gymnasium only).
        frame_stack: frames in an observation, the newest last in the channels; None
            is 4 with the wrappers "atari" and otherwise 1.
    """

    name: str = "coinrun"
    n_envs: Annotated[int, whole(1, 2**16)] = 64
    seed: Natural = 0
    distribution_mode: str = "hard"
    n_levels: Natural = 0
    start_level: Natural = 0
    level_set_seed: Natural | None = None
    n_actions: Positive | None = None
    paint_vel_info: bool | None = None
    invisible: tuple[str, ...] = ()
    full_resolution: bool = False
    n_threads: Annotated[int, whole(0, 1024)] = 2
    isolated: bool = False
    center_agent: bool = True
    use_backgrounds: bool = True
    use_monochrome_assets: bool = False
    restrict_themes: bool = False
    use_generated_assets: bool = False
    debug_mode: Natural = 0
    keep_last_frame: bool = False
    wrappers: str | None = None
    frame_stack: Annotated[int, whole(1, 64)] | None = None

    def __post_init__(self) -> None:
        # One order, so that equal sets of objects make equal settings; not of letters.
        if not isinstance(self.invisible, str):
            object.__setattr__(self, "invisible", tuple(sorted(set(self.invisible))))
        if self.frame_stack is None:
            stacked = 4 if self.wrappers == "atari" else 1
            object.__setattr__(self, "frame_stack", stacked)
        super().__post_init__()
        if self.start_level and not self.n_levels:
            raise SettingsError(
                f"start_level={self.start_level} has no effect on unlimited levels: "
                "give n_levels too"
            )
        if self.start_level + self.n_levels > _INT32_MAX:
            raise SettingsError(
                f"start_level={self.start_level} and n_levels={self.n_levels} go "
                f"past the last level seed, {_INT32_MAX}"
            )

    @property
    def paints_velocity(self) -> bool:
        """Whether velocity is painted, with the default for None resolved."""
        if self.paint_vel_info is None:
            return self.name.startswith("coinrun")
        return self.paint_vel_info

    def replace(self, **changes: Any) -> "GameSettings":
        """A copy with some fields changed; raises as `check_options`."""
        check_options(changes)
        return dataclasses.replace(self, **changes)

    def unseen(self, n_envs: int) -> "GameSettings":
        """The same game with unlimited levels and the fastest rendering, for states."""
        return self.replace(
            n_envs=n_envs,
            n_levels=0,
            start_level=0,
            invisible=(),
            isolated=False,
            full_resolution=False,
            use_backgrounds=False,
            use_monochrome_assets=True,
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values that JSON can hold, for a results file."""
        return {**dataclasses.asdict(self), "invisible": list(self.invisible)}


def check_options(given: Iterable[str]) -> None:
    """Raises `SettingsError` for a name that is no field of `GameSettings`."""
    known = [field.name for field in dataclasses.fields(GameSettings)]
    if unknown := sorted(set(given) - set(known)):
        raise SettingsError(
            f"games have no option {unknown[0]!r}: expected some of {', '.join(known)}"
        )


class GameStep(NamedTuple):
    """Observations, rewards and episode starts of all environments at one step.

    The arrays belong to the game and change at its next `act`: copy what is to
    be kept.

    Attributes:
        rewards: f32 [n], of the action that led here.
        observations: u8 [n, height, width, channels].
        firsts: bool [n], whether this is the first observation of an episode.
    """

    rewards: np.ndarray
    observations: np.ndarray
    firsts: np.ndarray


class VectorGame(Protocol):
    """Several environments of one game that step together.

    A class that inherits from it has no levels and no states unless it says otherwise.

    Attributes:
        settings: the game's options.
        n_envs: number of environments.
        n_actions: number of actions.
        action_combos: the keys that each action presses, as in the article's metadata.
        chooses_levels: whether `start_levels` works.
        has_completion: whether an episode can be completed; otherwise its return says
            how it went.
    """

    settings: GameSettings
    n_envs: int
    n_actions: int
    action_combos: list[tuple[str, ...]]
    chooses_levels: bool = False
    has_completion: bool = True

    def observe(self) -> GameStep:
        """The present step; waits for a step in progress."""
        ...

    def act(self, actions: np.ndarray) -> None:
        """Starts the next step with `actions`, int [n], each in [0, n_actions)."""
        ...

    def level_seeds(self) -> np.ndarray:
        """Level seeds of the current episodes, int64 [n]; -1 where unknown."""
        return np.full(self.n_envs, -1)

    def last_level_complete(self) -> np.ndarray:
        """Whether the episode that ended just before was completed, bool [n].

        It has meaning only where `firsts` is true and an episode went before.
        """
        return np.zeros(self.n_envs, bool)

    def start_levels(self, environments: Sequence[int], seeds: Sequence[int]) -> None:
        """Starts the given levels in the given environments with the next `act`.

        The actions given to these environments at that `act` are not used, and
        the next `observe` shows the levels' first observations. What follows is
        a pure function of the level seed and the actions. These environments
        then stay on their level until another is started.

        Raises:
            GameError: this game cannot choose levels.
        """
        raise GameError(f"{self.settings.name} has no levels to choose from")

    def full_resolution(self) -> np.ndarray:
        """The current frames in high resolution, u8 [n, H, W, 3].

        512 by 512 in both CoinRuns and in Procgen.
        """
        ...

    def get_states(self, environments: Sequence[int] | None = None) -> list[bytes]:
        """Complete states, of all environments or of those given, in their order.

        `set_states` restores environments from them.

        Raises:
            GameError: this game cannot save its states.
        """
        raise GameError(f"states of {self.settings.name} cannot be saved")

    def set_states(
        self, states: Sequence[bytes], environments: Sequence[int] | None = None
    ) -> None:
        """Restores states, of all environments or of those given, in their order.

        `observe` then shows of them what it showed when the states were taken.

        Raises:
            GameError: this game cannot save its states.
        """
        raise GameError(f"states of {self.settings.name} cannot be set")

    def close(self) -> None:
        """Frees the game; further calls are errors. Closing twice is allowed."""
        ...

    def __enter__(self) -> "VectorGame":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()


def checked_actions(actions: np.ndarray, n_envs: int, n_actions: int) -> np.ndarray:
    """Actions as an array.

    Raises:
        InputError: they are not n_envs whole numbers in [0, n_actions).
    """
    actions = np.asarray(actions)
    if actions.shape != (n_envs,) or actions.dtype.kind not in "iu":
        raise InputError(
            f"actions of type {actions.dtype} and shape {actions.shape}: "
            f"expected whole numbers of shape ({n_envs},)"
        )
    if actions.min() < 0 or actions.max() >= n_actions:
        raise InputError(
            f"actions between {actions.min()} and {actions.max()}: expected "
            f"0 to {n_actions - 1}"
        )
    return actions


def read_only(array: np.ndarray) -> np.ndarray:
    """A view of `array` that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view

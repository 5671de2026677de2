"""The original CoinRun, the article's game, as a `VectorGame`.

It differs from Procgen in four ways, which this class hides:

- It reports an episode's end one step late, with the next episode's first
  observation. An end by the coin or by the time limit is known at once, so that the
  environment makes the late step at once: reward, end and next observation come
  together, as in the article's recordings. Only after a death the step in between is
  shown; its action has no effect. `keep_last_frame` shows that step after every end,
  and delivers the reward after it.
- It renders nothing before the first step: the first observation of a new game, or of
  a level that was asked for, is that of its second step.
- It does not report which level it plays; `LevelSeeds` reconstructs that.
- It has 7 actions, where the article's model has 9 logits: "A" and "B" do nothing.

Causes of death are not known on this engine, and states cannot be saved. Given levels
can be started only in a game of one environment.
"""

from collections.abc import Sequence

import numpy as np

from lucid_rl.errors import GameError, InputError, SettingsError
from lucid_rl.games.assets import check_objects
from lucid_rl.games.coinrun_original_engine import (
    N_ENGINE_ACTIONS,
    NOOP,
    OriginalEngine,
)
from lucid_rl.games.coinrun_original_files import NAME, engine_files, library_version
from lucid_rl.games.coinrun_original_levels import LevelSeeds
from lucid_rl.games.engine import (
    FRAME_SHAPE,
    Engine,
    levels_text,
    velocity_text,
)
from lucid_rl.games.isolated_game import IsolatedGame
from lucid_rl.games.model_args import COINRUN_ORIGINAL
from lucid_rl.games.vector_game import (
    GameSettings,
    GameStep,
    VectorGame,
    checked_actions,
    read_only,
)

# The keys of each action; the last two are the article's and do nothing.
ACTION_COMBOS: tuple[tuple[str, ...], ...] = (
    (),
    ("RIGHT",),
    ("LEFT",),
    ("UP",),
    ("RIGHT", "UP"),
    ("LEFT", "UP"),
    ("DOWN",),
    ("A",),
    ("B",),
)
# The number of actions after which an episode times out.
_LAST_ACTION = 1001
# A set that starts elsewhere than at 0 is given to the engine as a table.
_LARGEST_TABLE = 2**24


class OriginalCoinRun(VectorGame):
    """Environments of the original CoinRun; one such game for each process.

    `make_game` is the way to one: it gives each a process of its own.

    Args:
        settings: the game's options. `n_threads` is not used: with more than one
            thread the same seed would not give the same levels.

    Raises:
        SettingsError: the game has no such options.
        GameError: the engine's files are missing or wrong.
    """

    def __init__(self, settings: GameSettings) -> None:
        check_settings(settings)
        self.settings = settings
        self.n_envs = settings.n_envs
        self.n_actions = settings.n_actions or N_ENGINE_ACTIONS
        self.action_combos = list(ACTION_COMBOS[: self.n_actions])
        self._levels = LevelSeeds(settings)
        # The engine makes the other kinds of sets itself.
        table = self._levels.level_set if settings.start_level else None
        self._engine: OriginalEngine | None = OriginalEngine(
            engine_files(), settings, table
        )
        self.chooses_levels = self.n_envs == 1 and not (
            # An evaluation would choose levels that are not in the set.
            settings.n_levels and settings.level_set_seed is not None
        )
        self._level_seeds = self._levels.draw(self.n_envs)
        self._starting: int | None = None
        self._only_level: int | None = None
        self._held_back = np.zeros(self.n_envs, np.float32)
        self._n_actions_taken = np.zeros(self.n_envs, np.int64)
        self._last_complete = np.zeros(self.n_envs, bool)
        self._rewards = np.zeros(self.n_envs, np.float32)
        self._firsts = np.ones(self.n_envs, bool)
        self._step = GameStep(
            read_only(self._rewards),
            read_only(self._engine.observations),
            read_only(self._firsts),
        )
        self._stepping = False

    def observe(self) -> GameStep:
        """Returns the current step; see `VectorGame`."""
        engine = self._open_engine()
        if self._stepping:
            engine.wait()
            self._stepping = False
            self._take_over(engine)
        return self._step

    def act(self, actions: np.ndarray) -> None:
        """Starts the next step; see `VectorGame`."""
        actions = checked_actions(actions, self.n_envs, self.n_actions)
        self.observe()
        if self._starting is not None:
            self._start_level(self._starting)
            return
        known = np.where(actions < N_ENGINE_ACTIONS, actions, NOOP)
        self._open_engine().step_async(known)
        self._stepping = True

    def level_seeds(self) -> np.ndarray:
        """Level seeds of the current episodes, int64 [n]; negative ones occur."""
        self.observe()
        return self._level_seeds.copy()

    def last_level_complete(self) -> np.ndarray:
        """Whether the episode that just ended was completed, bool [n]."""
        self.observe()
        return self._last_complete.copy()

    def start_levels(self, environments: Sequence[int], seeds: Sequence[int]) -> None:
        """Starts a given level in a game of one environment; see `VectorGame`."""
        if not self.chooses_levels:
            raise GameError(
                f"{NAME} can start given levels only in a game of one environment "
                "without level_set_seed"
            )
        if list(environments) != [0] or len(seeds) != 1:
            raise InputError(
                f"environments {list(environments)} for {len(seeds)} level seeds: "
                "expected one level for environment 0"
            )
        if not -(2**31) <= seeds[0] < 2**31:
            raise InputError(f"level seed {seeds[0]}: expected one of 32 bits")
        self._starting = int(seeds[0])

    def full_resolution(self) -> np.ndarray:
        """The current frames in high resolution, u8 [n, 512, 512, 3].

        The engine draws them at every step, which makes it about ten times slower.
        """
        if not self.settings.full_resolution:
            raise GameError(
                "no full-resolution frames: make the game with full_resolution=True"
            )
        self.observe()
        return self._open_engine().frames.copy()

    def close(self) -> None:
        """Shuts the engine of this process down; see `VectorGame`."""
        if self._engine is not None:
            if self._stepping:
                self._engine.wait()
            self._engine.close()
        self._engine = None

    def _take_over(self, engine: OriginalEngine) -> None:
        """Aligns the step that the engine has just made."""
        rewards, dones = engine.rewards.copy(), engine.dones.copy()
        self._draw_levels(dones)
        self._n_actions_taken = np.where(dones, 0, self._n_actions_taken + 1)
        if self.settings.keep_last_frame:
            # The engine's reward of a last step belongs to the episode that it ends.
            self._rewards[:] = self._held_back + np.where(dones, rewards, 0.0)
            self._held_back[:] = np.where(dones, 0.0, rewards)
        else:
            # After a death no coin is taken.
            self._rewards[:] = np.where(dones, 0.0, rewards)
            over = (rewards > 0) | (self._n_actions_taken == _LAST_ACTION)
            ended = np.flatnonzero(over & ~dones)
            engine.step_async(np.full(self.n_envs, NOOP), ended)
            engine.wait(ended)
            self._draw_levels(ended)
            self._n_actions_taken[ended] = 0
            dones[ended] = True
        self._firsts[:] = dones
        # The coin is the only reward.
        self._last_complete[dones] = self._rewards[dones] > 0

    def _draw_levels(self, environments: np.ndarray) -> None:
        """Follows the engine's stream of levels for environments that were reset."""
        if self._only_level is None:
            drawn = self._levels.draw(len(self._level_seeds[environments]))
            self._level_seeds[environments] = drawn

    def _start_level(self, level_seed: int) -> None:
        self._open_engine().start(level_seed)
        self._starting, self._only_level = None, level_seed
        self._level_seeds[:] = level_seed
        self._rewards[:] = self._held_back[:] = 0.0
        self._n_actions_taken[:] = 0
        self._firsts[:] = True

    def _open_engine(self) -> OriginalEngine:
        if self._engine is None:
            raise GameError(f"this {NAME} game is closed")
        return self._engine


def check_settings(settings: GameSettings) -> None:
    """Raises `SettingsError` if the original CoinRun has no such options."""
    if settings.distribution_mode not in ("mixed", "hard"):
        raise SettingsError(
            f"{NAME} has no mode {settings.distribution_mode!r}: expected mixed "
            "(difficulties 1 to 3) or hard (difficulty 3)"
        )
    if settings.n_actions not in (None, N_ENGINE_ACTIONS, len(ACTION_COMBOS)):
        raise SettingsError(
            f"n_actions={settings.n_actions}: {NAME} has {N_ENGINE_ACTIONS} actions, "
            f"or {len(ACTION_COMBOS)} with two that do nothing"
        )
    if settings.level_set_seed is not None and settings.start_level:
        raise SettingsError(
            f"start_level={settings.start_level} and level_set_seed="
            f"{settings.level_set_seed} exclude each other"
        )
    has_table = settings.start_level or settings.level_set_seed is not None
    if has_table and settings.n_levels > _LARGEST_TABLE:
        raise SettingsError(
            f"n_levels={settings.n_levels} of {NAME}: expected at most "
            f"{_LARGEST_TABLE} with start_level or level_set_seed"
        )
    check_objects(settings.invisible)


def _describe(settings: GameSettings) -> list[str]:
    mode = "hard" if settings.distribution_mode == "hard" else "difficulties 1 to 3"
    return [mode, levels_text(settings), velocity_text(settings)]


ENGINE = Engine(
    "the article's engine",
    (NAME,),
    COINRUN_ORIGINAL,
    check=check_settings,
    make=lambda settings: IsolatedGame(OriginalCoinRun, settings),
    version=lambda settings: library_version(),
    outline=lambda settings: (settings.n_actions or N_ENGINE_ACTIONS, FRAME_SHAPE),
    describe=_describe,
    options=("invisible", "n_actions", "keep_last_frame"),
)

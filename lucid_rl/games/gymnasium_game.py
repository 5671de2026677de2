"""Gymnasium's environments as a `VectorGame`: Atari, and whatever shows pictures.

`gymnasium:<id>` names a registered environment; `GymnasiumGame(envs=...)` takes any
vector environment. Rewards are of any scale and no episode counts as completed.
"""

import difflib
import functools
import re
from typing import Any

import numpy as np

from lucid_rl.errors import GameError, InputError, SettingsError
from lucid_rl.games.engine import Engine
from lucid_rl.games.isolated_game import IsolatedGame
from lucid_rl.games.model_args import GYMNASIUM
from lucid_rl.games.vector_game import (
    GameSettings,
    GameStep,
    VectorGame,
    checked_actions,
    read_only,
)

PREFIX = "gymnasium:"
WRAPPERS = ("atari",)
"""Sets of wrappers by name. "atari" is Gymnasium's standard preprocessing: grey, 84 by
84, every fourth frame; `GameSettings` stacks 4 of them."""

_KEYS = re.compile("UP|DOWN|LEFT|RIGHT|FIRE")


class GymnasiumGame(VectorGame):
    """Several environments of Gymnasium's that step together.

    Args:
        settings: `name` is "gymnasium:<id>"; None only with `envs`.
        envs: a vector environment to play on instead, which then belongs to the game.
            Its observations are uint8 pictures, channels last; actions are discrete.

    Raises:
        SettingsError: there is no such environment.
        InputError: observations or actions of another kind; says what to do.
        GameError: Gymnasium is not installed or the environment cannot be made.
    """

    has_completion = False

    def __init__(self, settings: GameSettings | None = None, envs: Any = None) -> None:
        gymnasium = import_gymnasium()
        if envs is None:
            if settings is None:
                raise SettingsError("a Gymnasium game needs settings or envs")
            check_settings(settings)
            envs = _make_envs(gymnasium, settings)
        if settings is None:
            spec = getattr(envs, "spec", None)
            name = getattr(spec, "id", None) or type(envs).__name__
            settings = GameSettings(name=PREFIX + name, n_envs=envs.num_envs)
        self.settings, self.n_envs = settings, settings.n_envs
        self._envs: Any = envs
        try:
            self._shape = picture_shape(envs.single_observation_space, settings.name)
            self.n_actions = _n_actions(envs.single_action_space, settings.name)
        except InputError:
            self.close()
            raise
        self.action_combos = _action_combos(envs, self.n_actions)
        mode = gymnasium.vector.AutoresetMode
        self._mode = envs.metadata.get("autoreset_mode", mode.NEXT_STEP)
        self._modes = mode
        observations, _ = envs.reset(seed=settings.seed)
        self._observations = np.array(observations).reshape(self.n_envs, *self._shape)
        self._rewards = np.zeros(self.n_envs, np.float32)
        self._held_back = np.zeros(self.n_envs, np.float32)
        self._ended = np.zeros(self.n_envs, bool)
        self._firsts = np.ones(self.n_envs, bool)

    def observe(self) -> GameStep:
        """The present step; see `VectorGame`."""
        self._open()
        step = (self._rewards, self._observations, self._firsts)
        return GameStep(*(read_only(array) for array in step))

    def act(self, actions: np.ndarray) -> None:
        """Makes the next step; see `VectorGame`."""
        envs = self._open()
        actions = checked_actions(actions, self.n_envs, self.n_actions)
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        ended = np.asarray(terminated) | np.asarray(truncated)
        rewards = np.asarray(rewards, np.float32)
        if self._mode == self._modes.NEXT_STEP:
            # The next step shows the new episode; what was earned comes with it.
            shown = self._ended
            self._rewards = np.where(ended, 0, rewards + self._held_back)
            self._held_back = np.where(ended, rewards, 0)
            self._ended = ended
        else:
            shown, self._rewards = ended, rewards
            if self._mode == self._modes.DISABLED and ended.any():
                observations, _ = envs.reset(options={"reset_mask": ended})
        self._firsts = shown.copy()
        self._observations = np.array(observations).reshape(self.n_envs, *self._shape)

    def full_resolution(self) -> np.ndarray:
        """The present frames as the environments render them, u8 [n, H, W, 3]."""
        frames = self._open().render()
        if frames is None or frames[0] is None:
            raise GameError(
                "no full-resolution frames: make the game with full_resolution=True, "
                'or its environments with render_mode="rgb_array"'
            )
        return np.stack(frames)

    def close(self) -> None:
        """Closes the environments; see `VectorGame`."""
        if self._envs is not None:
            self._envs.close()
        self._envs = None

    def _open(self) -> Any:
        if self._envs is None:
            raise GameError(f"this {self.settings.name} game is closed")
        return self._envs


def import_gymnasium() -> Any:
    """Gymnasium, with Atari's environments registered if they are installed.

    Raises:
        GameError: Gymnasium is not installed.
    """
    try:
        import gymnasium
    except ImportError as error:
        raise GameError(
            f"Gymnasium cannot be imported ({error}): pip install 'lucid_rl[gymnasium]'"
        ) from error
    try:
        import ale_py
    except ImportError:
        return gymnasium
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    gymnasium.register_envs(ale_py)
    return gymnasium


def check_settings(settings: GameSettings) -> None:
    """Raises `SettingsError` if there is no such environment or option."""
    if settings.wrappers not in (None, *WRAPPERS):
        raise SettingsError(
            f"wrappers={settings.wrappers!r}: expected {', '.join(WRAPPERS)} or none"
        )
    gymnasium = import_gymnasium()
    wanted = settings.name.removeprefix(PREFIX)
    known = list(gymnasium.registry)
    if ":" not in wanted and wanted not in known:
        close = difflib.get_close_matches(wanted, known, n=3)
        advice = f"; did you mean {' or '.join(close)}?" if close else ""
        raise SettingsError(
            f"Gymnasium has no environment {wanted!r}{advice} (Atari needs ale-py; "
            "environments of your own are named module:id)"
        )


def picture_shape(space: Any, name: str) -> tuple[int, int, int]:
    """Height, width and channels of observations that are uint8 pictures.

    Raises:
        InputError: the space is of another kind; says what to do.
    """
    shape = getattr(space, "shape", None)
    if getattr(space, "dtype", None) is None or shape is None:
        raise InputError(
            f"{name} has observations of {type(space).__name__}: wrap it so that each "
            "is one picture (gymnasium.wrappers.TransformObservation)"
        )
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3:
        raise InputError(
            f"{name} has observations of shape {shape}, which are not images: wrap it "
            "in gymnasium.wrappers.AddRenderObservation"
        )
    if space.dtype != np.uint8:
        largest = float(np.max(space.high))
        scale = ", multiplied by 255" if largest <= 1 else ""
        raise InputError(
            f"{name} has observations of {space.dtype} up to {largest:g}: give them as "
            f"uint8{scale} (gymnasium.wrappers.TransformObservation)"
        )
    height, width, channels = shape
    if height < 16 <= min(width, channels):
        raise InputError(
            f"{name} has observations of shape {shape}, channels first: put the "
            "channels last (np.moveaxis(observation, 0, -1) in a "
            "TransformObservation), or leave stacking to frame_stack"
        )
    return height, width, channels


def _n_actions(space: Any, name: str) -> int:
    if not hasattr(space, "n") or np.ndim(space.n) or getattr(space, "start", 0):
        raise InputError(
            f"{name} has actions {space}: expected Discrete(n), as a policy of n "
            "logits chooses among them"
        )
    return int(space.n)


def _make_envs(gymnasium: Any, settings: GameSettings) -> Any:
    options: dict[str, Any] = {}
    if settings.full_resolution:
        options["render_mode"] = "rgb_array"
    if settings.wrappers == "atari":
        # The wrapper itself skips frames.
        options["frameskip"] = 1

    def make() -> Any:
        env = gymnasium.make(settings.name.removeprefix(PREFIX), **options)
        if settings.wrappers == "atari":
            env = gymnasium.wrappers.AtariPreprocessing(env)
        return env

    try:
        return gymnasium.vector.SyncVectorEnv(
            [make] * settings.n_envs,
            autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
        )
    except Exception as error:
        raise GameError(f"{settings.name} cannot be made: {error}") from error


def _action_combos(envs: Any, n_actions: int) -> list[tuple[str, ...]]:
    """Keys of each action, read from names such as UPRIGHTFIRE."""
    try:
        meanings = envs.call("get_action_meanings")[0]
    except Exception:
        # Few environments name their actions, and what they raise differs.
        return [(f"action {i}",) for i in range(n_actions)]
    combos = []
    for meaning in map(str, meanings):
        keys = tuple(_KEYS.findall(meaning))
        whole = "".join(keys) == meaning
        combos.append(keys if whole else () if meaning == "NOOP" else (meaning,))
    return combos


@functools.lru_cache
def _outline_of(settings: GameSettings) -> tuple[int, tuple[int, int, int]]:
    with GymnasiumGame(settings) as game:
        height, width, channels = game.observe().observations.shape[1:]
        return game.n_actions, (height, width, channels)


def _make(settings: GameSettings) -> VectorGame:
    if settings.isolated:
        return IsolatedGame(GymnasiumGame, settings)
    return GymnasiumGame(settings)


ENGINE = Engine(
    "Gymnasium",
    (f"{PREFIX}ALE/Breakout-v5",),
    GYMNASIUM,
    check=check_settings,
    make=_make,
    version=lambda settings: f"gymnasium {import_gymnasium().__version__}",
    outline=lambda settings: _outline_of(
        GameSettings(settings.name, n_envs=1, wrappers=settings.wrappers)
    ),
    describe=lambda settings: [f"wrappers {settings.wrappers or 'none'}"],
    prefix=PREFIX,
    has_completion=False,
)

"""Interface to the original CoinRun's shared library.

It must be initialised once and shut down once in a process; it ends the process on
any mistake. So there is one `OriginalEngine` in a process and never a second.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from lucid_rl.errors import GameError
from lucid_rl.games.assets import invisible_assets
from lucid_rl.games.coinrun_original_files import EngineFiles
from lucid_rl.games.vector_game import (
    FULL_RESOLUTION_SIZE,
    OBSERVATION_SIZE,
    GameSettings,
)

N_ENGINE_ACTIONS = 7
NOOP = 0
_STANDARD_GAME = 1000
# What every reset sets, too.
_ZOOM = 5.0
_DRAWN_FROM_START = -1
_NO_MONITOR = 0
# The level stream is shared by all threads without a lock: with more than one, the
# same seed would not give the same levels.
_N_THREADS = 1

_INT, _POINTER = ctypes.c_int, ctypes.c_void_p
# Name -> (result, arguments).
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "get_NUM_ACTIONS": (_INT, []),
    "get_RES_W": (_INT, []),
    "get_RES_H": (_INT, []),
    "get_VIDEORES": (_INT, []),
    "initialize_args": (None, [_POINTER]),
    "initialize_set_monitor_dir": (None, [ctypes.c_char_p, _INT]),
    "init": (None, [_INT]),
    "vec_create": (_INT, [_INT, _INT, _INT, ctypes.c_bool, ctypes.c_float]),
    "vec_step_async_discrete": (None, [_INT, _POINTER]),
    "vec_wait": (None, [_INT, _POINTER, _POINTER, _POINTER, _POINTER]),
    "vec_close": (None, [_INT]),
    "coinrun_shutdown": (None, []),
}
_SIZES = {
    "get_NUM_ACTIONS": N_ENGINE_ACTIONS,
    "get_RES_W": OBSERVATION_SIZE,
    "get_RES_H": OBSERVATION_SIZE,
    "get_VIDEORES": FULL_RESOLUTION_SIZE,
}

_started = False


class OriginalEngine:
    """The engine of this process, with one vector for each environment.

    A vector's environments step together; vectors of one environment can be stepped
    one by one.

    Args:
        files: the library and the pictures.
        settings: checked ones.
        level_set: int32 [n_levels], level seeds to draw from in place of those that
            `settings` describe.

    Attributes:
        observations: u8 [n, 64, 64, 3].
        frames: u8 [n, 512, 512, 3], or of no environments if not asked for.
        rewards: f32 [n], of the last step alone.
        dones: bool [n]. The observation is then already the next episode's first;
            what ended the last one happened a step before, after which the agent
            moved once more, and what it took then was paid.

    Raises:
        GameError: the library cannot be loaded or is another one, or this process
            has started the engine before.
    """

    def __init__(
        self,
        files: EngineFiles,
        settings: GameSettings,
        level_set: np.ndarray | None = None,
    ) -> None:
        global _started
        if _started:
            raise GameError(
                f"this process has started {settings.name} before, and the engine "
                "allows it only once: use make_game, which starts another process"
            )
        self._library = load_library(os.fspath(files.library))
        _started = True
        n = settings.n_envs
        sides = (OBSERVATION_SIZE, OBSERVATION_SIZE, 3)
        self.observations = np.zeros((n, *sides), np.uint8)
        large = (FULL_RESOLUTION_SIZE, FULL_RESOLUTION_SIZE, 3)
        n_frames = n if settings.full_resolution else 0
        self.frames = np.zeros((n_frames, *large), np.uint8)
        self.rewards = np.zeros(n, np.float32)
        self.dones = np.zeros(n, bool)
        self._actions = np.zeros(n, np.int32)
        self._settings, self._level_set = settings, level_set
        self._handles: list[int] = []
        self._seed()
        self._library.initialize_set_monitor_dir(b"", _NO_MONITOR)
        self._read_pictures(files)
        self.start()

    def start(self, level_seed: int | None = None) -> None:
        """Starts a level in every environment and renders it; by default of the stream.

        The engine paints nothing before the first step. So first environments make a
        step of doing nothing, for their pictures, and second ones on the same levels
        are there to be played.
        """
        if level_seed is not None:
            self._close_vectors()
            self._set_levels(np.array([level_seed]))
        self._create_vectors()
        self.step_async(np.full(len(self._actions), NOOP))
        self.wait()
        self._close_vectors()
        if level_seed is None:
            self._seed()
        self._create_vectors()
        self.rewards[:] = 0.0
        self.dones[:] = False

    def step_async(
        self, actions: np.ndarray, environments: np.ndarray | None = None
    ) -> None:
        """Starts a step; `wait` for the same environments must follow.

        Of the chosen environments; None for all. Actions are int [n], each in
        [0, 7).
        """
        self._actions[:] = actions
        for i in self._chosen(environments):
            action = self._actions[i : i + 1].ctypes.data
            self._library.vec_step_async_discrete(self._handles[i], action)

    def wait(self, environments: np.ndarray | None = None) -> None:
        """Waits for the step and fills the arrays' rows of `environments`."""
        for i in self._chosen(environments):
            self._library.vec_wait(
                self._handles[i],
                self.observations[i].ctypes.data,
                self.frames[i : i + 1].ctypes.data,
                self.rewards[i : i + 1].ctypes.data,
                self.dones[i : i + 1].ctypes.data,
            )

    def close(self) -> None:
        """Shuts the engine down; no step may be under way. It cannot be restarted."""
        self._close_vectors()
        # Without it the process is aborted when it ends.
        self._library.coinrun_shutdown()

    def _seed(self) -> None:
        """Starts the stream of levels."""
        settings = self._settings
        set_seed = settings.level_set_seed
        arguments = np.array(
            [
                settings.distribution_mode == "hard",
                settings.n_levels,
                settings.paints_velocity,
                False,  # no data augmentation
                _STANDARD_GAME,
                _DRAWN_FROM_START if set_seed is None else set_seed,
                settings.seed,
                # Some revisions read two more: one try a level, no random dynamics.
                1,
                False,
            ],
            np.int32,
        )
        self._library.initialize_args(arguments.ctypes.data)
        if self._level_set is not None:
            self._set_levels(self._level_set)

    def _read_pictures(self, files: EngineFiles) -> None:
        with contextlib.ExitStack() as stack:
            assets = files.assets
            if self._settings.invisible:
                copied = invisible_assets(self._settings.invisible, assets)
                assets = stack.enter_context(copied)
            os.environ["COINRUN_RESOURCES_PATH"] = os.fspath(assets)
            self._library.init(_N_THREADS)

    def _chosen(self, environments: np.ndarray | None) -> Iterable[int]:
        return range(len(self._actions)) if environments is None else environments

    def _create_vectors(self) -> None:
        create, hires = self._library.vec_create, self._settings.full_resolution
        for _ in self._actions:
            self._handles.append(create(_STANDARD_GAME, 1, 0, hires, _ZOOM))

    def _close_vectors(self) -> None:
        while self._handles:
            self._library.vec_close(self._handles.pop())

    def _set_levels(self, level_set: np.ndarray) -> None:
        # The engine reads the seeds for as long as it runs.
        self._table = np.ascontiguousarray(level_set, np.int32)
        seeds = _POINTER.in_dll(self._library, "LEVEL_SEEDS")
        seeds.value = self._table.ctypes.data
        _INT.in_dll(self._library, "NUM_LEVELS").value = len(self._table)
        ctypes.c_bool.in_dll(self._library, "USE_LEVEL_SET").value = True


def load_library(path: str) -> Any:
    """Loads the library and checks its interface.

    Raises:
        GameError: it cannot be loaded, lacks a function, or has other sizes.
    """
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        reason = str(error)
        advice = "give the library that the original CoinRun's Makefile builds here"
        if "Qt5" in reason:
            advice = "install Qt 5 (on Debian and Ubuntu: libqt5gui5, libqt5widgets5)"
        raise GameError(f"cannot load {path} ({reason}): {advice}") from error
    for name, (result, arguments) in _FUNCTIONS.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise GameError(
                f"{path} is not the original CoinRun's library, or of another "
                f"revision: it has no function {name}"
            ) from error
        function.restype, function.argtypes = result, arguments
    for name, expected in _SIZES.items():
        found = getattr(library, name)()
        if found != expected:
            raise GameError(
                f"{path} is another build of the original CoinRun: {name}() is "
                f"{found}, expected {expected}"
            )
    return library

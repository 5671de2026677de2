"""Procgen's 16 games as a `VectorGame`.

The engine steps in its own threads between `act` and the next `observe`, and
writes into buffers that are handed out without copying.
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.errors import GameError, InputError
from lucid_rl.games.engine import FRAME_SHAPE, Engine, levels_text, velocity_text
from lucid_rl.games.isolated_game import IsolatedGame
from lucid_rl.games.model_args import PROCGEN
from lucid_rl.games.procgen_engine import (
    N_ACTIONS,
    N_LEVEL_SEEDS,
    NAMES,
    check_settings,
    installed_version,
    make_engine,
)
from lucid_rl.games.vector_game import (
    FULL_RESOLUTION_SIZE,
    GameSettings,
    GameStep,
    VectorGame,
    checked_actions,
    read_only,
)

_FORCE_RESET = -1
_STATE_END = struct.pack("<I", 0xCAFECAFE)
# The engine ends the process if a state is longer.
_MAX_STATE_BYTES = 2**20


# Options that `describe` names only where they differ from these.
_USUAL = {
    "center_agent": True,
    "use_backgrounds": True,
    "use_monochrome_assets": False,
    "restrict_themes": False,
    "use_generated_assets": False,
    "debug_mode": 0,
}


class ProcgenGame(VectorGame):
    """Several environments of one Procgen game in this process.

    `make_game` is the usual way to one, as it gives a process of its own to games
    that need one.

    Raises:
        SettingsError: Procgen has no such game or options.
        GameError: Procgen is not installed, or this process has drawn other
            objects invisible before.
    """

    def __init__(self, settings: GameSettings) -> None:
        check_settings(settings)
        self.settings = settings
        self.n_envs = settings.n_envs
        self._engine: Any = make_engine(settings)
        self.action_combos: list[tuple[str, ...]] = list(self._engine.get_combos())
        self.n_actions = len(self.action_combos)
        self.chooses_levels = not settings.use_generated_assets
        self._actions = np.zeros(self.n_envs, np.int32)
        self._starting = np.zeros(self.n_envs, bool)
        self._any_starting = self._just_started = False
        self._first_level: bytes | None = None
        self._renderer: Any = None
        self._state_buffer: Any = None
        # The engine's own buffers. gym3 copies them at each step unless told to
        # reuse its arrays, for which this release has no argument.
        self._engine._reuse_arrays = True
        self._info = self._engine._info
        self._reward_buffer = self._engine._rew
        self._step = GameStep(
            read_only(self._reward_buffer),
            read_only(self._engine._ob["rgb"]),
            read_only(self._engine._first),
        )

    def observe(self) -> GameStep:
        """Returns the current step; see `VectorGame`."""
        self._open_engine().observe()
        if self._just_started:
            # Ending an episode by force can give a reward that was not earned.
            self._reward_buffer[self._starting] = 0.0
            self._starting[:] = False
            self._just_started = False
        return self._step

    def act(self, actions: np.ndarray) -> None:
        """Starts the next step; see `VectorGame`."""
        engine = self._open_engine()
        actions = checked_actions(actions, self.n_envs, self.n_actions)
        self._actions[:] = actions
        if self._just_started:
            self.observe()
        if self._any_starting:
            self._actions[self._starting] = _FORCE_RESET
            self._any_starting, self._just_started = False, True
        engine.act(self._actions)

    def level_seeds(self) -> np.ndarray:
        """Level seeds of the current episodes, int64 [n]."""
        self.observe()
        return self._info["level_seed"].astype(np.int64)

    def last_level_complete(self) -> np.ndarray:
        """Whether the episode that just ended was completed, bool [n]."""
        self.observe()
        return self._info["prev_level_complete"].astype(bool)

    def start_levels(self, environments: Sequence[int], seeds: Sequence[int]) -> None:
        """Starts given levels with the next `act`; see `VectorGame`."""
        if len(environments) != len(seeds):
            raise InputError(
                f"{len(environments)} environments for {len(seeds)} level seeds"
            )
        environments = self._checked(environments)
        for seed in seeds:
            if not 0 <= seed < N_LEVEL_SEEDS:
                raise InputError(
                    f"level seed {seed}: expected 0 to {N_LEVEL_SEEDS - 1}"
                )
        self._check_has_states()
        self.observe()
        if self._first_level is None:
            # Some games carry a little from one episode into the next. Starting
            # from the same state of a fresh engine each time, a level and its
            # actions give the same episode whatever was played before.
            fresh = make_engine(
                self.settings.replace(n_envs=1, seed=0, n_levels=0, start_level=0)
            )
            (self._first_level,) = fresh.get_state()
            fresh.close()
        for environment, seed in zip(environments, seeds, strict=True):
            state = _with_only_level(self._first_level, int(seed))
            self._set_state(self._engine, environment, state)
            self._starting[environment] = True
            self._any_starting = True

    def full_resolution(self) -> np.ndarray:
        """The current frames in high resolution, u8 [n, 512, 512, 3].

        They are drawn from the present states, about 2 ms each, so that stepping
        is no slower for them.
        """
        if not self.settings.full_resolution:
            raise GameError(
                "no full-resolution frames: make the game with full_resolution=True"
            )
        if self._renderer is None:
            self._renderer = make_engine(
                self.settings.replace(n_envs=1, n_threads=0), render_mode="rgb_array"
            )
            self._renderer._reuse_arrays = True
        shape = (self.n_envs, FULL_RESOLUTION_SIZE, FULL_RESOLUTION_SIZE, 3)
        frames = np.empty(shape, np.uint8)
        for frame, state in zip(frames, self.get_states(), strict=True):
            self._set_state(self._renderer, 0, state)
            self._renderer.observe()
            frame[:] = self._renderer._info["rgb"][0]
        return frames

    def get_states(self, environments: Sequence[int] | None = None) -> list[bytes]:
        """Complete states, about 40 kB and 0.3 ms each; see `VectorGame`."""
        self._check_has_states()
        self.observe()
        environments = self._checked(environments)
        call, view = self._engine.call_c_func, self._engine._ffi.buffer
        if self._state_buffer is None:
            self._state_buffer = self._engine._ffi.new(f"char[{_MAX_STATE_BYTES}]")
        buffer = self._state_buffer
        states = []
        for environment in environments:
            length = call("get_state", environment, buffer, _MAX_STATE_BYTES)
            states.append(bytes(view(buffer, length)))
        return states

    def set_states(
        self, states: Sequence[bytes], environments: Sequence[int] | None = None
    ) -> None:
        """Restores states; see `VectorGame`."""
        self._check_has_states()
        environments = self._checked(environments)
        if len(states) != len(environments):
            raise InputError(
                f"{len(states)} states for {len(environments)} environments"
            )
        name = self.settings.name.encode()
        header = struct.pack("<ii", 0, len(name)) + name
        for state in states:
            # The engine ends the process if it cannot read a state.
            if not (state.startswith(header) and state.endswith(_STATE_END)):
                raise InputError(
                    f"not a state of {self.settings.name}: {len(state)} bytes that "
                    f"begin {state[:16]!r}"
                )
        self.observe()
        for environment, state in zip(environments, states, strict=True):
            self._set_state(self._engine, environment, state)
        self._starting[environments] = False
        self._any_starting = bool(self._starting.any())

    def close(self) -> None:
        """Frees the game; see `VectorGame`."""
        for engine in (self._engine, self._renderer):
            if engine is not None:
                engine.close()
        self._engine = self._renderer = None

    def _open_engine(self) -> Any:
        if self._engine is None:
            raise GameError(f"this {self.settings.name} game is closed")
        return self._engine

    def _checked(self, environments: Sequence[int] | None) -> list[int]:
        """Indices of environments, of all of them for None."""
        if environments is None:
            return list(range(self.n_envs))
        for environment in environments:
            if not 0 <= environment < self.n_envs:
                raise InputError(
                    f"environment {environment}: expected 0 to {self.n_envs - 1}"
                )
        return [int(environment) for environment in environments]

    def _check_has_states(self) -> None:
        if self.settings.use_generated_assets:
            raise GameError(
                "states can be neither saved nor set with use_generated_assets"
            )

    @staticmethod
    def _set_state(engine: Any, environment: int, state: bytes) -> None:
        engine.call_c_func("set_state", environment, state, len(state))


def _make(settings: GameSettings) -> VectorGame:
    if settings.isolated or settings.invisible:
        return IsolatedGame(ProcgenGame, settings)
    return ProcgenGame(settings)


def _describe(settings: GameSettings) -> list[str]:
    unusual = [
        f"{name}={getattr(settings, name)}"
        for name, usual in _USUAL.items()
        if getattr(settings, name) != usual
    ]
    mode = settings.distribution_mode
    return [mode, levels_text(settings), velocity_text(settings), *unusual]


ENGINE = Engine(
    "Procgen",
    NAMES,
    PROCGEN,
    check=check_settings,
    make=_make,
    version=lambda settings: installed_version(),
    outline=lambda settings: (N_ACTIONS, FRAME_SHAPE),
    describe=_describe,
    options=("invisible",),
    saves_states=lambda settings: not settings.use_generated_assets,
)


def _with_only_level(state: bytes, seed: int) -> bytes:
    """`state` with [seed, seed + 1) as the range of level seeds."""
    changed = bytearray(state)
    name_length = struct.unpack_from("<i", state, 4)[0]
    # Version, name's length, name, 13 options, then the range.
    struct.pack_into("<ii", changed, 8 + name_length + 13 * 4, seed, seed + 1)
    return bytes(changed)

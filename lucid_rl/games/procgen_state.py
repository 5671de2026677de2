"""Procgen CoinRun's game state: reading it from the engine's bytes and back.

The engine serialises a game as a plain sequence of 4-byte little-endian integers
and floats, with strings (a length and its bytes) for the random generators. Nothing
names the fields, so the order below is the format. A state that was read can be
changed (its arrays are copies) and written back; what was left alone comes back to
the byte.
"""

import dataclasses
import struct
from typing import Any

import numpy as np

from lucid_rl.errors import FileFormatError
from lucid_rl.games.state_bytes import (
    END_MARKER,
    INT,
    RandomGenerator,
    StateReader,
    generator_bytes,
    string_bytes,
)

# Entity types.
PLAYER = 0
SAW = 2
ENEMY = 5
CRATE = 20
TRAIL = 59  # decoration that touches nothing

# Grid cells.
GOAL = 1
WALL_MID = 15
WALL_TOP = 16
LAVA_MID = 17
LAVA_TOP = 18
LAVA = (LAVA_MID, LAVA_TOP)
SPACE = 100

_BACKGROUND = (
    *("use_procgen_background", "background_index"),
    *("bg_tile_ratio", "bg_pct_x"),
)
_VERSION = 0
_GAME_NAME = b"coinrun"


def _record(integers_and_floats: str) -> np.dtype:
    """Builds a packed dtype from "i name f name ..." (i: int32, f: float32)."""
    words = integers_and_floats.split()
    codes = {"i": "<i4", "f": "<f4"}
    return np.dtype(
        [
            (name, codes[code])
            for code, name in zip(words[::2], words[1::2], strict=True)
        ]
    )


OPTIONS_DTYPE = _record(
    "i paint_vel_info i use_generated_assets i use_monochrome_assets "
    "i restrict_themes i use_backgrounds i center_agent i debug_mode "
    "i distribution_mode i use_sequential_levels i use_easy_jump i plain_assets "
    "i physics_mode i grid_step i level_seed_low i level_seed_high i game_type i game_n"
)
EPISODE_DTYPE = _record(
    "f step_reward i step_done i level_complete i action i timeout "
    "i current_level_seed i prev_level_seed i episodes_remaining i episode_done "
    "i last_reward_timer f last_reward i default_action i fixed_asset_seed "
    "i cur_time i is_waiting_for_step i grid_size"
)
ENTITY_DTYPE = _record(
    "f x f y f vx f vy f rx f ry i type i image_type i image_theme i render_z "
    "i will_erase i collides_with_entities f collision_margin f rotation f vrot "
    "i is_reflected i fire_time i spawn_time i life_time i expire_time "
    "i use_abs_coords f friction i smart_step i avoids_collisions i auto_erase "
    "f alpha f health f theta f grow_rate f alpha_decay f climber_spawn_x"
)
VIEW_DTYPE = _record(
    "i use_procgen_background i background_index f bg_tile_ratio f bg_pct_x "
    "f char_dim i last_move_action i move_action i special_action f mixrate "
    "f maxspeed f max_jump f action_vx f action_vy f action_vrot f center_x "
    "f center_y i random_agent_start i has_useful_vel_info i step_rand_int"
)
WORLD_DTYPE = _record(
    "i main_width i main_height i out_of_bounds_object f unit f view_dim f x_off "
    "f y_off f visibility f min_visibility"
)
COINRUN_DTYPE = _record(
    "f last_agent_y i wall_theme i has_support i facing_right i is_on_crate "
    "f gravity f air_control"
)


@dataclasses.dataclass
class CoinRunState:
    """The whole state of one Procgen CoinRun game.

    The single records (`options`, `episode`, `view`, `world`, `coinrun`) are arrays
    of shape [1]; read a field with `state.episode["cur_time"][0]` and change one with
    `state.episode["cur_time"] = 3`.

    Attributes:
        options: the settings the game was made with, OPTIONS_DTYPE [1].
        level_seed_generator: draws the level seeds.
        level_generator: draws within a level.
        episode: rewards, seeds and clock, EPISODE_DTYPE [1].
        entities: everything that is not a grid cell, ENTITY_DTYPE [n]; the agent is
            number 0. Positions are in tiles, y upward.
        view: drawing and control, VIEW_DTYPE [1].
        asset_generator: draws art.
        world: size of the world and last projection, WORLD_DTYPE [1].
        grid: cell types, int32 [h, w], row 0 at the bottom.
        coinrun: the game's own fields, COINRUN_DTYPE [1].
    """

    options: np.ndarray
    level_seed_generator: RandomGenerator
    level_generator: RandomGenerator
    episode: np.ndarray
    entities: np.ndarray
    view: np.ndarray
    asset_generator: RandomGenerator
    world: np.ndarray
    grid: np.ndarray
    coinrun: np.ndarray

    @property
    def agent(self) -> np.ndarray:
        """The agent's entity as a writable record, ENTITY_DTYPE [1]."""
        return self.entities[:1]

    @property
    def level_seed(self) -> int:
        """Seed of the level being played."""
        return int(self.episode["current_level_seed"][0])

    @property
    def time(self) -> int:
        """Number of actions since the level began."""
        return int(self.episode["cur_time"][0])

    def entities_of_type(self, entity_type: int) -> np.ndarray:
        """Copies the entities of one type, ENTITY_DTYPE [k]."""
        return self.entities[self.entities["type"] == entity_type]

    def copy(self) -> "CoinRunState":
        """Copies the state, so that a change leaves the original alone."""
        arrays = [name for name, dtype in _FIELDS.items() if dtype is not None]
        return dataclasses.replace(
            self, **{name: getattr(self, name).copy() for name in arrays}
        )

    def with_background_of(self, other: "CoinRunState") -> "CoinRunState":
        """A copy with the background of another state: nothing else differs."""
        drawn = self.copy()
        for name in _BACKGROUND:
            drawn.view[name] = other.view[name]
        return drawn

    def to_bytes(self) -> bytes:
        """Writes the state as the engine does.

        Returns:
            Bytes that the engine's `set_state` takes.

        Raises:
            FileFormatError: an array has another dtype or shape than it was read with.
        """
        parts = [INT.pack(_VERSION), string_bytes(_GAME_NAME)]
        for name, dtype in _FIELDS.items():
            value = getattr(self, name)
            if dtype is None:
                parts.append(generator_bytes(value))
                continue
            _check_array(name, value, dtype)
            if name == "entities":
                parts.append(INT.pack(len(value)))
            elif name == "grid":
                height, width = value.shape
                parts.append(struct.pack("<3i", width, height, width * height))
            parts.append(value.tobytes())
        return b"".join([*parts, struct.pack("<I", END_MARKER)])


# The fields in the order of the bytes, after version and name of the game: the dtype
# of an array, None for a random generator.
_FIELDS = {
    "options": OPTIONS_DTYPE,
    "level_seed_generator": None,
    "level_generator": None,
    "episode": EPISODE_DTYPE,
    "entities": ENTITY_DTYPE,
    "view": VIEW_DTYPE,
    "asset_generator": None,
    "world": WORLD_DTYPE,
    "grid": np.dtype("<i4"),
    "coinrun": COINRUN_DTYPE,
}


def parse_state(data: bytes) -> CoinRunState:
    """Reads one state as `get_states` returns it; its arrays are its own.

    Raises:
        FileFormatError: the bytes are not a CoinRun state of the known version, are cut
            short, or continue after the end.
    """
    reader = StateReader(data)
    version = reader.integer("version")
    if version != _VERSION:
        raise FileFormatError(
            f"game state has version {version}, expected {_VERSION}: it was made by "
            "another release of Procgen, or is not a game state"
        )
    game = reader.string("game name")
    if game != _GAME_NAME:
        raise FileFormatError(
            f"game state belongs to {game[:40]!r}, expected {_GAME_NAME!r}: only "
            "CoinRun's state can be read"
        )
    values: dict[str, Any] = {}
    for name, dtype in _FIELDS.items():
        what = name.replace("_", " ")
        if dtype is None:
            values[name] = reader.generator(what)
        elif name == "grid":
            values[name] = reader.grid()
        else:
            n = reader.integer("number of entities") if name == "entities" else 1
            if n < 1:
                raise FileFormatError(
                    f"game state has {n} entities, expected at least the agent"
                )
            values[name] = reader.records(dtype, n, what)
    reader.end()
    return CoinRunState(**values)


def _check_array(name: str, value: Any, dtype: np.dtype) -> None:
    fits = isinstance(value, np.ndarray) and value.dtype == dtype
    if name == "grid":
        fits = fits and value.ndim == 2
    else:
        fits = fits and value.ndim == 1 and (len(value) == 1 or name == "entities")
    if not fits:
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else value
        raise FileFormatError(
            f"the state's {name} must keep the dtype and shape it was read with, "
            f"got {got!r:.100}"
        )
    if not len(value):
        raise FileFormatError("a CoinRun state has no entities; it needs an agent")

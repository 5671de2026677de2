"""Procgen CoinRun's game state: reading it from the engine's bytes and back.

The engine serialises a game as a plain sequence of 4-byte little-endian integers
and floats, with strings (a length and its bytes) for the random generators. Nothing
names the fields, so the order below is the format. A state that was read can be
changed (its arrays are copies) and written back; what was left alone comes back to
the byte.
"""

import dataclasses
import struct

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
ENEMY_BARRIER = 19
SPACE = 100

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
        return dataclasses.replace(
            self,
            **{
                name: getattr(self, name).copy()
                for name in (*_RECORDS, "entities", "grid")
            },
        )

    def to_bytes(self) -> bytes:
        """Writes the state as the engine does.

        Returns:
            Bytes that the engine's `set_state` takes.

        Raises:
            FileFormatError: an array has another dtype or shape than it was read with.
        """
        for name, dtype in _RECORDS.items():
            _require_array(name, getattr(self, name), dtype, 1)
        _require_array("entities", self.entities, ENTITY_DTYPE, None)
        if len(self.entities) == 0:
            raise FileFormatError("a CoinRun state has no entities; it needs an agent")
        _require_array("grid", self.grid, np.dtype("<i4"), None, n_dims=2)
        height, width = self.grid.shape
        return b"".join(
            (
                INT.pack(_VERSION),
                string_bytes(_GAME_NAME),
                self.options.tobytes(),
                generator_bytes(self.level_seed_generator),
                generator_bytes(self.level_generator),
                self.episode.tobytes(),
                INT.pack(len(self.entities)),
                self.entities.tobytes(),
                self.view.tobytes(),
                generator_bytes(self.asset_generator),
                self.world.tobytes(),
                struct.pack("<3i", width, height, width * height),
                self.grid.tobytes(),
                self.coinrun.tobytes(),
                struct.pack("<I", END_MARKER),
            )
        )


_RECORDS = {
    "options": OPTIONS_DTYPE,
    "episode": EPISODE_DTYPE,
    "view": VIEW_DTYPE,
    "world": WORLD_DTYPE,
    "coinrun": COINRUN_DTYPE,
}


def parse_state(data: bytes) -> CoinRunState:
    """Reads one state as `get_states` returns it.

    Args:
        data: the bytes of one Procgen CoinRun game.

    Returns:
        The state; its arrays are its own, so changing them changes nothing else.

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
    name = reader.string("game name")
    if name != _GAME_NAME:
        raise FileFormatError(
            f"game state belongs to {name[:40]!r}, expected {_GAME_NAME!r}: only "
            "CoinRun's state can be read"
        )
    options = reader.records(OPTIONS_DTYPE, 1, "options")
    level_seed_generator = reader.generator("level seed generator")
    level_generator = reader.generator("level generator")
    episode = reader.records(EPISODE_DTYPE, 1, "episode")
    n_entities = reader.integer("number of entities")
    if n_entities < 1:
        raise FileFormatError(
            f"game state has {n_entities} entities, expected at least the agent"
        )
    entities = reader.records(ENTITY_DTYPE, n_entities, "entities")
    view = reader.records(VIEW_DTYPE, 1, "view")
    asset_generator = reader.generator("asset generator")
    world = reader.records(WORLD_DTYPE, 1, "world")
    grid = reader.grid()
    coinrun = reader.records(COINRUN_DTYPE, 1, "coinrun")
    reader.end()
    return CoinRunState(
        options=options,
        level_seed_generator=level_seed_generator,
        level_generator=level_generator,
        episode=episode,
        entities=entities,
        view=view,
        asset_generator=asset_generator,
        world=world,
        grid=grid,
        coinrun=coinrun,
    )


def _require_array(
    name: str, value: np.ndarray, dtype: np.dtype, count: int | None, n_dims: int = 1
) -> None:
    fits = isinstance(value, np.ndarray) and value.dtype == dtype
    if not fits or value.ndim != n_dims or (count is not None and len(value) != count):
        got = (
            f"{value.dtype} {value.shape}"
            if isinstance(value, np.ndarray)
            else type(value).__name__
        )
        raise FileFormatError(
            f"the state's {name} must keep the dtype and shape it was read with, "
            f"got {got}"
        )

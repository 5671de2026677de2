"""Locations of CoinRun's objects in the 64x64 observation, from the game's state.

The maps show which object a feature responds to. An object is marked where its sprite
has visible pixels: a buzzsaw fills only the lower half of its tile, and the agent is
drawn higher than its collision box.
"""

from collections.abc import Sequence

import numba
import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.games.procgen_state import (
    CRATE,
    ENEMY,
    GOAL,
    LAVA_MID,
    LAVA_TOP,
    SAW,
    WALL_MID,
    WALL_TOP,
    CoinRunState,
    parse_state,
)

OBJECT_CLASSES = (
    "agent",
    "coin",
    "buzzsaw",
    "enemy_left",  # enemies by the way they are moving
    "enemy_right",
    "box",
    "lava",
    "wall_edge",  # tiles of ground or wall with open space beside, above or below
    "platform_left_end",  # ground tiles, open above and to the left
    "platform_right_end",
    "velocity_boxes",  # the painted speed, in the picture's top left corner
)

PICTURE_SIZE = 64
_X, _Y, _VX, _VY = range(4)  # the first words of an entity
VELOCITY_BOX_SIZE = 13  # pixels; two boxes side by side

(
    _AGENT,
    _COIN,
    _BUZZSAW,
    _ENEMY_LEFT,
    _ENEMY_RIGHT,
    _BOX,
    _LAVA,
    _WALL_EDGE,
    _LEFT_END,
    _RIGHT_END,
    _VELOCITY_BOXES,
) = range(len(OBJECT_CLASSES))

# Height of each kind of enemy, in tiles: a block of slime, three slimes, a mouse, a
# snail, a ladybird and two worms.
_ENEMY_HEIGHTS = (0.7, 0.48, 0.48, 0.48, 0.48, 0.56, 0.48, 0.33, 0.33)


def object_maps(state: CoinRunState | bytes, size: int = 16) -> np.ndarray:
    """Computes where each class of object is visible in the state's 64x64 observation.

    A map's cell is 1 where the class covers at least a quarter of the cell's pixels,
    and where the centre of an object of the class falls. Nothing is marked under the
    velocity boxes, which cover what is there.

    Args:
        state: a parsed state, or its bytes.
        size: cells along a side, a divisor of 64; 64 gives masks of pixels.

    Returns:
        uint8 [len(OBJECT_CLASSES), size, size], row 0 at the top of the observation.

    Raises:
        InputError: `size` does not divide 64.
        FileFormatError: the bytes are not a CoinRun state.
    """
    return batch_object_maps([state], size)[0]


def batch_object_maps(
    states: Sequence[CoinRunState | bytes], size: int = 16
) -> np.ndarray:
    """`object_maps` of n states, uint8 [n, len(OBJECT_CLASSES), size, size]."""
    if size < 1 or PICTURE_SIZE % size:
        raise InputError(f"size must divide {PICTURE_SIZE}, got {size}")
    maps = np.zeros((len(states), len(OBJECT_CLASSES), size, size), np.uint8)
    counts = np.zeros((len(OBJECT_CLASSES), size, size), np.int32)
    for data, state_maps in zip(states, maps, strict=True):
        state = data if isinstance(data, CoinRunState) else parse_state(data)
        kinds = state.entities["type"]
        bodies = _bodies(state)
        _draw_world(
            (counts, state_maps),
            _view(state),
            bodies[0],
            bodies[kinds == ENEMY],
            state.entities["image_theme"][kinds == ENEMY],
            bodies[kinds == SAW],
            bodies[kinds == CRATE],
            np.ascontiguousarray(state.grid, np.int32),
        )
    return maps


def _bodies(state: CoinRunState) -> np.ndarray:
    """x, y, vx and vy of each entity, the agent first: float32 [n, 4]."""
    n = len(state.entities)
    words = np.ascontiguousarray(state.entities).view("<f4").reshape(n, -1)
    return np.ascontiguousarray(words[:, : _VY + 1])


def _view(state: CoinRunState) -> tuple[float, float, float, bool]:
    """Centre and side of the view in tiles, and whether the velocity is painted."""
    paints_velocity = bool(state.options["paint_vel_info"][0])
    if state.options["center_agent"][0]:
        x, y = _bodies(state)[0, : _Y + 1]
        return float(x), float(y), float(state.world["visibility"][0]), paints_velocity
    height, width = state.grid.shape
    return width / 2, height / 2, float(max(height, width)), paints_velocity


@numba.njit(cache=True)
def _is_wall(grid, row, column):
    """Whether a cell is ground or wall; outside the grid everything is."""
    if row < 0 or column < 0 or row >= grid.shape[0] or column >= grid.shape[1]:
        return True
    return grid[row, column] in (WALL_MID, WALL_TOP)


@numba.njit(cache=True)
def _mark_box(canvas, view, object_class, left, right, low, high):
    """Counts the pixels of a box (in tiles) in each cell and marks its middle."""
    counts, maps = canvas
    centre_x, centre_y, n_tiles, paints_velocity = view
    scale, half = PICTURE_SIZE / n_tiles, n_tiles / 2
    x0, x1 = (left - centre_x + half) * scale, (right - centre_x + half) * scale
    y0, y1 = (half - high + centre_y) * scale, (half - low + centre_y) * scale
    pixels_per_cell = PICTURE_SIZE // maps.shape[1]
    hidden_x = 2 * VELOCITY_BOX_SIZE if paints_velocity else 0
    hidden_y = VELOCITY_BOX_SIZE if paints_velocity else 0
    # Pixel i is covered when its middle, i + 0.5, lies in the box.
    first_x, end_x = max(0, np.ceil(x0 - 0.5)), min(PICTURE_SIZE, np.ceil(x1 - 0.5))
    first_y, end_y = max(0, np.ceil(y0 - 0.5)), min(PICTURE_SIZE, np.ceil(y1 - 0.5))
    for y in range(int(first_y), int(end_y)):
        for x in range(int(first_x), int(end_x)):
            if x >= hidden_x or y >= hidden_y:
                counts[object_class, y // pixels_per_cell, x // pixels_per_cell] += 1
    x, y = int(np.floor((x0 + x1) / 2)), int(np.floor((y0 + y1) / 2))
    inside = 0 <= x < PICTURE_SIZE and 0 <= y < PICTURE_SIZE
    if inside and (x >= hidden_x or y >= hidden_y):
        maps[object_class, y // pixels_per_cell, x // pixels_per_cell] = 1


@numba.njit(cache=True)
def _mark_bodies(canvas, view, object_class, bodies, half_width, low, high):
    """Marks a box of the same shape around the middle of each body, [n, 2 or more]."""
    for i in range(bodies.shape[0]):
        x, y = bodies[i, _X], bodies[i, _Y]
        left, right = x - half_width, x + half_width
        _mark_box(canvas, view, object_class, left, right, y + low, y + high)


@numba.njit(cache=True)
def _mark_cell(canvas, view, grid, row, column):
    """Marks what a cell of the grid holds; its art fills it but for coin and lava."""
    cell = grid[row, column]
    x, y = float(column), float(row)
    if cell == GOAL:
        _mark_box(canvas, view, _COIN, x + 0.25, x + 0.75, y + 0.25, y + 0.75)
    elif cell == LAVA_TOP:
        _mark_box(canvas, view, _LAVA, x, x + 1, y, y + 0.71)
    elif cell == LAVA_MID:
        _mark_box(canvas, view, _LAVA, x, x + 1, y, y + 1)
    elif _is_wall(grid, row, column):
        open_left = not _is_wall(grid, row, column - 1)
        open_right = not _is_wall(grid, row, column + 1)
        open_above = not _is_wall(grid, row + 1, column)
        open_below = not _is_wall(grid, row - 1, column)
        if open_left or open_right or open_above or open_below:
            _mark_box(canvas, view, _WALL_EDGE, x, x + 1, y, y + 1)
        if open_left and open_above:
            _mark_box(canvas, view, _LEFT_END, x, x + 1, y, y + 1)
        if open_right and open_above:
            _mark_box(canvas, view, _RIGHT_END, x, x + 1, y, y + 1)


@numba.njit(cache=True)
def _draw_world(canvas, view, agent, enemies, enemy_themes, saws, crates, grid):
    """Fills the canvas's maps, uint8 [classes, size, size]; see `object_maps`.

    `canvas` is int32 counts to work in and the maps, zeros, both of the same shape;
    `view` the picture's middle in tiles, tiles along a side, and whether the velocity
    is painted; `agent` and the other bodies are x, y, vx and vy; `grid` is int32
    [h, w].
    """
    counts, maps = canvas
    counts[:] = 0
    # Visible art around the middle of a body, in tiles.
    _mark_bodies(canvas, view, _AGENT, agent.reshape(1, -1), 0.42, -0.58, 0.63)
    _mark_bodies(canvas, view, _BUZZSAW, saws, 0.45, -0.5, -0.06)
    _mark_bodies(canvas, view, _BOX, crates, 0.5, -0.5, 0.5)
    for i in range(enemies.shape[0]):
        object_class = _ENEMY_LEFT if enemies[i, _VX] < 0 else _ENEMY_RIGHT
        top = _ENEMY_HEIGHTS[enemy_themes[i] % len(_ENEMY_HEIGHTS)] - 0.5
        _mark_bodies(canvas, view, object_class, enemies[i : i + 1], 0.4, -0.5, top)

    centre_x, centre_y, n_tiles, paints_velocity = view
    margin = n_tiles / 2 + 1
    last_row = min(grid.shape[0] - 1, int(centre_y + margin))
    last_column = min(grid.shape[1] - 1, int(centre_x + margin))
    for row in range(max(0, int(centre_y - margin)), last_row + 1):
        for column in range(max(0, int(centre_x - margin)), last_column + 1):
            _mark_cell(canvas, view, grid, row, column)

    pixels_per_cell = PICTURE_SIZE // maps.shape[1]
    quarter = pixels_per_cell * pixels_per_cell / 4
    for object_class in range(maps.shape[0]):
        for row in range(maps.shape[1]):
            for column in range(maps.shape[2]):
                if counts[object_class, row, column] >= quarter:
                    maps[object_class, row, column] = 1
    if paints_velocity:
        rows = -(-VELOCITY_BOX_SIZE // pixels_per_cell)
        columns = -(-2 * VELOCITY_BOX_SIZE // pixels_per_cell)
        maps[_VELOCITY_BOXES, :rows, :columns] = 1

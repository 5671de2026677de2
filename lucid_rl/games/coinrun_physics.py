"""CoinRun's rules, compiled.

They work in place on the arrays of `coinrun_world.World` and give the engine's
positions to the last bit, some hundred times faster than the engine, which draws at
each step.

The engine computes in single precision, and so do the functions here, in its order
of operations; the few spots where it falls into double precision are kept. Numbers
that look odd (0.98, 0.001, four sub-steps) are the engine's.
"""

import numba
import numpy as np

from lucid_rl.games.procgen_state import (
    ENEMY_BARRIER,
    GOAL,
    LAVA_MID,
    LAVA_TOP,
    WALL_MID,
    WALL_TOP,
)

# Columns of the agent's array; an enemy has the first four.
X, Y, VX, VY, LAST_Y, ON_CRATE, ACTION_VX, ACTION_VY, HAS_SUPPORT = range(9)
N_AGENT_FIELDS = 9

# Columns of the constants' array.
_GRAVITY, _MAX_JUMP, _MAX_SPEED, _MIX_RATE, _AIR_CONTROL = range(5)

# Outcomes of a step.
RUNNING, COIN, DEAD = range(3)

N_ACTIONS = 15
N_MOVES = 9  # actions from here on do nothing
NO_OP = 4

_AGENT_RX = np.float32(0.5)
_AGENT_RY = np.float32(0.5787)
_RADIUS = np.float32(0.5)  # of enemies, saws and boxes
_EPSILON = np.float32(-0.001)  # collision tolerance
_PROBE_MARGIN = np.float32(0.98)
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_MAX_PUSH_DEPTH = 5
_REACH_Y = _RADIUS + _AGENT_RY


@numba.njit(cache=True)
def cell_at(grid, x, y):
    """Type of the grid's cell at a point; outside the grid all is wall."""
    if x < 0 or y < 0:
        return WALL_MID
    column, row = int(np.floor(x)), int(np.floor(y))
    if row >= grid.shape[0] or column >= grid.shape[1]:
        return WALL_MID
    return grid[row, column]


@numba.njit(cache=True)
def supported(agent, grid):
    """Whether the agent stands on ground or a box and does not move up or down."""
    if agent[VY] != 0:
        return False
    if agent[ON_CRATE] != 0:
        return True
    # The engine computes these two probes in double precision.
    reach = np.float64(_AGENT_RX) - 0.01
    below = np.float32(np.float64(agent[Y]) - (np.float64(_AGENT_RY) + 0.01))
    left = cell_at(grid, np.float32(np.float64(agent[X]) - reach), below)
    right = cell_at(grid, np.float32(np.float64(agent[X]) + reach), below)
    return left in (WALL_MID, WALL_TOP) or right in (WALL_MID, WALL_TOP)


@numba.njit(cache=True)
def control_agent(agent, grid, constants, action):
    """Sets the agent's speed from the action, before anything moves."""
    move = action if 0 <= action < N_MOVES else NO_OP
    dx, dy = np.float32(move // 3 - 1), np.float32(move % 3 - 1)
    support = supported(agent, grid)
    agent[HAS_SUPPORT] = _ONE if support else _ZERO
    agent[ON_CRATE] = _ZERO
    if dy > 0 and not support:
        dy = _ZERO
    agent[ACTION_VX], agent[ACTION_VY] = dx, dy

    mix = constants[_MIX_RATE]
    if not support:
        mix = mix * constants[_AIR_CONTROL]
    push = mix * constants[_MAX_SPEED]
    agent[VX] = (_ONE - mix) * agent[VX] + push * dx
    if abs(agent[VX]) < push:
        agent[VX] = _ZERO
    if dy > 0:
        agent[VY] = constants[_MAX_JUMP]
        return
    if support:
        agent[VY] = np.float32(np.float64(agent[VY]) + 0.2 * np.float64(dy))
    fall = agent[VY] - constants[_GRAVITY]
    agent[VY] = max(-constants[_MAX_JUMP], min(constants[_MAX_JUMP], fall))


@numba.njit(cache=True)
def _touches_crate(body, radius_y, crate):
    """Whether a body overlaps a box."""
    threshold_x = (_RADIUS + _RADIUS) + _EPSILON
    threshold_y = (radius_y + _RADIUS) + _EPSILON
    return (
        abs(body[X] - crate[0]) < threshold_x and abs(body[Y] - crate[1]) < threshold_y
    )


@numba.njit(cache=True)
def _shift(body, is_agent, dx, dy, grid):
    """Moves a body along one axis as far as the grid lets it; returns if blocked."""
    horizontal = dx != 0
    radius_x = _RADIUS
    radius_y = _AGENT_RY if is_agent else _RADIUS
    x, y = body[X] + dx, body[Y] + dy

    blocked = False
    reflected = False
    reach_x, reach_y = radius_x * _PROBE_MARGIN, radius_y * _PROBE_MARGIN
    for probe_x in (x - reach_x, x + reach_x):
        for probe_y in (y - reach_y, y + reach_y):
            cell = cell_at(grid, probe_x, probe_y)
            if cell == WALL_MID or (is_agent and cell == WALL_TOP):
                blocked = True
            if not is_agent and cell in (WALL_MID, WALL_TOP, ENEMY_BARRIER):
                reflected = True

    if reflected:
        if horizontal:
            if dx < 0:
                overlap = np.ceil(x - radius_x) - (x - radius_x)
            else:
                overlap = np.floor(x + radius_x) - (x + radius_x)
            body[VX] = -body[VX]
            x = x + _TWO * overlap
        else:
            if dy < 0:
                overlap = np.ceil(y - radius_y) - (y - radius_y)
            else:
                overlap = np.floor(y + radius_y) - (y + radius_y)
            body[VY] = -body[VY]
            y = y + _TWO * overlap
    elif blocked:
        if horizontal:
            if dx > 0:
                x = np.floor(x + radius_x) - radius_x
            else:
                x = np.ceil(x - radius_x) + radius_x
        elif dy > 0:
            y = np.floor(y + radius_y) - radius_y
        else:
            y = np.ceil(y - radius_y) + radius_y
    body[X], body[Y] = x, y
    return blocked


@numba.njit(cache=True)
def _rests_on(body, radius_y, crate, agent):
    """Whether a box holds a body up.

    It does while the *agent* is falling from above it and does not press down. The
    engine asks this of enemies too, with the agent's fall: an enemy that walks behind
    a box can so give the agent support; that is kept.
    """
    return (
        agent[VY] < 0
        and agent[ACTION_VY] >= 0
        and _touches_crate(body, radius_y, crate)
        and agent[LAST_Y] >= crate[1] + _RADIUS + _AGENT_RY
    )


@numba.njit(cache=True)
def _land(body, is_agent, agent, grid, crates):
    """Pushes a body off the boxes that hold it; returns whether there was one.

    A push can end on another box, or under a ceiling, and start the next one; the
    engine does so recursively to a depth of 5. Here `remaining[d]` boxes are left to
    look at in depth d.
    """
    if agent[VY] >= 0:
        return False
    radius_y = _AGENT_RY if is_agent else _RADIUS
    n_crates = crates.shape[0]
    # Most of the time there is none, which is found out quickly.
    x, y, first = body[X], body[Y], 0
    while first < n_crates and not (
        abs(x - crates[first, 0]) < 1 and abs(y - crates[first, 1]) < _REACH_Y
    ):
        first += 1
    if first == n_crates:
        return False
    held = False
    remaining = np.full(_MAX_PUSH_DEPTH + 1, n_crates)
    depth = 0
    while True:
        remaining[depth] -= 1
        if remaining[depth] < 0:
            if depth == 0:
                return held
            depth -= 1
            body[VY] = _ZERO
            continue
        crate = crates[remaining[depth]]
        if not _rests_on(body, radius_y, crate, agent):
            continue
        held = True
        agent[ON_CRATE] = _ONE
        if depth == _MAX_PUSH_DEPTH:
            body[VY] = _ZERO
            continue
        gap = np.sign(body[Y] - crate[1]) * (_RADIUS + radius_y)
        _shift(body, is_agent, _ZERO, crate[1] + gap - body[Y], grid)
        depth += 1
        remaining[depth] = n_crates


@numba.njit(cache=True)
def _move(body, is_agent, dx, dy, agent, grid, crates):
    """Moves a body along one axis for a sub-step; returns whether it was blocked."""
    blocked = _shift(body, is_agent, dx, dy, grid)
    if dx != 0:
        return blocked
    return _land(body, is_agent, agent, grid, crates) or blocked


@numba.njit(cache=True)
def move_body(body, is_agent, agent, grid, crates):
    """Moves a body by its speed in sub-steps; what was blocked is lost."""
    speed = np.sqrt(body[VX] * body[VX] + body[VY] * body[VY])
    n_steps = max(4, int(np.float32(4) * speed))
    share = np.float32(1.0 / n_steps)
    # A tie is drawn at random by the engine; it matters to nobody in this game.
    x_first = abs(body[VX]) >= abs(body[VY])
    if is_agent:
        if agent[ACTION_VX] != 0:
            x_first = True
        if agent[ACTION_VY] != 0:
            x_first = False
    free_x = _ZERO
    free_y = _ZERO
    for _ in range(n_steps):
        stop_x = False
        if x_first:
            stop_x = _move(body, is_agent, body[VX] * share, _ZERO, agent, grid, crates)
        stop_y = _move(body, is_agent, _ZERO, body[VY] * share, agent, grid, crates)
        if not x_first:
            stop_x = _move(body, is_agent, body[VX] * share, _ZERO, agent, grid, crates)
        if not stop_x:
            free_x += _ONE
        if not stop_y:
            free_y += _ONE
        if stop_x and stop_y:
            break
    body[VX] *= free_x / np.float32(n_steps)
    body[VY] *= free_y / np.float32(n_steps)


@numba.njit(cache=True)
def hits(agent, bodies):
    """Whether the agent touches one of some saws or enemies, [n, 2 or more]."""
    threshold_x = _RADIUS + _AGENT_RX
    threshold_y = _RADIUS + _AGENT_RY
    for i in range(bodies.shape[0]):
        near_x = abs(bodies[i, X] - agent[X]) < threshold_x
        if near_x and abs(bodies[i, Y] - agent[Y]) < threshold_y:
            return True
    return False


@numba.njit(cache=True)
def touches_cell(agent, grid, low, high):
    """Whether the agent's box covers part of a cell of type low to high."""
    reach_x, reach_y = _AGENT_RX + _EPSILON, _AGENT_RY + _EPSILON
    for column in range(int(agent[X] - reach_x), int(agent[X] + reach_x) + 1):
        for row in range(int(agent[Y] - reach_y), int(agent[Y] + reach_y) + 1):
            cell = cell_at(grid, np.float32(column), np.float32(row))
            if low <= cell <= high:
                return True
    return False


@numba.njit(cache=True)
def outcome(agent, enemies, saws, grid):
    """RUNNING, COIN or DEAD, from the positions after a step.

    The coin counts even when a hazard is touched in the same step.
    """
    if touches_cell(agent, grid, GOAL, GOAL):
        return COIN
    if hits(agent, saws) or hits(agent, enemies):
        return DEAD
    return DEAD if touches_cell(agent, grid, LAVA_MID, LAVA_TOP) else RUNNING


@numba.njit(cache=True)
def step_world(agent, enemies, saws, crates, grid, constants, action):
    """Takes one action, in place; the arrays are those of `World`.

    Returns:
        RUNNING, COIN or DEAD.
    """
    control_agent(agent, grid, constants, action)
    # The engine steps its entities last to first; the agent is the first.
    for i in range(enemies.shape[0] - 1, -1, -1):
        move_body(enemies[i], False, agent, grid, crates)
    move_body(agent, True, agent, grid, crates)
    agent[LAST_Y] = agent[Y]
    return outcome(agent, enemies, saws, grid)

"""The compiled A* search behind the planner.

It branches over keys, each held for a given number of steps, merges situations that are
alike, and weighs the steps still to go against the costs so far.
"""

import heapq

import numba
import numpy as np

from lucid_rl.games.coinrun_physics import (
    COIN,
    DEAD,
    LAST_Y,
    N_AGENT_FIELDS,
    N_MOVES,
    NO_OP,
    RUNNING,
    VX,
    VY,
    X,
    Y,
    control_agent,
    move_body,
    outcome,
    step_world,
    supported,
)
from lucid_rl.games.procgen_state import LAVA_MID, LAVA_TOP

# Indices into Procgen's combinations of keys: (dx + 1) * 3 + dy + 1.
LEFT, LEFT_JUMP, JUMP, RIGHT, RIGHT_JUMP = 1, 2, 5, 7, 8

SEARCHED_ACTIONS = (RIGHT, RIGHT_JUMP, NO_OP, JUMP, LEFT, LEFT_JUMP)

JUMPS = (RIGHT_JUMP, JUMP, LEFT_JUMP)
N_BRANCHES = len(SEARCHED_ACTIONS)
ANY_ACTION = -1
_NEAR_BOX = 3.0  # tiles to a box that the agent may come to stand on
_AWAY = 2.0  # tiles from a hazard at which one can stand and wait

# The goal is reached when the agent's box, half a tile to each side, touches it.
_REACH = 0.499
TILES_PER_STEP = 0.5  # top speed
_STEPS_LOST_FROM_REST = 4.0  # in gathering speed
_WORTH_BEYOND = 0.5  # of a step that is saved beyond the limit

# Places in the array of costs, in the order of the planner's settings.
_JUMP, _JUMP_DELAY, _NO_OP, _LEFT, _MARGIN, _HAZARD, _WEIGHT, _SHORT = range(8)


@numba.njit(cache=True)
def _move_enemies(enemies, grid, crates):
    """Moves enemies as they go where no agent is near, last to first."""
    bystander = np.zeros(N_AGENT_FIELDS, np.float32)
    for i in range(enemies.shape[0] - 1, -1, -1):
        move_body(enemies[i], False, bystander, grid, crates)


@numba.njit(cache=True)
def _move_agent(agent, grid, crates, constants, action):
    """Takes an action, in place, where nothing else moves."""
    control_agent(agent, grid, constants, action)
    move_body(agent, True, agent, grid, crates)
    agent[LAST_Y] = agent[Y]


@numba.njit(cache=True)
def _hazard_nearness(agent, enemies, saws, grid, margin):
    """0 at `margin` tiles or more from every hazard, 1 where one is touched."""
    gap = margin
    for bodies in (enemies, saws):
        for i in range(bodies.shape[0]):
            gap_x = abs(bodies[i, X] - agent[X]) - 1.0
            gap_y = abs(bodies[i, Y] - agent[Y]) - 1.0787
            gap = min(gap, max(gap_x, gap_y))
    left, right = agent[X] - 0.5, agent[X] + 0.5
    low, high = agent[Y] - 0.5787, agent[Y] + 0.5787
    first_row, first_column = max(0, int(low - margin)), max(0, int(left - margin))
    for row in range(first_row, min(grid.shape[0], int(high + margin) + 1)):
        for column in range(first_column, min(grid.shape[1], int(right + margin) + 1)):
            if LAVA_MID <= grid[row, column] <= LAVA_TOP:
                gap_x = max(column - right, left - column - 1)
                gap_y = max(row - high, low - row - 1)
                gap = min(gap, max(gap_x, gap_y))
    return (margin - max(gap, 0.0)) / margin if margin > 0 else 0.0


@numba.njit(cache=True)
def _step_cost(action, time, costs):
    """Cost of an action by itself; `time` counts from the plan's beginning."""
    cost = 1.0
    if action in JUMPS:
        cost += costs[_JUMP] + costs[_JUMP_DELAY] * time
    if action in (NO_OP, JUMP):
        cost += costs[_NO_OP]
    elif action in (LEFT, LEFT_JUMP):
        cost += costs[_LEFT]
    return cost


@numba.njit(cache=True)
def _held(action):
    """What an action comes to when it is held: in the air, nobody jumps."""
    return action - 1 if action in JUMPS else action


@numba.njit(cache=True)
def _steps_to_go(agent, goal_column):
    """Steps to the coin were there nothing in the way; no plan takes fewer."""
    distance = goal_column + 0.5 - agent[X]
    steps = max(0.0, abs(distance) - 0.5 - _REACH) / TILES_PER_STEP
    # Each step on the ground makes up a fifth of what is missing of the top speed.
    speed = agent[VX] if distance > 0 else -agent[VX]
    lost = _STEPS_LOST_FROM_REST * max(0.0, 1.0 - speed / TILES_PER_STEP)
    return steps + lost * min(1.0, steps / 8)


@numba.njit(cache=True)
def _key(agent, on_ground, time):
    """Packs a situation, coarsely, so that all but equal ones become one."""
    x = int(agent[X] * (4 if on_ground else 3))
    y = int(agent[Y] * 3)
    vx = int((agent[VX] + 1) * 8)
    vy = int((agent[VY] + 2) * 5)
    key = (((x * 512 + y) * 64 + vx) * 64 + vy) * 2 + (1 if on_ground else 0)
    return key * 512 + time // 4 + 1  # never 0, which marks a free slot


@numba.njit(cache=True)
def _fine_key(agent, on_ground, time):
    """As `_key`, where one way must not hide another that differs by one key press."""
    x, y = int(agent[X] * 16), int(agent[Y] * 6)
    vx, vy = int((agent[VX] + 1) * 60), int((agent[VY] + 2) * 15)
    key = (((x * 512 + y) * 128 + vx) * 64 + vy) * 2 + (1 if on_ground else 0)
    return key * 512 + time // 2 + 1


@numba.njit(cache=True)
def _slot(keys, key):
    """Place of a key in an open-addressing table whose size is a power of two."""
    mask = keys.shape[0] - 1
    slot = ((key * 0x9E3779B1) ^ (key >> 17)) & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@numba.njit(cache=True)
def _power_of_two(least):
    size = 1
    while size < least:
        size *= 2
    return size


@numba.njit(cache=True)
def _doubled_table(keys, least):
    """Moves a table of keys and their least costs into one twice as large."""
    more_keys = np.zeros(2 * keys.shape[0], np.int64)
    more_least = np.zeros(2 * keys.shape[0], np.float64)
    for i in range(keys.shape[0]):
        if keys[i] != 0:
            slot = _slot(more_keys, keys[i])
            more_keys[slot], more_least[slot] = keys[i], least[i]
    return more_keys, more_least


@numba.njit(cache=True)
def _doubled(array):
    """Copies an array into one with twice as many rows."""
    longer = np.empty((2 * array.shape[0], *array.shape[1:]), array.dtype)
    longer[: array.shape[0]] = array
    return longer


@numba.njit(cache=True)
def _cost_from_limit(agent, limit):
    """Cost of having stopped here, and before the limit of what is still to go.

    No plan takes less: a step at top speed, and one on the ground that gathers speed,
    lower it by 1 before the limit, and by less beyond: who comes farther has won time,
    but is nearer to what is not seen yet.
    """
    lost = _STEPS_LOST_FROM_REST * max(0.0, 1.0 - agent[VX] / TILES_PER_STEP)
    steps = (limit - agent[X]) / TILES_PER_STEP
    return lost + (steps if steps > 0 else _WORTH_BEYOND * steps)


# Without Python's lock, so that threads can plan side by side.
@numba.njit(cache=True, nogil=True)
def search(
    agent,
    enemies,
    saws,
    crates,
    grid,
    constants,
    goal_column,
    limit,
    sight,
    depth,
    first_time,
    n_steps,
    costs,
    max_nodes,
    hold,
    first_action,
    bound,
):
    """A* from a world to its coin, or to safe ground at a limit on the way there.

    Enemies are taken to go where they would without the agent, which is nearly always
    so; `steps_as_foreseen` tells.

    Args:
        agent: as the next five, an array of `World`; not changed.
        enemies: float32 [n, 4].
        saws: float32 [n, 2].
        crates: float32 [n, 2].
        grid: int32 [h, w].
        constants: float32 [5].
        goal_column: float, the coin's column in the grid.
        limit: float, x from which on safe ground will do; inf for the coin only.
        sight: float, x beyond which no step is planned; inf for none.
        depth: float, tiles below the highest point of a flight, below which no step is
            planned; inf for none.
        first_time: the steps of the plan that were taken before.
        n_steps: how many steps a plan may take.
        costs: float64 [8], in the order of `PlannerSettings`.
        max_nodes: positions to look at before giving up.
        hold: steps for which keys are held, at least; the first one at a cost only.
        first_action: one of `SEARCHED_ACTIONS` to begin with, or ANY_ACTION.
        bound: float, cost that a plan must stay under; inf for none.

    Returns:
        Actions, int64 [length]; empty where nothing was found. Their cost; the bound
        where nothing was found.
    """
    nodes = np.empty((1024, N_AGENT_FIELDS), np.float32)
    links = np.empty((1024, 3), np.int64)  # time, parent, action taken first
    paid = np.empty(1024, np.float64)
    heights = np.empty(1024, np.float64)  # the highest y of the flight
    nodes[0], paid[0], heights[0], n_nodes = agent, 0.0, agent[Y], 1
    links[0, 0], links[0, 1], links[0, 2] = 0, -1, -1

    # Situations seen, and the least paid to get there.
    keys, least, n_keys = np.zeros(4096, np.int64), np.zeros(4096, np.float64), 0

    # Where the enemies will be, found as far ahead as needed.
    ahead = np.empty((64, enemies.shape[0], 4), np.float32)
    ahead[0], n_ahead = enemies, 1
    timed = enemies.shape[0] > 0

    best, best_cost = -1, bound
    queue = [(0.0, 0)]
    while len(queue) and queue[0][0] < best_cost and n_nodes < max_nodes:
        _, node = heapq.heappop(queue)
        time = links[node, 0]
        on_ground = supported(nodes[node], grid)
        slot = _slot(keys, _key(nodes[node], on_ground, time if timed else 0))
        if time >= n_steps or (keys[slot] != 0 and paid[node] > least[slot]):
            continue

        while n_ahead <= time + hold:
            if n_ahead == ahead.shape[0]:
                ahead = _doubled(ahead)
            ahead[n_ahead] = ahead[n_ahead - 1]
            _move_enemies(ahead[n_ahead], grid, crates)
            n_ahead += 1

        # The first key may be let go sooner, as it may have been pressed before.
        for branch in range(N_BRANCHES * (hold if node == 0 else 1)):
            action = SEARCHED_ACTIONS[branch % N_BRANCHES]
            n_held = hold - branch // N_BRANCHES
            if action in JUMPS and not on_ground:
                continue
            is_first = node == 0 and first_action != ANY_ACTION
            if is_first and action != first_action:
                continue
            if n_nodes == nodes.shape[0]:
                nodes, links = _doubled(nodes), _doubled(links)
                paid, heights = _doubled(paid), _doubled(heights)
            child = nodes[n_nodes]
            child[:] = nodes[node]
            cost = paid[node] + costs[_SHORT] * (hold - n_held)
            then, latest = time, min(time + n_held, n_steps)
            height = heights[node]
            ending, lands, safe, allowed = RUNNING, on_ground, False, True
            while ending != COIN and not safe and then < latest:
                key_down = action if then == time else _held(action)
                _move_agent(child, grid, crates, constants, key_down)
                cost += _step_cost(key_down, first_time + then, costs)
                then += 1
                bodies = ahead[then]
                ending = outcome(child, bodies, saws, grid)
                is_seen = child[X] <= sight and child[Y] >= height - depth
                allowed = ending != DEAD and is_seen
                if not allowed:
                    break
                nearness = _hazard_nearness(child, bodies, saws, grid, costs[_MARGIN])
                cost += costs[_HAZARD] * nearness
                lands = supported(child, grid)
                height = child[Y] if lands else max(height, child[Y])
                safe = child[X] >= limit and lands and nearness == 0
            if not allowed:
                continue
            if ending == COIN or safe:
                end_cost = cost
                if ending != COIN:
                    end_cost += _cost_from_limit(child, limit)
                if end_cost >= best_cost:
                    continue
                best, best_cost = n_nodes, end_cost
            else:
                # The only way to begin must not hide, by coarseness, how it goes on.
                if not is_first:
                    key = _key(child, lands, then if timed else 0)
                    slot = _slot(keys, key)
                    if keys[slot] != 0 and least[slot] <= cost:
                        continue
                    n_keys += keys[slot] == 0
                    keys[slot], least[slot] = key, cost
                    if 2 * n_keys > keys.shape[0]:
                        keys, least = _doubled_table(keys, least)
                if limit < goal_column:
                    to_go = _cost_from_limit(child, limit)
                else:
                    to_go = _steps_to_go(child, goal_column)
                weight = costs[_WEIGHT] if to_go > 0 else 1.0
                heapq.heappush(queue, (cost + weight * to_go, n_nodes))
            paid[n_nodes], heights[n_nodes] = cost, height
            links[n_nodes, 0], links[n_nodes, 1] = then, node
            links[n_nodes, 2] = action
            n_nodes += 1

    length = links[best, 0] if best >= 0 else 0
    actions = np.empty(length, np.int64)
    while best > 0:
        first, parent = links[best, 2], links[best, 1]
        actions[links[parent, 0] : links[best, 0]] = _held(first)
        actions[links[parent, 0]] = first
        best = parent
    return actions, best_cost


@numba.njit(cache=True, nogil=True)
def survives(
    agent,
    enemies,
    saws,
    crates,
    grid,
    constants,
    action,
    n_steps,
    hold,
    reaction,
    max_nodes,
):
    """Whether there is a way to live on after an action.

    Depth first, the key held tried first: most lives are found by holding a key.

    Args:
        agent: as the next five, an array of `World`; not changed.
        enemies: float32 [n, 4].
        saws: float32 [n, 2].
        crates: float32 [n, 2].
        grid: int32 [h, w].
        constants: float32 [5].
        action: 0 to 8.
        n_steps: who lives so long, or stands away from all hazards, lives on.
        hold: steps for which a key is then held: the player is no acrobat.
        reaction: steps for which the action is taken.
        max_nodes: situations to look at; when there are more, there is hope.

    Returns:
        bool.
    """
    # Where the enemies will be, found as far ahead as needed.
    longest = n_steps + max(hold, reaction)
    ahead = np.empty((longest + 1, enemies.shape[0], 4), np.float32)
    ahead[0], n_ahead = enemies, 1
    stack = np.empty((N_BRANCHES * (n_steps + 1), N_AGENT_FIELDS), np.float32)
    links = np.empty((stack.shape[0], 2), np.int64)  # time, action to take
    stack[0], links[0, 0], links[0, 1], height = agent, 0, action, 1
    keys = np.zeros(_power_of_two(4 * max_nodes), np.int64)
    body = np.empty(N_AGENT_FIELDS, np.float32)
    n_nodes = 0
    while height:
        height -= 1
        body[:] = stack[height]
        time, key_held = links[height, 0], links[height, 1]
        ending, on_ground = RUNNING, False
        for _ in range(hold if time else reaction):
            if n_ahead == time + 1:
                ahead[n_ahead] = ahead[n_ahead - 1]
                _move_enemies(ahead[n_ahead], grid, crates)
                n_ahead += 1
            _move_agent(body, grid, crates, constants, key_held)
            time += 1
            ending = outcome(body, ahead[time], saws, grid)
            if ending != RUNNING:
                break
        if ending == DEAD:
            continue
        n_nodes += 1
        if ending == COIN or time >= n_steps or n_nodes == max_nodes:
            return True
        on_ground = supported(body, grid)
        if on_ground and _hazard_nearness(body, ahead[time], saws, grid, _AWAY) == 0:
            return True
        key = _fine_key(body, on_ground, time if enemies.shape[0] else 0)
        slot = _slot(keys, key)
        if keys[slot] != 0:
            continue
        keys[slot] = key
        for other in range(2):  # the key held last, so that it is looked at first
            for branch in SEARCHED_ACTIONS:
                if branch in JUMPS and not on_ground:
                    continue
                if (branch == key_held) == (other == 1):
                    stack[height] = body
                    links[height, 0], links[height, 1] = time, branch
                    height += 1
    return False


@numba.njit(cache=True, nogil=True)
def deadly_moves(
    agent,
    enemies,
    saws,
    crates,
    grid,
    constants,
    n_steps,
    hold,
    reaction,
    max_nodes,
):
    """Which actions there is no way to live on after.

    Actions that come to the same are looked at once: a jump that cannot start is its
    key left or right, and so is a key down where there is no box near to fall through.

    Args:
        agent: as the next five, an array of `World`; not changed.
        enemies: float32 [n, 4].
        saws: float32 [n, 2].
        crates: float32 [n, 2].
        grid: int32 [h, w].
        constants: float32 [5].
        n_steps: as the next three, see `survives`.
        hold: steps.
        reaction: steps.
        max_nodes: situations.

    Returns:
        bool [9].
    """
    can_jump = supported(agent, grid)
    can_fall = False
    for i in range(crates.shape[0]):
        can_fall |= abs(crates[i, X] - agent[X]) < _NEAR_BOX
    deadly = np.zeros(N_MOVES, np.bool_)
    for plain in (LEFT, NO_OP, RIGHT):
        for action in (plain, plain + 1, plain - 1):
            alike = (action > plain and not can_jump) or (
                action < plain and not can_fall
            )
            deadly[action] = (
                deadly[plain]
                if alike
                else not survives(
                    agent,
                    enemies,
                    saws,
                    crates,
                    grid,
                    constants,
                    action,
                    n_steps,
                    hold,
                    reaction,
                    max_nodes,
                )
            )
    return deadly


@numba.njit(cache=True, nogil=True)
def is_lost(agent, enemies, saws, crates, grid, constants, n_steps, max_nodes):
    """Whether there is no way to live on, for the best of players.

    Args:
        agent: as the next five, an array of `World`; not changed.
        enemies: float32 [n, 4].
        saws: float32 [n, 2].
        crates: float32 [n, 2].
        grid: int32 [h, w].
        constants: float32 [5].
        n_steps: as the next, see `survives`.
        max_nodes: situations, for each action.

    Returns:
        bool.
    """
    for action in range(N_MOVES - 1, -1, -1):  # to the right first
        if survives(
            agent,
            enemies,
            saws,
            crates,
            grid,
            constants,
            action,
            n_steps,
            1,
            1,
            max_nodes,
        ):
            return False
    return True


@numba.njit(cache=True, nogil=True)
def steps_as_foreseen(agent, enemies, saws, crates, grid, constants, actions):
    """Takes a plan's actions until the world is not what the search took it to be.

    Args:
        agent: as the next five, an array of `World`; changed in place.
        enemies: float32 [n, 4]; changed in place.
        saws: float32 [n, 2].
        crates: float32 [n, 2].
        grid: int32 [h, w].
        constants: float32 [5].
        actions: int64 [length].

    Returns:
        How many actions were taken, and what the last one led to.
    """
    foreseen, free = agent.copy(), enemies.copy()
    ending, n_taken = RUNNING, 0
    for action in actions:
        ending = step_world(agent, enemies, saws, crates, grid, constants, action)
        n_taken += 1
        _move_enemies(free, grid, crates)
        _move_agent(foreseen, grid, crates, constants, action)
        # What the agent stands on shows in its speed, one step later.
        moved_alike = np.all(agent[: VY + 1] == foreseen[: VY + 1])
        same = moved_alike and np.all(enemies == free)
        if ending != RUNNING or not same:
            break
    return n_taken, ending

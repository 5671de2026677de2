"""Dangers of CoinRun: what ends an episode, and how to make it harmless."""

import numpy as np

from lucid_rl.games.procgen_state import ENEMY, LAVA, SAW, SPACE, CoinRunState

DANGERS = ("buzzsaw", "enemy_moving_left", "enemy_moving_right", "lava", "timeout")

# Added to the distance at which an object hurts, so that it never does.
_HARMLESS_MARGIN = -100.0


def without(
    state: CoinRunState, danger: str, moves_left: np.ndarray | None = None
) -> CoinRunState:
    """Copies a state with one of `DANGERS` made harmless; nothing moves differently.

    `moves_left`, bool [n enemies], says which enemies count as moving left; None makes
    no difference between enemies.
    """
    state = state.copy()
    kinds = state.entities["type"]
    if danger == "timeout":
        state.episode["timeout"] = state.time + 10
    elif danger == "lava":
        state.grid[np.isin(state.grid, LAVA)] = SPACE
    elif danger == "buzzsaw":
        state.entities["collision_margin"][kinds == SAW] = _HARMLESS_MARGIN
    else:
        harmless = np.flatnonzero(kinds == ENEMY)
        if moves_left is not None:
            harmless = harmless[moves_left == (danger == "enemy_moving_left")]
        state.entities["collision_margin"][harmless] = _HARMLESS_MARGIN
    return state


def touching_dangers(before: CoinRunState, after: CoinRunState) -> tuple[str, ...]:
    """The dangers that end an episode by the rules of collision alone, in their order.

    `before` is the state before the last action, for its lava and clock; `after` the
    one after it, had nothing done harm.
    """
    agent, entities = after.agent[0], after.entities
    overlaps = (abs(entities["x"] - agent["x"]) < entities["rx"] + agent["rx"]) & (
        abs(entities["y"] - agent["y"]) < entities["ry"] + agent["ry"]
    )
    enemies = overlaps & (entities["type"] == ENEMY)
    # Cells under the agent's box, less a thousandth of a tile.
    reach_x, reach_y = agent["rx"] - 0.001, agent["ry"] - 0.001
    columns = slice(int(agent["x"] - reach_x), int(agent["x"] + reach_x) + 1)
    rows = slice(int(agent["y"] - reach_y), int(agent["y"] + reach_y) + 1)
    found = {
        "buzzsaw": (overlaps & (entities["type"] == SAW)).any(),
        "enemy_moving_left": (enemies & (entities["vx"] < 0)).any(),
        "enemy_moving_right": (enemies & (entities["vx"] >= 0)).any(),
        "lava": np.isin(before.grid[rows, columns], LAVA).any(),
        "timeout": before.time + 1 >= int(before.episode["timeout"][0]),
    }
    return tuple(danger for danger in DANGERS if found[danger])

"""A planner that finishes CoinRun levels: A* over the copied rules.

It reads the game's state, not its pictures, and serves as a teacher: a network that
copies its actions learns from single frames. Plans are therefore made sturdy and
plain: they keep away from hazards, jump early, and run right unless there is a reason
not to.
"""

import dataclasses

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.games.coinrun_physics import COIN, RUNNING
from lucid_rl.games.coinrun_search import search, steps_as_foreseen
from lucid_rl.games.coinrun_world import World, as_world
from lucid_rl.games.procgen_state import CoinRunState


@dataclasses.dataclass(frozen=True)
class PlannerSettings:
    """What a plan costs, in steps, and how long to look for one.

    Attributes:
        jump_cost: for each jump.
        jump_delay_cost: for each jump and each step that it is put off. Without it,
            plans jump at the last moment and fail at the least disturbance.
        no_op_cost: for a step with no key left or right pressed.
        left_cost: for a step with left pressed.
        hazard_margin: distance to a hazard, in tiles, from which it is felt.
        hazard_cost: for a step that all but touches a hazard; falls linearly to 0
            at the margin.
        heuristic_weight: above 1, the search is quicker and plans are a little worse.
        max_nodes: positions to look at before giving up.
    """

    jump_cost: float = 0.3
    jump_delay_cost: float = 0.04
    no_op_cost: float = 0.1
    left_cost: float = 0.2
    hazard_margin: float = 1.0
    hazard_cost: float = 3.0
    heuristic_weight: float = 1.5
    max_nodes: int = 100_000

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) >= 0:
                raise SettingsError(
                    f"{field.name} must not be negative, got "
                    f"{getattr(self, field.name)}"
                )
        if self.max_nodes < 1 or self.hazard_margin > 3:
            raise SettingsError(
                "max_nodes must be at least 1 and hazard_margin at most 3, got "
                f"{self.max_nodes} and {self.hazard_margin}"
            )


def plan(
    state: CoinRunState | bytes | World,
    settings: PlannerSettings = PlannerSettings(),
) -> list[int] | None:
    """Finds actions that lead from a state to the coin.

    Args:
        state: a parsed state, its bytes, or the world taken out of it.
        settings: costs and limits.

    Returns:
        Actions, each an index into Procgen's combinations of keys, the last of which
        takes the coin; None where no way was found. The same state and settings give
        the same actions.

    Raises:
        FileFormatError: the bytes are no CoinRun state.
    """
    world = as_world(state).copy()
    goal = world.goal()
    actions: list[int] = []
    ending = RUNNING
    while goal is not None and ending == RUNNING:
        arrays = (
            world.agent,
            world.enemies,
            world.saws,
            world.crates,
            world.grid,
            world.constants,
        )
        n_steps = world.timeout - world.time - len(actions)
        costs = np.array(dataclasses.astuple(settings)[:-1], np.float64)
        found = search(*arrays, float(goal[0]), n_steps, costs, settings.max_nodes)
        if not len(found):
            break
        # Where the world goes other ways than foreseen, plan anew from there.
        n_taken, ending = steps_as_foreseen(*arrays, found)
        actions += found[:n_taken].tolist()
    return actions if ending == COIN else None

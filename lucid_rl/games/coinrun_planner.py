"""A planner that finishes CoinRun levels: A* over the copied rules.

It reads the game's state, not its pictures, and serves as a teacher: a network that
copies its actions learns from single frames. Plans are therefore made sturdy and
plain: they keep away from hazards, jump early, and run right unless there is a reason
not to.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.games.coinrun_physics import (
    COIN,
    N_ACTIONS,
    N_MOVES,
    NO_OP,
    RUNNING,
    X,
)
from lucid_rl.games.coinrun_search import (
    ANY_ACTION,
    JUMPS,
    RIGHT,
    SEARCHED_ACTIONS,
    deadly_moves,
    is_lost,
    search,
    steps_as_foreseen,
)
from lucid_rl.games.coinrun_world import World, as_world
from lucid_rl.games.procgen_state import CoinRunState

_REACH = 8.0  # tiles in which a hazard can meet the agent within some 24 steps


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
        short_hold_cost: for each step that the first key is held for less than `hold`.
            Who plans anew at each step, and has to hold the first key each time, never
            comes to press the next one where it is due sooner.
        max_nodes: positions to look at before giving up.
        hold: steps for which keys are held, at least. With 1, plans steer by single key
            presses, and nobody can learn from a picture when each is due.
    """

    jump_cost: float = 0.3
    jump_delay_cost: float = 0.04
    no_op_cost: float = 0.1
    left_cost: float = 0.2
    hazard_margin: float = 1.0
    hazard_cost: float = 3.0
    heuristic_weight: float = 1.5
    short_hold_cost: float = 3.0
    max_nodes: int = 100_000
    hold: int = 1

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) >= 0:
                raise SettingsError(
                    f"{field.name} must not be negative, got "
                    f"{getattr(self, field.name)}"
                )
        if self.max_nodes < 1 or self.hold < 1 or self.hazard_margin > 3:
            raise SettingsError(
                "max_nodes and hold must be at least 1, hazard_margin at most 3, got "
                f"{self.max_nodes}, {self.hold} and {self.hazard_margin}"
            )

    def costs(self) -> np.ndarray:
        """Returns all but the last two, float64 [8], in the search's order."""
        names = [field.name for field in dataclasses.fields(self)[:-2]]
        return np.array([getattr(self, name) for name in names], np.float64)


def plan(
    state: CoinRunState | bytes | World,
    settings: PlannerSettings = PlannerSettings(),
    horizon: float = np.inf,
    sight: float = np.inf,
    depth: float = np.inf,
) -> list[int] | None:
    """Finds actions that lead from a state to the coin.

    Args:
        state: a parsed state, its bytes, or the world taken out of it.
        settings: costs and limits.
        horizon: how far to plan, in tiles to the right of the agent: safe ground
            there will do. By default, all the way.
        sight: how far the player sees, in tiles to the right of where it is: it does
            not go farther, not even in a jump. By default, to the end.
        depth: the same, in tiles below the highest point of each flight: who jumps high
            and falls deep does not see, all the way, onto what.

    Returns:
        Actions, each an index into Procgen's combinations of keys, the last of which
        takes the coin or arrives at the horizon; None where no way was found. The
        same state and settings give the same actions.

    Raises:
        FileFormatError: the bytes are no CoinRun state.
    """
    world = as_world(state).copy()
    goal = world.goal()
    limit = float(world.agent[X]) + horizon
    farthest = float(world.agent[X]) + sight
    actions: list[int] = []
    ending, arrived = RUNNING, False
    while goal is not None and ending == RUNNING and not arrived:
        found, _ = _search(
            world, settings, limit, farthest, depth, n_taken_before=len(actions)
        )
        if not len(found):
            break
        # Where the world goes other ways than foreseen, plan anew from there.
        n_taken, ending = steps_as_foreseen(*world.arrays(), found)
        actions += found[:n_taken].tolist()
        arrived = world.agent[X] >= limit and n_taken == len(found)
    return actions if ending == COIN or arrived else None


def _search(
    world: World,
    settings: PlannerSettings,
    limit: float,
    sight: float,
    depth: float,
    n_taken_before: int = 0,
    first_action: int = ANY_ACTION,
    bound: float = np.inf,
) -> tuple[np.ndarray, float]:
    """`coinrun_search.search` from a world that has a coin."""
    goal = world.goal()
    assert goal is not None
    return search(
        *world.arrays(),
        float(goal[0]),
        limit,
        sight,
        depth,
        n_taken_before,
        world.timeout - world.time - n_taken_before,
        settings.costs(),
        settings.max_nodes,
        settings.hold,
        first_action,
        bound,
    )


@dataclasses.dataclass(frozen=True)
class CarefulSettings:
    """How far a planner looks that goes by the picture alone.

    Attributes:
        horizon: tiles to the right that are planned.
        depth: tiles below the highest point of a flight to which a plan may lead, as
            long as one does: as far as the picture goes down. A jump rises almost as
            high: who jumps off a height does not see, all the way, where it ends.
        bold_horizon: tiles that are planned, whatever is below, where none does.
        planner: what plans cost. Searches are many: they are quick ones.
        max_compared: positions that each of `action_costs`'s searches looks at before
            giving up. One frame in twenty has no way, or a long one, and took more than
            half of the time.
    """

    horizon: float = 3.0
    depth: float = 6.5
    bold_horizon: float = 8.0
    planner: PlannerSettings = dataclasses.field(
        default_factory=lambda: PlannerSettings(
            heuristic_weight=2.0, max_nodes=4000, hold=3
        )
    )
    max_compared: int = 1000

    def __post_init__(self) -> None:
        for name in ("horizon", "depth", "bold_horizon", "max_compared"):
            if not getattr(self, name) > 0:
                raise SettingsError(
                    f"{name} must be more than 0, got {getattr(self, name)}"
                )

    def reaches(self) -> tuple[tuple[float, float], ...]:
        """How far to look, in tiles to the right and down: with care, else boldly."""
        return (self.horizon, self.depth), (self.bold_horizon, np.inf)

    def holding(self, n_steps: int) -> "CarefulSettings":
        """The same, with plans that hold every key for at least so many steps."""
        planner = dataclasses.replace(self.planner, hold=n_steps)
        return dataclasses.replace(self, planner=planner)


def careful_plan(
    world: World, settings: CarefulSettings = CarefulSettings()
) -> list[int]:
    """Plans without leaving what can be seen, or else as `plan` does.

    Args:
        world: with the hazards that are shown (`World.as_seen`).
        settings: how far to look.

    Returns:
        Actions; none where no way was found.
    """
    for horizon, depth in settings.reaches():
        way = plan(world, settings.planner, horizon, depth=depth)
        if way:
            return way
    return []


def careful_action(world: World, settings: CarefulSettings = CarefulSettings()) -> int:
    """What a player does who plans anew by the picture; where it has no way, runs on.

    Args:
        world: with all its hazards; the player goes by those in the picture.
        settings: how far the player looks.
    """
    way = careful_plan(world.as_seen(), settings)
    return way[0] if way else RIGHT


def lives_on(
    world: World, n_steps: int, settings: CarefulSettings = CarefulSettings()
) -> bool:
    """Whether a player finishes, or lives so long, who does as `careful_action`.

    Args:
        world: with all its hazards; the player goes by those in the picture.
        n_steps: to live.
        settings: how far the player looks.
    """
    world = world.copy()
    for _ in range(n_steps):
        ending = world.step(careful_action(world, settings))
        if ending != RUNNING:
            return ending == COIN
    return True


def action_costs(
    world: World, settings: CarefulSettings = CarefulSettings(), margin: float = 8.0
) -> np.ndarray:
    """How much more than the best way costs the one that begins with each action.

    Most decisions hardly matter: to jump now or in two steps comes to the same. Who
    copies single actions has to learn by heart how a planner decides them; costs tell
    them from those that matter, and change little from picture to picture. Enemies are
    taken to go where they would without the agent.

    Args:
        world: with the hazards that are shown (`World.as_seen`).
        settings: how far to look; ways are careful ones, or else bold ones, as in
            `careful_plan`, but the cheapest, whatever the heuristic's weight.
        margin: steps, above which it does not matter how much more.

    Returns:
        float64 [15], in steps: 0 for the best action; inf for those that cost more
        than the margin, or lead nowhere, or that no plan makes use of, such as jumps
        in the air; all inf where no way was found.
    """
    costs = np.full(N_ACTIONS, np.inf)
    if world.goal() is None:
        return costs
    planner = dataclasses.replace(
        settings.planner, heuristic_weight=1.0, max_nodes=settings.max_compared
    )
    can_jump = world.has_support()
    for horizon, depth in settings.reaches():
        reach = float(world.agent[X]) + horizon, np.inf, depth
        way, least = _search(world, planner, *reach)
        if len(way):
            break
    else:
        return costs
    for action in SEARCHED_ACTIONS:
        if can_jump or action not in JUMPS:
            found, cost = _search(
                world, planner, *reach, first_action=action, bound=least + margin
            )
            # What is merged in one search is not in another.
            costs[action] = max(cost - least, 0.0) if len(found) else np.inf
    costs[way[0]] = 0.0
    return costs


def actions_alike(action: int, can_jump: bool) -> np.ndarray:
    """Actions that come to the same as one: who cannot jump need not let go of the key.

    Args:
        action: 0 to 14.
        can_jump: whether a jump would start now (`World.has_support`).

    Returns:
        bool [15]; a key down, which matters on boxes only, counts as none.
    """
    moves = np.arange(N_ACTIONS)
    moves[N_MOVES:] = NO_OP
    directions, jumps = moves // 3, (moves % 3 == 2) & can_jump
    return (directions == directions[action]) & (jumps == jumps[action])


def losing_actions(
    world: World, actions: Iterable[int], goes_on: Callable[[World], bool]
) -> np.ndarray:
    """Actions that kill at once, or after which nothing goes on.

    Args:
        world: to act in; left as it is.
        actions: to look at.
        goes_on: whether it does, from the world after an action. It is asked once for
            each place that actions lead to: many are alike.

    Returns:
        bool [15]: True for those among `actions`.
    """
    losing = np.zeros(N_ACTIONS, bool)
    known: dict[bytes, bool] = {}
    for action in actions:
        after = world.copy()
        ending = after.step(action)
        place = after.agent.tobytes()
        if place not in known:
            known[place] = goes_on(after) if ending == RUNNING else ending == COIN
        losing[action] = not known[place]
    return losing


def hopeless_actions(
    world: World,
    actions: Iterable[int],
    settings: CarefulSettings = CarefulSettings(),
) -> np.ndarray:
    """Actions after which the planner finds no way on, where it can find one.

    Most mistakes kill much later: a jump is lost where it begins. `deadly_actions`
    looks 24 steps ahead for a way to live; this looks `bold_horizon` tiles ahead for a
    way to go on.

    Args:
        world: with the hazards that are shown (`World.as_seen`).
        actions: to look at.
        settings: how far the planner looks.

    Returns:
        bool [15]: True for those among `actions`; none where there is no way anyhow,
        and never all that there are.
    """
    actions = list(actions)
    hopeless = losing_actions(
        world,
        actions,
        lambda after: bool(plan(after, settings.planner, settings.bold_horizon)),
    )
    if actions and hopeless[actions].all():
        # The planner's own way begins with another action, if there is one.
        way = plan(world, settings.planner, settings.bold_horizon)
        hopeless &= bool(way)
        hopeless[way[:1] if way else []] = False
    return hopeless


def deadly_actions(
    state: CoinRunState | bytes | World,
    n_steps: int = 24,
    hold: int = 4,
    reaction: int = 1,
    max_nodes: int = 1000,
) -> np.ndarray:
    """Actions after which the agent dies, play on as it may.

    Args:
        state: a parsed state, its bytes, or the world taken out of it.
        n_steps: how far to look: who lives so long counts as living on.
        hold: steps for which it then holds each key. With 1 an action is deadly only
            where the best player is lost; with more, where a clumsy one is.
        reaction: steps for which the action itself is held. With 1 an action turns
            deadly in the last step that leaves a way out; with more, before: a slow
            player is lost by then.
        max_nodes: situations to look at for each action; where there are more, the
            action counts as survived.

    Returns:
        bool [15], by Procgen's combinations of keys. An agent for which all are True
        is lost. A jump that cannot start is as deadly as its key left or right.

    Raises:
        FileFormatError: the bytes are no CoinRun state.
    """
    world = as_world(state)
    deadly = np.zeros(N_ACTIONS, bool)
    if not any(world.hazards_between(-_REACH, _REACH)):
        return deadly
    deadly[:N_MOVES] = deadly_moves(*world.arrays(), n_steps, hold, reaction, max_nodes)
    deadly[N_MOVES:] = deadly[NO_OP]
    return deadly


def lost(
    state: CoinRunState | bytes | World, n_steps: int = 24, max_nodes: int = 1000
) -> bool:
    """Whether the agent dies soon, whatever it does.

    Args:
        state: a parsed state, its bytes, or the world taken out of it.
        n_steps: see `deadly_actions`.
        max_nodes: see `deadly_actions`.

    Raises:
        FileFormatError: the bytes are no CoinRun state.
    """
    world = as_world(state)
    return any(world.hazards_between(-_REACH, _REACH)) and bool(
        is_lost(*world.arrays(), n_steps, max_nodes)
    )


def deadly_to_the_slow(
    state: CoinRunState | bytes | World,
    hold: int,
    reaction: int,
) -> np.ndarray:
    """`deadly_actions` for the slowest player who can live at all.

    Args:
        state: see `deadly_actions`.
        hold: see `deadly_actions`.
        reaction: of the slowest player; as long as that one is lost whatever it does,
            a quicker one is tried, down to 1.

    Returns:
        bool [15]; all True for an agent that even the quickest cannot save.
    """
    world = as_world(state)
    while True:
        deadly = deadly_actions(world, hold=hold, reaction=reaction)
        if reaction == 1 or not deadly.all():
            return deadly
        reaction -= 1

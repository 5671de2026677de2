"""The planner on real, unseen levels, and on rooms made by hand."""

import numpy as np
import pytest

from lucid_rl.errors import FileFormatError, SettingsError
from lucid_rl.games.coinrun_physics import COIN, NO_OP, RUNNING, Y
from lucid_rl.games.coinrun_planner import (
    CarefulSettings,
    PlannerSettings,
    action_costs,
    actions_alike,
    careful_plan,
    deadly_actions,
    deadly_to_the_slow,
    hopeless_actions,
    lost,
    plan,
)
from lucid_rl.games.coinrun_search import (
    JUMP,
    LEFT,
    LEFT_JUMP,
    RIGHT,
    RIGHT_JUMP,
)
from lucid_rl.games.coinrun_world import World
from lucid_rl.games.procgen_state import GOAL, LAVA_TOP, SPACE, WALL_TOP, parse_state
from tests.games.test_procgen_state import make_engine


def play_plans(n_levels, seed):
    """Plays each level's plan in the engine; returns which reached the coin."""
    engine = make_engine(n_envs=n_levels, seed=seed)
    plans = [plan(data) or [] for data in engine.callmethod("get_state")]
    won = np.zeros(n_levels, bool)
    for step in range(max(map(len, plans))):
        going = np.array([step < len(actions) for actions in plans])
        actions = [actions[step] if step < len(actions) else 4 for actions in plans]
        engine.act(np.array(actions))
        rewards, _, firsts = engine.observe()
        last = np.array([step == len(actions) - 1 for actions in plans])
        # A plan ends with the coin and not before.
        assert not (firsts & going & ~last).any()
        won |= last & (rewards > 0)
    engine.close()
    return won


def test_solves_unseen_hard_levels():
    assert play_plans(n_levels=30, seed=77).mean() >= 29 / 30


@pytest.mark.slow
def test_solves_300_unseen_hard_levels():
    assert play_plans(n_levels=300, seed=1234).mean() >= 0.99


@pytest.fixture(scope="module")
def room():
    """A flat room of 20 tiles with the coin at its end."""
    engine = make_engine(n_envs=1, num_levels=1, start_level=5)
    state = parse_state(engine.callmethod("get_state")[0])
    engine.close()
    state.entities = state.entities[:1]
    state.grid[1:-1, 1:-1] = SPACE
    state.grid[1:, 21:] = WALL_TOP
    state.grid[1, 20] = GOAL
    return World.from_state(state)


def with_grid(world, **changes):
    world = world.copy()
    world.grid = world.grid.copy()
    for name, value in changes.items():
        setattr(world, name, value)
    return world


def play(world, actions):
    world = world.copy()
    for action in actions[:-1]:
        assert world.step(action) == RUNNING
    return world.step(actions[-1])


def test_runs_straight_to_the_coin(room):
    actions = plan(room)
    assert set(actions) == {RIGHT}
    assert play(room, actions) == COIN
    # 18 tiles at half a tile a step, and a few steps to gather speed.
    assert 36 <= len(actions) <= 42


def test_jumps_over_what_kills(room):
    lava = with_grid(room)
    lava.grid[1, 10:12] = LAVA_TOP
    saw = with_grid(room, saws=np.array([[10.5, 1.5]], np.float32))
    enemy = with_grid(room, enemies=np.array([[12.5, 1.5, -0.15, 0]], np.float32))
    enemy.enemy_themes = np.zeros(1, np.int32)
    for world in (lava, saw, enemy):
        actions = plan(world)
        assert actions.count(RIGHT_JUMP) == 1
        assert set(actions) == {RIGHT, RIGHT_JUMP}
        assert play(world, actions) == COIN


def test_goes_left_only_when_needed(room):
    """Behind a wall too high to jump, a box stands to the left."""
    world = with_grid(room, crates=np.array([[3.5, 1.5], [3.5, 2.5]], np.float32))
    world.grid[1:8, 10] = WALL_TOP
    world.crates = np.array([[8.5, 1.5], [8.5, 2.5]], np.float32)
    world.agent[0] = 9.4
    actions = plan(world)
    assert {LEFT, LEFT_JUMP} & set(actions)
    assert play(world, actions) == COIN


def test_keeps_away_from_hazards(room):
    """With a price on nearness, the jump over a saw begins earlier."""
    world = with_grid(room, saws=np.array([[12.5, 1.5]], np.float32))
    careless = PlannerSettings(
        hazard_cost=0, jump_delay_cost=0, heuristic_weight=1, jump_cost=0
    )
    careful = PlannerSettings(hazard_cost=2, jump_delay_cost=0.05, heuristic_weight=1)
    assert plan(world, careful).index(RIGHT_JUMP) <= plan(world, careless).index(
        RIGHT_JUMP
    )


@pytest.mark.parametrize("hold", [2, 3, 5])
def test_keys_are_held(room, hold):
    """Also over pits that have to be jumped, one after the other."""
    saws = np.array([[6.5, 2.0], [12.5, 2.0]], np.float32)
    world = with_grid(room, saws=saws)
    actions = plan(world, PlannerSettings(hold=hold))
    assert play(world, actions) == COIN
    # A key for a jump is let go where nothing can jump; the plan may end within a hold.
    keys = [action // 3 for action in actions]
    changes = np.flatnonzero(np.diff(keys)) + 1
    assert (np.diff([0, *changes]) >= hold).all()
    jumps = np.flatnonzero(np.array(actions) % 3 == 2)
    assert len(jumps) >= 2 and (np.diff(jumps) >= hold).all()


def test_who_holds_keys_can_be_copied_clumsily():
    """A copy that now and then keeps its keys as they are dies of hasty plans."""
    engine = make_engine(n_envs=80, seed=77)
    worlds = [World.from_state(parse_state(d)) for d in engine.callmethod("get_state")]
    engine.close()

    def share_finished(hold, clumsiness=0.3):
        settings = CarefulSettings().holding(hold)
        rng, n_won = np.random.default_rng(0), 0
        for world in worlds:
            world, ending, action = world.copy(), RUNNING, RIGHT
            while ending == RUNNING and world.time < 300:
                if rng.random() >= clumsiness:
                    action = next(iter(careful_plan(world.as_seen(), settings)), RIGHT)
                ending = world.step(action)
            n_won += ending == COIN
        return n_won / len(worlds)

    held, hasty = share_finished(3), share_finished(1)
    assert held > hasty + 0.05 and held > 0.9
    # Who plans anew at each step is not held up by the key of the plan before.
    assert share_finished(3, clumsiness=0) > 0.97


def test_no_way_is_none(room):
    walled = with_grid(room)
    walled.grid[1:-1, 10] = WALL_TOP
    assert plan(walled) is None
    without_coin = with_grid(room)
    without_coin.grid[without_coin.grid == GOAL] = SPACE
    assert plan(without_coin) is None
    late = with_grid(room, time=990)
    assert plan(late) is None
    assert plan(room, PlannerSettings(max_nodes=3)) is None


def test_same_state_same_plan(room):
    world = with_grid(room, saws=np.array([[10.5, 1.5]], np.float32))
    before = world.agent.copy()
    assert plan(world) == plan(world)
    assert np.array_equal(world.agent, before) and world.time == 0


def test_plans_to_a_horizon_as_it_would_to_the_coin(room):
    world = with_grid(room, saws=np.array([[6.5, 1.5]], np.float32))
    near, far = plan(world, horizon=8), plan(world)
    assert near == far[: len(near)] and len(near) < len(far)
    assert play(world, near) == RUNNING
    # The coin ends a plan before the horizon does.
    assert plan(world, horizon=100) == far


def test_does_not_jump_out_of_sight(room):
    """A jump at full speed goes 8 tiles; who sees 6 comes down before."""
    world = with_grid(room, saws=np.array([[6.5, 1.5]], np.float32))
    world.agent[:3] = 3.2, world.agent[1], 0.5
    for sight in (np.inf, 6):
        actions = plan(world, horizon=5, sight=sight)
        farthest, played = 0.0, world.copy()
        for action in actions:
            assert played.step(action) == RUNNING
            farthest = max(farthest, played.agent[0])
        assert (farthest > 9.2) == (sight == np.inf)
        assert farthest >= 8.2
    assert plan(world, horizon=5, sight=4) is None


def test_does_not_fall_deeper_than_it_sees(room):
    """From a tower of 7 tiles there is a way down in steps, and a leap."""
    world = with_grid(room)
    world.grid[1:8, 1:4] = WALL_TOP
    world.grid[1:4, 4:6] = WALL_TOP
    world.agent[:2] = 2.5, 8.5787

    def deepest(actions):
        """How far below the top of a flight the agent comes."""
        played, top, falls = world.copy(), world.agent[Y], []
        for action in actions:
            played.step(action)
            y = played.agent[Y]
            falls.append(top - y)
            top = y if played.has_support() else max(top, y)
        return max(falls)

    leap, walk = plan(world, horizon=8), plan(world, horizon=8, depth=4.5)
    assert deepest(leap) > 6 and deepest(walk) <= 4.5
    assert RIGHT_JUMP not in walk  # who jumps rises by 6 tiles, and falls them again
    assert plan(world, horizon=8, depth=3.5) is None
    # Where there is no such way, it takes another.
    for depth, planned in (
        (3.5, plan(world, CarefulSettings().planner, horizon=8)),
        (4.5, plan(world, CarefulSettings().planner, horizon=7, depth=4.5)),
    ):
        settings = CarefulSettings(horizon=7, depth=depth)
        assert careful_plan(world, settings) == planned


def test_tells_what_kills_from_what_does_not(room):
    """The same saw is survived as long as a jump, or a stop, is still possible."""
    saw = with_grid(room, saws=np.array([[10.5, 1.5]], np.float32))
    saw.agent[2] = 0.5  # at full speed
    for x, expected in ((5.0, set()), (9.4, {0, 1, 3, 4, 6, 7, *range(9, 15)})):
        saw.agent[0] = x
        assert set(np.flatnonzero(deadly_actions(saw))) == expected, x
    assert not deadly_actions(room).any()


@pytest.mark.parametrize("reaction", [2, 3, 5])
def test_the_slow_are_lost_earlier(room, reaction):
    """Who holds a key so long is where it takes them before they decide."""
    saw = with_grid(room, saws=np.array([[10.5, 1.5]], np.float32))
    saw.agent[2] = 0.5
    for x in np.arange(5.0, 9.4, 0.5):
        saw.agent[0] = x
        later, ending = saw.copy(), RUNNING
        for _ in range(reaction):
            ending = ending or later.step(RIGHT)
        lost = ending != RUNNING or plan(later) is None
        assert deadly_actions(saw, hold=1, reaction=reaction)[RIGHT] == lost, x
    assert lost and not deadly_actions(saw, hold=1)[RIGHT]


def test_actions_alike():
    """In the air a jump is its key left or right; keys that do nothing are none."""
    nothing = {3, NO_OP, *range(9, 15)}
    assert set(np.flatnonzero(actions_alike(NO_OP, can_jump=True))) == nothing
    assert set(np.flatnonzero(actions_alike(RIGHT, can_jump=True))) == {6, RIGHT}
    assert set(np.flatnonzero(actions_alike(RIGHT_JUMP, can_jump=True))) == {RIGHT_JUMP}
    for action in (RIGHT, RIGHT_JUMP):
        alike = actions_alike(action, can_jump=False)
        assert set(np.flatnonzero(alike)) == {6, RIGHT, RIGHT_JUMP}


@pytest.mark.parametrize("hold", [1, 3])
def test_costs_of_actions_are_those_of_what_they_lead_to(room, hold):
    """Standing costs its steps and no more; running left, the way back as well."""
    planner = PlannerSettings(heuristic_weight=1, max_nodes=4000, hold=hold)
    world = with_grid(room)
    world.agent[:4] = 5.5, world.agent[Y], 0, 0
    costs = action_costs(world, CarefulSettings(planner=planner))
    assert costs[RIGHT] == 0
    standing = hold * (1 + planner.no_op_cost)
    np.testing.assert_allclose(costs[NO_OP], standing, atol=1e-9)
    assert costs[LEFT] > standing and costs[RIGHT_JUMP] > 0
    considered = {LEFT, LEFT_JUMP, NO_OP, JUMP, RIGHT, RIGHT_JUMP}
    assert set(np.flatnonzero(np.isfinite(costs))) <= considered
    # What costs more than the margin does not matter.
    less = action_costs(world, CarefulSettings(planner=planner), margin=1)
    np.testing.assert_array_equal(less, np.where(costs < 1, costs, np.inf))


def test_costs_tell_the_last_moment_to_jump(room):
    saw = with_grid(room, saws=np.array([[10.5, 1.5]], np.float32))
    saw.agent[2] = 0.5
    settings = CarefulSettings().holding(1)
    dearer = []
    for x in np.arange(6.0, 9.4, 0.25):
        saw.agent[0] = x
        costs = action_costs(saw, settings)
        assert costs.min() == 0 == costs[RIGHT_JUMP], x
        # Nothing but to run and to jump, though the jump ends beyond the horizon.
        assert set(careful_plan(saw, settings)) <= {RIGHT, RIGHT_JUMP}
        later = saw.copy()
        too_late = later.step(RIGHT) != RUNNING or not careful_plan(later, settings)
        assert too_late <= np.isinf(costs[RIGHT]), x
        dearer.append(costs[RIGHT])
        high = saw.copy()
        high.agent[Y] += 1  # nobody jumps in the air
        assert np.isinf(action_costs(high)[[JUMP, RIGHT_JUMP, LEFT_JUMP]]).all()
    # Far from the saw, a jump put off costs its delay and half of the step: it also
    # ends farther. Then it costs more and more.
    assert dearer[0] == pytest.approx(0.54) and dearer[-2] > 2 and too_late
    saw.agent[:4] = 10.5, 3.2, 0, -1.5  # about to land on it
    assert not careful_plan(saw, settings)
    assert np.isinf(action_costs(saw, settings)).all()


def test_what_leaves_no_way_on_is_hopeless_long_before_it_kills(room):
    """A hole too deep to jump out of; the coin is beyond it."""
    world = with_grid(room)
    world.grid[1:9, 1:21] = WALL_TOP
    world.grid[1:9, 7:9] = SPACE
    world.grid[9, 20] = GOAL
    world.agent[:4] = 7.3, 9.5787, 0.5, 0
    assert not deadly_actions(world).any()
    no_op = 4  # the agent is too quick to stop
    for asked, expected in (
        ([no_op, RIGHT, RIGHT_JUMP], {no_op, RIGHT}),
        ([RIGHT_JUMP], set()),
        ([RIGHT], {RIGHT}),
    ):
        assert set(np.flatnonzero(hopeless_actions(world, asked))) == expected
    # At the bottom nothing is to blame.
    world.agent[:4] = 7.6, 1.5787, 0, 0
    assert not hopeless_actions(world, range(15)).any()


def test_the_planners_own_way_is_never_hopeless(room):
    for x in np.arange(5.0, 9.5, 0.25):
        saw = with_grid(room, saws=np.array([[10.5, 1.5]], np.float32))
        saw.agent[:3] = x, saw.agent[1], 0.5
        way = plan(saw, CarefulSettings().planner, horizon=8)
        hopeless = hopeless_actions(saw, range(15))
        assert not hopeless.all()
        assert way is None or not hopeless[way[0]]
        # What kills the best of players leaves no way on, either.
        if way is not None:
            assert (hopeless >= deadly_actions(saw, hold=1)).all()


def test_the_slowest_who_can_live_is_asked(room):
    saw = with_grid(room, saws=np.array([[10.5, 1.5]], np.float32))
    saw.agent[2] = 0.5
    for x in np.arange(6.0, 9.9, 0.1):
        saw.agent[0] = x
        by_reaction = [deadly_actions(saw, hold=2, reaction=r) for r in (3, 2, 1)]
        expected = next((d for d in by_reaction if not d.all()), by_reaction[-1])
        found = deadly_to_the_slow(saw, hold=2, reaction=3)
        assert np.array_equal(found, expected)
        if lost(saw):
            assert deadly_actions(saw, hold=1).all() and plan(saw) is None
    assert not lost(room)
    saw.agent[:4] = 10.5, 3.2, 0, -1.5  # about to land on it
    assert lost(saw)


def test_a_world_as_seen_lacks_what_is_outside_the_picture(room):
    saws = np.array([[8.4, 1.5], [9.6, 1.5], [3.0, 9.0]], np.float32)
    world = with_grid(room, saws=saws)
    world.grid[1, [8, 12]] = LAVA_TOP
    world.agent[:2] = 2.5, 1.5787
    seen = world.as_seen()
    assert seen.saws.tolist() == saws[:1].tolist()
    assert (seen.grid[1, [8, 12]] == [LAVA_TOP, SPACE]).all()
    rest = (world.grid != LAVA_TOP) | (seen.grid == LAVA_TOP)
    assert (seen.grid == world.grid)[rest].all()


def test_an_action_is_deadly_when_no_plan_follows_it():
    """Against searches of another kind, on states of real levels."""
    engine = make_engine(n_envs=40, seed=6)
    engine_rng = np.random.default_rng(0)
    n_alike = n_deadly = n_missed = 0
    for _ in range(30):
        engine.act(engine_rng.choice([7, 7, 8], 40))
        engine.observe()
    for data in engine.callmethod("get_state"):
        world = World.from_state(parse_state(data))
        all_deadly = deadly_actions(world)
        assert (all_deadly[9:] == all_deadly[4]).all()
        if not world.has_support():
            # A jump that cannot start does nothing.
            assert (all_deadly[[2, 5, 8]] == all_deadly[[1, 4, 7]]).all()
        for action in (1, 2, 4, 5, 7, 8):
            deadly = all_deadly[action]
            child = world.copy()
            ending = child.step(action)
            lost = ending != COIN and (ending != RUNNING or plan(child) is None)
            n_alike += lost == deadly
            n_deadly += deadly and lost
            n_missed += lost and not deadly  # alive, but never to get out of a pit
    engine.close()
    assert n_deadly > 0 and n_alike > 0.95 * (n_alike + n_missed)


@pytest.mark.parametrize(
    "changes", [{"jump_cost": -1}, {"max_nodes": 0}, {"hold": 0}, {"hazard_margin": 10}]
)
def test_impossible_settings_are_refused(changes):
    with pytest.raises(SettingsError):
        PlannerSettings(**changes)
    with pytest.raises(SettingsError, match="depth must be more than 0"):
        CarefulSettings(depth=0)


def test_other_bytes_are_refused():
    with pytest.raises(FileFormatError):
        plan(b"not a state")

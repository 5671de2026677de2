"""The copied rules against the engine, step by step and bit by bit."""

import numpy as np
import pytest

from lucid_rl.games import coinrun_physics
from lucid_rl.games.coinrun_physics import COIN, DEAD, RUNNING
from lucid_rl.games.coinrun_world import World, as_world
from lucid_rl.games.procgen_state import ENEMY, GOAL, LAVA_TOP, SAW, SPACE, parse_state
from tests.games.test_procgen_state import make_engine

# Mostly to the right with jumps, so that episodes get somewhere; every key at times.
ACTION_WEIGHTS = np.array([1, 1, 1, 1, 2, 3, 1, 8, 8, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2])


def worlds_of(engine):
    return [as_world(data) for data in engine.callmethod("get_state")]


def compare_with_engine(n_envs, n_steps, seed, **options):
    """Plays both side by side; returns compared steps and episodes' ends.

    States are fetched only now and then, since fetching is what takes time: a copy
    that went wrong in between does not find back by itself.
    """
    engine = make_engine(n_envs=n_envs, seed=seed, **options)
    rng = np.random.default_rng(seed)
    copies = worlds_of(engine)
    actions = np.full(n_envs, 7)
    n_compared = n_ends = 0
    for step in range(n_steps):
        fresh = rng.choice(15, n_envs, p=ACTION_WEIGHTS / ACTION_WEIGHTS.sum())
        actions = np.where(rng.random(n_envs) < 0.5, actions, fresh)
        engine.act(actions)
        rewards, _, firsts = engine.observe()
        endings = [
            copy.step(int(action)) for copy, action in zip(copies, actions, strict=True)
        ]
        for copy, ending, reward, first in zip(
            copies, endings, rewards, firsts, strict=True
        ):
            assert (ending == COIN) == (reward > 0)
            assert (ending != RUNNING or copy.time == copy.timeout) == first
        n_ends += firsts.sum()
        n_compared += n_envs
        if firsts.any() or step % 20 == 19:
            for i, world in enumerate(worlds_of(engine)):
                if firsts[i]:
                    copies[i] = world
                    continue
                known = coinrun_physics.ACTION_VX
                assert np.array_equal(copies[i].agent[:known], world.agent[:known])
                assert np.array_equal(copies[i].enemies, world.enemies)
                assert copies[i].time == world.time
    engine.close()
    return n_compared, n_ends


def test_positions_and_endings_are_the_engines():
    n_compared, n_ends = compare_with_engine(n_envs=16, n_steps=250, seed=11)
    assert n_compared == 4000 and n_ends > 20


def test_positions_are_the_engines_on_easy_levels():
    compare_with_engine(n_envs=8, n_steps=150, seed=12, distribution_mode="easy")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_positions_are_the_engines_for_long(seed):
    n_compared, n_ends = compare_with_engine(n_envs=64, n_steps=800, seed=seed)
    assert n_compared == 51_200 and n_ends > 500


@pytest.fixture
def world():
    """An agent at rest on the floor of an empty room."""
    engine = make_engine(n_envs=1, num_levels=1, start_level=5)
    state = parse_state(engine.callmethod("get_state")[0])
    engine.close()
    state.grid[1:-1, 1:-1] = SPACE
    state.entities = state.entities[:1]
    return World.from_state(state)


def test_falling_by_hand(world):
    """Each step takes 0.2 off the vertical speed, and the floor ends the fall."""
    world.agent[coinrun_physics.Y] = 5.5787
    world.step(4)
    assert world.agent[coinrun_physics.VY] == np.float32(-0.2)
    world.step(4)
    assert world.agent[coinrun_physics.VY] == pytest.approx(-0.4)
    assert world.agent[coinrun_physics.Y] == pytest.approx(5.5787 - 0.6, abs=1e-5)
    assert not world.has_support()
    for _ in range(10):
        world.step(4)
    assert world.has_support()
    assert world.agent[coinrun_physics.Y] == pytest.approx(1.5787, abs=1e-5)


def test_running_and_jumping_by_hand(world):
    """On the ground a fifth of the wanted speed is taken on; a jump starts at 1.5."""
    world.step(4)
    world.step(7)
    assert world.agent[coinrun_physics.VX] == pytest.approx(0.1)
    world.step(7)
    assert world.agent[coinrun_physics.VX] == pytest.approx(0.18)
    height = world.agent[coinrun_physics.Y]
    world.step(8)
    assert world.agent[coinrun_physics.VY] == np.float32(1.5)
    assert world.agent[coinrun_physics.Y] == pytest.approx(height + 1.5, abs=1e-5)
    world.step(8)  # no second jump in the air
    assert world.agent[coinrun_physics.VY] == pytest.approx(1.3)


def test_what_ends_an_episode(world):
    x, y = world.agent[:2]
    assert world.copy().step(4) == RUNNING
    saw = world.copy()
    saw.saws = np.array([[x + 0.9, y]], np.float32)
    assert saw.step(4) == DEAD
    saw.saws[0, 0] = x + 1.0  # touching is not enough
    assert saw.copy().step(4) == RUNNING
    enemy = world.copy()
    enemy.enemies = np.array([[x + 1.1, y, -0.15, 0]], np.float32)
    assert enemy.step(4) == DEAD  # it walks into the agent
    lava = world.copy()
    lava.grid = world.grid.copy()
    lava.grid[1, 1] = LAVA_TOP
    assert lava.step(4) == DEAD
    coin = saw
    coin.saws[0, 0] = x + 0.5
    coin.grid = world.grid.copy()
    coin.grid[1, 1] = GOAL
    assert coin.step(4) == COIN  # the coin counts even beside a hazard


def test_a_box_holds_from_above_only(world):
    x = world.agent[coinrun_physics.X]
    world.crates = np.array([[x, 1.5]], np.float32)
    world.agent[coinrun_physics.Y] = world.agent[coinrun_physics.LAST_Y] = 5
    for _ in range(12):
        world.step(4)
    on_top = np.float32(1.5) + np.float32(0.5) + np.float32(0.5787)
    assert world.agent[coinrun_physics.Y] == pytest.approx(on_top, abs=1e-5)
    assert world.has_support()
    for _ in range(6):
        world.step(3)  # down
    assert world.agent[coinrun_physics.Y] == pytest.approx(1.5787, abs=1e-5)
    for _ in range(30):
        world.step(7)  # sideways it does not hold
    assert world.agent[coinrun_physics.X] > x + 3


def test_copies_go_their_own_ways(world):
    other = world.copy()
    for _ in range(5):
        other.step(7)
    assert world.agent[coinrun_physics.X] == 1.5 and world.time == 0


def test_a_world_holds_what_the_state_holds():
    engine = make_engine(n_envs=8, seed=4)
    for data in engine.callmethod("get_state"):
        state = parse_state(data)
        world = as_world(data)
        assert as_world(world) is world
        assert world.level_seed == state.level_seed
        assert len(world.saws) == len(state.entities_of_type(SAW))
        assert np.array_equal(world.enemies[:, 2], state.entities_of_type(ENEMY)["vx"])
        column, row = world.goal()
        assert state.grid[row, column] == GOAL
        assert world.view == (True, 13.0, True)
    engine.close()

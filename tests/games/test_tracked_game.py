"""A tracked game's worlds are the engine's, whatever is done with the game."""

import numpy as np
import pytest

from lucid_rl.errors import GameError
from lucid_rl.games.coinrun_objects import batch_object_maps
from lucid_rl.games.coinrun_physics import ACTION_VX
from lucid_rl.games.coinrun_world import as_world
from lucid_rl.games.registry import make_game
from lucid_rl.games.tracked_game import TrackedGame
from lucid_rl.games.vector_game import GameSettings

SETTINGS = GameSettings(n_envs=8, seed=2)


def assert_current(game):
    states = game.get_states()
    for world, state in zip(game.worlds(), states, strict=True):
        expected = as_world(state)
        assert np.array_equal(world.agent[:ACTION_VX], expected.agent[:ACTION_VX])
        for name in ("enemies", "saws", "crates", "grid", "constants"):
            assert np.array_equal(getattr(world, name), getattr(expected, name))
        for name in ("time", "level_seed", "view"):
            assert getattr(world, name) == getattr(expected, name)
    maps = batch_object_maps(game.worlds())
    assert np.array_equal(maps, batch_object_maps(states))


@pytest.fixture
def game():
    with TrackedGame(make_game(SETTINGS)) as game:
        yield game


def test_worlds_are_the_engines(game):
    rng = np.random.default_rng(0)
    n_ends = 0
    assert_current(game)
    for step in range(150):
        game.act(rng.choice([1, 4, 5, 7, 7, 8, 8, 12], 8))
        if step % 3:
            n_ends += game.observe().firsts.sum()
        if step % 10 == 0:
            assert_current(game)
    assert n_ends > 5


def test_chosen_levels_and_restored_states(game):
    before = game.get_states()
    game.start_levels([1, 4], [100, 101])
    game.act(np.full(8, 7))
    assert game.worlds()[4].level_seed == 101
    assert_current(game)
    game.set_states(before)
    assert_current(game)
    game.act(np.full(8, 7))
    assert_current(game)
    game.set_states(before[2:4], [6, 0])
    assert_current(game)
    game.act(np.full(8, 7))
    assert_current(game)


def test_it_is_the_same_game(game):
    with make_game(SETTINGS) as plain:
        for action in (7, 8, 7, 7):
            game.act(np.full(8, action))
            plain.act(np.full(8, action))
        for ours, theirs in zip(game.observe(), plain.observe(), strict=True):
            assert np.array_equal(ours, theirs)
        assert np.array_equal(game.level_seeds(), plain.level_seeds())
        assert game.n_actions == plain.n_actions
        assert game.action_combos == plain.action_combos


def test_other_games_are_refused():
    with (
        make_game(GameSettings(name="maze", n_envs=1)) as maze,
        pytest.raises(GameError, match="maze"),
    ):
        TrackedGame(maze)

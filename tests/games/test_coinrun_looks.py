"""Looks decide nothing: the same situation, another picture."""

import numpy as np

from lucid_rl.games.coinrun_looks import with_looks_of
from lucid_rl.games.coinrun_objects import batch_object_maps
from lucid_rl.games.coinrun_world import as_world
from lucid_rl.games.procgen_state import parse_state
from lucid_rl.games.registry import make_game
from lucid_rl.games.tracked_game import TrackedGame
from lucid_rl.games.vector_game import GameSettings

SETTINGS = GameSettings(n_envs=8, seed=2)


def test_a_situation_in_other_looks_goes_on_as_it_would():
    rng = np.random.default_rng(0)
    with TrackedGame(make_game(SETTINGS)) as game:
        for _ in range(20):
            game.act(rng.choice([7, 7, 8], 8))
        states = [parse_state(state) for state in game.get_states()]
        drawn = [with_looks_of(states[i], states[i - 1]) for i in range(8)]
        for state, other, new in zip(states, np.roll(states, 1), drawn, strict=True):
            assert new.view["background_index"] == other.view["background_index"]
            assert np.array_equal(as_world(new).grid, as_world(state).grid)
        assert np.array_equal(batch_object_maps(drawn), batch_object_maps(states))

        frames = game.observe().observations.copy()
        new = [state.to_bytes() for state in drawn]
        others = game.drawn_as(new[:6], range(6))
        assert (others != frames[:6]).any(axis=(1, 2, 3)).all()
        # The painted velocity, which the agent goes by, is the same.
        assert np.array_equal(others[:, :12, :12], frames[:6, :12, :12])
        # The game has not noticed.
        assert np.array_equal(game.observe().observations, frames)
        assert [state.to_bytes() for state in states] == game.get_states()

        with TrackedGame(make_game(SETTINGS)) as twin:
            twin.set_states(new)
            assert np.array_equal(twin.observe().observations[:6], others)
            for _ in range(40):
                actions = rng.choice([7, 7, 8], 8)
                game.act(actions)
                twin.act(actions)
                assert np.array_equal(game.observe().firsts, twin.observe().firsts)
                for world, same in zip(game.worlds(), twin.worlds(), strict=True):
                    assert np.array_equal(world.agent, same.agent)
                    assert np.array_equal(world.enemies, same.enemies)

"""Stacks of frames, in any game."""

import numpy as np
import pytest

from lucid_rl.errors import GameError, SettingsError
from lucid_rl.games.registry import describe, game_settings, make_game
from lucid_rl.games.vector_game import GameSettings

SETTINGS = GameSettings(name="maze", n_envs=3, distribution_mode="easy", seed=2)


def test_a_stack_holds_the_last_frames_of_its_episode():
    rng = np.random.default_rng(0)
    stacked = SETTINGS.replace(frame_stack=3)
    with make_game(SETTINGS) as plain, make_game(stacked) as game:
        assert game.n_actions == plain.n_actions and game.settings == stacked
        history: list[np.ndarray] = []
        n_firsts = 0
        for _ in range(520):
            step, expected = game.observe(), plain.observe()
            np.testing.assert_array_equal(step.firsts, expected.firsts)
            # Looking again changes nothing.
            np.testing.assert_array_equal(
                step.observations, game.observe().observations
            )
            n_firsts += int(step.firsts.sum())
            frames = expected.observations.copy()
            history = [*(frame.copy() for frame in history), frames][-3:]
            for frame in history[:-1]:
                frame[step.firsts] = 0
            padded = [np.zeros_like(frames)] * (3 - len(history)) + history
            np.testing.assert_array_equal(
                step.observations, np.concatenate(padded, axis=-1)
            )
            with pytest.raises(ValueError):
                step.observations[:] = 0
            actions = rng.integers(0, 15, 3)
            game.act(actions)
            plain.act(actions)
        assert n_firsts > 3
        np.testing.assert_array_equal(game.level_seeds(), plain.level_seeds())
        assert game.get_states() == plain.get_states()
        with pytest.raises(GameError, match="frame_stack"):
            game.set_states(game.get_states())


def test_a_model_of_stacks_plays_with_stacks():
    found = game_settings({"env_name": "maze", "frame_stack": 4}, 15)
    assert found.frame_stack == 4
    assert describe(found).endswith("stack of 4 frames")
    for wrong in (0, 65, 1.5):
        with pytest.raises(SettingsError, match="frame_stack"):
            GameSettings(frame_stack=wrong)

"""A trained model is analysed on the game that it was trained on."""

import pytest

from lucid_rl.games.registry import game_settings
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training.config import TrainConfig


@pytest.mark.parametrize(
    "game",
    [
        GameSettings(n_levels=100, start_level=7, restrict_themes=True),
        GameSettings("maze", distribution_mode="easy", frame_stack=4, debug_mode=2),
        GameSettings(
            "coinrun_original", distribution_mode="mixed", n_levels=9, level_set_seed=3
        ),
        GameSettings("coinrun_original", paint_vel_info=False),
    ],
    ids=lambda game: f"{game.name}-{game.distribution_mode}",
)
def test_the_game_of_a_run_is_that_of_its_checkpoint(game):
    args = TrainConfig(game=game).checkpoint_args()
    found = game_settings(args, training_levels=True, n_envs=game.n_envs)
    # None stands for the game's own default, which the checkpoint spells out.
    assert found.paints_velocity == game.paints_velocity
    assert found.replace(paint_vel_info=None) == game.replace(paint_vel_info=None)


def test_an_atari_game_of_a_run_is_that_of_its_checkpoint():
    pytest.importorskip("ale_py")
    game = GameSettings("gymnasium:ALE/Breakout-v5", wrappers="atari", frame_stack=2)
    found = game_settings(TrainConfig(game=game).checkpoint_args())
    assert found == game

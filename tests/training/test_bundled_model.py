"""The model that comes with the package."""

import pytest

from lucid_rl.checkpoints.checkpoint import bundled_checkpoint_path, load_checkpoint


def test_its_settings_are_those_of_the_articles_game():
    model = load_checkpoint(bundled_checkpoint_path())
    assert model.architecture == "clear" and model.n_actions == 15
    args = model.args
    assert args["env_name"] == "coinrun" and args["distribution_mode"] == "hard"
    assert args["paint_vel_info"] and args["num_levels"] == 0
    assert args["gamma"] == 0.999 and args["reward_scale"] == 0.1
    assert bundled_checkpoint_path().stat().st_size < 2e6


@pytest.mark.slow
def test_it_plays_better_than_running_blindly():
    from lucid_rl.evaluation.evaluation import evaluate
    from lucid_rl.evaluation.settings import EvaluationSettings
    from lucid_rl.games.vector_game import GameSettings

    settings = EvaluationSettings(
        n_episodes=100, game=GameSettings(n_envs=50), seed=11, causes=False
    )
    # Running and jumping to the right finishes 0.6 of the levels.
    assert evaluate(bundled_checkpoint_path(), settings).completed.share > 0.6

"""The models that come with the package."""

import pytest

from lucid_rl.checkpoints.checkpoint import (
    BUNDLED,
    bundled_checkpoint_path,
    load_checkpoint,
)

N_LEVELS = {"bundled": 0, "bundled:100_levels": 100}
# The models finish 0.955 of theirs and 0.99; less would need bad luck at 3 in 1,000.
LEAST_SHARES = {"bundled": 0.88, "bundled:100_levels": 0.95}


@pytest.mark.parametrize("name", BUNDLED)
def test_their_settings_are_those_of_the_articles_game(name):
    model = load_checkpoint(bundled_checkpoint_path(name))
    assert model.architecture == "clear" and model.n_actions == 15
    args = model.args
    assert args["env_name"] == "coinrun" and args["distribution_mode"] == "hard"
    assert args["paint_vel_info"] and args["num_levels"] == N_LEVELS[name]
    assert args["gamma"] == 0.999 and args["reward_scale"] == 0.1
    assert bundled_checkpoint_path(name).stat().st_size < 2e6


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLED)
def test_they_finish_the_levels_that_they_were_trained_on(name):
    from lucid_rl.evaluation.evaluation import evaluate
    from lucid_rl.evaluation.settings import EvaluationSettings
    from lucid_rl.games.vector_game import GameSettings

    game = GameSettings(n_envs=50, n_levels=N_LEVELS[name])
    settings = EvaluationSettings(n_episodes=100, game=game, seed=11, causes=False)
    completed = evaluate(bundled_checkpoint_path(name), settings=settings).completed
    assert completed.fraction > LEAST_SHARES[name]

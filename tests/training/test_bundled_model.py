"""The models that come with the package."""

import pytest

from lucid_rl.checkpoints.checkpoint import (
    BUNDLED,
    bundled_checkpoint_path,
    load_checkpoint,
)

N_LEVELS = {"bundled": 0, "bundled:100_levels": 100, "bundled:distilled": 0}
# Below what they finish by as much as chance allows at 3 in 1,000.
LEAST_SHARES = {
    "bundled": 0.88,
    "bundled:100_levels": 0.95,
    "bundled:distilled": 0.60,
}


@pytest.mark.parametrize("name", BUNDLED)
def test_their_settings_are_those_of_the_articles_game(name):
    model = load_checkpoint(bundled_checkpoint_path(name))
    assert model.architecture == "clear" and model.n_actions == 15
    args = model.args
    assert args["env_name"] == "coinrun" and args["distribution_mode"] == "hard"
    assert args["num_levels"] == N_LEVELS[name] and args["gamma"] == 0.999
    # The distilled model's are its teacher's.
    distilled = name == "bundled:distilled"
    assert args["paint_vel_info"] != distilled
    assert args["reward_scale"] == (1 if distilled else 0.1)
    assert bundled_checkpoint_path(name).stat().st_size < 2e6


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLED)
def test_they_finish_the_levels_that_they_were_trained_on(name):
    from lucid_rl.evaluation.evaluation import evaluate
    from lucid_rl.evaluation.settings import EvaluationSettings
    from lucid_rl.games.vector_game import GameSettings

    game = GameSettings(
        n_envs=50,
        n_levels=N_LEVELS[name],
        paint_vel_info=name != "bundled:distilled",
    )
    settings = EvaluationSettings(n_episodes=100, game=game, seed=11, causes=False)
    completed = evaluate(bundled_checkpoint_path(name), settings=settings).completed
    assert completed.fraction > LEAST_SHARES[name]

"""A model plays its own game; `lucid_rl.sample_observations` and trajectories."""

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import Checkpoint
from lucid_rl.errors import InputError, LucidRLError, SettingsError
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.sampling.model_samples import sample_observations, sample_trajectories


class Watcher:
    """A policy of 15 actions that pretends to be a model; keeps what it saw."""

    n_actions, image_shape = 15, (64, 64, 3)

    def __init__(self, **args):
        self.args = args
        self.seen = []

    def __call__(self, observations):
        self.seen.append(observations.copy())
        return np.zeros((len(observations), self.n_actions)), np.zeros(
            len(observations)
        )


@pytest.fixture
def player(monkeypatch):
    from lucid_rl.sampling import model_samples

    monkeypatch.setattr(model_samples, "load", lambda spec: spec)
    return Watcher(env_name="maze", distribution_mode="easy")


def test_the_models_own_game_is_played(model_a):
    model = Checkpoint(model_a.checkpoint.params, {"env_name": "coinrun"})
    sampled = sample_observations(model, 5, n_envs=2, interval=3, seed=1)
    assert sampled.observations.shape == (5, 64, 64, 3)
    assert len(sampled) == len(sampled.level_seeds) == 5
    again = sample_observations(model, 5, n_envs=2, interval=3, seed=1)
    np.testing.assert_array_equal(sampled.observations, again.observations)
    played = sample_trajectories(model, 2, n_steps=4, seed=1)
    assert played.observations.shape == (2, 4, 64, 64, 3)
    with pytest.raises(SettingsError, match="--game"):
        sample_observations(Checkpoint(model_a.checkpoint.params), 5)


def test_options_and_other_games(player):
    sampled = sample_observations(player, 4, n_envs=2, interval=2, n_levels=1)
    assert set(sampled.level_seeds) == {0}
    other = sample_observations(player, 4, n_envs=2, interval=2, game="ninja")
    assert (other.observations != sampled.observations).any()
    given = GameSettings(name="maze", distribution_mode="easy", n_levels=1)
    same = sample_observations(player, 4, n_envs=2, interval=2, game=given)
    np.testing.assert_array_equal(same.observations, sampled.observations)
    with make_game(given.replace(n_envs=3)) as game:
        assert len(sample_observations(player, 7, interval=1, game=game)) == 7
        game.observe()  # left open
        played = sample_trajectories(player, 3, n_steps=2, game=game)
        assert played.actions.shape == (3, 2)
    frames = sample_trajectories(player, 1, n_steps=2, frame_size=64).frames
    assert frames is not None and frames.shape == (1, 2, 64, 64, 3)


def test_a_model_that_does_not_fit_its_game_is_refused(player):
    with pytest.raises(InputError, match="a whole number"):
        sample_observations(player, 0)
    with pytest.raises(InputError, match=r"shows \(64, 64, 12\)"):
        sample_observations(player, 2, frame_stack=4)
    player.n_actions = 7
    with pytest.raises(InputError, match="7 actions, but maze has 15"):
        sample_observations(player, 2)


def test_gymnasiums_vector_environments_are_games(player):
    pytest.importorskip("gymnasium")
    from tests.games.test_gymnasium_game import counters

    player.n_actions, player.image_shape = 3, (20, 24, 3)
    sampled = sample_observations(player, 4, interval=1, game=counters())
    assert sampled.observations[:, 0, 0, 0].tolist() == [1, 1, 2, 2]
    played = sample_trajectories(player, 2, n_steps=6, game=counters())
    assert played.rewards[0].tolist() == [0, 0, 0, 2.5, 0, 0]
    assert played.firsts[0].tolist() == [True, False, False, False, True, False]


def test_an_atari_model_is_sampled(player):
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    player.n_actions, player.image_shape = 4, (84, 84, 4)
    player.args = {"env_name": "gymnasium:ALE/Breakout-v5", "wrappers": "atari"}
    played = sample_trajectories(player, 2, n_steps=5, frame_size=128)
    assert played.observations.shape == (2, 5, 84, 84, 4)
    assert played.frames is not None and played.frames.shape == (2, 5, 128, 128, 3)
    assert "2 trajectories of 5 steps" in played._repr_html_()
    player.args.pop("wrappers")
    with pytest.raises(InputError, match="wrappers or frame_stack"):
        sample_observations(player, 2)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"foo": 1}, "no option 'foo'"),
        ({"game": GameSettings(), "foo": 1}, "no option 'foo'"),
        ({"n_envs": 0}, "n_envs=0: expected"),
        ({"game": 3}, "game=3: expected a name"),
    ],
)
def test_wrong_options_are_named(player, options, words):
    with pytest.raises(LucidRLError, match=words):
        sample_observations(player, 2, **options)


def test_options_of_a_game_that_is_made_already_are_refused(player):
    with (
        make_game(GameSettings(name="maze", n_envs=2)) as game,
        pytest.raises(InputError, match="distribution_mode='easy': the game is made"),
    ):
        sample_observations(player, 2, game=game, distribution_mode="easy")

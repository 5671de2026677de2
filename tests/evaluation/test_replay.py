import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageSequence

from lucid_rl.errors import GameError, InputError
from lucid_rl.evaluation.evaluation import evaluate
from lucid_rl.evaluation.play import given_levels, play
from lucid_rl.evaluation.replay import check_replayable, replay_frames, write_film
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings
from tests.evaluation.players import eager_policy

GAME = GameSettings(n_envs=4)


@pytest.fixture(scope="module")
def played():
    """Episodes, and what the policy was shown of level 11 when it played."""
    seen = []

    def policy(observations):
        seen.append(observations[0].copy())
        return eager_policy(observations)

    with make_game(GAME.replace(n_envs=1)) as game:
        (alone,) = play(game, policy, given_levels([5], [11]), 0)
    settings = EvaluationSettings(n_episodes=12, game=GAME, causes=False)
    return alone, seen, evaluate(eager_policy, settings=settings).episodes


def test_a_replay_shows_what_the_model_saw(played):
    alone, seen, _ = played
    frames = list(replay_frames(alone, GAME))
    assert len(frames) == len(alone.actions) == len(seen)
    np.testing.assert_array_equal(frames, seen)


def test_every_episode_repeats_itself(played):
    for episode in played[2]:
        assert sum(1 for _ in replay_frames(episode, GAME)) == len(episode.actions)


def test_full_resolution(played):
    frames = list(replay_frames(played[0], GAME, full_resolution=True))
    assert len(frames) == len(played[0].actions)
    assert frames[0].shape == (512, 512, 3)
    # The velocity boxes have the same greys in both.
    for small, large in zip(played[1], frames, strict=True):
        np.testing.assert_array_equal(small[1, 1], large[8, 8])


def test_what_was_invisible_can_be_replayed_either_way(played):
    hidden = GAME.replace(invisible=("buzzsaw", "enemy", "coin"))
    visible_frames = list(replay_frames(played[0], GAME))
    hidden_frames = list(replay_frames(played[0], hidden))
    assert len(hidden_frames) == len(visible_frames)
    differ = [
        (a != b).any() for a, b in zip(hidden_frames, visible_frames, strict=True)
    ]
    assert any(differ) and not all(differ)


def test_what_does_not_repeat_itself(played):
    episode = played[0]
    opposite = "failed" if episode.completed else "completed"
    for changed in (
        dataclasses.replace(episode, level_seed=12),
        dataclasses.replace(episode, actions=episode.actions[:-1]),
        dataclasses.replace(episode, reward=episode.reward + 1),
        dataclasses.replace(episode, outcome=opposite),
    ):
        with pytest.raises(GameError, match="does not repeat itself"):
            list(replay_frames(changed, GAME))
    with pytest.raises(GameError, match="does not repeat itself"):
        list(replay_frames(episode, GAME.replace(distribution_mode="easy")))
    with pytest.raises(GameError, match="cannot start"):
        list(replay_frames(episode, GAME.replace(use_generated_assets=True)))


def squares(n, size):
    """Frames in which a white square moves to the right."""
    frames = np.zeros((n, size, size, 3), np.uint8)
    for t, frame in enumerate(frames):
        frame[: size // 4, t * size // n : t * size // n + size // 4] = 255
    return frames


@pytest.mark.parametrize("size, shown", [(64, 256), (512, 512)])
def test_gif(tmp_path, size, shown):
    frames = squares(6, size)
    write_film(iter(frames), tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 6 and film.size == (shown, shown)
        assert 60 <= film.info["duration"] <= 70
        assert film.info["loop"] == 0
        pictures = [np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(film)]
    enlarged = frames.repeat(shown // size, axis=1).repeat(shown // size, axis=2)
    np.testing.assert_array_equal(pictures, enlarged)


def test_mp4(tmp_path):
    imageio_ffmpeg = pytest.importorskip(
        "imageio_ffmpeg", reason="films as .mp4 are an extra"
    )
    frames = squares(6, 64)
    write_film(iter(frames), tmp_path / "film.mp4")
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "film.mp4"))
    assert next(reader)["size"] == (256, 256)
    pictures = [np.frombuffer(data, np.uint8).reshape(256, 256, 3) for data in reader]
    assert len(pictures) == 6
    enlarged = frames.repeat(4, axis=1).repeat(4, axis=2)
    assert np.abs(np.float32(pictures) - enlarged).mean() < 8


def test_films_that_cannot_be_written(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"\.gif or \.mp4"):
        write_film(squares(2, 64), tmp_path / "film.avi")
    with pytest.raises(InputError, match="no frames"):
        write_film([], tmp_path / "film.gif")
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match="pip install imageio-ffmpeg"):
        write_film(squares(2, 64), tmp_path / "film.mp4")
    assert not list(tmp_path.iterdir())


def test_games_without_levels_cannot_be_replayed():
    pytest.importorskip("ale_py")
    with pytest.raises(GameError, match="cannot be replayed"):
        check_replayable(GameSettings(name="gymnasium:ALE/Breakout-v5"))
    check_replayable(GameSettings())

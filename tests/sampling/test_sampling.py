import joblib
import numpy as np
import pytest

from lucid_rl.checkpoints.jd_format import read_jd, write_jd
from lucid_rl.errors import FileFormatError, GameError, InputError, SettingsError
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.sampling.observations import (
    ObservationSettings,
    read_observations,
    sample_observations,
    write_observations,
)
from lucid_rl.sampling.trajectories import (
    Trajectories,
    TrajectorySettings,
    check_trajectories,
    read_trajectories,
    sample_trajectories,
    write_trajectories,
)

GAME = GameSettings(n_envs=3, seed=4)
LONG = TrajectorySettings(n_envs=3, n_steps=150, states=True)


def brightness_policy(observations):
    """Some policy that depends on what is seen, and mostly jumps to the right."""
    brightness = observations.reshape(len(observations), -1).mean(axis=1)
    logits = np.zeros((len(observations), 15), np.float32)
    logits[:, 8] = 2 + brightness / 128
    logits[:, 7] = 2
    return logits, brightness.astype(np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def trajectories():
    with make_game(GAME) as game:
        return sample_trajectories(game, brightness_policy, LONG, rng())


def test_trajectories_replay_in_the_engine(trajectories):
    """observation, first, action and the reward that follows line up."""
    with make_game(GAME) as game:
        for t in range(LONG.n_steps):
            step = game.observe()
            np.testing.assert_array_equal(
                step.observations, trajectories.observations[:, t]
            )
            np.testing.assert_array_equal(step.firsts, trajectories.firsts[:, t])
            np.testing.assert_array_equal(
                game.level_seeds(), trajectories.level_seeds[:, t]
            )
            game.act(trajectories.actions[:, t])
            np.testing.assert_array_equal(
                game.observe().rewards, trajectories.rewards[:, t]
            )
        step = game.observe()
        np.testing.assert_array_equal(step.observations, trajectories.last_observations)
        np.testing.assert_array_equal(step.firsts, trajectories.last_firsts)


def test_rewards_end_episodes(trajectories):
    ends = np.concatenate(
        [trajectories.firsts[:, 1:], trajectories.last_firsts[:, None]], axis=1
    )
    rewarded = trajectories.rewards > 0
    assert rewarded.any() and (trajectories.rewards[rewarded] == 10.0).all()
    assert ends[rewarded].all()
    # A level's seed stays the same within an episode.
    changed = np.diff(trajectories.level_seeds, axis=1) != 0
    np.testing.assert_array_equal(changed, ends[:, :-1])


def test_states_are_those_of_the_observations(trajectories):
    with make_game(GAME) as game:
        game.set_states([states[70] for states in trajectories.states])
        np.testing.assert_array_equal(
            game.observe().observations, trajectories.observations[:, 70]
        )


def test_same_seed_same_trajectories(trajectories):
    with make_game(GAME) as game:
        again = sample_trajectories(game, brightness_policy, LONG, rng())
    with make_game(GAME) as game:
        other = sample_trajectories(game, brightness_policy, LONG, rng(1))
    np.testing.assert_array_equal(again.actions, trajectories.actions)
    np.testing.assert_array_equal(again.observations, trajectories.observations)
    assert again.states == trajectories.states
    assert (other.actions != trajectories.actions).any()


def test_greedy_actions_are_the_most_probable():
    settings = TrajectorySettings(n_envs=3, n_steps=20, greedy=True)
    with make_game(GAME) as game:
        greedy = sample_trajectories(game, brightness_policy, settings, rng())
    assert (greedy.actions == 8).all()


def test_frames_show_the_observations():
    settings = TrajectorySettings(n_envs=2, n_steps=12, frame_size=128)
    with make_game(GameSettings(n_envs=2, full_resolution=True)) as game:
        kept = sample_trajectories(game, brightness_policy, settings, rng())
    assert kept.frames.shape == (2, 12, 128, 128, 3)
    # The observations are drawn without smoothing, so they agree roughly only.
    reduced = kept.frames.reshape(2, 12, 64, 2, 64, 2, 3).mean(axis=(3, 5))
    difference = np.abs(reduced - kept.observations).mean(axis=(2, 3, 4))
    moved = np.abs(reduced[:, :-6] - kept.observations[:, 6:]).mean(axis=(2, 3, 4))
    assert difference.max() < 12
    assert difference.mean() < 0.8 * moved.mean()
    # The velocity boxes have no edges to smooth.
    assert (kept.frames[:, :, :24, :24] == kept.observations[:, :, :1, :1]).all()


def test_frames_need_a_game_made_for_them():
    settings = TrajectorySettings(n_envs=3, n_steps=2, frame_size=64)
    with make_game(GAME) as game, pytest.raises(GameError, match="full_resolution"):
        sample_trajectories(game, brightness_policy, settings, rng())


def test_observations_are_taken_at_the_interval():
    settings = ObservationSettings(n_envs=3, n_per_env=4, interval=30, states=True)
    with make_game(GAME) as game:
        sampled = sample_observations(game, brightness_policy, settings, rng())
    with make_game(GAME) as game:
        played = sample_trajectories(game, brightness_policy, LONG, rng())
    # Time-major: all environments at step 30, then at 60 ...
    for index, t in enumerate((30, 60, 90, 120)):
        block = slice(3 * index, 3 * index + 3)
        np.testing.assert_array_equal(
            sampled.observations[block], played.observations[:, t]
        )
        np.testing.assert_array_equal(
            sampled.level_seeds[block], played.level_seeds[:, t]
        )
        assert sampled.states[block] == [states[t] for states in played.states]
    assert len(sampled) == 12


def test_the_articles_numbers_are_the_defaults():
    observations, trajectories = ObservationSettings(), TrajectorySettings()
    assert (observations.n_envs, observations.n_per_env, observations.interval) == (
        32,
        128,
        128,
    )
    assert (trajectories.n_envs, trajectories.n_steps) == (8, 512)


@pytest.mark.parametrize(
    "settings, change",
    [
        (ObservationSettings, {"interval": 0}),
        (ObservationSettings, {"n_per_env": 0}),
        (TrajectorySettings, {"n_steps": 0}),
        (TrajectorySettings, {"frame_size": 100}),
        (TrajectorySettings, {"frame_size": -64}),
    ],
    ids=str,
)
def test_impossible_settings_are_refused(settings, change):
    with pytest.raises(SettingsError, match=next(iter(change))):
        settings(**change)


def test_a_game_of_another_size_is_refused():
    with make_game(GAME) as game:
        for sample, settings in (
            (sample_observations, ObservationSettings()),
            (sample_trajectories, TrajectorySettings()),
        ):
            with pytest.raises(InputError, match="3 environments"):
                sample(game, brightness_policy, settings, rng())


def test_files_give_back_what_was_written(trajectories, tmp_path):
    write_trajectories(trajectories, tmp_path / "t.jd")
    read = read_trajectories(tmp_path / "t.jd")
    for name, array in vars(trajectories).items():
        if name == "states" or array is None:
            assert getattr(read, name) is None
        else:
            assert getattr(read, name).dtype == array.dtype
            np.testing.assert_array_equal(getattr(read, name), array)
    flat = trajectories.observations[:, ::50].reshape(-1, 64, 64, 3)
    write_jd({"observations": flat}, tmp_path / "o.jd")
    observations = read_observations(tmp_path / "o.jd")
    np.testing.assert_array_equal(observations.observations, flat)
    write_observations(observations, tmp_path / "again.jd")
    assert read_jd(tmp_path / "again.jd").keys() == {"observations"}


def test_files_as_the_article_writes_them_are_read(golden, tmp_path):
    names = ("observations", "actions", "rewards", "firsts")
    content = {name: golden[f"traj_{name}"] for name in names}
    joblib.dump({**content, "observations_full": None}, tmp_path / "t.jd")
    read = read_trajectories(tmp_path / "t.jd")
    for name in names:
        np.testing.assert_array_equal(getattr(read, name), content[name])
    assert read.level_seeds is None and read.frames is None
    joblib.dump({"observations": golden["obs_u8"]}, tmp_path / "o.jd")
    observations = read_observations(tmp_path / "o.jd")
    np.testing.assert_array_equal(observations.observations, golden["obs_u8"])


def change(**arrays):
    def changed(content):
        for name, function in arrays.items():
            content[name] = function(content[name])
        return content

    return changed


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda c: [c], "dictionary"),
        (lambda c: {k: v for k, v in c.items() if k != "rewards"}, "rewards missing"),
        (change(observations=lambda a: a.astype("f4")), "observations is float32"),
        (change(observations=lambda a: a.astype("u2")), "uint16"),
        (change(observations=lambda a: a[..., 0]), "shape"),
        (change(observations=lambda a: a[:, :0]), "at least 1"),
        (change(actions=lambda a: a[:, 1:]), "actions of shape"),
        (change(actions=lambda a: a - 100), "below 0"),
        (change(actions=lambda a: a.astype("f4")), "actions is float32"),
        (change(firsts=lambda a: a.astype("i4")), "firsts is int32"),
        (change(firsts=lambda a: a[0]), "firsts of shape"),
        (change(rewards=lambda a: a * np.nan), "not finite"),
        (change(rewards=lambda a: "ten"), "rewards is str"),
        (change(level_seeds=lambda a: a[:1]), "level_seeds of shape"),
        (change(last_observations=lambda a: a[:, :9]), "last_observations of shape"),
    ],
)
def test_unfit_trajectories_are_refused(trajectories, tmp_path, damage, words):
    path = tmp_path / "trajectories.jd"
    write_trajectories(trajectories, path)
    write_jd(damage(read_jd(path)), path)
    with pytest.raises(FileFormatError, match=words) as error:
        read_trajectories(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "content, words",
    [
        ({}, "the file holds nothing"),
        ({"observations": np.zeros((2, 64, 64), np.uint8)}, "shape"),
        ({"observations": np.zeros((0, 64, 64, 3), np.uint8)}, "at least 1"),
        (
            {
                "observations": np.zeros((2, 8, 8, 3), np.uint8),
                "level_seeds": np.arange(3),
            },
            "level_seeds",
        ),
    ],
)
def test_unfit_observations_are_refused(tmp_path, content, words):
    write_jd(content, tmp_path / "o.jd")
    with pytest.raises(FileFormatError, match=words):
        read_observations(tmp_path / "o.jd")


def _trajectories(**changes):
    arrays = {
        "observations": np.zeros((2, 3, 8, 8, 3), np.uint8),
        "actions": np.zeros((2, 3), np.int64),
        "rewards": np.zeros((2, 3), np.float32),
        "firsts": np.zeros((2, 3), bool),
    }
    return Trajectories(**{**arrays, **changes})


def test_trajectories_that_fit_are_taken():
    found = check_trajectories(_trajectories(rewards=np.ones((2, 3), int)), 15)
    assert found.rewards.dtype == np.float32 and found.rewards.all()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"actions": np.full((2, 3), 15)}, "actions from 15 to 15: expected 0 to 14"),
        ({"actions": np.full((2, 3), -1)}, "actions from -1"),
        ({"actions": np.zeros((2, 2), int)}, r"actions of shape \(2, 2\)"),
        ({"actions": None}, "actions missing"),
        ({"rewards": np.full((2, 3), np.nan)}, "rewards holds numbers that are not"),
        ({"observations": np.zeros((2, 3, 8, 8, 3))}, "observations is float64"),
        ({"firsts": np.zeros((2, 3), int)}, "firsts is int64"),
        ({"frames": np.zeros((2, 3, 8, 8, 4), np.uint8)}, "observations_full of shape"),
    ],
)
def test_trajectories_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        check_trajectories(_trajectories(**changes), 15)
    with pytest.raises(InputError, match="trajectories are int"):
        check_trajectories(3, 15)

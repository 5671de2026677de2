import os
import signal

import numpy as np
import pytest
from PIL import Image

from lucid_rl.errors import GameError, InputError, SettingsError
from lucid_rl.games import coinrun_original_files
from lucid_rl.games.coinrun_original_levels import LevelSeeds, mersenne_twister
from lucid_rl.games.registry import engine_version, make_game
from lucid_rl.games.vector_game import GameSettings
from tests.games.original_engine import compile_engine, make_assets, use_engine
from tests.games.test_isolated_game import assert_gone

_NOOP, _RIGHT, _LEFT, _UP, _A = 0, 1, 2, 3, 7
_REAL = [
    os.environ.get(coinrun_original_files.LIBRARY_VARIABLE),
    os.environ.get(coinrun_original_files.ASSETS_VARIABLE),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compile_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def pictures(tmp_path):
    return make_assets(tmp_path / "assets")


@pytest.fixture
def log(library, pictures, tmp_path, monkeypatch):
    """The file with the engine's calls; the engine is there to be used."""
    use_engine(monkeypatch, library, pictures)
    path = tmp_path / "calls"
    monkeypatch.setenv("FAKE_COINRUN_LOG", str(path))
    return path


def make(n_envs=1, **settings):
    return make_game(GameSettings(name="coinrun_original", n_envs=n_envs, **settings))


def painted_seeds(observations):
    """The level seeds that the engine painted into each environment's picture."""
    return observations.reshape(len(observations), -1)[:, :4].copy().view("<i4")[:, 0]


def painted_time(observations):
    pixels = observations.reshape(len(observations), -1).astype(int)
    return pixels[:, 4] + 256 * pixels[:, 5]


def painted_action(observations):
    return observations.reshape(len(observations), -1)[:, 6]


def position(observations):
    return observations[:, -1, -1, -1].astype(int) - 100


def step(game, *actions):
    game.act(np.array(actions))
    return game.observe()


def play_episode(game, action):
    """Steps up to the end of environment 0's episode; rewards, and the last step."""
    rewards = []
    for _ in range(1100):
        last = step(game, *[action] * game.n_envs)
        rewards.append(float(last.rewards[0]))
        if last.firsts[0]:
            return rewards, last
    raise AssertionError("no end")


def test_calls_come_in_the_engines_order_and_it_ends_in_order(log, pictures):
    with make(2, seed=5, paint_vel_info=False) as game:
        step(game, _RIGHT, _LEFT)
    assert log.read_text().splitlines() == [
        "initialize_args 1 0 0 0 1000 -1 5",
        "initialize_set_monitor_dir '' 0",
        "init 1",
        f"assets {pictures}",
        # For the first pictures; then again, on the same levels, to be played.
        *["vec_create 1000 1 0 0 5"] * 2,
        *("step 1: 0", "step 2: 0", "wait 1", "wait 2", "vec_close 2", "vec_close 1"),
        "initialize_args 1 0 0 0 1000 -1 5",
        *["vec_create 1000 1 0 0 5"] * 2,
        *("step 3: 1", "step 4: 2", "wait 3", "wait 4", "vec_close 4", "vec_close 3"),
        "coinrun_shutdown",
        "exit",
    ]


def test_a_new_game_shows_the_beginning_of_an_episode(log):
    with make(3) as game:
        first = game.observe()
        assert first.firsts.all()
        assert (first.rewards == 0).all()
        # Before a step of doing nothing, nothing is painted.
        assert (painted_time(first.observations) == 1).all()
        assert (position(first.observations) == 0).all()
        assert game.observe().firsts.all()
        # But that step is not played.
        second = step(game, _RIGHT, _LEFT, _NOOP)
        assert (painted_time(second.observations) == 1).all()
        assert position(second.observations).tolist() == [1, -1, 0]


def test_reward_end_and_next_observation_come_together(log):
    with make(1, n_levels=1) as game:
        seen = []
        for t in range(3):
            last = step(game, _RIGHT)
            seen.append((float(last.rewards[0]), bool(last.firsts[0])))
            assert position(last.observations)[0] == (t + 1) % 3
        # Level 0: the coin lies at 3; no picture shows the agent there.
        assert seen == [(0, False), (0, False), (10, True)]
        assert game.last_level_complete()[0]
        assert painted_time(last.observations)[0] == 0
        # The next episode starts from nothing.
        assert float(step(game, _RIGHT).rewards[0]) == 0


def test_an_end_of_one_environment_does_not_move_the_others(log):
    with make(3, n_levels=1) as game:
        for _ in range(4):
            last = step(game, _RIGHT, _NOOP, _LEFT)
        assert painted_time(last.observations).tolist() == [1, 4, 1]
        assert position(last.observations).tolist() == [1, 0, -1]


def test_the_last_frame_is_shown_where_it_is_asked_for(log):
    with make(1, n_levels=1, keep_last_frame=True) as game:
        seen = []
        for t in range(4):
            last = step(game, _RIGHT)
            seen.append((float(last.rewards[0]), bool(last.firsts[0])))
            assert position(last.observations)[0] == (t + 1) % 4
        assert seen == [(0, False), (0, False), (0, False), (10, True)]
        assert game.last_level_complete()[0]


def test_a_failure_has_no_reward_and_is_not_complete(log):
    with make(1, n_levels=1) as game:
        rewards, _ = play_episode(game, _RIGHT)
        assert sum(rewards) == 10
        rewards, last = play_episode(game, _LEFT)
        # Of a death the engine tells one step late.
        assert rewards == [0, 0, 0]
        assert last.firsts[0] and not game.last_level_complete()[0]


@pytest.mark.parametrize("keep", [False, True])
def test_what_the_dead_take_is_paid_only_as_the_engine_has_it(log, keep):
    with make(1, n_levels=1, keep_last_frame=keep) as game:
        step(game, _LEFT)
        step(game, _LEFT)
        last = step(game, _UP)
        assert last.firsts[0]
        assert float(last.rewards[0]) == (10 if keep else 0)
        assert game.last_level_complete()[0] == keep


def test_an_episode_times_out(log):
    with make(1) as game:
        rewards, _ = play_episode(game, _NOOP)
        assert len(rewards) == 1001
        assert sum(rewards) == 0 and not game.last_level_complete()[0]
    with make(1, keep_last_frame=True) as game:
        assert len(play_episode(game, _NOOP)[0]) == 1002


def test_the_articles_two_further_actions_do_nothing(log):
    with make(1, n_actions=9) as game:
        assert game.n_actions == len(game.action_combos) == 9
        assert painted_action(step(game, 6).observations) == 6
        for action in (_A, 8):
            assert painted_action(step(game, action).observations) == _NOOP
    with make(1) as game:
        assert game.n_actions == len(game.action_combos) == 7
        game.act(np.array([7]))
        with pytest.raises(InputError, match="expected 0 to 6"):
            game.observe()
        for wrong in (np.array([0.0]), np.array([0, 0])):
            game.act(wrong)
            with pytest.raises(InputError, match="whole numbers"):
                game.observe()


def test_a_mersenne_twister_is_that_of_the_standard_library():
    # The C++ standard names the 10,000th number of the default seed.
    assert mersenne_twister(5489).random_raw(10_000)[-1] == 4123659995


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"n_levels": 7},
        {"n_levels": 7, "start_level": 40},
        {"n_levels": 7, "level_set_seed": 3},
    ],
    ids=str,
)
def test_every_episode_knows_its_level(log, settings):
    n = 5
    rng = np.random.default_rng(0)
    with make(n, seed=11, **settings) as game:
        n_episodes = 0
        seeds = set()
        for _ in range(60):
            shown = game.observe()
            painted = painted_seeds(shown.observations)
            np.testing.assert_array_equal(game.level_seeds(), painted)
            n_episodes += int(shown.firsts.sum())
            seeds.update(painted.tolist())
            game.act(rng.choice([_RIGHT, _LEFT], n, p=[0.7, 0.3]))
        assert n_episodes > 4 * n
    if "level_set_seed" in settings:
        chosen = mersenne_twister(3).random_raw(7).astype(np.uint32).view(np.int32)
        assert seeds <= set(chosen.tolist())
    elif settings:
        start = settings.get("start_level", 0)
        assert seeds <= set(range(start, start + 7))
    else:
        assert min(seeds) < 0  # signed, as the engine has them
        assert len(seeds) > 4 * n
    assert "aborted" not in log.read_text()


def test_another_seed_gives_other_levels():
    draws = [LevelSeeds(GameSettings(seed=seed)).draw(4).tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_options_reach_the_engine(log):
    settings = {"distribution_mode": "mixed", "n_levels": 6, "level_set_seed": 9}
    with make(1, **settings) as game:
        pixels = game.observe().observations.reshape(-1)
        assert (pixels[7], pixels[8]) == (0, 1)  # painted velocity by default
    assert log.read_text().startswith("initialize_args 0 6 1 0 1000 9 0\n")


def test_full_resolution_frames_show_the_present_step(log):
    with make(2, full_resolution=True) as game:
        for _ in range(3):
            shown = step(game, _RIGHT, _LEFT)
            frames = game.full_resolution()
            assert frames.shape == (2, 512, 512, 3)
            np.testing.assert_array_equal(
                position(frames), position(shown.observations)
            )
            kept = frames.copy()
        step(game, _RIGHT, _RIGHT)
        np.testing.assert_array_equal(frames, kept)
    assert "vec_create 1000 1 0 1 5" in log.read_text()
    with make(1) as game, pytest.raises(GameError, match="full_resolution=True"):
        game.full_resolution()


def test_invisible_saws_come_from_a_copied_folder(log, pictures, tmp_path, monkeypatch):
    copy = tmp_path / "saw.png"
    monkeypatch.setenv("FAKE_COINRUN_SAW", str(copy))
    with make(1, invisible=("buzzsaw",)):
        pass
    assert np.asarray(Image.open(copy))[..., 3].max() == 0
    (folder,) = [
        line.split()[1] for line in log.read_text().splitlines() if "assets " in line
    ]
    assert folder != str(pictures) and not os.path.exists(folder)
    original = Image.open(pictures / "kenney/Enemies/sawHalf.png")
    assert np.asarray(original)[..., 3].min() == 255


def test_two_games_have_settings_of_their_own(log):
    with make(1, distribution_mode="mixed") as easy, make(1, n_levels=1) as hard:
        assert easy.observe().observations.reshape(-1)[7] == 0
        assert hard.observe().observations.reshape(-1)[7] == 1
        step(easy, _RIGHT)
        assert position(hard.observe().observations)[0] == 0


def test_what_this_engine_cannot_do_is_said_and_the_game_goes_on(log):
    with make(2) as game:
        assert not game.chooses_levels
        with pytest.raises(GameError, match="one environment"):
            game.start_levels([0], [3])
        with pytest.raises(GameError, match="cannot be saved"):
            game.get_states()
        with pytest.raises(GameError, match="cannot be set"):
            game.set_states([b""])
        assert position(step(game, _RIGHT, _LEFT).observations).tolist() == [1, -1]


def test_a_given_level_starts_with_the_next_step(log):
    with make(1) as game:
        assert game.chooses_levels
        step(game, _RIGHT)
        for seed in (6, -7):
            game.start_levels([0], [seed])
            assert game.level_seeds()[0] != seed
            shown = step(game, _LEFT)
            assert painted_seeds(shown.observations) == game.level_seeds() == seed
            assert shown.firsts[0] and shown.rewards[0] == 0
            assert position(shown.observations)[0] == 0
            # The level stays.
            for _ in range(2):
                rewards, last = play_episode(game, _RIGHT)
                assert rewards == [0] * (2 + seed % 4) + [10]
                assert painted_seeds(last.observations) == game.level_seeds() == seed
        for wrong in (([1], [3]), ([0, 0], [3, 4]), ([0], [2**31])):
            with pytest.raises(InputError):
                game.start_levels(*wrong)
    with make(1, n_levels=4, level_set_seed=1) as game:
        assert not game.chooses_levels


def test_a_crash_of_the_engine_is_an_error(log, monkeypatch):
    monkeypatch.setenv("FAKE_COINRUN_CRASH", "3")
    game = make(1)  # one step for the first picture
    step(game, _RIGHT)
    game.act(np.array([_RIGHT]))
    with pytest.raises(GameError, match=r"SIGABRT(.|\n)*crashed on demand"):
        game.observe()
    assert_gone(game._child.pid)


def test_a_killed_engine_is_an_error_and_leaves_no_zombie(log):
    game = make(1)
    os.kill(game._child.pid, signal.SIGKILL)
    with pytest.raises(GameError, match="SIGKILL"):
        step(game, _RIGHT)
    assert_gone(game._child.pid)


def test_a_game_closed_within_a_step_shuts_the_engine_down(log):
    game = make(1)
    game.act(np.array([_RIGHT]))
    game.close()
    assert_gone(game._child.pid)
    assert log.read_text().endswith("wait 2\nvec_close 2\ncoinrun_shutdown\nexit\n")


def test_files_that_are_missing_or_wrong(log, library, pictures, tmp_path, monkeypatch):
    def message():
        with pytest.raises(GameError) as error:
            make(1)
        return str(error.value)

    use_engine(monkeypatch, tmp_path / "none.so", pictures)
    assert f"there is no file {tmp_path / 'none.so'}" in message()
    for other in (library.parent, library.with_name("libcoinrun_cpp.so")):
        use_engine(monkeypatch, other, pictures)
        make(1).close()
    use_engine(monkeypatch, library, tmp_path)
    assert "is not the original CoinRun's asset folder" in message()
    (tmp_path / "text.so").write_text("no library")
    use_engine(monkeypatch, tmp_path / "text.so", pictures)
    assert "cannot load" in message() and "Makefile" in message()
    other = compile_engine(tmp_path, "-DOTHER_LIBRARY", name="other.so")
    use_engine(monkeypatch, other, pictures)
    assert "it has no function get_NUM_ACTIONS" in message()
    sizes = compile_engine(tmp_path, "-DOTHER_SIZES", name="sizes.so")
    use_engine(monkeypatch, sizes, pictures)
    assert "get_RES_W() is 96, expected 64" in message()
    monkeypatch.delenv(coinrun_original_files.ASSETS_VARIABLE)
    assert "--coinrun_assets" in message()
    monkeypatch.delenv(coinrun_original_files.LIBRARY_VARIABLE)
    assert "--coinrun_library" in message() and "LUCID_RL_COINRUN_LIBRARY" in message()


def test_a_missing_qt_is_named(pictures, tmp_path, monkeypatch):
    nothing = tmp_path / "nothing.c"
    nothing.write_text("int nothing;\n")
    qt = compile_engine(
        tmp_path,
        "-Wl,-soname,libQt5Absent.so.5",
        name="libQt5Absent.so.5",
        source=nothing,
    )
    library = compile_engine(
        tmp_path, "-Wl,--no-as-needed", str(qt), name="needs_qt.so"
    )
    qt.unlink()
    use_engine(monkeypatch, library, pictures)
    with pytest.raises(GameError, match=r"libQt5Absent.*install Qt 5"):
        make(1)


@pytest.mark.parametrize(
    "changes",
    [
        {"use_backgrounds": False},
        {"debug_mode": 2},
        {"distribution_mode": "exploration"},
        {"n_actions": 15},
        {"level_set_seed": 3, "n_levels": 5, "start_level": 1},
        {"invisible": ("moon",)},
        {"start_level": 1, "n_levels": 2**25},
    ],
    ids=str,
)
def test_options_it_does_not_have(changes):
    with pytest.raises(SettingsError) as error:
        make(1, **changes)
    value = next(iter(changes.values()))
    assert str(value).strip("(),'") in str(error.value)


def test_its_options_are_not_procgens():
    for changes in ({"n_actions": 7}, {"n_levels": 3, "level_set_seed": 1}):
        with pytest.raises(SettingsError, match="coinrun has no option"):
            make_game(GameSettings(**changes))


def test_results_name_the_library(log):
    settings = GameSettings(name="coinrun_original")
    name, _, digest = engine_version(settings).partition(" ")
    assert name == "coinrun_original" and len(digest) == 16


@pytest.mark.real_engine
@pytest.mark.skipif(not all(_REAL), reason="no original CoinRun: two variables not set")
def test_the_real_engine_plays():
    n, n_steps = 8, 400
    settings = {"seed": 3, "n_actions": 9}
    rng = np.random.default_rng(0)
    actions = rng.choice([_RIGHT, 3, 4, 4, 4, _A], (n_steps, n))
    runs = []
    for _ in range(2):
        with make(n, **settings) as game:
            steps = [game.observe()]
            kept = []
            for action in actions:
                steps = step(game, *action)
                kept.append([array.copy() for array in steps] + [game.level_seeds()])
            runs.append(kept)
    for first, second in zip(*runs, strict=True):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)
    rewards = np.array([kept[0] for kept in runs[0]])
    firsts = np.array([kept[2] for kept in runs[0]])
    seeds = np.array([kept[3] for kept in runs[0]])
    assert set(np.unique(rewards)) <= {0.0, 10.0}
    assert firsts[rewards > 0].all()
    assert firsts.any()
    # A level goes on until an episode ends, and then another begins.
    changed = seeds[1:] != seeds[:-1]
    np.testing.assert_array_equal(changed, firsts[1:])
    # At rest both velocity boxes are the same middle grey.
    with make(1) as game:
        boxes = game.observe().observations[0, :12, :24].astype(int)
        assert abs(boxes[1:11, 1:11] - 127).max() <= 1


@pytest.mark.real_engine
@pytest.mark.skipif(not all(_REAL), reason="no original CoinRun: two variables not set")
def test_the_real_engine_plays_chosen_levels():
    def first_pictures(**changes):
        with make(4, **changes) as game:
            return game.observe().observations.copy(), game.level_seeds()

    picture, seeds = first_pictures(n_levels=1, start_level=77, seed=1)
    again, _ = first_pictures(n_levels=1, start_level=77, seed=2)
    other, _ = first_pictures(n_levels=1, start_level=78, seed=1)
    assert (seeds == 77).all()
    np.testing.assert_array_equal(picture, again)
    assert (picture != other).any()

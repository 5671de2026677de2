import numpy as np
import pytest

from lucid_rl.errors import GameError, InputError, SettingsError
from lucid_rl.games.procgen_engine import MODES, NAMES
from lucid_rl.games.procgen_game import ProcgenGame
from lucid_rl.games.vector_game import GameSettings

N_ACTIONS = 15
RIGHT, RIGHT_JUMP = 7, 8


def play(game, actions):
    """Steps through `actions`, [T, n]; copies of all that was shown, T + 1 of each."""
    steps = []
    for t in range(len(actions) + 1):
        if t:
            game.act(actions[t - 1])
        step = game.observe()
        steps.append((*(array.copy() for array in step), game.level_seeds()))
    return [np.stack(arrays) for arrays in zip(*steps, strict=True)]


def assert_same(first, second):
    for mine, its in zip(first, second, strict=True):
        np.testing.assert_array_equal(mine, its)


def random_actions(n_steps, n_envs, seed=0):
    return np.random.default_rng(seed).integers(0, N_ACTIONS, (n_steps, n_envs))


def eager_actions(n_steps, n_envs, seed=0):
    """Mostly to the right, so that CoinRun's episodes end soon."""
    rng = np.random.default_rng(seed)
    return rng.choice([RIGHT, RIGHT_JUMP, RIGHT_JUMP], (n_steps, n_envs))


def test_steps_are_those_of_the_engine_itself():
    from procgen import ProcgenGym3Env

    actions = eager_actions(120, 8)
    with ProcgenGame(GameSettings(n_envs=8, seed=3)) as game:
        rewards, observations, firsts, seeds = play(game, actions)
        complete_now = game.last_level_complete()
    engine = ProcgenGym3Env(num=8, env_name="coinrun", paint_vel_info=True, rand_seed=3)
    for t in range(len(actions) + 1):
        if t:
            engine.act(actions[t - 1])
        reward, observation, first = engine.observe()
        np.testing.assert_array_equal(rewards[t], reward)
        np.testing.assert_array_equal(observations[t], observation["rgb"])
        np.testing.assert_array_equal(firsts[t], first)
    infos = engine.get_info()
    np.testing.assert_array_equal(seeds[-1], [info["level_seed"] for info in infos])
    np.testing.assert_array_equal(
        complete_now, [info["prev_level_complete"] for info in infos]
    )
    # Otherwise the comparison would not have met the end of an episode.
    assert firsts[1:].any()


@pytest.mark.parametrize("name", NAMES)
def test_every_game_plays_and_repeats_itself(name):
    settings = GameSettings(name=name, n_envs=3, seed=5)
    actions = random_actions(40, 3)
    with ProcgenGame(settings) as game:
        assert game.n_actions == len(game.action_combos) == N_ACTIONS
        first = play(game, actions)
    with ProcgenGame(settings) as game:
        second = play(game, actions)
    assert_same(first, second)
    rewards, observations, firsts, _ = first
    assert rewards.dtype == np.float32
    assert observations.dtype == np.uint8
    assert observations.shape == (41, 3, 64, 64, 3)
    assert firsts.dtype == bool and firsts[0].all()
    assert (observations[1:] != observations[:-1]).any()


@pytest.mark.parametrize(
    "name, mode", [(name, mode) for name in NAMES for mode in MODES[name][2:]]
)
def test_uncommon_modes_start(name, mode):
    settings = GameSettings(name=name, n_envs=1, distribution_mode=mode)
    with ProcgenGame(settings) as game:
        play(game, random_actions(3, 1))


def test_a_rollout_depends_on_neither_threads_nor_other_environments():
    actions = random_actions(60, 6)
    with ProcgenGame(GameSettings(n_envs=6, n_threads=3)) as game:
        many = play(game, actions)
    with ProcgenGame(GameSettings(n_envs=2, n_threads=0)) as game:
        few = play(game, actions[:, :2])
    assert_same([array[:, :2] for array in many], few)


def test_levels_come_from_the_given_range():
    settings = GameSettings(n_envs=16, n_levels=7, start_level=100)
    with ProcgenGame(settings) as game:
        seeds = play(game, eager_actions(200, 16))[3]
    assert set(np.unique(seeds)) == set(range(100, 107))


def test_a_level_is_complete_exactly_where_the_coin_was_taken():
    with ProcgenGame(GameSettings(n_envs=32)) as game:
        ended = {True: 0, False: 0}
        for actions in eager_actions(300, 32):
            game.act(actions)
            step = game.observe()
            complete = game.last_level_complete()
            for i in np.flatnonzero(step.firsts):
                assert complete[i] == (step.rewards[i] == 10.0)
                ended[bool(complete[i])] += 1
    assert min(ended.values()) > 10


def test_velocity_boxes():
    # At rest, both boxes are mid-grey and 13 pixels wide.
    with ProcgenGame(GameSettings(n_envs=4)) as game:
        corner = game.observe().observations[:, :13, :26]
        assert (corner == 127).all()
        game.act(np.full(4, RIGHT))
        box = game.observe().observations[:, :13, :13]
        assert (box > 127).all()
    with ProcgenGame(GameSettings(n_envs=4, paint_vel_info=False)) as game:
        assert not (game.observe().observations[:, :13, :26] == 127).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_started_level_is_a_pure_function_of_seed_and_actions(name):
    actions = random_actions(60, 2, seed=1)
    played = []
    # Played before: nothing, and something in another environment of another game.
    for n_envs, environment, before in ((1, 0, 0), (3, 2, 50)):
        settings = GameSettings(name=name, n_envs=n_envs, seed=before)
        with ProcgenGame(settings) as game:
            play(game, random_actions(before, n_envs))
            game.start_levels([environment], [123])
            everywhere = np.repeat(actions[:, :1], n_envs, axis=1)
            game.act(everywhere[0])
            steps = play(game, everywhere[1:])
            played.append([array[:, environment] for array in steps])
    assert_same(*played)
    rewards, _, firsts, seeds = played[0]
    assert firsts[0] and rewards[0] == 0.0
    # The environment stays on its level.
    assert (seeds == 123).all()


def test_starting_a_level_leaves_the_other_environments_alone():
    actions = random_actions(80, 3)
    settings = GameSettings(n_envs=3)
    with ProcgenGame(settings) as game:
        undisturbed = play(game, actions)
    with ProcgenGame(settings) as game:
        before = play(game, actions[:20])
        game.start_levels([1], [7])
        after = play(game, actions[20:])
    for mine, early, late in zip(undisturbed, before, after, strict=True):
        np.testing.assert_array_equal(mine[:21, [0, 2]], early[:, [0, 2]])
        np.testing.assert_array_equal(mine[20:, [0, 2]], late[:, [0, 2]])
    assert (after[3][1:, 1] == 7).all()


def test_levels_started_are_the_engines_own():
    with ProcgenGame(GameSettings(n_envs=1, n_levels=1, start_level=42)) as game:
        own = game.observe().observations.copy()
    with ProcgenGame(GameSettings(n_envs=1)) as game:
        game.start_levels([0], [42])
        game.act(np.zeros(1, int))
        step = game.observe()
        np.testing.assert_array_equal(step.observations, own)
        assert step.firsts.all() and game.level_seeds()[0] == 42


def test_restored_states_show_and_play_the_same():
    actions = random_actions(60, 4)
    with ProcgenGame(GameSettings(n_envs=4)) as game:
        play(game, actions[:30])
        states = game.get_states()
        first = play(game, actions[30:])
        game.set_states(states)
        assert game.get_states() == states
        second = play(game, actions[30:])
    assert_same(first, second)


def test_some_states_can_be_restored_and_the_others_go_on():
    actions = random_actions(40, 4)
    with ProcgenGame(GameSettings(n_envs=4)) as game:
        play(game, actions[:20])
        early = game.get_states([3, 1])
        play(game, actions[20:])
        late = game.get_states()
        game.set_states(early, [1, 3])  # a state fits any environment
        assert game.get_states() == [late[0], early[0], late[2], early[1]]
        with pytest.raises(InputError, match="2 states for 1 environments"):
            game.set_states(early, [0])
        with pytest.raises(InputError, match="environment 4: expected 0 to 3"):
            game.set_states(early, [0, 4])


def test_full_resolution_is_the_engines_own_picture():
    from procgen import ProcgenGym3Env

    actions = random_actions(20, 2)
    with ProcgenGame(GameSettings(n_envs=2, full_resolution=True)) as game:
        play(game, actions)
        frames = game.full_resolution()
    engine = ProcgenGym3Env(
        num=2,
        env_name="coinrun",
        paint_vel_info=True,
        rand_seed=0,
        render_mode="rgb_array",
    )
    for row in actions:
        engine.act(row)
        engine.observe()
    own = [info["rgb"] for info in engine.get_info()]
    np.testing.assert_array_equal(frames, own)


def test_a_step_cannot_be_written_to():
    with ProcgenGame(GameSettings(n_envs=1)) as game:
        for array in game.observe():
            with pytest.raises(ValueError):
                array[...] = 0


@pytest.mark.parametrize(
    "actions",
    [np.zeros(3, int), np.zeros((2, 1), int), np.zeros(2), [0, 15], [-1, 0]],
    ids=str,
)
def test_bad_actions_are_refused(actions):
    with ProcgenGame(GameSettings(n_envs=2)) as game, pytest.raises(InputError):
        game.act(actions)


def test_bad_levels_and_states_are_refused():
    with ProcgenGame(GameSettings(name="maze", n_envs=1)) as maze:
        maze_state = maze.get_states()
    with ProcgenGame(GameSettings(n_envs=1)) as game:
        for environments, seeds in ([0], [-1]), ([0], [2**31 - 1]), ([0], [1, 2]):
            with pytest.raises(InputError):
                game.start_levels(environments, seeds)
        for environment in (-1, 1):
            with pytest.raises(InputError):
                game.start_levels([environment], [0])
            with pytest.raises(InputError):
                game.get_states([environment])
        state = game.get_states()[0]
        for states in [], [state[:-1]], [b""], maze_state, [state, state]:
            with pytest.raises(InputError):
                game.set_states(states)
        with pytest.raises(GameError, match="full_resolution=True"):
            game.full_resolution()


def test_generated_sprites_have_no_states():
    settings = GameSettings(n_envs=1, use_generated_assets=True)
    with ProcgenGame(settings) as game:
        play(game, random_actions(5, 1))
        for call in (
            game.get_states,
            lambda: game.set_states([b""]),
            lambda: game.start_levels([0], [1]),
        ):
            with pytest.raises(GameError, match="use_generated_assets"):
                call()


def test_a_closed_game_says_so():
    game = ProcgenGame(GameSettings(n_envs=1))
    game.close()
    game.close()
    with pytest.raises(GameError, match="closed"):
        game.observe()


def test_invisible_objects_need_a_process_of_their_own():
    ProcgenGame(GameSettings(n_envs=1)).close()
    with pytest.raises(GameError, match="make_game"):
        ProcgenGame(GameSettings(n_envs=1, invisible=("coin",)))
    with pytest.raises(SettingsError):
        ProcgenGame(GameSettings(name="pong"))

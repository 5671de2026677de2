"""Gymnasium's environments as games: real Atari, and small ones made here."""

from typing import ClassVar

import numpy as np
import pytest

from lucid_rl.errors import GameError, InputError, SettingsError
from lucid_rl.games.gymnasium_game import GymnasiumGame
from lucid_rl.games.registry import (
    describe,
    engine_version,
    game_settings,
    has_completion,
    make_game,
    saves_states,
)
from lucid_rl.games.vector_game import GameSettings

gymnasium = pytest.importorskip("gymnasium")

_ATARI = "gymnasium:ALE/Breakout-v5"
_MODES = list(gymnasium.vector.AutoresetMode)


class Counter(gymnasium.Env):
    """Shows how many steps an episode has had; it ends, and pays 2.5, at the fourth."""

    metadata: ClassVar = {"render_modes": ["rgb_array"]}
    observation_space = gymnasium.spaces.Box(0, 255, (20, 24, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, space=None, actions=None, render_mode=None):
        self.observation_space = space or self.observation_space
        self.action_space = actions or self.action_space
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.zeros((20, 24, 3), np.uint8), {}

    def step(self, action):
        self.time += 1
        picture = np.full((20, 24, 3), self.time, np.uint8)
        return picture, 2.5 * (self.time == 4), self.time == 4, False, {}

    def render(self):
        picture = np.full((40, 48, 3), self.time, np.uint8)
        return picture if self.render_mode else None


def counters(n=2, mode=gymnasium.vector.AutoresetMode.SAME_STEP, **options):
    make = lambda: Counter(**options)  # noqa: E731
    return gymnasium.vector.SyncVectorEnv([make] * n, autoreset_mode=mode)


def of(space=None, actions=None):
    return GymnasiumGame(envs=counters(1, space=space, actions=actions))


@pytest.mark.parametrize("mode", _MODES, ids=str)
def test_reward_end_and_next_observation_come_together(mode):
    with GymnasiumGame(envs=counters(mode=mode)) as game:
        assert game.observe().firsts.all() and game.settings.n_envs == 2
        shown = [0]
        for t in range(1, 12):
            game.act(np.array([0, 2]))
            step = game.observe()
            assert (step.firsts == (step.rewards > 0)).all()
            assert set(np.unique(step.rewards)) <= {0, 2.5}
            assert step.firsts.all() == (step.observations.max() == 0), t
            shown.append(int(step.observations[0, 0, 0, 0]))
        # With the engine's own late reset, the last frame is shown.
        period = 5 if mode == gymnasium.vector.AutoresetMode.NEXT_STEP else 4
        assert shown == [t % period for t in range(12)]


def test_what_is_not_known_is_said():
    with GymnasiumGame(envs=counters()) as game:
        assert not (game.has_completion or game.chooses_levels)
        assert game.level_seeds().tolist() == [-1, -1]
        assert not game.last_level_complete().any()
        assert game.action_combos == [(f"action {i}",) for i in range(3)]
        for impossible in (
            lambda: game.start_levels([0], [1]),
            game.get_states,
            lambda: game.set_states([b""]),
            game.full_resolution,
        ):
            with pytest.raises(GameError):
                impossible()
        with pytest.raises(InputError, match="expected 0 to 2"):
            game.act(np.array([0, 3]))
    with pytest.raises(GameError, match="closed"):
        game.observe()
    with GymnasiumGame(envs=counters(render_mode="rgb_array")) as game:
        assert game.full_resolution().shape == (2, 40, 48, 3)


@pytest.mark.parametrize(
    ("space", "advice"),
    [
        (gymnasium.spaces.Dict(a=Counter.observation_space), "Dict.*one picture"),
        (gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8), "channels first.*last"),
        (gymnasium.spaces.Box(0, 255, (1, 84, 84), np.uint8), "channels first"),
        (gymnasium.spaces.Box(0, 255, (84, 84, 4), np.float32), "up to 255.*uint8 "),
        (gymnasium.spaces.Box(0, 1, (84, 84, 4), np.float32), "multiplied by 255"),
        (gymnasium.spaces.Box(-1, 1, (4,), np.float32), "AddRenderObservation"),
        (gymnasium.spaces.Discrete(5), "not images"),
    ],
    ids=str,
)
def test_observations_that_are_no_pictures_are_refused_with_advice(space, advice):
    with pytest.raises(InputError, match=advice):
        of(space)


def test_actions_that_are_not_chosen_among_are_refused():
    for actions in (
        gymnasium.spaces.Box(0, 1, (2,)),
        gymnasium.spaces.Discrete(3, start=1),
    ):
        with pytest.raises(InputError, match="Discrete"):
            of(actions=actions)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"name": "gymnasium:Breakot-v5"}, "did you mean"),
        ({"wrappers": "minigrid"}, "expected atari"),
        ({"n_levels": 3}, "n_levels=3"),
        ({"invisible": ("coin",)}, "invisible"),
    ],
    ids=str,
)
def test_settings_that_it_does_not_have(changes, advice):
    pytest.importorskip("ale_py")
    with pytest.raises(SettingsError, match=advice):
        make_game(GameSettings(**{"name": _ATARI, **changes}))


def test_other_games_have_no_wrappers():
    for name in ("coinrun", "coinrun_original"):
        with pytest.raises(SettingsError, match="wrappers='atari'"):
            make_game(GameSettings(name=name, wrappers="atari"))


@pytest.mark.parametrize("isolated", [False, True])
def test_atari_is_played(isolated):
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    settings = game_settings(
        {}, 4, name=_ATARI, wrappers="atari", n_envs=2, isolated=isolated
    )
    assert describe(settings) == (
        f"plays {_ATARI} (Gymnasium), wrappers atari, stack of 4 frames"
    )
    assert not (has_completion(settings) or saves_states(settings))
    assert engine_version(settings).startswith("gymnasium ")
    runs = []
    for _ in range(2):
        rng = np.random.default_rng(0)
        with make_game(settings) as game:
            assert game.action_combos == [(), ("FIRE",), ("RIGHT",), ("LEFT",)]
            kept = []
            for t in range(60):
                step = game.observe()
                assert step.observations.shape == (2, 84, 84, 4)
                kept.append(step.observations.copy())
                if t and not step.firsts.any():
                    np.testing.assert_array_equal(kept[-1][..., :3], kept[-2][..., 1:])
                game.act(rng.integers(4, size=2))
            runs.append(np.array(kept))
    np.testing.assert_array_equal(*runs)
    assert (runs[0][0, ..., :3] == 0).all() and runs[0][0, ..., 3].any()
    assert (runs[0][-1] != runs[0][-2]).any()


def test_an_atari_model_of_the_articles_plays_what_it_was_trained_on():
    pytest.importorskip("ale_py")
    args = {"env_kind": "atari", "env_id": "breakout", "frame_stack": 4}
    found = game_settings(args, 4)
    assert (found.name, found.wrappers) == ("gymnasium:BreakoutNoFrameskip-v4", "atari")
    sticky = game_settings({**args, "use_sticky_actions": 1, "frame_stack": 1}, 4)
    assert sticky.name.endswith("-v0") and sticky.frame_stack == 1
    with pytest.raises(InputError, match="has 4"):
        game_settings(args, 6)


def test_a_models_observations_tell_the_stack_of_an_atari_game():
    pytest.importorskip("ale_py")
    for n_frames in (1, 4):
        # As a checkpoint says where nothing is known.
        found = game_settings(
            {"frame_stack": 1}, 4, (84, 84, n_frames), name=_ATARI, wrappers="atari"
        )
        assert found.frame_stack == n_frames
    with pytest.raises(InputError, match=r"shows \(210, 160, 3\).*its wrappers"):
        game_settings({}, 4, (84, 84, 4), name=_ATARI)


def test_other_frames_than_the_observations_can_be_rendered():
    pytest.importorskip("ale_py")
    settings = GameSettings(
        name=_ATARI, wrappers="atari", n_envs=1, full_resolution=True
    )
    with make_game(settings) as game:
        assert game.full_resolution().shape == (1, 210, 160, 3)

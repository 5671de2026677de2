"""Which game a model is analysed on, and with which settings."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from lucid_rl.errors import InputError, SettingsError
from lucid_rl.games import model_args
from lucid_rl.games.registry import (
    check_fits,
    describe,
    game_settings,
    has_completion,
    make_game,
    saves_states,
)
from lucid_rl.games.vector_game import GameSettings

# Of a released Procgen model: most arguments are None.
RELEASED = {
    **dict.fromkeys((*model_args.PROCGEN, *model_args.NOT_PLAYED)),
    "env_name": "coinrun",
    "env_kind": "procgen",
    "env_id": "Pong",
    "frame_stack": 1,
}
ORIGINAL = {**RELEASED, "env_name": "coinrun_old"}


def test_what_a_released_model_does_not_say_is_the_engines_default():
    assert game_settings(RELEASED, 15) == GameSettings(
        name="coinrun",
        distribution_mode="hard",
        paint_vel_info=False,
    )
    assert game_settings(ORIGINAL, 9) == GameSettings(
        name="coinrun_original",
        distribution_mode="mixed",
        paint_vel_info=True,
        n_actions=9,
    )
    assert game_settings(ORIGINAL, 7).n_actions is None


@pytest.mark.parametrize(
    ("said", "field", "expected"),
    [
        ({"paint_vel_info": True}, "paint_vel_info", True),
        ({"paint_vel_info": 0}, "paint_vel_info", False),
        ({"distribution_mode": "easy"}, "distribution_mode", "easy"),
        ({"center_agent": False}, "center_agent", False),
        ({"use_backgrounds": False}, "use_backgrounds", False),
        ({"use_generated_assets": True}, "use_generated_assets", True),
        ({"use_monochrome_assets": True}, "use_monochrome_assets", True),
        ({"restrict_themes": 1}, "restrict_themes", True),
        ({"debug_mode": 2}, "debug_mode", 2),
        ({"num_levels": 500, "start_level": 7}, "n_levels", 0),
    ],
    ids=str,
)
def test_what_the_args_say_is_played(said, field, expected):
    assert getattr(game_settings({**RELEASED, **said}, 15), field) == expected


@pytest.mark.parametrize(
    ("said", "field", "expected"),
    [
        ({"high_difficulty": True}, "distribution_mode", "hard"),
        ({"high_difficulty": False}, "distribution_mode", "mixed"),
        # Procgen's argument; the original engine's own code passes over it.
        ({"distribution_mode": "hard"}, "distribution_mode", "mixed"),
        ({"paint_vel_info": -1}, "paint_vel_info", True),
        ({"paint_vel_info": 0}, "paint_vel_info", False),
        ({"num_levels": 500, "set_seed": 3}, "level_set_seed", None),
    ],
    ids=str,
)
def test_what_the_args_say_is_played_in_the_original_game(said, field, expected):
    assert getattr(game_settings({**ORIGINAL, **said}, 9), field) == expected


@pytest.mark.parametrize(
    "odd",
    [
        {"paint_vel_info": np.bool_(True)},
        {"frame_stack": np.float32(1)},
        {"env_kind": np.array([1, 2])},
        {"env_kind": "atari", "env_id": {"a": None}},
        {"use_easy_jump": np.zeros(2), "plain_assets": {}},
        {"num_levels": {"a": {"b": None}}},
        {"something": np.array([None, 1], object)},
    ],
    ids=str,
)
def test_odd_values_of_other_settings_do_not_matter(odd):
    assert game_settings({**RELEASED, **odd}, 15).name == "coinrun"


@pytest.mark.parametrize("odd", [np.array([1, 2]), {"a": None}, "x", 2**70, 1j])
def test_odd_values_of_a_games_own_settings_are_refused(odd):
    for name in ("frame_stack", "env_name"):
        with pytest.raises(SettingsError, match=name if name != "env_name" else "game"):
            game_settings({**RELEASED, name: odd}, 15)
    with pytest.warns(UserWarning, match="use_easy_jump"):
        game_settings({**RELEASED, "use_easy_jump": odd}, 15)


def test_training_levels_are_played_when_asked_for():
    said = {"num_levels": 500, "start_level": 7}
    found = game_settings({**RELEASED, **said}, 15, training_levels=True)
    assert (found.n_levels, found.start_level) == (500, 7)
    said = {"num_levels": 100, "set_seed": 3}
    found = game_settings({**ORIGINAL, **said}, 9, training_levels=True)
    assert (found.n_levels, found.level_set_seed) == (100, 3)
    said = {"num_levels": 100, "set_seed": -1}
    found = game_settings({**ORIGINAL, **said}, 9, training_levels=True)
    assert (found.n_levels, found.level_set_seed) == (100, None)
    assert game_settings(RELEASED, 15, training_levels=True).n_levels == 0


def test_a_flag_comes_before_the_checkpoint_and_none_is_no_flag():
    args = {**RELEASED, "distribution_mode": "easy", "num_levels": 9}
    found = game_settings(
        args, 15, name="maze", distribution_mode="hard", n_envs=3, paint_vel_info=None
    )
    assert found == GameSettings(name="maze", n_envs=3, paint_vel_info=False)
    given = game_settings(args, 15, training_levels=True, n_levels=2)
    assert (given.n_levels, given.start_level) == (2, 0)


@pytest.mark.parametrize("args", [{}, {"env_name": None}, {"env_kind": "procgen"}])
def test_a_model_that_does_not_say_its_game_is_not_given_one(args):
    with pytest.raises(SettingsError, match=r"--game.*coinrun.*coinrun_original"):
        game_settings(args, 15)
    assert game_settings(args, 15, name="coinrun").name == "coinrun"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("coinrum", "did you mean coinrun"),
        ("star_pilot", "did you mean starpilot"),
        ("doom", "there are bigfish"),
        (3, "there are bigfish"),
    ],
)
def test_unknown_games_are_refused_with_advice(name, advice):
    with pytest.raises(SettingsError, match=f"unknown game {name!r}: {advice}"):
        game_settings({"env_name": name}, 15)
    with pytest.raises(SettingsError, match=advice):
        make_game(GameSettings(name=str(name)))


@pytest.mark.parametrize(
    "said",
    [
        {"paint_vel_info": "yes"},
        {"paint_vel_info": 2},
        {"distribution_mode": 1},
        {"distribution_mode": "extreme"},
        {"debug_mode": 1.5},
        {"debug_mode": float("inf")},
        {"frame_stack": [4]},
        {"center_agent": {}},
    ],
    ids=str,
)
def test_args_of_absurd_values_are_refused(said):
    with pytest.raises(SettingsError):
        game_settings({**RELEASED, **said}, 15)


def test_options_that_no_public_engine_has_are_told():
    with pytest.warns(UserWarning, match="physics_mode"):
        game_settings({**RELEASED, "physics_mode": 3}, 15)


@pytest.mark.parametrize("n_logits", [7, 9, 18])
def test_another_number_of_actions_is_refused(n_logits):
    with pytest.raises(InputError, match=f"{n_logits} actions, but coinrun has 15"):
        game_settings(RELEASED, n_logits)
    with make_game(GameSettings(n_envs=1)) as game, pytest.raises(InputError):
        check_fits(game, n_logits)
    if n_logits > 9:
        with pytest.raises(InputError, match="coinrun_original has 7"):
            game_settings(ORIGINAL, n_logits)


def test_what_is_played_is_one_line():
    assert describe(game_settings(RELEASED, 15)) == (
        "plays coinrun (Procgen), hard, unlimited levels, velocity not painted"
    )
    unusual = GameSettings(
        n_levels=5, start_level=2, use_backgrounds=False, invisible=("coin",)
    )
    assert describe(unusual) == (
        "plays coinrun (Procgen), hard, 5 levels from 2, velocity painted, "
        "use_backgrounds=False, invisible coin"
    )
    assert describe(game_settings(ORIGINAL, 9)) == (
        "plays coinrun_original (the article's engine), difficulties 1 to 3, "
        "unlimited levels, velocity painted"
    )


def test_what_is_known_of_a_game_before_it_is_made():
    assert saves_states(GameSettings()) and has_completion(GameSettings())
    assert not saves_states(GameSettings(use_generated_assets=True))
    assert not saves_states(GameSettings(name="coinrun_original"))


def test_the_document_lists_every_argument():
    document = pathlib.Path(__file__).parents[2] / "docs" / "released_models.md"
    text = document.read_text()
    tables = (model_args.PROCGEN, model_args.COINRUN_ORIGINAL)
    for name in {*tables[0], *tables[1]}:
        assert re.search(rf"`{name}`", text), name


def test_games_know_no_tensorflow():
    code = (
        "import sys, lucid_rl.games.registry, lucid_rl.sampling.trajectories; "
        "assert not {'tensorflow', 'procgen', 'gymnasium'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("image_shape", "n_frames"), [((64, 64, 3), 1), ((64, 64, 12), 4)]
)
def test_a_models_channels_tell_how_many_frames_it_sees(image_shape, n_frames):
    settings = game_settings({"env_name": "maze"}, 15, image_shape)
    assert settings.frame_stack == n_frames


@pytest.mark.parametrize("image_shape", [(84, 84, 3), (64, 64, 4), (64, 64, 1)])
def test_observations_of_another_shape_are_refused(image_shape):
    with pytest.raises(InputError, match=r"maze shows \(64, 64, 3\)"):
        game_settings({"env_name": "maze"}, 15, image_shape)
    with pytest.raises(InputError, match="shows"):
        game_settings({"env_name": "maze"}, 15, (64, 64, 3), frame_stack=4)

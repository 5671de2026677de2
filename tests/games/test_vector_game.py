import dataclasses

import pytest

from lucid_rl.errors import SettingsError
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings


@pytest.mark.parametrize(
    "changes",
    [
        {"n_envs": 0},
        {"n_envs": 2.5},
        {"seed": -1},
        {"seed": 2**31},
        {"n_levels": -1},
        {"start_level": 5},
        {"n_levels": 2**31 - 1, "start_level": 1},
        {"name": "pong"},
        {"distribution_mode": "extreme"},
        {"distribution_mode": "exploration", "n_levels": 3},
        {"name": "maze", "invisible": ("buzzsaw",)},
        {"invisible": ("moon",)},
        {"invisible": ("coin",), "use_monochrome_assets": True},
        {"use_generated_assets": True, "full_resolution": True},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(changes):
    with pytest.raises(SettingsError) as error:
        make_game(GameSettings(**changes))
    assert str(next(iter(changes.values()))).strip("(),'") in str(error.value) or next(
        iter(changes)
    ) in str(error.value)


def test_velocity_is_painted_in_coinrun_unless_told():
    assert GameSettings().paints_velocity
    assert not GameSettings(name="maze").paints_velocity
    assert not GameSettings(paint_vel_info=False).paints_velocity
    assert GameSettings(name="ninja", paint_vel_info=True).paints_velocity


def test_equal_sets_of_invisible_objects_are_equal_settings():
    assert GameSettings(invisible=("enemy", "buzzsaw")) == GameSettings(
        invisible=["buzzsaw", "enemy", "buzzsaw"]
    )


def test_settings_as_plain_values_make_the_settings_again():
    settings = GameSettings(invisible=("coin",), n_levels=5, start_level=2)
    assert GameSettings(**settings.as_dict()) == settings
    assert set(settings.as_dict()) == {
        field.name for field in dataclasses.fields(GameSettings)
    }

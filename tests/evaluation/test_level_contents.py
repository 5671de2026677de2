"""Which levels hold which hazards, against the states of levels as they are played."""

import numpy as np
import pytest

from lucid_rl.errors import SettingsError
from lucid_rl.evaluation.level_contents import kinds_of_levels, levels_with
from lucid_rl.games.procgen_state import ENEMY, LAVA_MID, LAVA_TOP, SAW, parse_state
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings

SEEDS = [3, 1, 4, 159, 26, 535]


def test_contents_are_those_of_the_levels_played(monkeypatch):
    monkeypatch.setattr("lucid_rl.evaluation.level_contents._N_ENVS", 4)
    found = levels_with(GameSettings(invisible=("buzzsaw",)), SEEDS)
    with make_game(GameSettings(n_envs=1)) as game:
        for place, seed in enumerate(SEEDS):
            game.start_levels([0], [seed])
            for _ in range(12):
                game.act(np.array([4]))
                assert game.observe() is not None
            state = parse_state(game.get_states()[0])
            assert state.level_seed == seed
            for name, kind in (("buzzsaw", SAW), ("enemy", ENEMY)):
                there = len(state.entities_of_type(kind)) > 0
                assert found[name][place] == there, (name, seed)
            lava = np.isin(state.grid, [LAVA_MID, LAVA_TOP]).any()
            assert found["lava"][place] == lava, seed
    assert 0 < found["buzzsaw"].sum() < len(SEEDS)


def test_no_levels_have_no_contents():
    assert {k: v.shape for k, v in levels_with(GameSettings(), []).items()} == {
        "buzzsaw": (0,),
        "enemy": (0,),
        "lava": (0,),
    }


@pytest.mark.parametrize(
    "settings",
    [GameSettings(name="maze"), GameSettings(use_generated_assets=True)],
)
def test_other_games_are_refused(settings):
    with pytest.raises(SettingsError, match="what levels hold"):
        levels_with(settings, [1])


def test_a_level_may_be_of_several_kinds():
    saws, enemies, lava = (
        np.array([mark == "x" for mark in marks])
        for marks in ("x.x.x", "..xx.", "...x.")
    )
    kinds = kinds_of_levels({"buzzsaw": saws, "enemy": enemies, "lava": lava})
    assert {
        kind: np.flatnonzero(chosen).tolist() for kind, chosen in kinds.items()
    } == {
        "no hazard": [1],
        "buzzsaws only": [0, 4],
        "with enemies": [2, 3],
        "with lava": [3],
    }

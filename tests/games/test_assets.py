import os

import numpy as np
import pytest
from PIL import Image

from lucid_rl.errors import GameError, SettingsError
from lucid_rl.games.assets import INVISIBLE_OBJECTS, invisible_assets
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES, object_maps
from lucid_rl.games.procgen_engine import procgen_assets
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings

CLASSES = {
    "buzzsaw": ("buzzsaw",),
    "enemy": ("enemy_left", "enemy_right"),
    "coin": ("coin",),
}
N_ENVS, N_STEPS, EVERY = 32, 160, 8
SETTINGS = GameSettings(n_envs=N_ENVS, seed=11)


def play(settings):
    """Observations, rewards, firsts and states of a walk mostly to the right."""
    rng = np.random.default_rng(0)
    observations, others, states = [], [], []
    with make_game(settings) as game:
        for t in range(N_STEPS):
            step = game.observe()
            others.append([step.rewards.copy(), step.firsts.copy()])
            if t % EVERY == 0:
                observations.extend(step.observations.copy())
                states.extend(game.get_states())
            game.act(rng.choice([4, 7, 7, 8, 8, 8, 8, 1], N_ENVS))
    return observations, np.array(others), states


@pytest.fixture(scope="module")
def visible():
    return play(SETTINGS)


@pytest.mark.parametrize("hidden", CLASSES)
def test_only_the_pixels_of_the_object_change(visible, hidden):
    observations, others, states = visible
    without, *rest = play(SETTINGS.replace(invisible=(hidden,)))
    # The game itself is the same, to the last byte of its states.
    np.testing.assert_array_equal(rest[0], others)
    assert rest[1] == states
    n_seen = n_hidden = 0
    for before, after, state in zip(observations, without, states, strict=True):
        maps = object_maps(state, size=64).astype(bool)
        mask = np.any([maps[OBJECT_CLASSES.index(c)] for c in CLASSES[hidden]], 0)
        changed = (before != after).any(axis=-1)
        stray = changed & ~_grown(mask)
        # The maps pass over what the picture's edge cuts down to a line.
        assert not stray[1:-1, 1:-1].any()
        if mask.sum() > 4:
            n_seen += 1
            n_hidden += changed.any()
    assert n_seen > 20
    # Some stand behind something else or on a background of their own colour.
    assert n_hidden >= 0.95 * n_seen


def _grown(mask, by=2):
    """A mask grown by a few pixels; the maps follow the art only roughly."""
    grown = mask.copy()
    for dy in range(-by, by + 1):
        for dx in range(-by, by + 1):
            grown |= np.roll(mask, (dy, dx), (0, 1))
    return grown


def test_the_folder_differs_in_the_objects_pictures_only():
    source = procgen_assets()
    with invisible_assets(["buzzsaw", "coin"], source) as folder:
        hidden = set(INVISIBLE_OBJECTS["buzzsaw"] + INVISIBLE_OBJECTS["coin"])
        n_files = 0
        for path in folder.rglob("*"):
            if path.is_dir():
                continue
            n_files += 1
            name = str(path.relative_to(folder))
            if name in hidden:
                with Image.open(path) as image:
                    assert image.mode == "RGBA" and image.getextrema() == ((0, 0),) * 4
                    assert image.size == Image.open(source / name).size
            else:
                assert os.path.samefile(path, source / name)
        assert n_files == sum(path.is_file() for path in source.rglob("*"))
    assert not folder.exists()
    for name in hidden:
        with Image.open(source / name) as image:
            assert image.getextrema()[3][1] == 255


def test_what_cannot_be_hidden(tmp_path):
    with pytest.raises(SettingsError, match="moon"):
        invisible_assets(["moon"], procgen_assets()).__enter__()
    (tmp_path / "kenney").mkdir()
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(GameError, match="asset folder"):
            invisible_assets(["coin"], folder).__enter__()

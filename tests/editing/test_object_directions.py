"""Directions of an object: on made-up pairs whose answer is known, and on the game."""

import numpy as np
import pytest

from lucid_rl.editing.feature_naming import sample_labelled_observations
from lucid_rl.editing.for_model import object_directions
from lucid_rl.editing.object_directions import (
    DirectionSettings,
    find_object_directions,
    kernel_inputs,
    predict_effects,
    rank_directions,
)
from lucid_rl.editing.paired_observations import ObservationPairs, draw_pairs
from lucid_rl.errors import InputError, SettingsError
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES, batch_object_maps
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.model.loading import load


@pytest.fixture(scope="module")
def model(checkpoint_a):
    return load(checkpoint_a)


@pytest.fixture(scope="module")
def pairs():
    """Red squares are "buzzsaws", blue ones "coins", on noise."""
    rng = np.random.default_rng(0)
    plain = rng.integers(100, 120, (24, 64, 64, 3)).astype(np.uint8)
    shown = plain.copy()
    shown[:12, 20:28, 20:28] = (255, 0, 0)
    shown[6:18, 40:48, 40:48] = (0, 0, 255)
    without = {"buzzsaw": shown.copy(), "coin": shown.copy()}
    without["buzzsaw"][:12, 20:28, 20:28] = plain[:12, 20:28, 20:28]
    without["coin"][6:18, 40:48, 40:48] = plain[6:18, 40:48, 40:48]
    visible = {name: (w != shown).any(axis=(1, 2, 3)) for name, w in without.items()}
    erased = {name: w[visible[name]] for name, w in without.items()}
    return ObservationPairs(shown, visible, erased)


def test_directions_solve_the_eigenproblem(model, pairs):
    (read,) = kernel_inputs(model, "2b")
    ranked = rank_directions(model, pairs, "buzzsaw", "2b", ridge=0.5)

    def energy(values):
        rows = values.reshape(-1, 32).astype(np.float64)
        return rows.T @ rows

    def difference(name):
        shown = model.activations(pairs.shown(name), read)
        return energy(shown - model.activations(pairs.erased[name], read))

    plain = pairs.observations.copy()
    plain[pairs.visible["buzzsaw"]] = pairs.erased["buzzsaw"]
    rest = energy(model.activations(plain, read))
    ridge = 0.5 * np.trace(rest) / 32 * np.eye(32)
    own, rest = difference("buzzsaw"), rest + difference("coin") + ridge
    ratios = [v @ own @ v / (v @ rest @ v) for v in ranked]
    assert (np.diff(ratios) < 1e-6 * ratios[0]).all()
    noise = np.random.default_rng(1).normal(size=(200, 32))
    assert max(v @ own @ v / (v @ rest @ v) for v in noise) < ratios[0]


def test_what_kernels_read_is_the_pooled_activation(model):
    (read,) = kernel_inputs(model, "2b")
    height, width, n_channels = model.layer_shape("2b")
    assert model.layer_shape(read) == (height // 2, width // 2, n_channels)
    (flat,) = kernel_inputs(model, "4a")
    assert model.layer_shape(flat)[-1] == 32


def test_no_edit_has_no_effect_and_a_whole_one_blinds(model, pairs):
    # A network that reads nothing of the layer sees no object.
    edits = [np.zeros(32), np.eye(32)]
    same, blind = predict_effects(model, edits, "2b", pairs, "buzzsaw")
    assert same.blindness == pytest.approx(0, abs=1e-6) and same.side_effect == 0
    assert blind.blindness == pytest.approx(1, abs=1e-6)
    assert blind.side_effect > 0 and set(blind.by_object) == {"coin"}


def test_a_weaker_edit_is_predicted_to_do_less(model, pairs):
    directions = [rank_directions(model, pairs, "buzzsaw", "2b")[:2]]
    half, whole = (
        predict_effects(model, directions, "2b", pairs, "buzzsaw", strength)[0]
        for strength in (0.5, 1)
    )
    assert 0 < half.blindness < whole.blindness
    assert 0 < half.side_effect < whole.side_effect


def test_the_fewest_directions_are_taken(model, pairs):
    few = DirectionSettings(least_blindness=0.0)
    found = find_object_directions(model, pairs, "buzzsaw", "2b", few)
    settings = DirectionSettings(least_blindness=1.0, max_directions=3)
    more = find_object_directions(model, pairs, "buzzsaw", "2b", settings)
    assert len(more.directions) == 3 and len(found.directions) == 1
    np.testing.assert_allclose(
        more.directions @ more.directions.T, np.eye(3), atol=1e-9
    )
    assert "predicted blindness" in str(found)
    edited = found.remove(model)
    [record] = edited.args["edits"]
    assert record["object"] == "buzzsaw" and record["layer"] == "2b"


def test_wrong_input(model, pairs):
    with pytest.raises(InputError, match="no pairs of 'dragon'"):
        find_object_directions(model, pairs, "dragon")
    with pytest.raises(InputError, match="'dragon': expected one of buzzsaw, "):
        object_directions("no model is loaded before", "dragon")
    unseen = {"lava": np.zeros(24, bool)}
    empty = ObservationPairs(pairs.observations, unseen, {"lava": pairs.shown("coin")})
    with pytest.raises(InputError, match="no lava is visible"):
        rank_directions(model, empty, "lava", "2b")
    with pytest.raises(SettingsError, match="ridge"):
        DirectionSettings(ridge=0)


def test_pairs_differ_only_at_the_object(model):
    game = GameSettings(n_envs=8)
    sampled = sample_labelled_observations(model, 32, game, n_envs=8, interval=16)
    pairs = draw_pairs(sampled, game, ("buzzsaw", "box"))
    maps = batch_object_maps(sampled.states, 64)
    for name in ("buzzsaw", "box"):
        shown = pairs.visible[name]
        changed = (pairs.shown(name) != pairs.erased[name]).any(axis=-1)
        inside = maps[shown, OBJECT_CLASSES.index(name)].astype(bool)
        assert shown.any() and not (changed & ~inside).any()
    with pytest.raises(InputError, match="with states"):
        draw_pairs(sampled, game, ("moon",))

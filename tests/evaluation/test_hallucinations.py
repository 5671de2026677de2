"""Detectors made by hand, on real states."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from lucid_rl.editing.feature_naming import (
    measure_features,
    sample_labelled_observations,
)
from lucid_rl.editing.feature_objects import FeatureObjects
from lucid_rl.errors import InputError, SettingsError
from lucid_rl.evaluation import hallucinations
from lucid_rl.evaluation.hallucinations import (
    HallucinationSettings,
    find_hallucinations,
    response_that_means,
)
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES, batch_object_maps
from lucid_rl.games.procgen_state import CRATE, SAW, parse_state
from lucid_rl.interpret.nmf import NMF

BOX = OBJECT_CLASSES.index("box")
PAINTED = OBJECT_CLASSES.index("velocity_boxes")
ANY_VALUE = HallucinationSettings(least_value_change=0)


@pytest.fixture(scope="module")
def sampled(model_a):
    return sample_labelled_observations(model_a, 16, n_envs=8, interval=4)


@pytest.fixture
def usual(model_a, sampled):
    """Two features that respond to boxes, with 2 and with 4, and to nothing else."""
    factorization = NMF.from_directions(np.eye(32)[:2], layer="2b")
    measured = measure_features(model_a, factorization, sampled)
    boxes = measured.present[..., BOX]
    assert boxes.sum() > 30
    responses = np.stack([2.0 * boxes, 4.0 * boxes], -1).astype(np.float32)
    return factorization, dataclasses.replace(measured, responses=responses)


def _search(model_a, sampled, usual, monkeypatch, responses, settings=ANY_VALUE):
    factorization, measured = usual
    made_up = dataclasses.replace(measured, responses=responses)
    monkeypatch.setattr(hallucinations, "measure_features", lambda *_: made_up)
    detectors = {0: "box", 1: "box"}
    return find_hallucinations(
        model_a, sampled, factorization, detectors, measured, settings
    )


def _place(sampled, near, far=None):
    """An observation and an inner cell off the velocity, by cells to the next box.

    None is as near as `near`; if given, there is one within `far`.
    """
    masks = batch_object_maps(sampled.states, 64)
    visible = masks.reshape(-1, len(OBJECT_CLASSES), 16, 4, 16, 4).any(axis=(3, 5))

    def within(k, cells):
        return maximum_filter(visible[:, k], size=(1, 2 * cells + 1, 2 * cells + 1))

    wanted = ~within(BOX, near) & ~within(PAINTED, 1)
    if far is not None:
        wanted &= within(BOX, far)
    wanted[:, [0, -1]] = wanted[:, :, [0, -1]] = False
    return tuple(np.argwhere(wanted)[0])


def test_responses_to_objects_are_none(model_a, sampled, usual, monkeypatch):
    responses = usual[1].responses
    assert _search(model_a, sampled, usual, monkeypatch, responses) == []


def test_a_response_to_nothing_is_found_and_weighed(
    model_a, sampled, usual, monkeypatch
):
    responses = usual[1].responses.copy()
    # A position of layer 2b depends on 12 pixels around it, a cell on up to 4 cells.
    i, row, column = _place(sampled, near=4)
    responses[i, row * 16 + column] = [3.0, 3.0]  # enough of the first feature alone
    (found,) = _search(model_a, sampled, usual, monkeypatch, responses)
    assert (found.observation, found.feature, found.object_class) == (i, 0, "box")
    assert (found.row, found.column) == ((row + 0.5) / 16, (column + 0.5) / 16)
    assert found.response == pytest.approx(1.5)
    # Without its direction, which is channel 0, in that cell and those beside it.
    activations = model_a.activations(sampled.observations[i : i + 1], ["2b"])["2b"]
    rows = slice(max(0, 2 * row - 2), 2 * row + 4)
    columns = slice(max(0, 2 * column - 2), 2 * column + 4)
    without = activations.copy()
    without[:, rows, columns, 0] = 0
    (logits, value), (logits_without, value_without) = (
        model_a.session.run(
            [model_a.tensor_name("logits"), model_a.tensor_name("value")],
            {model_a.tensor_name("2b"): points},
        )
        for points in (activations, without)
    )
    expected = float(np.squeeze(value - value_without))
    assert expected != 0
    assert found.value_change == pytest.approx(expected, abs=1e-6)
    policies = [np.exp(x) / np.exp(x).sum() for x in (logits, logits_without)]
    moved = np.abs(policies[0] - policies[1]).sum() / 2
    assert found.action_change == pytest.approx(moved, abs=1e-6)
    assert "sees a box" in str(found) and "1.5 times" in str(found)

    # What it is not worth.
    scale = np.abs(model_a(sampled.observations)[1]).max()
    more = HallucinationSettings(least_value_change=2 * abs(expected) / scale)
    assert not _search(model_a, sampled, usual, monkeypatch, responses, more)
    responses[i, row * 16 + column] = 1.9
    assert not _search(model_a, sampled, usual, monkeypatch, responses)


def test_the_largest_comes_first(model_a, sampled, usual, monkeypatch):
    responses = usual[1].responses.copy()
    i, row, column = _place(sampled, near=4)
    responses[i, row * 16 + column] = 5.0
    both = _search(model_a, sampled, usual, monkeypatch, responses)
    assert {found.feature for found in both} == {0, 1}
    assert abs(both[0].value_change) >= abs(both[1].value_change)


def test_an_object_within_reach_is_enough(model_a, sampled, usual, monkeypatch):
    responses = usual[1].responses.copy()
    # Not beside it, but the place's activations may come from it.
    i, row, column = _place(sampled, near=1, far=2)
    responses[i, row * 16 + column] = 100.0
    assert _search(model_a, sampled, usual, monkeypatch, responses) == []


@pytest.mark.parametrize("pixels, n_found", [(0.6, 0), (-0.1, 1)])
@pytest.mark.parametrize("column", [13, 15])  # in whose receptive fields the border is
def test_the_edge_of_an_object_that_is_mostly_outside_counts(
    pixels, n_found, column, model_a, sampled, usual, monkeypatch
):
    """A box whose left edge is so many pixels inside the right border."""
    state = parse_state(sampled.states[0])
    crates = state.entities["type"] == CRATE
    crates[:] = np.arange(len(crates)) == len(crates) - 1
    state.entities["type"][(state.entities["type"] == CRATE) & ~crates] = SAW
    state.entities["type"][crates] = CRATE
    n_tiles = float(state.world["visibility"][0])
    state.entities["y"][crates] = state.agent["y"]
    border = float(state.agent["x"][0]) + n_tiles / 2
    state.entities["x"][crates] = border - pixels * n_tiles / 64 + 0.5
    one = dataclasses.replace(
        sampled, observations=sampled.observations[:1], states=[state.to_bytes()]
    )
    box = batch_object_maps(one.states)[0, BOX]
    assert not box.any()  # too little of it, or none, is in any cell
    responses = np.zeros((1, 256, 2), np.float32)
    responses[0, 8 * 16 + column, 0] = 3.0
    found = _search(model_a, one, usual, monkeypatch, responses)
    assert len(found) == n_found


def test_reach_is_what_activations_depend_on(model_a):
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    rows, columns = hallucinations.receptive_cells(model_a, "2b", 16)
    for cell in (0, 7, 15):
        inside = tuple(
            slice(4 * cells.start, 4 * cells.stop)
            for cells in (rows[cell], columns[cell])
        )
        assert inside != (slice(0, 64), slice(0, 64))
        noise[1] = 255 - noise[0]
        noise[1][inside] = noise[0][inside]
        positions = slice(2 * cell, 2 * cell + 2)
        first, second = model_a.activations(noise, ["2b"])["2b"][
            :, positions, positions
        ]
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_the_painted_velocity_is_no_hallucination(model_a, sampled, usual, monkeypatch):
    responses = usual[1].responses.copy()
    responses[:, 0] = 100.0
    assert _search(model_a, sampled, usual, monkeypatch, responses) == []


def _made_up(responses, there):
    """One row of 16 x 16 cells, every third of which counts, so that none is near."""
    n = len(responses)
    cells = np.zeros((-(-n // 25), 16, 16, 1), np.float32)
    present = np.zeros((len(cells), 16, 16, 2), bool)
    for k, (response, is_there) in enumerate(zip(responses, there, strict=True)):
        place = k // 25, 3 * (k % 25 // 5), 3 * (k % 5)
        cells[place] = response
        present[(*place, 0)] = is_there
    return FeatureObjects(
        ("coin", "velocity_boxes"),
        cells.reshape(len(cells), 256, 1),
        present.reshape(len(cells), 256, 2),
    )


def test_the_response_that_means_an_object_worked_out_by_hand():
    # 20 coins, then coin or not in turns: 30 of 40 are coins, 25 of 30, 22 of 24.
    responses = np.arange(40, 0, -1)
    there = [True] * 20 + [True, False] * 10
    made = _made_up(responses, there)
    assert response_that_means(made, 0, "coin", 1.0) == responses[20]
    assert response_that_means(made, 0, "coin", 0.9) == responses[24]  # 23 of 25
    assert response_that_means(made, 0, "coin", 0.75) == responses[39]
    few = _made_up(responses[:15], there[:15])
    assert response_that_means(few, 0, "coin", 0.9) is None
    never = _made_up(responses, [False] * 40)
    assert response_that_means(never, 0, "coin", 0.1) is None


def test_what_detects_nothing(model_a, sampled, usual):
    factorization, measured = usual
    for detectors, problem in (({7: "box"}, "features 0 to 1"), ({0: "dragon"}, "dra")):
        with pytest.raises(InputError, match=problem):
            find_hallucinations(model_a, sampled, factorization, detectors, measured)
    assert not find_hallucinations(
        model_a, sampled, factorization, {0: "agent"}, measured, ANY_VALUE
    )
    without = dataclasses.replace(sampled, states=None)
    with pytest.raises(InputError, match="without states"):
        find_hallucinations(model_a, without, factorization, {0: "box"}, measured)
    for bad in ({"precision": 0}, {"precision": 1.1}, {"least_value_change": -1}):
        with pytest.raises(SettingsError, match="expected"):
            HallucinationSettings(**bad)

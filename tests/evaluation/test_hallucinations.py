"""Detectors made by hand, on real states."""

import dataclasses

import numpy as np
import pytest

from lucid_rl.editing.feature_naming import (
    measure_features,
    sample_labelled_observations,
)
from lucid_rl.errors import InputError
from lucid_rl.evaluation import hallucinations
from lucid_rl.evaluation.hallucinations import find_hallucinations
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES, batch_object_maps
from lucid_rl.interpret.factorization import Factorization
from lucid_rl.sampling.observations import ObservationSettings

BOX = OBJECT_CLASSES.index("box")


@pytest.fixture(scope="module")
def sampled(model_a):
    settings = ObservationSettings(n_envs=8, n_per_env=2, interval=4)
    return sample_labelled_observations(model_a, settings=settings)


@pytest.fixture(scope="module")
def maps(sampled):
    return batch_object_maps(sampled.states, 16).astype(bool)


@pytest.fixture
def usual(model_a, sampled):
    """Two features; what they respond to is set by each test."""
    factorization = Factorization(np.eye(32)[:2], layer="2b")
    measured = measure_features(model_a, factorization, sampled)
    # Both respond to boxes, and to nothing else.
    boxes = measured.present[..., BOX]
    responses = np.stack([2.0 * boxes, 4.0 * boxes], -1).astype(np.float32)
    return factorization, dataclasses.replace(measured, responses=responses)


def _search(model_a, sampled, usual, monkeypatch, responses, **changes):
    factorization, measured = usual
    made_up = dataclasses.replace(measured, responses=responses)
    monkeypatch.setattr(hallucinations, "measure_features", lambda *_: made_up)
    detectors = changes.pop("detectors", {0: "box", 1: "box"})
    return find_hallucinations(
        model_a, sampled, factorization, detectors, measured, **changes
    )


def _far_from_boxes(maps, n):
    """A cell of a picture with neither a box nor the painted velocity near."""
    boxes = maps[n, BOX] | maps[n, OBJECT_CLASSES.index("velocity_boxes")]
    near = np.zeros((18, 18), bool)
    for row, column in np.argwhere(boxes):
        near[row : row + 3, column : column + 3] = True
    return tuple(np.argwhere(~near[1:17, 1:17])[0])


def test_responses_to_objects_are_none(model_a, sampled, usual, monkeypatch):
    responses = usual[1].responses
    assert _search(model_a, sampled, usual, monkeypatch, responses) == []


def test_a_response_to_nothing_is_found_and_weighed(
    model_a, sampled, usual, maps, monkeypatch
):
    responses = usual[1].responses.copy()
    row, column = _far_from_boxes(maps, 3)
    responses[3, row * 16 + column] = [1.5, 1.0]  # 75 % and 25 % of the usual
    (found,) = _search(model_a, sampled, usual, monkeypatch, responses)
    assert (found.observation, found.feature, found.object_class) == (3, 0, "box")
    assert (found.row, found.column) == ((row + 0.5) / 16, (column + 0.5) / 16)
    assert found.response == pytest.approx(0.75)
    from lucid_rl.interpret.attribution import attribute

    values = attribute(model_a, sampled.observations[3:4], "2b").values
    part = usual[0].reduce_attribution(values)[0][0, ..., 0]
    rows = slice(max(0, 2 * row - 2), 2 * row + 4)
    columns = slice(max(0, 2 * column - 2), 2 * column + 4)
    expected = part[rows, columns].sum()
    assert found.attribution == pytest.approx(float(expected), abs=1e-6)
    assert "sees a box" in str(found) and "75% of the usual" in str(found)
    both = _search(model_a, sampled, usual, monkeypatch, responses, least_response=0.2)
    assert {f.feature for f in both} == {0, 1}
    assert abs(both[0].attribution) >= abs(both[1].attribution)


def test_the_painted_velocity_is_no_hallucination(model_a, sampled, usual, monkeypatch):
    responses = usual[1].responses.copy()
    responses[:, 0] = 100.0
    assert _search(model_a, sampled, usual, monkeypatch, responses) == []


def test_what_detects_nothing(model_a, sampled, usual, monkeypatch):
    responses = usual[1].responses
    for detectors, problem in (
        ({7: "box"}, "features 0 to 1"),
        ({0: "dragon"}, "dragon"),
        ({0: "agent"}, "does not respond to agent"),
    ):
        with pytest.raises(InputError, match=problem):
            _search(
                model_a, sampled, usual, monkeypatch, responses, detectors=detectors
            )
    without = dataclasses.replace(sampled, states=None)
    monkeypatch.undo()
    with pytest.raises(InputError, match="without states"):
        find_hallucinations(model_a, without, usual[0], {0: "box"}, usual[1])

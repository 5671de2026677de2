"""Features are matched with objects on made-up pictures whose answer is known."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from lucid_rl.editing.feature_objects import compare_with_objects
from lucid_rl.editing.ranking import Ranking
from lucid_rl.errors import InputError

_CLASSES = ("buzzsaw", "coin", "lava")


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def measured(rng):
    """Feature 0 sees coins, 1 sees buzzsaws with some noise, 2 is noise."""
    maps = (rng.random((60, 3, 16, 16)) < 0.03).astype(np.uint8)
    maps[:, 2] = 0
    responses = np.zeros((60, 32, 32, 3), np.float32)
    responses[:, ::2, 1::2, 0] = maps[:, 1]  # one corner of each cell
    responses[:, 1::2, ::2, 1] = maps[:, 0] + rng.random((60, 16, 16)) * 0.9
    responses[..., 2] = rng.random((60, 32, 32))
    return compare_with_objects(responses, maps, _CLASSES)


def test_a_perfect_detector_has_average_precision_one(measured):
    assert measured.average_precision(0, "coin") == pytest.approx(1.0)
    assert measured.average_precision(2, "coin") < 0.1


def test_average_precision_worked_out_by_hand():
    # Ranked: hit, miss, hit, miss: (1/1 + 2/3) / 2.
    responses = np.array([4.0, 3.0, 2.0, 1.0]).reshape(1, 2, 2, 1)
    maps = np.array([1, 0, 1, 0]).reshape(1, 1, 2, 2)
    measured = compare_with_objects(responses, maps, ("coin",))
    assert measured.average_precision(0, "coin") == pytest.approx((1 + 2 / 3) / 2)
    assert measured.mean_response(0, "coin") == pytest.approx(3.0 / 2.5)


def test_the_right_feature_is_chosen_and_surely(measured, rng):
    choice = measured.choose("buzzsaw", rng)
    assert choice.features == (1,) and choice.confidence == 1.0
    assert choice.interval[0] <= choice.average_precisions[0] <= choice.interval[1]
    assert choice.base_rate == pytest.approx(0.03, abs=0.01)
    assert "feature 1 responds to buzzsaw" in str(choice)


def test_the_choice_is_unsure_between_equal_features(rng):
    maps = (rng.random((60, 1, 16, 16)) < 0.05).astype(np.uint8)
    responses = maps[:, 0, :, :, None] * 0.3 + rng.random((60, 16, 16, 2))
    choice = compare_with_objects(responses, maps, ("coin",)).choose("coin", rng)
    assert 0.05 < choice.confidence < 1.0


def test_all_detectors_of_an_object_are_chosen_and_no_weak_one(rng):
    maps = np.zeros((40, 1, 16, 16), np.uint8)
    maps[:20, 0, 3, 5] = maps[20:, 0, 8, 8] = 1
    seen = np.moveaxis(maps, 1, -1).astype(np.float32)
    responses = np.zeros((40, 16, 16, 3), np.float32)
    responses[..., 0] = 0.2 * rng.random((40, 16, 16))
    responses[..., 1:] = seen
    responses[:5, 3, 5, 2] = 0  # misses a few
    choice = compare_with_objects(responses, maps, ("coin",)).choose("coin", rng)
    assert choice.features == (1, 2)
    assert choice.average_precisions[0] == 1.0 > choice.average_precisions[1] > 0.8
    assert "so does feature 2 (0.8" in str(choice)


def test_the_same_seed_gives_the_same_choice(measured):
    first, second = (
        measured.choose("coin", np.random.default_rng(1)) for _ in range(2)
    )
    assert first == second


def test_the_table_names_every_feature_and_class(measured):
    lines = measured.table().splitlines()
    assert len(lines) == 2 + 3 + 1
    assert all(name in lines[0] for name in _CLASSES)
    assert "1.00" in lines[2] and "nan" not in measured.table()  # no lava is seen


def test_bad_input_is_refused(measured, rng):
    with pytest.raises(InputError, match="unknown object 'dragon'"):
        measured.choose("dragon", rng)
    with pytest.raises(InputError, match="no lava is in the 60"):
        measured.choose("lava", rng)
    with pytest.raises(InputError, match="do not fit"):
        compare_with_objects(np.zeros((2, 8, 8, 1)), np.zeros((3, 1, 8, 8)), ("a",))
    with pytest.raises(InputError, match="unevenly"):
        compare_with_objects(np.zeros((2, 8, 8, 1)), np.zeros((2, 1, 12, 12)), ("a",))


@pytest.mark.parametrize("levels", [3, 10_000])
def test_average_precision_is_scikit_learns(rng, levels):
    """With many equal responses and with few, and with weights."""
    responses = rng.integers(levels, size=(20, 9)).astype(np.float32)
    present = rng.random((20, 9)) < 0.2
    weights = rng.integers(3, size=20)
    ranking = Ranking(responses)
    for given in (None, weights):
        repeated = None if given is None else given.repeat(9)
        assert ranking.average_precision(present, given) == pytest.approx(
            average_precision_score(
                present.ravel(), responses.ravel(), sample_weight=repeated
            )
        )
    assert np.isnan(ranking.average_precision(np.zeros((20, 9), bool)))

"""Measures on arrays whose answer is known by hand."""

import numpy as np
import pytest

from lucid_rl.errors import InputError
from lucid_rl.interpret.measures import (
    changed_fraction,
    matched_cosines,
    one_hotness,
    top_fraction,
    with_other_backgrounds,
)


def test_top_fraction_by_hand():
    attribution = np.zeros((3, 2, 2, 2))
    attribution[0, 0, 0] = [4.0, -3.0]
    attribution[0, 1, 1] = [2.0, -1.0]
    attribution[1] = 1.0
    shares = top_fraction(attribution, n_top=2)
    assert shares[0] == pytest.approx(0.7)  # signs do not matter
    assert shares[1] == pytest.approx(2 / 8)
    assert np.isnan(shares[2])


def test_top_fraction_is_one_when_every_pair_counts():
    attribution = np.random.default_rng(0).normal(size=(2, 3, 3, 1))
    np.testing.assert_allclose(top_fraction(attribution, 50), 1.0)


def test_one_hotness_by_hand():
    directions = np.array([[0, 2, 0, 0], [1, 1, 1, 1], [3, 4, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(one_hotness(directions), [1, 0.5, 0.8, np.nan])


def test_matched_cosines_ignore_order_and_scale():
    rng = np.random.default_rng(1)
    directions = rng.random((5, 12))
    shuffled = 3.0 * directions[rng.permutation(5)]
    np.testing.assert_allclose(matched_cosines(directions, shuffled), 1.0)


def test_a_match_is_one_to_one():
    first = np.array([[1.0, 0.0], [1.0, 0.1]])
    second = np.array([[1.0, 0.0], [0.0, 1.0]])
    cosines = matched_cosines(first, second)
    assert cosines[0] == pytest.approx(1.0) and cosines[1] < 0.2


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="n_top=0"):
        top_fraction(np.ones((1, 2, 2, 1)), 0)
    with pytest.raises(InputError, match=r"\[N, H, W, K\]"):
        top_fraction(np.ones((2, 2)))
    with pytest.raises(InputError, match="same"):
        matched_cosines(np.ones((2, 3)), np.ones((3, 3)))


def test_other_backgrounds_change_coarse_colours_and_keep_fine_ones():
    # Two backgrounds of one colour each, before which the same small object stands.
    observations = np.zeros((2, 64, 64, 3), np.uint8)
    observations[0], observations[1] = (60, 60, 60), (160, 120, 90)
    observations[:, 30:34, 30:34] += 60
    changed = with_other_backgrounds(observations, np.random.default_rng(0), radius=8)
    # Far from the object each has the other's colour, and the object stands out alike.
    np.testing.assert_array_equal(changed[0, 0, 0], observations[1, 0, 0])
    np.testing.assert_array_equal(changed[1, 0, 0], observations[0, 0, 0])
    contrast = changed[:, 32, 32].astype(int) - changed[:, 32, 20]
    assert np.abs(contrast - 60).max() <= 8
    with pytest.raises(InputError, match="at least 2"):
        with_other_backgrounds(observations[:1], np.random.default_rng(0))


def test_an_observation_never_keeps_its_own_colours():
    levels = np.arange(0, 200, 20, dtype=np.uint8)[:, None, None, None]
    observations = np.broadcast_to(levels, (10, 16, 16, 3))
    changed = with_other_backgrounds(observations, np.random.default_rng(0))
    assert sorted(changed[:, 0, 0, 0]) == sorted(levels.ravel())
    assert (changed[:, 0, 0, 0] != levels.ravel()).all()


def test_the_changed_fraction_of_responses():
    first = np.zeros((1, 2, 2, 3))
    second = np.zeros((1, 2, 2, 3))
    first[..., 0], second[..., 0] = 1, 1  # nothing changes
    first[0, 0, 0, 1], second[0, 1, 1, 1] = 2, 2  # everything does
    found = changed_fraction(first, second)
    assert found[:2].tolist() == [0, 1] and np.isnan(found[2])

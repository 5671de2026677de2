import math

import numpy as np
import pytest
from scipy.special import comb

from lucid_rl.errors import InputError
from lucid_rl.statistics import Difference, Proportion, compare


def wilson(count, n, z=1.959963984540054):
    """The interval from its definition: |p - share| = z * sqrt(p (1 - p) / n)."""
    share = count / n
    roots = np.roots([1 + z**2 / n, -2 * share - z**2 / n, share**2])
    return sorted(roots.real)


@pytest.mark.parametrize("count, n", [(37, 10_000), (1276, 10_000), (3, 10), (50, 50)])
def test_wilson_interval_solves_its_equation(count, n):
    np.testing.assert_allclose(
        Proportion(count, n).interval(), wilson(count, n), atol=1e-8
    )


def test_an_interval_of_nothing_begins_at_nothing():
    low, high = Proportion(0, 10_000).interval()
    assert low == 0.0 and 0.0003 < high < 0.0005
    low, high = Proportion(20, 20).interval()
    assert high == 1.0 and low > 0.8


def test_intervals_cover_what_they_should():
    rng = np.random.default_rng(0)
    share, n = 0.02, 400
    hits = 0
    for count in rng.binomial(n, share, 500):
        low, high = Proportion(int(count), n).interval()
        hits += low <= share <= high
    assert 0.92 < hits / 500 < 0.98


@pytest.mark.parametrize("count, n", [(-1, 5), (6, 5), (0, 0)])
def test_impossible_shares(count, n):
    with pytest.raises(InputError):
        Proportion(count, n)


def test_difference_by_hand():
    # Fisher's tea: of 4 and 4 cups, 3 and 1 are called milk first.
    tea = compare(Proportion(3, 4), Proportion(1, 4))
    tables = [comb(4, k) * comb(4, 4 - k) / comb(8, 4) for k in range(5)]
    expected = sum(p for p in tables if p <= tables[3] + 1e-12)
    assert tea.p_value == pytest.approx(expected)
    assert tea.difference == 0.5
    # Newcombe: the Wilson limits' distances to the shares, squared and added.
    (l1, u1), (l2, u2) = wilson(3, 4), wilson(1, 4)
    assert tea.low == pytest.approx(0.5 - math.hypot(0.75 - l1, u2 - 0.25), abs=1e-6)
    assert tea.high == pytest.approx(0.5 + math.hypot(u1 - 0.75, 0.25 - l2), abs=1e-6)


def test_the_articles_main_result_is_beyond_doubt():
    blinded = compare(Proportion(1276, 10_000), Proportion(37, 10_000))
    assert blinded.p_value < 1e-100
    assert blinded.low > 0.11
    others = compare(Proportion(16, 10_000), Proportion(16, 10_000))
    assert others.p_value == pytest.approx(1.0)
    assert others.low < 0 < others.high


def test_nothing_against_nothing():
    difference = compare(Proportion(0, 100), Proportion(0, 100))
    assert difference.p_value == 1.0
    assert math.isfinite(difference.low) and math.isfinite(difference.high)
    assert isinstance(difference, Difference)


def test_texts_and_dictionaries():
    share = Proportion(5, 1000)
    assert str(share) == "0.50% (0.21% to 1.17%)"
    assert share.as_dict()["count"] == 5
    assert set(share.as_dict()) == {"count", "share", "low", "high"}


def test_p_values_in_words():
    half = compare(Proportion(5, 10), Proportion(5, 10))
    assert half.p_text == "p = 1"
    assert compare(Proportion(999, 1000), Proportion(1, 1000)).p_text == "p < 1e-09"

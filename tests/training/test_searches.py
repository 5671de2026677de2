"""Tests of searches that run beside each other."""

import threading

import pytest

from lucid_rl.training.searches import SearchPool


@pytest.mark.parametrize("n_items", [0, 1, 2, 7])
def test_what_is_found_comes_in_the_order_of_the_items(n_items):
    pool = SearchPool(n_threads=3)
    assert pool.find(lambda k: k * k, range(n_items)) == [k**2 for k in range(n_items)]


def test_searches_run_beside_each_other_and_beside_their_caller():
    """Each waits for the other two: one after the other they would never end."""
    all_there = threading.Barrier(3, timeout=20)
    pending = SearchPool(n_threads=2).begin(lambda _: all_there.wait(), range(2))
    all_there.wait()
    assert len(pending.result()) == 2


def test_what_a_search_raises_is_raised_by_its_result():
    pending = SearchPool().begin(lambda k: 1 // k, [2, 1, 0])
    with pytest.raises(ZeroDivisionError):
        pending.result()

"""Activations that are kept stand in for the network up to their layer."""

import numpy as np
import pytest

from lucid_rl.errors import ModelError
from lucid_rl.interpret.attribution import attribute
from lucid_rl.model.sparse_cache import SparseCache


def test_results_stay_the_same(model_a, golden):
    observations = golden["obs_u8"][:6]
    layers = (*model_a.layers, "logits", "value")
    expected = model_a.activations(observations, layers)
    attributed = attribute(model_a, observations, ["1a", "3a"], n_steps=3)
    with model_a.cached_trunk("2b"):
        for _ in range(2):
            for layer in layers:
                found = model_a.activations(observations, layer)
                np.testing.assert_allclose(found, expected[layer], atol=1e-5)
        again = attribute(model_a, observations, ["1a", "3a"], n_steps=3)
    for layer, attribution in attributed.items():
        np.testing.assert_allclose(again[layer].values, attribution.values, atol=1e-5)


def test_nothing_is_kept_where_none_is_asked_for(model_a, golden, monkeypatch):
    kept = []
    monkeypatch.setattr(SparseCache, "_keep", lambda self, *args: kept.append(args))
    with model_a.cached_trunk("2b"):
        with model_a.cached_trunk(None):
            model_a(golden["obs_u8"][:2])
        assert not kept
        model_a(golden["obs_u8"][:2])
    assert len(kept) == 2


def test_a_layer_that_is_not_there(model_a):
    with pytest.raises(ModelError, match="9z"), model_a.cached_trunk("9z"):
        pass


@pytest.fixture
def seen():
    return []


@pytest.fixture
def doubled(seen):
    def compute(batch):
        seen.extend(batch[:, 0].tolist())
        return 2 * batch

    return compute


def sparse(*firsts):
    """Observations of 32 numbers, of which two are not zero."""
    batch = np.zeros((len(firsts), 32), np.float32)
    batch[:, 0], batch[:, 7] = firsts, 1
    return batch


def test_each_observation_is_computed_once(doubled, seen):
    cache = SparseCache(doubled, (32,))
    for firsts in ((1, 2), (2, 3, 1), (3,)):
        np.testing.assert_array_equal(cache(sparse(*firsts)), 2 * sparse(*firsts))
    assert seen == [1, 2, 3]


def test_the_oldest_are_dropped_beyond_the_bound(doubled, seen):
    cache = SparseCache(doubled, (32,), max_bytes=25)  # 10 bytes each
    for firsts in ((1, 2, 3), (2, 3), (1,)):
        np.testing.assert_array_equal(cache(sparse(*firsts)), 2 * sparse(*firsts))
    assert seen == [1, 2, 3, 1]


def test_dense_results_are_not_kept(doubled, seen):
    cache = SparseCache(doubled, (32,))
    for _ in range(2):
        cache(np.ones((1, 32), np.float32))
    assert seen == [1, 1]

"""Shapley values of features, and integrated gradients from the mean activation."""

import itertools

import numpy as np
import pytest

import lucid_rl
from lucid_rl.errors import InputError
from lucid_rl.interpret.attribution import attribute
from lucid_rl.interpret.mean_baseline import attribute_from_mean
from lucid_rl.interpret.nmf import NMF
from lucid_rl.interpret.shapley import shapley_values

_LAYER = "3a"


@pytest.fixture(scope="module")
def model(checkpoint_a):
    return lucid_rl.load(checkpoint_a)


@pytest.fixture(scope="module")
def observations(golden):
    return golden["obs_u8"][:24]


@pytest.fixture(scope="module")
def nmf(model, observations):
    found = attribute(model, observations, _LAYER)
    return NMF(n_features=3, layer=_LAYER).fit(found)


def test_shapley_values_are_the_mean_over_all_orders(model, observations, nmf):
    function = model.layer_function(_LAYER, [lucid_rl.value().tensor])
    seen = observations[:4]
    points = model.activations(seen, _LAYER)
    amounts = nmf.transform(points)
    rest = points - amounts @ nmf.directions

    def value(chosen):
        kept = np.isin(np.arange(3), chosen).astype(np.float32)
        at = (rest + (amounts * kept) @ nmf.directions).astype(np.float32)
        return function.values(at, model.float_observations(seen))[0].ravel()

    exact = np.zeros((4, 3))
    orders = list(itertools.permutations(range(3)))
    for order in orders:
        for place, feature in enumerate(order):
            gain = value(order[: place + 1]) - value(order[:place])
            exact[:, feature] += gain / len(orders)
    rng = np.random.default_rng(0)
    found = shapley_values(model, seen, _LAYER, nmf, rng, n_orders=400)
    scale = np.abs(exact).max()
    assert found.values.shape == (4, 1, 1, 3)
    np.testing.assert_allclose(found.by_channel(), exact, atol=0.1 * scale)
    # Any number of orders adds up, to F(a) less F without the features.
    few = shapley_values(model, seen, _LAYER, nmf, rng, n_orders=1)
    np.testing.assert_allclose(few.totals, value([0, 1, 2]) - value([]), rtol=1e-4)
    assert np.abs(few.completeness_gap).max() < 1e-4 * np.abs(few.totals).max()


def test_orders_come_with_their_reverse(model, observations, nmf):
    # With two features, any pair of orders is all of them: nothing is left to chance.
    two = NMF(n_features=2, layer=_LAYER).fit(attribute(model, observations, _LAYER))
    found = [
        shapley_values(
            model,
            observations[:3],
            _LAYER,
            two,
            np.random.default_rng(seed),
            n_orders=2,
        ).values
        for seed in (0, 1)
    ]
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="n_orders=0"):
        shapley_values(
            model, observations, _LAYER, nmf, np.random.default_rng(0), n_orders=0
        )


def test_attributions_from_the_mean_add_up(model, observations):
    found = attribute_from_mean(model, observations, _LAYER)
    assert np.abs(found.completeness_gap).max() < 1e-4 * np.abs(found.totals).max()
    points = model.activations(observations, _LAYER)
    mean = points.mean(axis=(0, 1, 2))
    function = model.layer_function(_LAYER, [lucid_rl.value().tensor])
    at_mean = np.broadcast_to(mean, (1, *points.shape[1:])).astype(np.float32)
    seen = model.float_observations(observations)
    change = function.values(points, seen)[0] - function.values(at_mean, seen[:1])[0]
    np.testing.assert_allclose(found.totals, change.ravel(), rtol=1e-3, atol=1e-5)


def test_what_stays_at_the_mean_gets_nothing(model, observations):
    # Of one observation repeated, the mean over observations alone would leave nothing;
    # the mean over positions as well leaves what differs between positions.
    found = attribute_from_mean(model, observations[:1], _LAYER)
    points = model.activations(observations[:1], _LAYER)
    differs = np.abs(points - points.mean(axis=(0, 1, 2))) > 1e-6
    assert not found.values[~differs].any()

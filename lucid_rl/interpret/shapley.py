"""Shapley values of features, by sampling orders in which they are added.

Castro, Gómez and Tejada (2009): a feature's Shapley value is the mean, over orders, of
what the target gains when the feature joins those before it. The gains of one order add
up to F(all features) - F(none), whatever the order.
"""

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.interpret.attribution import Attribution
from lucid_rl.interpret.feature_set import FeatureSet
from lucid_rl.interpret.targets import Target, target_list
from lucid_rl.model.batching import BATCH_BYTES, batch_slices, rows_within
from lucid_rl.model.model import Model


def shapley_values(
    model: Model,
    observations: np.ndarray,
    layer: str,
    features: FeatureSet,
    rng: np.random.Generator,
    target: Target | None = None,
    n_orders: int = 16,
) -> Attribution:
    """Shapley values of a layer's features, each at all positions together.

    Args:
        model: the network.
        observations: uint8 or floats in [0, 1], [N, H, W, C].
        layer: name of the layer.
        features: the layer's features, such as an `NMF`. What they do not explain of
            an activation is always present.
        rng: draws the orders.
        target: the value function by default.
        n_orders: orders, drawn in pairs of an order and its reverse.

    Returns:
        Values f32 [N, 1, 1, K], as occlusion's; totals are F(a) less F without any
        feature.

    Raises:
        InputError: the observations do not fit the model, or fewer than 1 order.
        ModelError: the layer or the target does not exist.
    """
    if n_orders < 1:
        raise InputError(f"n_orders={n_orders}: expected 1 or more")
    (chosen,) = target_list(target)
    function = model.layer_function(layer, [chosen.tensor])
    observations = model.check_observations(observations)
    directions = np.asarray(features.directions, np.float32)
    n_features = len(directions)
    orders = [rng.permutation(n_features) for _ in range(-(-n_orders // 2))]
    orders = [order for first in orders for order in (first, first[::-1])][:n_orders]
    shape = (len(observations), *(1,) * (len(function.shape) - 1), n_features)
    values = np.zeros(shape, np.float32)
    totals = np.empty(len(observations), np.float32)
    flat = values.reshape(len(observations), n_features)
    for rows in batch_slices(
        len(observations), rows_within(BATCH_BYTES, 4 * model.forward_bytes)
    ):
        batch = model.float_observations(observations[rows], first=rows.start)
        (points,) = model.run([function.activation], batch)
        seeds = chosen.seeds(rows, function.target_shapes()[0])
        amounts = features.transform(points)

        def score(at: np.ndarray, seen=batch, seed=seeds) -> np.ndarray:
            (found,) = function.values(at, seen)
            return (seed * found).reshape(len(found), -1).sum(axis=1)

        rest = points - amounts @ directions
        none = score(rest)
        for order in orders:
            flat[rows] += _gains(rest, amounts, directions, order, none, score)
        totals[rows] = score(points) - none
    values /= len(orders)
    gap = flat.sum(axis=1) - totals
    return Attribution(layer, (chosen.name,), values, totals, gap)


def _gains(rest, amounts, directions, order: np.ndarray, none, score) -> np.ndarray:
    """What each feature adds to those before it in an order, [B, K]."""
    gains = np.empty((len(rest), len(directions)), np.float32)
    present, before = rest.copy(), none
    for feature in order:
        present += amounts[..., feature, None] * directions[feature]
        after = score(present)
        gains[:, feature] = after - before
        before = after
    return gains

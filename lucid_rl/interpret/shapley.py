"""Shapley values of features, by sampling orders in which they are added.

Castro, Gómez and Tejada (2009): a feature's Shapley value is the mean, over orders, of
what the target gains when the feature joins those before it. The gains of one order add
up to F(all features) - F(none), whatever the order.
"""

from collections.abc import Sequence

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.interpret.attribution import Attribution, LayerMethod, run_methods
from lucid_rl.interpret.feature_set import FeatureSet
from lucid_rl.interpret.targets import Target, target_list
from lucid_rl.model.model import Model


def shapley_values(
    model: Model,
    observations: np.ndarray,
    layer: str,
    features: FeatureSet,
    rng: np.random.Generator,
    target: Target | Sequence[Target] | None = None,
    n_orders: int = 16,
) -> Attribution:
    """Shapley values of a layer's features, each at all positions together.

    Args:
        model: the network.
        observations: uint8 or floats in [0, 1], [N, H, W, C].
        layer: name of the layer.
        features: the layer's features, such as an `NMF`. Activation that they do not
            explain is always present.
        rng: draws the orders.
        target: as in `attribute`.
        n_orders: orders, drawn in pairs of an order and its reverse.

    Returns:
        Values f32 [N, 1, 1, K], as occlusion's; totals are F(a) less F without
        features.

    Raises:
        InputError: the observations do not fit the model, or fewer than 1 order.
        ModelError: the layer or a target does not exist.
    """
    if n_orders < 1:
        raise InputError(f"n_orders={n_orders}: expected 1 or more")
    function = model.layer_function(layer, [t.tensor for t in target_list(target)])
    n_features = len(features.directions)
    orders = [rng.permutation(n_features) for _ in range(-(-n_orders // 2))]
    orders = [order for first in orders for order in (first, first[::-1])][:n_orders]
    directions = np.asarray(features.directions, np.float32)
    shape = (*(1,) * (len(function.shape) - 1), n_features)

    def compute(points, seeds, batch):
        amounts = features.transform(points)
        rest = points - amounts @ directions

        def scores(at):
            return np.stack(function.scores(at, seeds, batch))

        none = scores(rest)
        gains = np.zeros((*none.shape, n_features), np.float32)
        for order in orders:
            present, before = rest.copy(), none
            for feature in order:
                present += amounts[..., feature, None] * directions[feature]
                after = scores(present)
                gains[..., feature] += after - before
                before = after
        gains /= len(orders)
        return gains.reshape(*none.shape, *shape), scores(points) - none

    method = LayerMethod(function, compute, 4 * model.forward_bytes, shape)
    observations = model.check_observations(observations)
    return run_methods(model, observations, {layer: method}, target)[layer]

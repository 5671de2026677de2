"""Shapley values of features, by sampling orders in which they are added.

Castro, Gómez and Tejada (2009): a feature's Shapley value is the mean, over orders, of
what the target gains when the feature joins those before it. The gains of one order add
up to F(all features) - F(none), whatever the order.
"""

from collections.abc import Sequence

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.interpret.attribution import Attribution, run_methods
from lucid_rl.interpret.feature_set import FeatureSet
from lucid_rl.interpret.targets import Target, target_list
from lucid_rl.model.layer_function import LayerFunction
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
    return run_methods(
        model,
        model.check_observations(observations),
        {layer: _Shapley(function, features, orders)},
        target,
    )[layer]


class _Shapley:
    """Mean gains of features over orders in which they join."""

    def __init__(
        self,
        function: LayerFunction,
        features: FeatureSet,
        orders: Sequence[np.ndarray],
    ):
        self.function = function
        self._features, self._orders = features, orders
        self._directions = np.asarray(features.directions, np.float32)
        self.result_shape = (*(1,) * (len(function.shape) - 1), len(self._directions))
        self.bytes_per_observation = 4 * function.model.forward_bytes

    def __call__(self, points, seeds, batch):
        amounts = self._features.transform(points)
        rest = points - amounts @ self._directions

        def scores(at):
            return np.stack(self.function.scores(at, seeds, batch))

        none = scores(rest)
        gains = np.zeros((*none.shape, len(self._directions)), np.float32)
        for order in self._orders:
            present, before = rest.copy(), none
            for feature in order:
                present += amounts[..., feature, None] * self._directions[feature]
                after = scores(present)
                gains[..., feature] += after - before
                before = after
        gains /= len(self._orders)
        return gains.reshape(*none.shape, *self.result_shape), scores(points) - none

"""Occlusion: what the outputs lose when a channel or feature is taken away."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.interpret.feature_set import FeatureSet
from lucid_rl.model.batching import batch_slices, rows_within
from lucid_rl.model.layer_function import LayerFunction


class Occlusion:
    """F(a) - F(a without a channel or feature), for each of them.

    Attributes:
        result_shape: (1, ..., 1, C), C channels or features.
        n_bytes: about how much memory one observation takes.
    """

    def __init__(
        self,
        function: LayerFunction,
        settings: Any,
        features: FeatureSet | None,
        observations: np.ndarray,
    ):
        """Prepares occlusion of features, by default of single channels, in one layer.

        `settings` are AttributionSettings. Observations are as
        `Model.check_observations` returns them; their mean may be what is left.

        Raises:
            InputError: the features are of another number of channels.
        """
        n_channels = function.shape[-1]
        if features is not None and features.directions.shape[-1] != n_channels:
            raise InputError(
                f"the features are directions of {features.directions.shape[-1]} "
                f"channels: layer {function.layer} has {n_channels}."
            )
        self._function = function
        self._features = features
        self._directions = (
            np.eye(n_channels, dtype=np.float32)
            if features is None
            else np.asarray(features.directions, np.float32)
        )
        self._reference = np.zeros(len(self._directions), np.float32)
        if settings.occlude_with == "mean":
            self._reference = mean_over_positions(function, observations, self._amounts)
        self.result_shape = (*(1,) * (len(function.shape) - 1), len(self._directions))
        n_bytes = 2 * function.model.forward_bytes
        self._turn = rows_within(settings.memory_bytes, n_bytes)
        self.n_bytes = min(self._turn, len(self._directions)) * n_bytes

    def __call__(self, points, seeds, batch):
        """Values [B, *result_shape] and F(a) - F(0) [B] for each target."""
        amounts = self._amounts(points) - self._reference
        ends = self._function.scores(points, seeds, batch)
        shape = (len(points), len(self._directions))
        values = [np.empty(shape, np.float32) for _ in seeds]
        per_turn = max(1, self._turn // max(1, len(points)))
        for turn in batch_slices(len(self._directions), per_turn):
            n = turn.stop - turn.start
            # [n, B, ...]: one feature after the other.
            taken = (
                np.moveaxis(amounts[..., turn], -1, 0)[..., None]
                * self._directions[turn][(slice(None), *(None,) * points[..., 0].ndim)]
            )
            without = (points - taken).reshape(-1, *points.shape[1:])
            repeated = [np.concatenate([seed] * n) for seed in seeds]
            seen = np.concatenate([batch] * n)
            scores = self._function.scores(without, repeated, seen)
            for value, end, score in zip(values, ends, scores, strict=True):
                value[:, turn] = end[:, None] - score.reshape(n, -1).T
        totals = self._function.changes(points, seeds, batch)
        return [v.reshape(-1, *self.result_shape) for v in values], totals

    def _amounts(self, points):
        if self._features is None:
            return points
        return self._features.transform(points)


def mean_over_positions(
    function: LayerFunction,
    observations: np.ndarray,
    transform: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> np.ndarray:
    """Mean of a layer's activations over positions and observations, f32 [C].

    `transform` is applied to activations [..., C] before.
    """
    model = function.model
    sums: Any = 0.0
    for rows in batch_slices(
        len(observations), rows_within(2**26, model.forward_bytes)
    ):
        batch = model.float_observations(observations[rows], first=rows.start)
        amounts = transform(model.run([function.activation], batch)[0])
        sums = sums + amounts.mean(axis=tuple(range(1, amounts.ndim - 1))).sum(
            axis=0, dtype=np.float64
        )
    return (sums / max(1, len(observations))).astype(np.float32)

"""Difference quotients along any path of a layer's activations.

The path is given by points; from each to the next the network passes back
difference quotients, so that sums of quotient * step add up to the change of the
targets from the path's start to its end.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.batching import repeat_rows
from lucid_rl.model.difference_quotients import quotient_gradients


class PathQuotients:
    """The network from a layer onward, over pairs of successive points."""

    def __init__(self, function):
        """Builds the operations for a LayerFunction."""
        self._function = function
        model = function.model
        with model.graph.as_default():
            self._points = tf.placeholder(tf.float32, (None, None, *function.shape))
            self._observations = tf.placeholder(tf.float32, (None, *model.image_shape))
            self._seeds = function.seed_placeholders()
            first = len(model.graph.get_operations())
            self._build()
            self.bytes_per_point = model.bytes_since(first)

    def _build(self):
        function = self._function
        n_points, n_rows = tf.unstack(tf.shape(self._points)[:2])
        rows = tf.reshape(self._points, (-1, *function.shape))
        mapped = {function.layer: rows}
        if function.needs_observations:
            tiled = repeat_rows(self._observations, n_points * n_rows)
            mapped = {function.model.input_node: tiled, **mapped}
        targets = function.apply_transforms(
            function.model.copy(function.target_nodes, mapped, "path")[0]
        )

        def previous(tensor):
            return tf.concat([tensor[:n_rows], tensor[:-n_rows]], 0)

        self.quotients: list[Any] = []
        for target, seed in zip(targets, self._seeds, strict=True):
            with tf.control_dependencies(self.quotients[-1:]):
                seed = tf.identity(seed)
            # The first points have none before them.
            later = repeat_rows(seed, (n_points - 1) * n_rows)
            seeds = tf.concat([tf.zeros_like(seed), later], 0)
            (found,) = quotient_gradients([target], [rows], [seeds], previous)
            found = tf.zeros_like(rows) if found is None else found
            shape = tf.stack([n_points, n_rows, *function.shape])
            self.quotients.append(tf.reshape(found, shape)[1:])

    def __call__(
        self,
        points: np.ndarray,
        seeds: Sequence[np.ndarray],
        observations: np.ndarray | None = None,
    ) -> list[np.ndarray]:
        """Computes quotients from each point to the next, f32 [P, B, *shape].

        Args:
            points: f32 [P + 1, B, *shape], the paths of B observations.
            seeds: for each target weights f32 [B, *target shape].
            observations: float observations, where they are needed.
        """
        feed = {self._points: points, **dict(zip(self._seeds, seeds, strict=True))}
        if self._function.needs_observations:
            feed[self._observations] = observations
        return self._function.model.session.run(self.quotients, feed)

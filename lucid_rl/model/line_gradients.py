"""Weighted sums of gradients at points of the line from 0 to an activation.

This is what integrated gradients need with an ordinary quadrature rule.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.affine_prefix import affine_prefix, multiplications
from lucid_rl.model.batching import repeat_rows


class LineGradients:
    """For a layer's activation a: sum over k of w_k dF/da at alpha_k * a.

    As far as the network is affine in alpha, its values are interpolated between a few
    points, and the derivative, which is constant there, is taken once.
    """

    def __init__(self, function):
        """Builds the operations for a LayerFunction."""
        self._function = function
        model = function.model
        self._prefix = affine_prefix(
            model.index, function.layer, model.input_node, function.target_nodes
        )
        with model.graph.as_default():
            first = len(model.graph.get_operations())
            self._build()
            self.bytes_per_point = model.bytes_since(first)

    def _build(self):
        function, prefix = self._function, self._prefix
        self._points = tf.placeholder(tf.float32, (None, *function.shape))
        self._observations = tf.placeholder(
            tf.float32, (None, *function.model.image_shape)
        )
        self._weights = tf.placeholder(tf.float32, (None,))
        # [K, scales]; see AffinePrefix.interpolation.
        self._interpolation = tf.placeholder(tf.float32, (None, len(prefix.scales)))
        self._seeds = function.seed_placeholders()
        n_steps = tf.shape(self._weights)[0]
        scaled, at_scales = [], []
        for scale in prefix.scales:
            points = self._points * scale
            if scale == 0 and not function.needs_observations:
                points = points[:1]  # the same for all
            scaled.append(points)
            at_scales.append(self._copy(prefix.ends, points, f"scale_{scale:g}"))
        along = {
            node: self._interpolate([ends[node] for ends in at_scales])
            for node in prefix.ends
        }
        mapped = dict(along)
        if function.needs_observations:
            tiled = repeat_rows(self._observations, n_steps * tf.shape(self._points)[0])
            mapped = {function.model.input_node: tiled, **along}
        targets = function.apply_transforms(
            function.model.copy(function.target_nodes, mapped, "line")[0]
        )
        slopes_at = prefix.scales.index(prefix.slope_scale)
        ends = list(at_scales[slopes_at].values())
        self.sums: list[Any] = []
        for target, seed in zip(targets, self._seeds, strict=True):
            # One output after the other keeps memory bounded.
            with tf.control_dependencies(self.sums[-1:]):
                seed = tf.identity(seed)
            repeated = repeat_rows(seed, tf.shape(target)[0])
            gradients = tf.gradients(target, list(along.values()), repeated)
            pairs = [
                (end, self._weighted_sum(gradient))
                for end, gradient in zip(ends, gradients, strict=True)
                if gradient is not None
            ]
            result = None
            if pairs:
                (result,) = tf.gradients(
                    [end for end, _ in pairs],
                    scaled[slopes_at],
                    [total for _, total in pairs],
                )
            self.sums.append(tf.zeros_like(self._points) if result is None else result)

    def _copy(self, nodes, points, name):
        function = self._function
        mapped = {function.layer: points}
        if function.needs_observations:
            observations = repeat_rows(self._observations, tf.shape(points)[0])
            mapped = {function.model.input_node: observations, **mapped}
        return function.model.copy(nodes, mapped, name)[0]

    def _interpolate(self, at_scales):
        """[K * B, ...]: all observations at the first alpha, and so on."""
        ones = (1,) * at_scales[0].shape.rank
        points = sum(
            tf.reshape(self._interpolation[:, i], (-1, *ones)) * tensor
            for i, tensor in enumerate(at_scales)
        )
        return tf.reshape(points, (-1, *at_scales[0].shape[1:]))

    def _weighted_sum(self, gradient):
        """Sum over each observation's points."""
        n_steps = tf.shape(self._weights)[0]
        shape = tf.concat([[n_steps, -1], tf.shape(gradient)[1:]], 0)
        return tf.tensordot(self._weights, tf.reshape(gradient, shape), 1)

    def multiplications(self, n_steps: int) -> int:
        """Multiplications for one observation, forward and backward."""
        model, function = self._function.model, self._function
        affine, nonlinear = (
            multiplications(model.index, model.graph, starts, ends)
            for starts, ends in (
                ((function.layer,), self._prefix.ends),
                (self._prefix.ends, function.target_nodes),
            )
        )
        n_scales = sum(scale > 0 for scale in self._prefix.scales)
        return (n_scales + 1) * affine + 2 * n_steps * nonlinear

    def __call__(
        self,
        activations: np.ndarray,
        alphas: np.ndarray,
        weights: np.ndarray,
        seeds: Sequence[np.ndarray],
        observations: np.ndarray | None = None,
    ) -> list[np.ndarray]:
        """Computes weighted sums of gradients.

        Args:
            activations: ends of the lines, f32 [B, *shape].
            alphas: where on each line to take gradients, [K].
            weights: the sum's weights, [K].
            seeds: for each target the weights of what the gradient is taken of,
                sum(seed * target), f32 [B, *target shape].
            observations: float observations, where they are needed.

        Returns:
            For each target f32 [B, *shape].
        """
        feed = {
            self._points: activations,
            self._weights: weights,
            self._interpolation: self._prefix.interpolation(alphas),
            **dict(zip(self._seeds, seeds, strict=True)),
        }
        if self._function.needs_observations:
            feed[self._observations] = observations
        return self._function.model.session.run(self.sums, feed)

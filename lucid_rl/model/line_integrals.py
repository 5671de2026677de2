"""Integrals of gradients along the straight line from 0 to an activation.

`LineGradients` adds up gradients at points of the line alpha * a, as an ordinary
quadrature rule needs. `LineQuotients` cuts the line into segments, over each of which
the network passes back difference quotients (see `difference_quotients`). Their mean,
weighted by the segments' lengths, converges to the integral, and for any number of
segments the attributions add up to F(a) - F(0).

The network is computed in parts. Up to the next bias it is affine in alpha (see
`affine_prefix`): values are interpolated between 0 and a, and it is passed back through
once. For difference quotients, later parts, which cost less, are computed on finer
segments, between values interpolated from the coarser ones.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.affine_prefix import (
    affine_ends,
    multiplications,
    nonlinear_parts,
)
from lucid_rl.model.batching import repeat_rows
from lucid_rl.model.difference_quotients import quotient_gradients

# Segment k of n ends at (k / n) ** _EXPONENT: most nonlinearities switch near 0, where
# biases outweigh the activations.
_EXPONENT = 1.5


class _Level:
    """One part of the network, computed at the ends of segments.

    Attributes:
        n_steps: segments of each line.
        tensors: by node name, what the part starts from: [n_steps * B, ...], the ends
            of the first segments of all observations, then of the second, and so on.
        starts: the same at alpha = 0, [1 or B, ...].
    """

    def __init__(self, function, n_steps, n_rows, tensors, starts):
        self._function = function
        self.n_steps = n_steps
        self._n_rows = n_rows
        self.tensors = tensors
        self.starts = starts

    def compute(self, nodes, observations, name):
        """Computes the part; `outcomes` and `start_outcomes` hold its nodes."""
        model, needed = self._function.model, self._function.needs_observations
        copies = []
        for mapped in (self.tensors, self.starts):
            if needed:
                n_rows = tf.shape(next(iter(mapped.values())))[0]
                seen = repeat_rows(observations, n_rows)
                mapped = {model.input_node: seen, **mapped}
            copies.append(model.copy(nodes, mapped, name))
        (self.outcomes, self._scope), (self.start_outcomes, self._start_scope) = copies
        self._known_starts = {
            tensor.ref(): self.starts[node] for node, tensor in self.tensors.items()
        }
        self._previous = {}

    def previous(self, tensor):
        """Each row's value at the end of the segment before."""
        if tensor.ref() not in self._previous:
            starts = self._known_starts.get(tensor.ref())
            if starts is None:
                inner = tensor.name.removeprefix(self._scope)
                starts = tensor.graph.get_tensor_by_name(self._start_scope + inner)
            self._previous[tensor.ref()] = self._shifted(tensor, starts)
        return self._previous[tensor.ref()]

    def _shifted(self, tensor, starts):
        first = repeat_rows(starts, self._n_rows)
        return tf.concat([first, tensor[: -self._n_rows]], 0)

    def refined(self, factor, fractions):
        """The next level: each segment cut at fractions, values interpolated."""
        finer = {}
        for node, tensor in self.outcomes.items():
            before = self._shifted(tensor, self.start_outcomes[node])
            steps = self.by_segment(tensor - before)[:, None]
            along = tf.reshape(fractions, (1, -1, *(1,) * tensor.shape.rank))
            points = self.by_segment(before)[:, None] + steps * along
            points = _reshape(points, [-1], tf.shape(tensor)[1:])
            finer[node] = tf.ensure_shape(points, tensor.shape)
        return _Level(
            self._function,
            self.n_steps * factor,
            self._n_rows,
            finer,
            self.start_outcomes,
        )

    def by_segment(self, rows):
        """[n_steps, B, ...]."""
        return _reshape(rows, [self.n_steps, self._n_rows], tf.shape(rows)[1:])

    def gather(self, finer_rows, factor):
        """What a level's segments pass back together, out of their parts'."""
        if isinstance(factor, int) and factor == 1:
            return finer_rows
        inner = tf.shape(finer_rows)[1:]
        parts = _reshape(finer_rows, [self.n_steps, factor, self._n_rows], inner)
        return _reshape(tf.reduce_sum(parts, 1), [-1], inner)


class _Line:
    """The network from a layer onward along the line from 0 to an activation.

    Attributes:
        parts: nodes that each part of the network ends in, the targets last.
        refinements: into how many each segment is cut after the second part and after
            each later one but the last; after the first it is cut into `n_steps`.
    """

    # Where the line begins; what later parts pass back; whether there are inner parts.
    _START = 0.0
    _RULE = staticmethod(quotient_gradients)
    _INNER_PARTS = True

    def __init__(self, function):
        """Builds the operations for a LayerFunction."""
        self._function = function
        model = function.model
        index, goals = model.index, function.target_nodes
        ends = affine_ends(index, function.layer, model.input_node, goals)
        inner = nonlinear_parts(index, ends, goals) if self._INNER_PARTS else []
        self.parts: list[Sequence[str]] = [ends, *((node,) for node in inner), goals]
        with model.graph.as_default():
            # Multiplications of each part of the network, for one row.
            self._costs = [
                multiplications(model.index, model.graph, starts, ends)
                for starts, ends in itertools.pairwise([(function.layer,), *self.parts])
            ]
            # Segments are cut in two from one part to the next where the finer part
            # then costs no more than the coarser one.
            self.refinements = [
                2 if 2 * later <= earlier else 1
                for earlier, later in itertools.pairwise(self._costs[1:])
            ]
            # Places on the line, ascending, and the weights of the sum.
            self._alphas = tf.placeholder(tf.float32, (None,))
            self._weights = tf.placeholder(tf.float32, (None,))
            self._factors = [tf.shape(self._alphas)[0], *self.refinements]
            self._build()

    def _build(self):
        function = self._function
        model = function.model
        self._points = tf.placeholder(tf.float32, (None, *function.shape))
        self._observations = tf.placeholder(tf.float32, (None, *model.image_shape))
        self._seeds = function.seed_placeholders()
        starts = self._START * self._points
        if self._START == 0 and not function.needs_observations:
            starts = starts[:1]  # the same for all
        n_rows = tf.shape(self._points)[0]
        layer = function.layer
        level = _Level(function, 1, n_rows, {layer: self._points}, {layer: starts})
        levels: list[_Level] = []
        self._row_bytes = []
        for i, nodes in enumerate(self.parts):
            first = len(model.graph.get_operations())
            if i > 0:
                fractions = (self._alphas - self._START) / (1 - self._START)
                if i > 1:
                    factor = self._factors[i - 1]
                    fractions = tf.range(1.0, factor + 1) / factor
                level = levels[-1].refined(self._factors[i - 1], fractions)
            level.compute(nodes, self._observations, f"part_{i}")
            self._row_bytes.append(model.bytes_since(first))
            levels.append(level)
        finals = function.apply_transforms(level.outcomes)
        self.starts = function.apply_transforms(level.start_outcomes)
        self.ends = [level.by_segment(final)[-1] for final in finals]
        self.sums: list[Any] = []
        for final, seed in zip(finals, self._seeds, strict=True):
            # One output after the other keeps memory bounded.
            with tf.control_dependencies(self.sums[-1:]):
                seed = tf.identity(seed)
            self.sums.append(self._backward(levels, final, seed))

    def _backward(self, levels, final, seed):
        parts = levels[-1].n_steps // levels[min(1, len(levels) - 1)].n_steps
        weights = tf.repeat(self._weights / tf.cast(parts, tf.float32), parts)
        weights = tf.repeat(weights, tf.shape(seed)[0])
        weights = tf.reshape(weights, [-1, *(1,) * (seed.shape.rank - 1)])
        targets, seeds = [final], [weights * repeat_rows(seed, tf.shape(final)[0])]
        for i in reversed(range(len(levels))):
            level = levels[i]
            sources = list(level.tensors.values())
            rule = self._RULE if i else quotient_gradients
            found = rule(targets, sources, seeds, level.previous)
            if i == 0:
                return tf.zeros_like(self._points) if found[0] is None else found[0]
            coarser = levels[i - 1]
            targets = list(coarser.outcomes.values())
            seeds = [
                None if rows is None else coarser.gather(rows, self._factors[i - 1])
                for rows in found
            ]
        raise AssertionError("a network has at least one part")

    def bytes_per_observation(self, n_steps: int) -> int:
        """About how much memory one observation takes."""
        return self._sum_over_parts(self._row_bytes, n_steps)

    def multiplications(self, n_steps: int) -> int:
        """Multiplications for one observation, forward and backward."""
        return 2 * self._sum_over_parts(self._costs, n_steps)

    def _sum_over_parts(self, per_row, n_steps):
        total, rows = 0, 1
        for amount, factor in zip(
            per_row, [n_steps, *self.refinements, 1], strict=True
        ):
            total += rows * amount
            rows *= factor
        return total

    def _run(self, fetches, activations, alphas, weights, seeds, observations):
        feed = {
            self._points: activations,
            self._alphas: alphas,
            self._weights: weights,
            **dict(zip(self._seeds, seeds, strict=True)),
        }
        if self._function.needs_observations:
            feed[self._observations] = observations
        return self._function.model.session.run(fetches, feed)


class LineQuotients(_Line):
    """For a layer's activation a: the mean difference quotient from 0 to a."""

    def __call__(
        self,
        activations: np.ndarray,
        n_steps: int,
        seeds: Sequence[np.ndarray],
        observations: np.ndarray | None = None,
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """Computes mean difference quotients of sum(seed * target).

        Args:
            activations: ends of the lines, f32 [B, *shape].
            n_steps: segments of each line, in the first part of the network.
            seeds: for each target weights f32 [B, *target shape].
            observations: float observations, where they are needed.

        Returns:
            (quotients, starts, ends): for each target f32 [B, *shape], the target at 0,
            with 1 or B rows, and at the activations.
        """
        ends = (np.arange(n_steps + 1) / n_steps) ** _EXPONENT
        fetches = (self.sums, self.starts, self.ends)
        return self._run(
            fetches, activations, ends[1:], np.diff(ends), seeds, observations
        )


class LineGradients(_Line):
    """For a layer's activation a: sum over k of w_k dF/da at alpha_k * a."""

    # L2 pooling is sqrt(mean square + 1e-8): a straight line but for alpha near 0.
    _START = 0.2
    _RULE = staticmethod(
        lambda targets, sources, seeds, previous: tf.gradients(targets, sources, seeds)
    )
    _INNER_PARTS = False

    def __call__(
        self,
        activations: np.ndarray,
        alphas: np.ndarray,
        weights: np.ndarray,
        seeds: Sequence[np.ndarray],
        observations: np.ndarray | None = None,
    ) -> list[np.ndarray]:
        """Computes weighted sums of gradients of sum(seed * target), f32 [B, *shape].

        Args:
            activations: ends of the lines, f32 [B, *shape].
            alphas: where on each line to take gradients, [K].
            weights: the sum's weights, [K].
            seeds: for each target weights f32 [B, *target shape].
            observations: float observations, where they are needed.
        """
        return self._run(self.sums, activations, alphas, weights, seeds, observations)


def _reshape(tensor, leading, trailing):
    return tf.reshape(tensor, tf.concat([leading, trailing], 0))

"""Difference quotients over cells of the rays from 0 to activations.

Each ray is cut into cells. Over each cell the network passes back difference
quotients (see `difference_quotients`), whose mean over cells takes the place of the
integral of gradients: it converges to it, and for any number of cells the
attributions add up to F(a) - F(0).

Values before each nonlinearity change almost evenly within a cell. So the later
parts of a network, which cost less, are computed on finer cells, between values
interpolated from the coarser ones.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from lucid_rl.model.batching import repeat_rows
from lucid_rl.model.difference_quotients import quotient_gradients
from lucid_rl.model.straight_rays import bends, multiplications, straight_prefix


class _Level:
    """One part of the network, computed at the ends of cells.

    Attributes:
        n_cells: cells of each ray.
        tensors: by node name, what the part starts from: [n_cells * B, ...], the ends
            of the first cells of all observations, then of the second cells, and so
            on.
        starts: the same where the rays start, [1 or B, ...].
    """

    def __init__(self, function, n_cells, n_rays, tensors, starts):
        self._function = function
        self.n_cells = n_cells
        self._n_rays = n_rays
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
        """Each row's value at the end of the cell before."""
        if tensor.ref() not in self._previous:
            starts = self._known_starts.get(tensor.ref())
            if starts is None:
                inner = tensor.name.removeprefix(self._scope)
                starts = tensor.graph.get_tensor_by_name(self._start_scope + inner)
            self._previous[tensor.ref()] = self._shifted(tensor, starts)
        return self._previous[tensor.ref()]

    def _shifted(self, tensor, starts):
        first = repeat_rows(starts, self._n_rays)
        return tf.concat([first, tensor[: -self._n_rays]], 0)

    def refined(self, factor):
        """The next level: each cell cut into equal parts, values interpolated."""
        fractions = tf.cast(tf.range(1, factor + 1), tf.float32)
        fractions /= tf.cast(factor, tf.float32)
        finer = {}
        for node, tensor in self.outcomes.items():
            before = self._shifted(tensor, self.start_outcomes[node])
            steps = self.by_cell(tensor - before)[:, None]
            along = tf.reshape(fractions, (1, -1, *(1,) * tensor.shape.rank))
            points = self.by_cell(before)[:, None] + steps * along
            points = _reshape(points, [-1], tf.shape(tensor)[1:])
            finer[node] = tf.ensure_shape(points, tensor.shape)
        return _Level(
            self._function,
            self.n_cells * factor,
            self._n_rays,
            finer,
            self.start_outcomes,
        )

    def by_cell(self, rows):
        """[n_cells, B, ...]."""
        return _reshape(rows, [self.n_cells, self._n_rays], tf.shape(rows)[1:])

    def gather(self, finer_rows, factor):
        """What a level's cells pass back together, out of their parts'."""
        if isinstance(factor, int) and factor == 1:
            return finer_rows
        inner = tf.shape(finer_rows)[1:]
        parts = _reshape(finer_rows, [self.n_cells, factor, self._n_rays], inner)
        return _reshape(tf.reduce_sum(parts, 1), [-1], inner)


class RayQuotients:
    """For a layer's activation a: the mean difference quotient from 0 to a."""

    def __init__(self, function):
        """Builds the operations for a LayerFunction."""
        self._function = function
        model = function.model
        prefix = straight_prefix(
            model.index, function.layer, model.input_node, function.target_nodes
        )
        # The parts of the network, each by the nodes it ends in.
        inner = bends(model.index, prefix.ends, function.target_nodes)
        parts = [prefix.ends, *((node,) for node in inner), function.target_nodes]
        with model.graph.as_default():
            self._n_cells = tf.placeholder(tf.int32, ())
            # Multiplications of each part of the network, for one row.
            self._costs = [
                multiplications(model.index, model.graph, starts, ends)
                for starts, ends in itertools.pairwise([(function.layer,), *parts])
            ]
            # Into how many each cell is cut where one part meets the next: in two,
            # where that makes the finer part no dearer than the one before.
            self._refinements = [
                2 if 2 * later <= earlier else 1
                for earlier, later in itertools.pairwise(self._costs[1:])
            ]
            self._factors = [self._n_cells, *self._refinements]
            self._build(parts)

    def _build(self, parts):
        function = self._function
        model = function.model
        self._points = tf.placeholder(tf.float32, (None, *function.shape))
        self._observations = tf.placeholder(tf.float32, (None, *model.image_shape))
        self._seeds = function.seed_placeholders()
        starts = tf.zeros_like(self._points)
        if not function.needs_observations:
            starts = starts[:1]  # the same for all
        n_rays = tf.shape(self._points)[0]
        layer = function.layer
        level = _Level(function, 1, n_rays, {layer: self._points}, {layer: starts})
        levels: list[_Level] = []
        self._row_bytes = []
        for i, nodes in enumerate(parts):
            first = len(model.graph.get_operations())
            if i > 0:
                level = levels[-1].refined(self._factors[i - 1])
            level.compute(nodes, self._observations, f"part_{i}")
            self._row_bytes.append(model.bytes_since(first))
            levels.append(level)
        finals = function.apply_transforms(level.outcomes)
        self.starts = function.apply_transforms(level.start_outcomes)
        self.ends = [level.by_cell(final)[-1] for final in finals]
        self.quotients: list[Any] = []
        for final, seed in zip(finals, self._seeds, strict=True):
            # One output after the other keeps memory bounded.
            with tf.control_dependencies(self.quotients[-1:]):
                seed = tf.identity(seed)
            self.quotients.append(self._backward(levels, final, seed))

    def _backward(self, levels, final, seed):
        share = seed / tf.cast(levels[-1].n_cells, tf.float32)
        targets, seeds = [final], [repeat_rows(share, tf.shape(final)[0])]
        for i in reversed(range(len(levels))):
            level = levels[i]
            sources = list(level.tensors.values())
            found = quotient_gradients(targets, sources, seeds, level.previous)
            if i == 0:
                return tf.zeros_like(self._points) if found[0] is None else found[0]
            coarser = levels[i - 1]
            targets = list(coarser.outcomes.values())
            seeds = [
                None if rows is None else coarser.gather(rows, self._factors[i - 1])
                for rows in found
            ]
        raise AssertionError("a network has at least one part")

    def bytes_per_ray(self, n_cells: int) -> int:
        """About how much memory one observation takes."""
        return self._sum_over_parts(self._row_bytes, n_cells)

    def multiplications(self, n_cells: int) -> int:
        """Multiplications for one observation, forward and backward."""
        return 2 * self._sum_over_parts(self._costs, n_cells)

    def _sum_over_parts(self, per_row, n_cells):
        total, rows = 0, 1
        for amount, factor in zip(
            per_row, [n_cells, *self._refinements, 1], strict=True
        ):
            total += rows * amount
            rows *= factor
        return total

    def __call__(
        self,
        activations: np.ndarray,
        n_cells: int,
        seeds: Sequence[np.ndarray],
        observations: np.ndarray | None = None,
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """Computes mean difference quotients.

        Args:
            activations: ends of the rays, f32 [B, *shape].
            n_cells: cells of each ray, in the first part of the network.
            seeds: for each target the weights of what is differentiated,
                sum(seed * target), f32 [B, *target shape].
            observations: float observations, where they are needed.

        Returns:
            (quotients, starts, ends): for each target f32 [B, *shape], the target at
            0, with 1 or B rows, and at the activations.
        """
        feed = {
            self._points: activations,
            self._n_cells: n_cells,
            **dict(zip(self._seeds, seeds, strict=True)),
        }
        if self._function.needs_observations:
            feed[self._observations] = observations
        fetches = (self.quotients, self.starts, self.ends)
        return self._function.model.session.run(fetches, feed)


def _reshape(tensor, leading, trailing):
    return tf.reshape(tensor, tf.concat([leading, trailing], 0))

"""A network from one of its layers onward, with gradients and their integrals.

The layer's activation is fed, so that nothing before it is recomputed. What is
needed for one question, such as gradients along a path, is built when first asked for
and kept.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.affine_prefix import multiplications
from lucid_rl.model.graph_bounds import tensorflow_errors
from lucid_rl.model.line_integrals import LineGradients, LineQuotients
from lucid_rl.model.path_quotients import PathQuotients

Tensor = Any
Transform = Callable[[Tensor], Tensor]


class ScoreTensor(NamedTuple):
    """A tensor of the network, or a function of it, that gradients start from."""

    name: str  # as Model.tensor_name takes it
    transform: Transform | None = None  # builds TensorFlow operations on the tensor


class LayerFunction:
    """The network's targets as functions of one layer's activation.

    Attributes:
        shape: the layer's, for one observation.
        activation: the layer's tensor in the model's graph.
        needs_observations: whether the targets depend on the observations other
            than through the layer; then the methods need them too.
        line_gradients: sums of gradients at points of the straight-line path from 0.
        line_quotients: difference quotients over segments of that path.
        path_quotients: the same along any path of activations.
    """

    def __init__(self, model, layer: str, targets: Sequence[ScoreTensor]):
        """Builds what forward passes need; `Model.layer_function` keeps it."""
        self.model = model
        self.layer: str = model.node_name(layer)
        self.targets = tuple(targets)
        self.target_nodes = list(
            dict.fromkeys(model.node_name(target.name) for target in self.targets)
        )
        self.shape = model.layer_shape(layer)
        self.needs_observations = self.layer != model.input_node and (
            model.index.reaches(model.input_node, self.target_nodes, without=self.layer)
        )
        self.activation = model.graph.get_tensor_by_name(f"{self.layer}:0")
        self._input = model.graph.get_tensor_by_name(f"{model.input_node}:0")
        with model.graph.as_default():
            self._targets = self.apply_transforms(
                {
                    node: model.graph.get_tensor_by_name(f"{node}:0")
                    for node in self.target_nodes
                }
            )
            self._seeds = self.seed_placeholders()

    def apply_transforms(self, tensors: dict[str, Tensor]) -> list[Tensor]:
        """The targets, given the tensors of their nodes by name."""
        results = []
        for target in self.targets:
            tensor = tensors[self.model.node_name(target.name)]
            if target.transform is not None:
                tensor = target.transform(tensor)
                if not getattr(getattr(tensor, "shape", None), "rank", 0):
                    raise InputError(
                        f"the score of {target.name!r} returned {tensor!r}: expected a "
                        "tensor with a row for each observation, [B, ...]."
                    )
            results.append(tensor)
        return results

    @functools.cached_property
    def multiplications(self) -> int:
        """Multiplications of one observation's gradient, forward and backward."""
        model = self.model
        return 2 * multiplications(
            model.index, model.graph, (self.layer,), self.target_nodes
        )

    def seed_placeholders(self) -> list[Tensor]:
        """Placeholders f32 [B, *target shape], one for each target."""
        return [
            tf.placeholder(tf.float32, (None, *shape)) for shape in self.target_shapes()
        ]

    def target_shapes(self) -> list[tuple[int, ...]]:
        """Shape of each target for one observation."""
        return [tuple(t.shape.as_list()[1:]) for t in self._targets]

    def values(
        self, points: np.ndarray, observations: np.ndarray | None = None
    ) -> list[np.ndarray]:
        """The targets at given activations of the layer, f32 [B, *shape]."""
        return self.model.session.run(self._targets, self._feed(points, observations))

    @functools.cached_property
    def values_at_zero(self) -> list[np.ndarray]:
        """The targets where the layer is 0, f32 [1, *target shape].

        Only for a layer that is a bottleneck; otherwise they differ by observation.
        """
        return self.values(np.zeros((1, *self.shape), np.float32))

    def starts(
        self, points: np.ndarray, observations: np.ndarray | None = None
    ) -> list[np.ndarray]:
        """The targets where the layer is 0, with 1 row or one for each of points."""
        if self.needs_observations:
            return self.values(np.zeros_like(points), observations)
        return self.values_at_zero

    def scores(
        self,
        points: np.ndarray,
        seeds: Sequence[np.ndarray],
        observations: np.ndarray | None = None,
    ) -> list[np.ndarray]:
        """Computes sum(seed * target) at given activations, f32 [B] for each target."""
        return weighted_sums(seeds, self.values(points, observations))

    def changes(
        self,
        points: np.ndarray,
        seeds: Sequence[np.ndarray],
        observations: np.ndarray | None = None,
    ) -> list[np.ndarray]:
        """Scores at given activations less those at 0, f32 [B] for each target."""
        ends, starts = (
            self.values(points, observations),
            self.starts(points, observations),
        )
        return weighted_sums(seeds, [e - s for e, s in zip(ends, starts, strict=True)])

    def gradients(
        self,
        points: np.ndarray,
        seeds: Sequence[np.ndarray],
        observations: np.ndarray | None = None,
    ) -> list[np.ndarray]:
        """Gradients of sum(seed * target) at given activations, f32 [B, *shape] each.

        At `points` f32 [B, *shape], with weights f32 [B, *target shape] for
        each target as seeds, and float observations where they are needed.
        """
        feed = self._feed(points, observations)
        feed.update(zip(self._seeds, seeds, strict=True))
        return self.model.session.run(self._gradients, feed)

    @functools.cached_property
    def _gradients(self):
        with self.model.graph.as_default(), self._building():
            found = [
                tf.gradients(target, self.activation, seed)[0]
                for target, seed in zip(self._targets, self._seeds, strict=True)
            ]
            return [tf.zeros_like(self.activation) if g is None else g for g in found]

    @functools.cached_property
    def line_gradients(self) -> LineGradients:
        """Sums of gradients along the straight line; built when first used."""
        with self._building():
            return LineGradients(self)

    @functools.cached_property
    def line_quotients(self) -> LineQuotients:
        """Difference quotients along the straight line; built when first used."""
        with self._building():
            return LineQuotients(self)

    @functools.cached_property
    def path_quotients(self) -> PathQuotients:
        """Difference quotients along any path; built when first used."""
        with self._building():
            return PathQuotients(self)

    def _building(self):
        return tensorflow_errors(f"no gradients from {self.layer!r} onward")

    def _feed(self, points, observations):
        feed = {self.activation: points}
        if self.needs_observations:
            feed[self._input] = observations
        return feed


def weighted_sums(
    seeds: Sequence[np.ndarray], tensors: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """For each pair of seeds and a tensor [B, ...] the sum of their product, [B]."""
    return [
        (seed * tensor).reshape(len(seed), -1).sum(axis=1)
        for seed, tensor in zip(seeds, tensors, strict=True)
    ]

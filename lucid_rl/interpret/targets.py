"""Targets of attribution: the value function, logits, sums of them, directions."""

import dataclasses
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.model.layer_function import ScoreTensor


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """A scalar score of the network: sum(weights * tensor) for each observation.

    Made by `value`, `logit`, `logits`, `direction` and `custom`.

    Attributes:
        name: short, for tables and legends.
        tensor: the tensor that the score is linear in.
        seed: (rows of observations, the tensor's shape) -> weights f32 [rows, *shape];
            None where the score is the tensor itself.
    """

    name: str
    tensor: ScoreTensor = dataclasses.field(repr=False)
    seed: Callable[[slice, tuple[int, ...]], np.ndarray] | None = dataclasses.field(
        default=None, repr=False
    )

    def seeds(self, rows: slice, shape: tuple[int, ...]) -> np.ndarray:
        """Weights of the tensor for a slice of the observations."""
        if self.seed is None:
            return np.ones((rows.stop - rows.start, *shape), np.float32)
        return self.seed(rows, shape)


def target_list(target: Target | Sequence[Target] | None) -> list[Target]:
    """One or several targets as a list; the value function for None.

    Raises:
        InputError: there are none, or something else is among them.
    """
    if target is None:
        return [value()]
    found = [target] if not isinstance(target, Sequence) else list(target)
    wrong = [entry for entry in found if not isinstance(entry, Target)]
    if wrong or not found:
        raise InputError(
            f"target is {target!r}: expected one or a list of value(), logit(i), "
            "logits(actions), direction(...) and custom(...)."
        )
    return found


def value() -> Target:
    """The value function."""
    return Target("value", ScoreTensor("value"))


def logit(action: int) -> Target:
    """The policy's logit of one action."""
    return dataclasses.replace(logits((action,)), name=f"logit_{action}")


def logits(actions: Sequence[int]) -> Target:
    """The sum of the logits of several actions.

    Raises:
        InputError: there are none, or they are no whole numbers.
    """
    try:
        actions = tuple(map(operator.index, actions))
    except TypeError:
        actions = ()
    if not actions:
        raise InputError(
            "expected numbers of actions, whole ones from 0 on, as in logit(3) or "
            "logits([6, 7, 8])."
        )

    def seed(rows, shape):
        (n_actions,) = shape
        beyond = [a for a in actions if not 0 <= a < n_actions]
        if beyond:
            raise InputError(
                f"action {beyond[0]} does not exist: the policy has {n_actions} "
                f"actions, 0 to {n_actions - 1}."
            )
        weights = np.zeros(n_actions, np.float32)
        np.add.at(weights, list(actions), 1.0)
        return np.broadcast_to(weights, (rows.stop - rows.start, n_actions))

    name = "logits_" + "_".join(map(str, actions))
    return Target(name, ScoreTensor("logits"), seed)


def direction(
    layer: str, vector: np.ndarray, positions: np.ndarray | None = None
) -> Target:
    """Projection of a layer's activations on a direction, at one position or in all.

    Args:
        layer: the layer's name.
        vector: f32 [C].
        positions: int [N, 2], row and column for each observation; None sums over
            all positions.

    Returns:
        The target; where it is used, InputError is raised if the vector or positions
        do not fit the layer.

    Raises:
        InputError: the vector is not of finite numbers.
    """
    vector = np.asarray(vector)
    if vector.dtype.kind not in "iuf" or not np.isfinite(vector).all():
        raise InputError("the direction does not hold finite numbers alone.")
    vector = vector.astype(np.float32)
    if positions is not None:
        positions = np.asarray(positions)

    def seed(rows, shape):
        n = rows.stop - rows.start
        if vector.shape != shape[-1:]:
            raise InputError(
                f"the direction has shape {vector.shape}: layer {layer} has "
                f"{shape[-1]} channels."
            )
        if positions is None:
            return np.broadcast_to(vector, (n, *shape))
        _check_positions(positions, rows, shape)
        seeds = np.zeros((n, *shape), np.float32)
        chosen = positions[rows]
        seeds[np.arange(n), chosen[:, 0], chosen[:, 1]] = vector
        return seeds

    return Target(f"direction_{layer}", ScoreTensor(layer), seed)


def _check_positions(positions, rows, shape):
    if (
        positions.ndim != 2
        or positions.shape[1] != 2
        or positions.dtype.kind not in "iu"
    ):
        raise InputError(
            f"positions are {positions.dtype} of shape {positions.shape}: expected "
            "integers [N, 2], a row and column for each observation."
        )
    if len(positions) < rows.stop:
        raise InputError(
            f"there are {len(positions)} positions for {rows.stop} or more "
            "observations: expected one for each."
        )
    size = np.array(shape[:2])
    if len(shape) != 3 or not ((positions >= 0) & (positions < size)).all():
        raise InputError(
            f"a position lies outside the layer, whose shape is {shape}: rows and "
            "columns count from 0."
        )


def custom(
    tensor: str, score: Callable[[Any], Any] | None = None, name: str | None = None
) -> Target:
    """Any score that TensorFlow can build on a tensor of the network.

    Args:
        tensor: name of a layer, output ("logits", "value") or tensor.
        score: takes the tensor, [B, ...], and returns scores, [B] or [B, ...],
            which are summed; None sums the tensor itself. Pass the same function
            object again to reuse its graph. Where it reduces the batch, too,
            InputError is raised when the target is used.
        name: for tables and legends.

    Returns:
        The target.

    Raises:
        InputError: the name or the score is of another type.

    Example:
        >>> difference = custom("logits", lambda x: x[:, 7] - x[:, 4], "right - noop")
        >>> attribution = attribute(model, observations, "2b", difference)
    """
    if not isinstance(tensor, str) or not (score is None or callable(score)):
        raise InputError(
            f"custom({tensor!r}, {score!r}): expected a tensor's name, and None or a "
            "function of it, as in custom('logits', lambda x: x[:, 7] - x[:, 4])."
        )
    return Target(name or tensor, ScoreTensor(tensor, score))

"""Integrated gradients from the mean activation in place of 0 (article, Appendix B)."""

import numpy as np

from lucid_rl.interpret.attribution import Attribution
from lucid_rl.interpret.targets import Target, target_list
from lucid_rl.model.batching import BATCH_BYTES, batch_slices, rows_within
from lucid_rl.model.model import Model


def attribute_from_mean(
    model: Model,
    observations: np.ndarray,
    layer: str,
    target: Target | None = None,
    n_steps: int = 10,
) -> Attribution:
    """Attributes a target along the straight line from the mean activation.

    With m the layer's mean activation over positions and observations, a value for each
    channel: (a - m) times the mean difference quotient over the segments of the line
    from m to a. It attributes a channel's deviation from its mean, where the baseline 0
    attributes its presence.

    Args:
        model: the network.
        observations: uint8 or floats in [0, 1], [N, H, W, C]; the mean is theirs.
        layer: name of the layer.
        target: the value function by default.
        n_steps: segments of the line.

    Returns:
        Attributions of the layer's shape, with totals F(a) - F(m).

    Raises:
        InputError: the observations do not fit the model.
        ModelError: the layer or the target does not exist.
    """
    (chosen,) = target_list(target)
    function = model.layer_function(layer, [chosen.tensor])
    observations = model.check_observations(observations)
    n = len(observations)
    mean = np.zeros(function.shape[-1])
    for rows in batch_slices(n, rows_within(BATCH_BYTES, 2 * model.forward_bytes)):
        batch = model.float_observations(observations[rows], first=rows.start)
        (points,) = model.run([function.activation], batch)
        mean += points.mean(axis=tuple(range(1, points.ndim - 1))).sum(axis=0)
    start = np.broadcast_to((mean / max(1, n)).astype(np.float32), function.shape)
    values = np.empty((n, *function.shape), np.float32)
    totals = np.empty(n, np.float32)
    per_row = function.path_quotients.bytes_per_point * (n_steps + 1)
    alphas = np.linspace(0, 1, n_steps + 1, dtype=np.float32)
    for rows in batch_slices(n, rows_within(BATCH_BYTES, per_row)):
        batch = model.float_observations(observations[rows], first=rows.start)
        (ends,) = model.run([function.activation], batch)
        seeds = [chosen.seeds(rows, function.target_shapes()[0])]
        steps = ends - start
        points = np.stack([start + alpha * steps for alpha in alphas])
        (quotients,) = function.path_quotients(points, seeds, batch)
        values[rows] = steps * quotients.mean(axis=0)
        (first,), (last,) = (
            function.values(np.ascontiguousarray(points[k]), batch) for k in (0, -1)
        )
        change = seeds[0] * (last - first)
        totals[rows] = change.reshape(len(change), -1).sum(axis=1)
    gap = values.sum(axis=tuple(range(1, values.ndim))) - totals
    return Attribution(layer, (chosen.name,), values, totals, gap)

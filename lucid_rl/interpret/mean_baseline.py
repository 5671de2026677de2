"""Integrated gradients from the mean activation in place of 0 (article, Appendix B)."""

from collections.abc import Sequence

import numpy as np

from lucid_rl.interpret.attribution import Attribution, LayerMethod, run_methods
from lucid_rl.interpret.occlusion import mean_over_positions
from lucid_rl.interpret.targets import Target, target_list
from lucid_rl.model.model import Model


def attribute_from_mean(
    model: Model,
    observations: np.ndarray,
    layer: str,
    target: Target | Sequence[Target] | None = None,
    n_steps: int = 10,
) -> Attribution:
    """Attributes targets along the straight line from the mean activation.

    With m the layer's mean activation over positions and observations, a value for each
    channel: (a - m) times the mean difference quotient over `n_steps` segments of the
    line from m to a. It attributes a channel's difference from its mean, where the
    baseline 0 attributes its presence. Totals are F(a) - F(m).

    Raises:
        InputError: the observations do not fit the model.
        ModelError: the layer or a target does not exist.
    """
    function = model.layer_function(layer, [t.tensor for t in target_list(target)])
    observations = model.check_observations(observations)
    start = mean_over_positions(function, observations)
    alphas = np.linspace(0, 1, n_steps + 1, dtype=np.float32)

    def compute(points, seeds, batch):
        steps = points - start
        path = np.stack([start + alpha * steps for alpha in alphas])
        quotients = function.path_quotients(path, seeds, batch)
        first, last = (
            function.scores(np.ascontiguousarray(path[k]), seeds, batch)
            for k in (0, -1)
        )
        totals = [b - a for a, b in zip(first, last, strict=True)]
        return [steps * found.mean(axis=0) for found in quotients], totals

    n_bytes = function.path_quotients.bytes_per_point * (n_steps + 1)
    method = LayerMethod(function, compute, n_bytes)
    return run_methods(model, observations, {layer: method}, target)[layer]

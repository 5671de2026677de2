"""Policies as functions, and sampling of actions from logits."""

from collections.abc import Callable

import numpy as np

# Observations u8 [n, height, width, channels] -> logits f32 [n, A], values f32 [n].
# `Model.policy` is one.
Policy = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def choose_actions(
    logits: np.ndarray, rng: np.random.Generator, greedy: bool = False
) -> np.ndarray:
    """Chooses an action for each row of logits, float [n, A]; int64 [n].

    Sampling uses the Gumbel trick: the argmax of logits plus independent standard
    Gumbel noise is distributed as their softmax. Greedy choice takes the most probable
    action, the first of equals.
    """
    if not greedy:
        logits = logits + rng.gumbel(size=logits.shape)
    return np.argmax(logits, axis=-1)


def sample_at(logits: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Chooses the action at a quantile of each row's distribution; int64 [n].

    With uniform quantiles, float [n] in [0, 1), the actions are distributed as the
    softmax of the logits, float [n, A]. One number decides each action, so that an
    episode's whole randomness can be drawn in advance.
    """
    weights = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    cumulative = np.cumsum(weights, axis=-1)
    below = cumulative <= (quantiles * cumulative[:, -1])[:, None]
    # Rounding must not lead past the last action.
    return np.minimum(below.sum(axis=-1), logits.shape[-1] - 1)

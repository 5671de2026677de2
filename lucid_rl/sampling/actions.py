"""Policies as functions, and sampling of actions from logits."""

from collections.abc import Callable

import numpy as np

from lucid_rl.errors import InputError

# Observations u8 [n, height, width, channels] -> logits f32 [n, A], values f32 [n].
# `Model.policy` is one.
Policy = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def policy_logits(policy: Policy, observations: np.ndarray) -> np.ndarray:
    """A policy's logits of observations, float [n, A].

    Raises:
        InputError: the policy returns something else, or no finite logit for one.
    """
    found, n = policy(observations), len(observations)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise InputError(
            f"the policy returned {type(found).__name__}: expected a pair, logits "
            f"[{n}, A] and values [{n}]"
        )
    logits = np.asarray(found[0])
    if (
        logits.ndim != 2
        or len(logits) != n
        or not logits.size
        or logits.dtype.kind not in "iuf"
    ):
        raise InputError(
            f"the policy returned logits {logits.dtype} of shape {logits.shape}: "
            f"expected numbers [{n}, A], a row for each observation"
        )
    if not np.isfinite(logits.max(axis=1)).all():
        raise InputError("the policy returned logits that are not finite")
    return logits


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

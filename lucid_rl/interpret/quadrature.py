"""Rules that turn the integral over [0, 1] into a weighted sum."""

import numpy as np

from lucid_rl.validation import at_least, check, one_of

RULES = ("right_riemann", "midpoint", "gauss_legendre")


def quadrature(rule: str, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of a rule on [0, 1], f64 [n_steps] each; weights sum to 1.

    "right_riemann" is the article's: k / n for k = 1..n.

    Raises:
        SettingsError: the rule is unknown or n_steps is less than 1.
    """
    check("n_steps", n_steps, at_least(1))
    check("quadrature", rule, one_of(RULES))
    if rule == "right_riemann":
        return np.arange(1, n_steps + 1) / n_steps, np.full(n_steps, 1 / n_steps)
    if rule == "midpoint":
        return (np.arange(n_steps) + 0.5) / n_steps, np.full(n_steps, 1 / n_steps)
    points, weights = np.polynomial.legendre.leggauss(n_steps)
    return (points + 1) / 2, weights / 2

"""Rules that turn the integral over [0, 1] into a weighted sum."""

import numpy as np

from lucid_rl.errors import SettingsError

RULES = ("right_riemann", "midpoint", "gauss_legendre")


def quadrature(rule: str, n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of a rule on [0, 1].

    Args:
        rule: one of `RULES`. "right_riemann" is the article's: k / n for k = 1..n.
        n_nodes: number of nodes.

    Returns:
        (nodes, weights), float64 arrays of n_nodes; the weights sum to 1.

    Raises:
        SettingsError: the rule is unknown or n_nodes is less than 1.
    """
    if n_nodes < 1:
        raise SettingsError(f"n_nodes is {n_nodes}: expected at least 1.")
    if rule == "right_riemann":
        return np.arange(1, n_nodes + 1) / n_nodes, np.full(n_nodes, 1 / n_nodes)
    if rule == "midpoint":
        return (np.arange(n_nodes) + 0.5) / n_nodes, np.full(n_nodes, 1 / n_nodes)
    if rule == "gauss_legendre":
        nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
        return (nodes + 1) / 2, weights / 2
    raise SettingsError(f"unknown quadrature rule {rule!r}: expected one of {RULES}.")

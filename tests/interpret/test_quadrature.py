import numpy as np
import pytest

from lucid_rl.errors import SettingsError
from lucid_rl.interpret.quadrature import RULES, quadrature


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_weights_sum_to_one_and_nodes_lie_inside(rule, n):
    nodes, weights = quadrature(rule, n)
    assert nodes.shape == weights.shape == (n,)
    assert weights.sum() == pytest.approx(1)
    assert (np.diff(nodes) > 0).all()
    assert nodes[0] > 0 and nodes[-1] <= 1


def test_right_riemann_is_the_articles():
    nodes, weights = quadrature("right_riemann", 10)
    np.testing.assert_allclose(nodes, np.linspace(0, 1, 11)[1:])
    np.testing.assert_allclose(weights, 0.1)


def test_midpoint_of_two():
    nodes, weights = quadrature("midpoint", 2)
    np.testing.assert_allclose(nodes, [0.25, 0.75])
    np.testing.assert_allclose(weights, [0.5, 0.5])


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_gauss_legendre_is_exact_for_polynomials_of_degree_2n_minus_1(n):
    nodes, weights = quadrature("gauss_legendre", n)
    for degree in range(2 * n):
        assert weights @ nodes**degree == pytest.approx(1 / (degree + 1))
    assert weights @ nodes ** (2 * n) != pytest.approx(1 / (2 * n + 1), rel=1e-9)


def test_unknown_rule_lists_the_known():
    with pytest.raises(SettingsError, match="gauss_legendre"):
        quadrature("simpson", 4)


@pytest.mark.parametrize("n", [0, -3])
def test_no_nodes_are_refused(n):
    with pytest.raises(SettingsError, match="at least 1"):
        quadrature("midpoint", n)

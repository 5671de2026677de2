"""Laws of the projection in the article's Appendix A."""

import numpy as np
import pytest

from lucid_rl.errors import InputError
from lucid_rl.model.projection import orthonormal_basis, project_out


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def kernel(rng):
    return rng.normal(size=(5, 5, 8, 6)).astype(np.float32)


def test_a_kernel_worked_out_by_hand():
    kernel = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32).reshape(1, 1, 2, 2)
    # v = (1, 1): P = [[.5, -.5], [-.5, .5]].
    expected = np.array([[-1.0, -1.0], [1.0, 1.0]]).reshape(1, 1, 2, 2)
    np.testing.assert_allclose(project_out(kernel, np.ones(2)), expected, atol=1e-7)


def test_the_edited_kernel_annihilates_the_direction(kernel, rng):
    direction = rng.random(8)
    edited = project_out(kernel, direction)
    np.testing.assert_allclose(
        np.einsum("c,hwcd->hwd", direction, edited), 0, atol=1e-5
    )


def test_the_edit_acts_as_removing_the_direction_from_activations(kernel, rng):
    direction, activation = rng.random(8), rng.normal(size=8)
    unit = direction / np.linalg.norm(direction)
    without = activation - unit * (unit @ activation)
    np.testing.assert_allclose(
        np.einsum("c,hwcd->hwd", activation, project_out(kernel, direction)),
        np.einsum("c,hwcd->hwd", without, kernel),
        atol=1e-5,
    )


def test_the_edit_is_idempotent_and_ignores_scale(kernel, rng):
    direction = rng.random(8)
    once = project_out(kernel, direction)
    np.testing.assert_allclose(project_out(once, direction), once, atol=1e-6)
    np.testing.assert_allclose(project_out(kernel, 40 * direction), once, atol=1e-6)


def test_orthogonal_directions_are_untouched(kernel, rng):
    direction, other = rng.random(8), rng.normal(size=8)
    other -= direction * (other @ direction) / (direction @ direction)
    np.testing.assert_allclose(
        np.einsum("c,hwcd->hwd", other, project_out(kernel, direction)),
        np.einsum("c,hwcd->hwd", other, kernel),
        atol=1e-5,
    )


def test_several_directions_go_together_in_any_order(kernel, rng):
    directions = rng.random((3, 8))
    edited = project_out(kernel, directions)
    np.testing.assert_allclose(
        np.einsum("kc,hwcd->khwd", directions, edited), 0, atol=1e-5
    )
    np.testing.assert_allclose(project_out(kernel, directions[::-1]), edited, atol=1e-5)
    repeated = np.concatenate([directions, directions[:1] + directions[1:2]])
    assert orthonormal_basis(repeated).shape == (3, 8)
    np.testing.assert_allclose(project_out(kernel, repeated), edited, atol=1e-5)


def test_strength_goes_evenly_from_nothing_to_everything(kernel, rng):
    direction = rng.random(8)
    np.testing.assert_array_equal(project_out(kernel, direction, 0.0), kernel)
    half = project_out(kernel, direction, 0.5)
    whole = project_out(kernel, direction)
    np.testing.assert_allclose(half, (kernel + whole) / 2, atol=1e-6)


def test_a_dense_kernel_loses_the_direction_at_every_position(rng):
    kernel = rng.normal(size=(4 * 8, 6)).astype(np.float32)
    direction = rng.random(8)
    edited = project_out(kernel, direction).reshape(4, 8, 6)
    np.testing.assert_allclose(np.einsum("c,pcd->pd", direction, edited), 0, atol=1e-5)


@pytest.mark.parametrize(
    ("directions", "strength", "message"),
    [
        (np.ones(7), 1.0, "does not read 7 channels"),
        (np.zeros(8), 1.0, "nothing to project out"),
        (np.full(8, np.nan), 1.0, "NaN"),
        (np.ones((2, 2, 8)), 1.0, "expected \\[channels\\]"),
        (np.ones(8), 1.5, "from 0 to 1"),
        (np.ones(8), float("nan"), "from 0 to 1"),
    ],
)
def test_bad_input_is_refused(kernel, directions, strength, message):
    with pytest.raises(InputError, match=message):
        project_out(kernel, directions, strength)

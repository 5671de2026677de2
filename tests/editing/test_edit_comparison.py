import numpy as np
import pytest

from lucid_rl.editing.edit_comparison import find_edit, match_edit
from lucid_rl.errors import InputError
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.loading import load

_KERNEL = "ppo2_model/pi/3a/conv2d/kernel:0"


def without(checkpoint, direction, layer="2b", **options):
    return load(checkpoint).without(direction, layer, **options).checkpoint


@pytest.fixture(scope="module")
def direction():
    values = np.random.default_rng(0).random(32) + 0.1
    return values / np.linalg.norm(values)


def test_the_direction_that_was_removed_is_found(checkpoint_a, direction):
    edited = without(checkpoint_a, 7 * direction)
    found = find_edit(checkpoint_a, edited)
    assert found.changed == (_KERNEL,) and found.kernel == _KERNEL
    assert (found.layer, found.rank) == ("2b", 1)
    np.testing.assert_allclose(found.direction, direction, atol=1e-5)
    assert found.strength == pytest.approx(1, abs=1e-5)
    assert found.projection_error < 1e-5
    kernel = checkpoint_a.params[_KERNEL].astype(np.float64)
    # K - P K = v v^T K has the size of v^T K.
    read = np.einsum("c,hwcd->hwd", direction, kernel)
    change = np.linalg.norm(read) / np.linalg.norm(kernel)
    assert found.relative_change == pytest.approx(change, rel=1e-4)
    assert found.channel == np.argmax(direction)


def test_a_partial_edit_of_another_layer_is_found(checkpoint_a, direction):
    found = find_edit(
        checkpoint_a, without(checkpoint_a, direction, "4a", strength=0.25)
    )
    # It is the dense layer that reads the last convolution.
    assert found.kernel == "ppo2_model/pi/dense/kernel:0" and found.layer == "4a"
    assert found.strength == pytest.approx(0.25, abs=1e-4)
    np.testing.assert_allclose(found.direction, direction, atol=1e-4)
    assert found.projection_error < 1e-4


def test_two_directions_are_told_from_one(checkpoint_a, direction):
    two = np.stack([direction, np.eye(32)[3]])
    found = find_edit(checkpoint_a, without(checkpoint_a, two))
    assert found.rank == 2
    assert found.projection_error > 0.1


def test_another_change_of_the_kernel_is_no_projection(checkpoint_a):
    noise = np.random.default_rng(1).normal(size=checkpoint_a.params[_KERNEL].shape)
    changed = checkpoint_a.replace_params(
        {_KERNEL: checkpoint_a.params[_KERNEL] + 0.01 * noise}
    )
    found = find_edit(checkpoint_a, changed)
    assert found.rank == 32 and found.projection_error > 0.5


def test_the_feature_that_comes_closest_is_removed_in_its_place(
    checkpoint_a, direction
):
    near = direction + 0.02 * np.eye(32)[5]
    directions = np.stack([np.eye(32)[0], near, np.eye(32)[9]]).astype(np.float32)
    edited = without(checkpoint_a, direction)
    found = find_edit(checkpoint_a, edited)
    same = match_edit(
        found, checkpoint_a, edited, NMF.from_directions(direction[None], layer="2b")
    )
    assert same.feature == 0 and same.difference < 1e-4
    matched = match_edit(
        found, checkpoint_a, edited, NMF.from_directions(directions, layer="2b")
    )
    assert matched.feature == 1 and 0.99 < matched.cosines[1] < 1
    assert matched.cosines[0] == pytest.approx(direction[0], rel=1e-3)
    assert 1e-3 < matched.difference < 0.2
    with pytest.raises(InputError, match="features of layer '3a'"):
        match_edit(
            found, checkpoint_a, edited, NMF.from_directions(directions, layer="3a")
        )


def test_models_that_are_no_edit_of_each_other(checkpoint_a):
    with pytest.raises(InputError, match="the same: nothing was edited"):
        find_edit(checkpoint_a, checkpoint_a)
    bias = "ppo2_model/vf/b:0"
    other = checkpoint_a.replace_params({bias: checkpoint_a.params[bias] + 1})
    with pytest.raises(InputError, match="vf/b:0 differ, none of which reads"):
        find_edit(checkpoint_a, other)
    apart = checkpoint_a.replace_params(
        {name: value + 1 for name, value in checkpoint_a.params.items()}
    )
    with pytest.raises(InputError, match="two models, trained apart"):
        find_edit(checkpoint_a, apart)

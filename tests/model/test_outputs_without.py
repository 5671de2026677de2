"""Values without a feature are those of the edited model."""

import numpy as np
import pytest

from lucid_rl.errors import InputError, ModelError


@pytest.mark.parametrize("layer", ["2b", "4a"])
def test_the_values_are_the_edited_models(layer, checkpoint_a, model_a, golden):
    observations = golden["obs_u8"][:5]
    directions = golden["nmf2b_attr_channel_dirs"][:2]
    _, found = model_a.outputs_without(directions, layer, observations)
    for k, direction in enumerate(directions):
        expected = model_a.without(direction, layer)(observations)[1]
        np.testing.assert_allclose(found[k], expected, atol=2e-5)
    assert np.abs(found[0] - model_a(observations)[1]).max() > 1e-3


def test_several_directions_are_removed_in_part(model_a, golden):
    observations = golden["obs_u8"][:3]
    directions = golden["nmf2b_attr_channel_dirs"][:2]
    logits, _ = model_a.outputs_without([directions], "2b", observations, strength=0.5)
    expected = model_a.without(directions, "2b", strength=0.5)(observations)[0]
    np.testing.assert_allclose(logits[0], expected, atol=2e-5)


def test_no_direction_takes_nothing_away(model_a, golden):
    observations = golden["obs_u8"][:3]
    _, found = model_a.outputs_without(np.zeros((1, 32)), "2b", observations)
    np.testing.assert_allclose(found[0], model_a(observations)[1], atol=2e-5)


def test_directions_that_do_not_fit(model_a, golden):
    with pytest.raises(InputError, match="channels of layer '2b'"):
        model_a.outputs_without(np.ones((2, 31)), "2b", golden["obs_u8"][:1])
    with pytest.raises(ModelError, match="9z"):
        model_a.outputs_without(np.ones((1, 32)), "9z", golden["obs_u8"][:1])

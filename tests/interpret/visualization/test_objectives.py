"""Objectives' scores against numpy on activations."""

import numpy as np
import pytest

from lucid_rl.errors import InputError, ModelError
from lucid_rl.interpret.visualization import objectives as o
from lucid_rl.interpret.visualization.scores import dataset_scores, score_images
from lucid_rl.model import lucid_bridge as bridge

N = 3


@pytest.fixture(scope="module")
def images(golden):
    return golden["obs_u8"][:N].astype(np.float32) / np.float32(255)


@pytest.fixture(scope="module")
def activations(model_a, images):
    return model_a.activations(images, ["1a", "2b"])


@pytest.mark.parametrize(
    ("position", "place"), [("centre", (16, 16)), ((3, 30), (3, 30))]
)
def test_a_neuron_is_one_number_of_the_layer(
    model_a, images, activations, position, place
):
    expected = activations["2b"][:, place[0], place[1]][:, [5, 0, 7, 31]]
    objective = o.neurons("2b", [5, 0, 7, 31], position)
    found = dataset_scores(model_a, objective, images)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_channel_is_the_layers_mean(model_a, images, activations):
    found = dataset_scores(model_a, o.channels("2b", [1, 2]), images)
    expected = activations["2b"].mean(axis=(1, 2))[:, 1:3]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("power", [0, 2])
@pytest.mark.parametrize("position", ["centre", "all"])
def test_directions(model_a, images, activations, power, position):
    vectors = np.random.default_rng(0).random((2, 32), np.float32)
    found = dataset_scores(
        model_a, o.directions("2b", vectors, position, power), images
    )
    x = activations["2b"]
    x = x[:, 16:17, 16:17] if position == "centre" else x
    dots = x @ vectors.T
    lengths = np.linalg.norm(x, axis=-1, keepdims=True) * np.linalg.norm(
        vectors, axis=1
    )
    cosines = np.maximum(0.1, dots / np.maximum(lengths, 1e-9))
    expected = (dots * cosines**power).mean(axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=2e-3)


@pytest.mark.parametrize("power", [0, 1])
def test_a_caricature_of_itself_is_the_mean_square(model_a, images, activations, power):
    references = activations["2b"]
    found = dataset_scores(
        model_a, o.caricature("2b", references, power), images
    ).diagonal()
    expected = (references**2).sum(axis=-1).mean(axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=2e-3)


@pytest.mark.parametrize("power", [0, 2])
def test_a_caricature_at_a_dense_layer(model_a, images, power):
    logits = model_a.activations(images, ["logits"])["logits"]
    found = dataset_scores(model_a, o.caricature("logits", logits, power), images)
    products = logits @ logits.T
    lengths = np.linalg.norm(logits, axis=1)
    cosines = np.maximum(0.1, products / lengths / lengths[:, None])
    np.testing.assert_allclose(found, products * cosines**power, rtol=2e-3, atol=1e-3)


def test_a_caricature_takes_the_references_middle(model_a, images, activations):
    reference = np.zeros((64, 64, 16))
    reference[20, 30, 5] = 2
    cropped = images[:1, 4:-4, 4:-4]
    found = score_images(model_a, o.caricature("1a", reference), cropped)
    expected = 2 * activations["1a"][0, 20, 30, 5] / 56**2
    assert found[0] == pytest.approx(expected, rel=1e-3)


def test_image_i_is_scored_for_target_i(model_a, images):
    objective = o.directions("2b", np.eye(32)[[4, 9, 2]])
    np.testing.assert_allclose(
        score_images(model_a, objective, images),
        dataset_scores(model_a, objective, images).diagonal(),
        rtol=1e-5,
    )


def test_penalties(model_a, images, activations):
    norms = np.sqrt((activations["1a"] ** 2).sum(axis=(1, 2, 3)))
    found = score_images(model_a, o.activation_norm("1a"), images)
    np.testing.assert_allclose(found, norms, rtol=1e-4)
    variation = sum(np.abs(np.diff(images, axis=i)).sum(axis=(1, 2, 3)) for i in (1, 2))
    found = score_images(model_a, o.total_variation(), images)
    np.testing.assert_allclose(found, variation, rtol=1e-4)


def test_objectives_compose(model_a, images):
    first, second = o.neurons("2b", [3, 4, 5]), o.neurons("1a", 2)
    a, b = (dataset_scores(model_a, one, images) for one in (first, second))
    combined = 2 * first - second * 0.5 + 1
    found = dataset_scores(model_a, combined, images)
    np.testing.assert_allclose(found, 2 * a - 0.5 * b + 1, rtol=1e-4, atol=1e-5)
    found = dataset_scores(model_a, -first * second, images)
    np.testing.assert_allclose(found, -a * b, rtol=1e-4, atol=1e-5)
    assert combined.places == {("2b", "centre"), ("1a", "centre")}
    assert (first - o.activation_norm("1a")).places is None
    assert (first - o.total_variation()).places == first.places


def test_objectives_compose_with_lucids(model_a, images):
    ours = o.neurons("2b", 3)
    theirs = bridge.objectives.channel("ppo2_model/pi/2b/Relu", 3, batch=0)
    expected = [score_images(model_a, one, images[:1]) for one in (ours, theirs)]
    for combined in (ours + theirs, theirs + ours):
        found = score_images(model_a, combined, images[:1])
        np.testing.assert_allclose(found, sum(expected), rtol=1e-5)
    with pytest.raises(InputError, match="whole batches"):
        dataset_scores(model_a, ours + theirs, images)


def test_two_models(model_a, images):
    objective = o.neurons("2b", [0, 1, 2])
    for nothing in (
        objective - o.on_other_model(objective),
        o.activation_difference("3a"),
    ):
        found = score_images(model_a, nothing, images, compare_to=model_a)
        np.testing.assert_array_equal(found, 0)
        with pytest.raises(InputError, match="compare_to"):
            score_images(model_a, nothing, images)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: o.neurons("9z", 0), ModelError, "Layers: 1a, 2a"),
        (lambda: o.neurons("2b", 32), InputError, "channels 0 to 31, got 32"),
        (lambda: o.neurons("2b", -1), InputError, "got -1"),
        (lambda: o.neurons("2b", 0, (32, 0)), InputError, "lies outside"),
        (lambda: o.neurons("2b", 0, "middle"), InputError, "'centre'"),
        (lambda: o.neurons("2b", 0.5), InputError, "channel numbers"),
        (lambda: o.neurons("2b", []), InputError, "at least one"),
        (lambda: o.directions("2b", np.ones((1, 5))), InputError, "which has 32"),
        (lambda: o.directions("2b", [[np.nan] * 32]), InputError, "finite"),
        (lambda: o.caricature("2b", np.ones((4, 4, 5))), InputError, "not fit"),
        (lambda: o.caricature("2b", np.ones((4, 5, 2, 2, 2))), InputError, "height"),
        (lambda: o.caricature("2b", np.ones(32)), InputError, "not fit"),
        (
            lambda: o.caricature("2b", np.ones((16, 16, 32))),
            InputError,
            r"\(16, 16, 32\) does not fit .* \(32, 32, 32\) before",
        ),
        (lambda: o.caricature("value", np.ones((4, 4, 1))), InputError, "not fit"),
        (lambda: o.neurons("2b", [0, 1]), InputError, "2 targets for a batch of 3"),
        (
            lambda: o.neurons("2b", [0, 1]) + o.neurons("2b", [0, 1, 2]),
            InputError,
            "do not combine",
        ),
        (lambda: o.as_objective(3), InputError, "expected an objective"),
    ],
)
def test_bad_input(model_a, images, make, error, message):
    with pytest.raises(error, match=message):
        score_images(model_a, make(), images)


def test_no_observations(model_a):
    with pytest.raises(InputError, match="expected observations"):
        dataset_scores(model_a, o.neurons("2b", 0), np.zeros((0, 64, 64, 3)))

"""Optimized images: against Lucid's render_vis, and where the answer is known."""

import dataclasses
import os
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from lucid_rl.errors import InputError, ModelError, SettingsError
from lucid_rl.interpret.visualization import objectives as o
from lucid_rl.interpret.visualization.parametrizations import Parametrization
from lucid_rl.interpret.visualization.presets import PRESETS
from lucid_rl.interpret.visualization.scores import score_images
from lucid_rl.interpret.visualization.transformations import Transformations
from lucid_rl.interpret.visualization.visualize import (
    VisualizationSettings,
    visualize,
)
from lucid_rl.model import lucid_bridge as bridge
from lucid_rl.model.loading import load
from lucid_rl.model.lucid_model import Metadata, write_model_pb
from lucid_rl.model.lucid_network import lucid_model
from tests.interpret.visualization.networks import colour_network
from tests.model.numpy_networks import random_params
from tests.programs import ROOT, run_python

NONE = Transformations(jitter=0)
QUICK = VisualizationSettings(steps=3, transformations=NONE)
_NEWER_LUCID = pathlib.Path(os.environ.get("LUCID_0310", ROOT / ".venv/lucid-0.3.10"))


def test_the_colour_that_a_channel_asks_for_appears():
    settings = VisualizationSettings(
        steps=100, transformations=NONE, parametrization=Parametrization("pixel", False)
    )
    found = visualize(colour_network(), o.channels("a", [0, 1, 3]), settings)
    red, green, _ = found.images.mean(axis=(1, 2))
    assert red[0] > 0.9 and green[1] > 0.9
    # A pixel that the noise left greener than red is behind a closed ReLU. Gradients
    # are redirected only where none at all would pass, so that it stays as it was.
    difference = found.images[2, ..., 0] - found.images[2, ..., 1]
    opened = difference > 0
    assert 0.2 < opened.mean() < 0.8
    assert (difference[opened] > 0.9).all() and (difference[~opened] > -0.1).all()
    np.testing.assert_allclose(found.activations[0], red[0], rtol=1e-5)
    assert found.losses.shape == (100, 3)
    assert (np.diff(found.losses[17:], axis=0) < 0).all()
    assert found.dataset_maxima is None


def test_a_neuron_changes_its_pixel_alone():
    settings = VisualizationSettings(
        steps=40, transformations=NONE, parametrization=Parametrization("pixel", False)
    )
    found = visualize(colour_network(), o.neurons("a", 1, (2, 5)), settings).images[0]
    assert found[2, 5, 1] > 0.8
    found[2, 5, 1] = 0.5
    np.testing.assert_allclose(found, 0.5, atol=0.02)


def test_the_datasets_maximum(golden, model_a):
    observations = golden["obs_u8"]
    objective = o.neurons("2b", [0, 4])
    found = visualize(model_a, objective, QUICK, observations=observations)
    activations = model_a.activations(observations, ["2b"])["2b"]
    expected = activations[:, 16, 16][:, [0, 4]].max(axis=0)
    np.testing.assert_allclose(found.dataset_maxima, expected, atol=1e-4)
    reached = model_a.activations(found.images, ["2b"])["2b"]
    np.testing.assert_allclose(
        found.activations, [reached[0, 16, 16, 0], reached[1, 16, 16, 4]], atol=1e-4
    )


@pytest.mark.parametrize("parametrization", ["fourier", "maco"])
def test_the_same_seed_gives_the_same_bytes(model_a, parametrization):
    settings = VisualizationSettings(
        steps=20,
        parametrization=Parametrization(parametrization),
        transformations=Transformations(2, 4, 0.1, 10, keep_size=True),
        seed=3,
    )
    objective = o.directions("2a", np.eye(32)[:2], "all")
    first, again = (visualize(model_a, objective, settings) for _ in range(2))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.losses, again.losses)
    settings = dataclasses.replace(settings, seed=4)
    assert (visualize(model_a, objective, settings).images != first.images).any()


def test_an_image_does_not_depend_on_the_others(model_a):
    settings = dataclasses.replace(
        QUICK, steps=5, penalty=0.01, total_variation=1e-3, penalty_layer="1a"
    )
    together = visualize(model_a, o.channels("2a", [3, 7]), settings)
    alone = visualize(model_a, o.channels("2a", [7]), settings)
    np.testing.assert_allclose(together.images[1], alone.images[0], atol=1e-3)
    np.testing.assert_allclose(together.losses[:, 1], alone.losses[:, 0], rtol=1e-3)


def test_the_preset_of_total_variations_makes_ever_smoother_pictures(model_a):
    base = VisualizationSettings(steps=40)
    rows = PRESETS["variations"](base).rows
    strengths = [row.settings.total_variation for row in rows]
    assert strengths == sorted(strengths) and strengths[0] == 0
    assert len({dataclasses.replace(r.settings, total_variation=0) for r in rows}) == 1
    objective = o.neurons("2b", [0, 1])
    variations = []
    for row in (rows[0], rows[-2], rows[-1]):
        images = visualize(model_a, objective, row.settings).images
        found = sum(np.abs(np.diff(images, axis=k)).sum((1, 2, 3)) for k in (1, 2))
        variations.append(found)
    plain, smoother, smoothest = variations
    assert (smoother < 0.9 * plain).all() and (smoothest < smoother).all()


@pytest.mark.parametrize("position", ["centre", "all"])
def test_parity_with_lucids_render_vis(model_a, position):
    """The same start, objective and steps, past those of redirected gradients."""
    settings = VisualizationSettings(steps=22, learning_rate=0.02, transformations=NONE)
    vectors = np.random.default_rng(0).random((2, 32), np.float32)
    ours = visualize(model_a, o.directions("2b", vectors, position), settings)
    theirs = bridge.render.render_vis(
        lucid_model(model_a),
        o.directions(model_a.node_name("2b"), vectors, position),
        settings.parametrization.param_f(2, (64, 64), settings.seed),
        optimizer=tf.train.AdamOptimizer(settings.learning_rate),
        transforms=[],
        thresholds=(settings.steps - 1,),
        verbose=False,
    )[-1]
    # Rounding grows from step to step, where gradients are smallest the most.
    assert np.abs(ours.images - theirs).mean() < 2e-3
    start = visualize(
        model_a, o.neurons("2b", [0, 1]), dataclasses.replace(settings, steps=1)
    )
    assert np.abs(theirs - start.images).mean() > 0.01


def test_penalties_do_what_they_say(model_a):
    objective = o.neurons("2b", [0, 1])
    settings = VisualizationSettings(steps=25, transformations=NONE)
    plain = visualize(model_a, objective, settings)
    smooth = visualize(
        model_a, objective, dataclasses.replace(settings, total_variation=1.0)
    )
    quiet = visualize(model_a, objective, dataclasses.replace(settings, penalty=10.0))

    def variation(images):
        return np.abs(np.diff(images, axis=1)).sum()

    def norm(images):
        return np.linalg.norm(model_a.activations(images, ["1a"])["1a"])

    assert variation(smooth.images) < variation(plain.images)
    assert norm(quiet.images) < norm(plain.images)


def test_lucids_own_objectives_and_outputs_behind_dense_layers(model_a):
    lucids = bridge.objectives.channel("ppo2_model/pi/2b/Relu", 3)
    found = visualize(model_a, lucids, QUICK)
    assert found.images.shape == (1, 64, 64, 3)
    settings = VisualizationSettings(
        steps=20, transformations=Transformations(jitter=4, keep_size=True)
    )
    logits = visualize(model_a, o.directions("logits", np.eye(15)[:2]), settings)
    assert (logits.losses[-1] < logits.losses[0]).all()
    for objective in (o.directions("value", [[1.0], [-1.0]]), o.neurons("value", 0)):
        value = visualize(model_a, objective, settings)
        assert (value.losses[-1] < value.losses[0]).all()


def test_the_largest_value_of_the_dataset(model_a, golden):
    observations = golden["obs_u8"]
    settings = dataclasses.replace(QUICK, steps=1)
    found = visualize(
        model_a, o.neurons("value", 0), settings, observations=observations
    )
    expected = model_a(observations)[1].max()
    np.testing.assert_allclose(found.dataset_maxima, [expected], rtol=1e-4)


@pytest.mark.parametrize("architecture", ["impala", "nature"])
def test_other_architectures(checkpoint_a, architecture):
    checkpoint = dataclasses.replace(
        checkpoint_a,
        params=random_params(architecture),
        args={**checkpoint_a.args, "cnn": architecture},
    )
    model = load(checkpoint)
    observation = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    for layer in (model.layers[0], model.layers[-1]):
        reference = model.activations(observation, [layer])[layer]
        objective = o.neurons(layer, 0) + o.caricature(layer, reference)
        settings = dataclasses.replace(QUICK, steps=20, penalty=0.01)
        found = visualize(model, objective, settings, observations=observation)
        assert found.losses[-1] < found.losses[0]
        middle = tuple(n // 2 for n in reference.shape[1:3])
        expected = reference[0][middle][0] + (reference**2).sum(axis=-1).mean()
        np.testing.assert_allclose(found.dataset_maxima, [expected], rtol=1e-3)


def test_a_network_of_another_range_of_values(tmp_path):
    """Such as ImageNet's, which Lucid gives what its metadata says."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, (None, 8, 8, 3), name="images")
        tf.nn.lrn(images, 1, bias=1.0, alpha=0.0, name="same")
        path = tmp_path / "other.model.pb"
        metadata = Metadata("images", (8, 8, 3), (-117, 138))
        write_model_pb(graph.as_graph_def(), path, metadata)
    black_and_white = np.stack([np.zeros((8, 8, 3)), np.ones((8, 8, 3))])
    found = score_images(path, o.neurons("same", [0, 1], (2, 3)), black_and_white)
    np.testing.assert_allclose(found, [-117, 138], rtol=1e-5)
    settings = dataclasses.replace(
        QUICK, steps=40, parametrization=Parametrization("pixel", False)
    )
    image = visualize(path, o.channels("same", 2), settings).images[0]
    assert image[..., 2].min() > 0.7


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda m: visualize(m, o.neurons("9z", 0)), ModelError, "no layer"),
        (lambda m: visualize(m, o.neurons("2b", 99)), InputError, "got 99"),
        (
            lambda m: visualize(m, o.neurons("2b", 0, (31, 0))),
            InputError,
            "as they are transformed",
        ),
        (
            lambda m: visualize(m, o.directions("logits", np.eye(15))),
            SettingsError,
            "keep_size",
        ),
        (
            lambda m: visualize(m, o.neurons("2b", 0), observations=np.zeros((2, 8))),
            InputError,
            "expected observations",
        ),
        (
            lambda m: visualize(
                lucid_model(m),
                o.neurons("ppo2_model/pi/2b/Relu", 0),
                VisualizationSettings(penalty=1),
            ),
            SettingsError,
            "penalty_layer",
        ),
        (
            lambda m: visualize(lucid_model(m), o.neurons("2b", 0)),
            ModelError,
            "no tensor '2b'",
        ),
        (
            lambda m: visualize("nothing.model.pb", o.neurons("2b", 0)),
            Exception,
            "nothing",
        ),
    ],
)
def test_bad_input(model_a, make, error, message):
    with pytest.raises(error, match=message):
        make(model_a)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"learning_rate": 0},
        {"penalty": -1},
        {"total_variation": float("nan")},
        {"size": (0, 64)},
    ],
)
def test_bad_settings(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        VisualizationSettings(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"jitter": -1}, {"jitter": 2.5}, {"scaling": 1}, {"rotation": 181}]
)
def test_bad_transformations(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Transformations(**wrong)


def test_a_jitter_that_leaves_nothing():
    with pytest.raises(SettingsError, match="leaves nothing"):
        Transformations(jitter=64).functions((64, 64))


_EXPORTED = """
import sys
import numpy as np
from lucid_rl.interpret.visualization import objectives as o
from lucid_rl.interpret.visualization.parametrizations import Parametrization
from lucid_rl.interpret.visualization.transformations import Transformations
from lucid_rl.model import lucid_bridge as bridge

path, newer = sys.argv[1], len(sys.argv) > 2
lucid = bridge.import_lucid()
if newer:
    assert lucid.__file__.startswith(sys.argv[2])
    model = bridge.Model.load(path)  # Lucid's own reader, in this version only
else:
    model = bridge.load_model(path)
node = "ppo2_model/pi/2b/Relu"
for objective in (
    node + ":3",
    bridge.objectives.channel(node, 3),
    o.directions(node, np.eye(32)[:1]) - 0.1 * o.total_variation(),
    o.neurons(node, 3) + bridge.objectives.channel(node, 3),
    o.caricature(node, np.ones((32, 32, 32)), 2) - 0.1 * o.activation_norm(node),
):
    for param_f in (
        lambda: bridge.param.image(64), Parametrization("maco").param_f(1, (64, 64))
    ):
        images = bridge.render.render_vis(
            model, objective, param_f,
            transforms=Transformations(2, 4, 0.1, 10).functions((64, 64)),
            thresholds=(1, 3), verbose=False,
        )
        assert len(images) == 2
        assert images[-1].shape == (1, 64, 64, 3) and np.isfinite(images).all()
        assert (images[0] != images[1]).any()
print("done")
"""


@pytest.mark.parametrize(
    "lucid",
    [
        None,
        pytest.param(
            _NEWER_LUCID,
            marks=pytest.mark.skipif(
                not _NEWER_LUCID.is_dir(),
                reason="Lucid 0.3.10 is not unpacked; `make bench` does it",
            ),
        ),
    ],
    ids=["0.3.8", "0.3.10"],
)
def test_an_exported_model_in_lucids_render_vis(model_a, tmp_path, lucid):
    path = tmp_path / "exported.model.pb"
    model_a.save(path)
    folders = [str(lucid)] if lucid else []
    environment = {
        "PYTHONPATH": os.pathsep.join([*folders, str(ROOT)]),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    result = run_python("-c", _EXPORTED, path, *folders, environment=environment)
    assert result.stdout.strip().endswith("done"), result.stderr


def test_short_forms_of_objectives(checkpoint_a, model_a):
    few = VisualizationSettings(steps=2)
    by_name = visualize(checkpoint_a, "2b:7", few)
    unit = np.eye(32, dtype=np.float32)[7]
    for same in (("2b", unit), o.channels("2b", 7)):
        np.testing.assert_array_equal(visualize(model_a, same, few), by_name)
    assert np.asarray(by_name).shape == (1, 64, 64, 3)
    with pytest.raises(InputError, match="layer:channel"):
        visualize(model_a, "2b", few)

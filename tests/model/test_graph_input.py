"""Graphs that take other pixels than [0, 1]: shown, told, or said by the user."""

import numpy as np
import pytest

from lucid_rl.errors import InputError, ModelError
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.loading import load
from lucid_rl.model.lucid_model import Metadata, write_model_pb

NAMES = {"logits_name": "logits", "value_name": "value"}
OBSERVATIONS = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 3)).astype(np.uint8)


def write(path, scale, told=None, dtype=None):
    """A network that scales its own pixels; its value is [N, 1], as Keras has it."""
    rng = np.random.default_rng(1)
    with tf.Graph().as_default() as graph:
        pixels = tf.placeholder(dtype or tf.float32, (None, 6, 6, 3), name="pixels")
        floats = tf.cast(pixels, tf.float32) if dtype else pixels
        kernel = tf.constant(rng.normal(size=(3, 3, 3, 4)).astype(np.float32))
        x = tf.nn.relu(tf.nn.conv2d(scale(floats), kernel, 1, "SAME"))
        x = tf.reshape(x, (-1, 6 * 6 * 4))
        for name, width in (("logits", 5), ("value", 1)):
            heads = rng.normal(size=(144, width)).astype(np.float32) / 12
            tf.matmul(x, tf.constant(heads), name=name)
        if told is not None:
            write_model_pb(
                graph.as_graph_def(), path, Metadata("pixels", (6, 6, 3), told)
            )
        else:
            path.write_bytes(graph.as_graph_def().SerializeToString())
        with tf.Session() as session:
            fed = {pixels: OBSERVATIONS}
            logits, value = session.run(["logits:0", "value:0"], fed)
    return path, logits, value[:, 0]


def whiten(pixels):
    return (pixels - np.float32([120, 130, 140])) / np.float32([57, 58, 59])


@pytest.mark.parametrize(
    ("scale", "options"),
    [
        (lambda pixels: pixels / 255.0, {}),
        (lambda pixels: pixels * np.float32(1 / 127.5) - 1.0, {}),
        (whiten, {}),
        (lambda pixels: pixels, {"input_range": (0, 255)}),
    ],
    ids=["divided", "rescaled", "whitened", "said"],
)
@pytest.mark.parametrize("dtype", [None, "uint8"])
def test_a_network_of_pixels_up_to_255(tmp_path, scale, options, dtype):
    path, logits, value = write(
        tmp_path / "it.pb", scale, dtype=dtype and tf.as_dtype(dtype)
    )
    model = load(path, **NAMES, **options)
    found = model(OBSERVATIONS)
    for ours, theirs in zip(found, (logits, value), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    assert model(OBSERVATIONS / 255)[1].shape == (3,)
    assert model.notes and "from 0 to 255" in model.notes[0]
    model.save(tmp_path / "saved.model.pb")
    again = load(tmp_path / "saved.model.pb", **NAMES)
    np.testing.assert_allclose(again(OBSERVATIONS)[0], found[0], rtol=1e-5)


def test_what_the_file_tells_and_what_is_assumed(tmp_path):
    told, logits, _ = write(
        tmp_path / "told.model.pb", lambda pixels: pixels, told=(0, 255)
    )
    model = load(told, **NAMES)
    np.testing.assert_allclose(model(OBSERVATIONS)[0], logits, rtol=1e-4, atol=1e-2)
    assert "its file says" in model.notes[0]
    # As Lucid writes it where nobody said anything, of a network that divides.
    wrong, logits, _ = write(
        tmp_path / "wrong.model.pb", lambda pixels: pixels / 255.0, told=(0, 1)
    )
    np.testing.assert_allclose(load(wrong, **NAMES)(OBSERVATIONS)[0], logits, atol=1e-5)
    untold, logits, _ = write(tmp_path / "untold.pb", lambda pixels: pixels)
    model = load(untold, **NAMES)
    assert "from 0 to 1" in model.notes[0] and "input_range" in model.notes[0]
    np.testing.assert_allclose(model(OBSERVATIONS)[0] * 255, logits, rtol=1e-4)


def test_what_cannot_be_is_refused(tmp_path):
    path, *_ = write(tmp_path / "it.pb", lambda pixels: pixels / 255.0)
    with pytest.raises(ModelError, match="input_range=0,1, but the network divides"):
        load(path, **NAMES, input_range=(0, 1))
    with pytest.raises(ModelError, match="low end first"):
        load(path, **NAMES, input_range=(255, 0))
    with pytest.raises(ModelError, match="it ends in logits, value"):
        load(path)
    with pytest.raises(InputError, match="divide their pixels by 255"):
        load("bundled", input_range=(0, 255))


def test_the_articles_own_graphs_stay_as_they_are(golden_folder):
    """They multiply by 255 and divide by it."""
    model = load(golden_folder / "checkpoint_A.model.pb")
    assert "from 0 to 1" in model.notes[0]
    assert not any("_range" in node.name for node in model.graph_def().node)

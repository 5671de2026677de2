"""A window shows the network all that a position depends on."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from lucid_rl.errors import InputError
from lucid_rl.interpret.visualization.networks import import_graph
from lucid_rl.interpret.visualization.receptive_field import receptive_window
from tests.interpret.visualization.networks import conv, graph_model


def _strided(x):
    """Overlapping pools, strides, a residual sum: padding depends on the size."""
    rng = np.random.default_rng(0)
    x = tf.nn.relu(conv(x, rng.normal(size=(5, 3, 3, 4)), "a", 2))
    x = tf.nn.max_pool2d(x, 3, 2, "SAME")
    x = x + conv(tf.nn.relu(x), rng.normal(size=(3, 3, 4, 4)), "b")
    return tf.nn.relu(conv(x, rng.normal(size=(3, 3, 4, 4)), "c", padding="VALID"))


def _check(model, layer, positions, size):
    """Activations and gradients through a window equal those of the whole."""
    node = model.node_name(layer)
    window = receptive_window(model, [(node, p) for p in positions], size)
    images = np.random.default_rng(1).random((2, *size, 3), np.float32)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        given = tf.constant(images)
        import_graph(model, given, "whole")
        import_graph(model, window.crop(given), "part")
        whole = graph.get_tensor_by_name(f"whole/{node}:0")
        part = window.restore(node, graph.get_tensor_by_name(f"part/{node}:0"))
        found = []
        for tensor in (whole, part):
            for row, column in positions:
                value = tensor[:, row, column]
                found += [value, tf.gradients(value, given)[0]]
        found = session.run(found)
        shapes = session.run([tf.shape(whole), tf.shape(part)])
        np.testing.assert_array_equal(*shapes)
    for a, b in zip(found[: len(found) // 2], found[len(found) // 2 :], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    return window


@pytest.mark.parametrize("size", [(64, 64), (61, 58)])
def test_the_articles_network(model_a, size):
    _check(model_a, "2b", [(16, 11)], size)
    _check(model_a, "3a", [(0, 0), (9, 13)], size)


@pytest.mark.parametrize("size", [(48, 48), (47, 45), (46, 49)])
def test_strides_and_sums(size):
    model = graph_model(_strided, 48)
    for positions in ([(5, 6)], [(0, 0)], [(2, 8)], [(1, 1), (4, 3)]):
        _check(model, "c", positions, size)


def test_a_window_is_no_larger_than_needed(model_a):
    window = _check(model_a, "1a", [(10, 20)], (64, 64))
    assert (window.rows, window.columns) == ((7, 14), (17, 24))  # 7x7 pixels
    window = _check(model_a, "1a", [(0, 63)], (64, 64))
    assert (window.rows, window.columns) == ((0, 4), (60, 64))


def test_unknown_ways_have_no_window(model_a):
    assert (
        receptive_window(model_a, [(model_a.node_name("value"), "centre")], (64, 64))
        is None
    )
    assert receptive_window(model_a, [], (64, 64)) is None


def test_a_position_that_is_not_there(model_a):
    with pytest.raises(InputError, match="31 rows"):
        receptive_window(model_a, [(model_a.node_name("2b"), (31, 0))], (62, 62))

"""Difference quotients: one law for every operation, and cases by hand."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from lucid_rl.errors import ModelError
from lucid_rl.model.difference_quotients import quotient_gradients

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 6, 6, 2)).astype(np.float32)  # two paths of two points
KERNEL = RNG.normal(size=(3, 3, 2, 5)).astype(np.float32)
MATRIX = RNG.normal(size=(72, 3)).astype(np.float32)
POSITIVE = np.float32(0.1) + np.abs(IMAGES)


def multipliers(function, points, n_rows=2):
    """Multipliers of the change from each row's previous point, and the change."""
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(points)

        def previous(tensor):
            return tf.concat([tensor[:n_rows], tensor[:-n_rows]], 0)

        y = function(x)
        seeds = tf.concat([tf.zeros_like(y[:n_rows]), tf.ones_like(y[n_rows:])], 0)
        (found,) = quotient_gradients([y], [x], [seeds], previous)
        change = tf.reduce_sum(y - previous(y))
        return session.run([found, change, x - previous(x)])


OPERATIONS = {
    "relu": (tf.nn.relu, IMAGES),
    "relu with bias": (lambda x: tf.nn.relu(tf.nn.bias_add(x, [0.3, -0.2])), IMAGES),
    "square": (tf.square, IMAGES),
    "power of 2": (lambda x: tf.pow(x, 2.0), IMAGES),
    "power of 3": (lambda x: tf.pow(x, 3.0), POSITIVE),
    "square root": (tf.sqrt, POSITIVE),
    "L2 pool": (lambda x: tf.sqrt(tf.nn.avg_pool2d(x**2, 2, 2, "SAME")), IMAGES),
    "max-pool": (lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME"), IMAGES),
    "max-pool, valid": (lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), IMAGES),
    "convolution": (lambda x: tf.nn.conv2d(x, KERNEL, 1, "SAME"), IMAGES),
    "strided": (lambda x: tf.nn.conv2d(x, KERNEL, 2, "VALID"), IMAGES),
    "matrix": (lambda x: tf.reshape(x, (-1, 72)) @ MATRIX, IMAGES),
    "residual": (lambda x: x + tf.nn.relu(x), IMAGES),
    "difference": (lambda x: x - tf.nn.relu(x) / 3.0, IMAGES),
    "concatenation": (lambda x: tf.concat([x, tf.nn.relu(x)], -1), IMAGES),
    "slices": (lambda x: tf.nn.relu(x)[:, 1:3, ::2], IMAGES),
    "tanh": (tf.tanh, IMAGES),
    "sigmoid": (tf.sigmoid, IMAGES),
    "elu": (tf.nn.elu, IMAGES),
    "leaky relu": (tf.nn.leaky_relu, POSITIVE),
    "softplus": (tf.nn.softplus, IMAGES),
    "relu6": (tf.nn.relu6, 5 * IMAGES),
    "mean": (lambda x: tf.nn.relu(tf.reduce_mean(x, [1, 2])), IMAGES),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_multipliers_account_for_the_change(name):
    function, points = OPERATIONS[name]
    found, change, step = multipliers(function, points)
    assert found.shape == points.shape
    np.testing.assert_allclose((found * step).sum(), change, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["tanh", "square", "L2 pool", "relu", "sigmoid"])
def test_small_steps_give_gradients(name):
    function, points = OPERATIONS[name]
    near = np.concatenate([points[:2], points[:2] * np.float32(1 + 1e-4)])
    found = multipliers(function, near)[0]
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(near)
        (gradient,) = session.run(tf.gradients(function(x), x))
    np.testing.assert_allclose(found[2:], gradient[2:], atol=2e-3)


def test_no_step_gives_no_nan():
    still = np.concatenate([IMAGES[:2], IMAGES[:2]])
    for name, (function, _) in OPERATIONS.items():
        if name not in ("power of 3", "square root"):
            assert np.isfinite(multipliers(function, still)[0]).all(), name
    zeros = np.zeros_like(IMAGES)
    for name in ("relu", "L2 pool", "max-pool", "tanh"):
        assert np.isfinite(multipliers(OPERATIONS[name][0], zeros)[0]).all(), name


def test_relu_is_open_for_a_fraction_of_the_segment():
    points = np.array([[-1.0, -2.0, 1.0, -3.0], [3.0, 1.0, 2.0, -1.0]], np.float32)
    found = multipliers(tf.nn.relu, points, n_rows=1)[0]
    np.testing.assert_allclose(found[1], [3 / 4, 1 / 3, 1, 0], rtol=1e-6)


def test_max_pool_shares_between_old_and_new_maximum():
    """From (2, 0) to (1, 5): the first leads until 1/3 of the way."""
    points = np.array([[2.0, 0.0], [1.0, 5.0]], np.float32).reshape(2, 1, 2, 1)

    def pool(x):
        return tf.nn.max_pool2d(x, (1, 2), (1, 2), "VALID")

    found, change, step = multipliers(pool, points, n_rows=1)
    first, second = found[1].ravel()
    assert change == pytest.approx(3)
    assert first * step[1, 0, 0, 0] + second * step[1, 0, 1, 0] == pytest.approx(3)
    assert first + second == pytest.approx(1) and second > first > 0


def test_seeds_of_several_targets_add_up():
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(IMAGES)
        targets = [tf.nn.relu(x), tf.square(x), tf.tanh(x)]

        def previous(tensor):
            return tf.concat([tensor[:2], tensor[:-2]], 0)

        def found(seeds):
            return quotient_gradients(targets, [x], seeds, previous)[0]

        one = tf.ones_like(x)
        both = found([one, 2 * one, None])
        parts = found([one, None, None]) + found([None, 2 * one, None])
        np.testing.assert_allclose(*session.run([both, parts]), rtol=1e-6)


def test_a_source_without_influence_gives_none():
    with tf.Graph().as_default():
        x, y = tf.constant(IMAGES), tf.constant(IMAGES)
        seed = tf.ones_like(y)
        assert quotient_gradients([tf.nn.relu(y)], [x], [seed], lambda t: t) == [None]


def test_unknown_operations_are_named():
    with tf.Graph().as_default():
        x = tf.constant(IMAGES)
        with pytest.raises(ModelError, match=r"Sin .*integrated_gradients"):
            quotient_gradients([tf.sin(x)], [x], [tf.ones_like(x)], lambda t: t)

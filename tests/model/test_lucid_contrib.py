"""The pieces of TensorFlow 1's contrib, by hand."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow.compat.v1 as tf

from lucid_rl.model import lucid_contrib


def run(function, *arrays):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(0)
        result = function(*map(tf.constant, arrays))
        session.run(tf.global_variables_initializer())
        return session.run(result)


@pytest.fixture
def image():
    return np.random.default_rng(0).random((2, 9, 9, 3)).astype(np.float32)


class TestRotate:
    def test_quarter_turn_is_counterclockwise(self, image):
        found = run(lambda x: lucid_contrib.rotate(x, np.pi / 2), image)
        np.testing.assert_allclose(found, np.rot90(image, axes=(1, 2)), atol=1e-6)

    def test_each_image_by_its_angle(self, image):
        found = run(lambda x: lucid_contrib.rotate(x, [0.0, np.pi]), image)
        np.testing.assert_allclose(found[0], image[0], atol=1e-6)
        np.testing.assert_allclose(found[1], image[1, ::-1, ::-1], atol=1e-6)

    def test_bilinear_is_scipys(self, image):
        found = run(lambda x: lucid_contrib.rotate(x, 0.3, "BILINEAR"), image)
        expected = scipy.ndimage.rotate(
            image, np.degrees(0.3), axes=(1, 2), reshape=False, order=1
        )
        inner = np.s_[:, 2:7, 2:7]
        np.testing.assert_allclose(found[inner], expected[inner], atol=1e-4)

    @pytest.mark.parametrize("shape", [(9, 9), (9, 9, 3), (2, 9, 9, 3)])
    def test_ranks(self, shape):
        ones = np.ones(shape, np.float32)
        assert run(lambda x: lucid_contrib.rotate(x, 0.1), ones).shape == shape

    def test_gradient_turns_back(self, image):
        def gradient(x):
            turned = lucid_contrib.rotate(x, np.pi / 2)
            return tf.gradients(tf.reduce_sum(turned * image), x)[0]

        expected = np.rot90(image, -1, axes=(1, 2))
        np.testing.assert_allclose(run(gradient, image), expected, atol=1e-6)


class TestSlim:
    def test_convolution_is_a_product_at_each_position(self, image):
        def both(x):
            outputs = lucid_contrib.slim.conv2d(x, 4, activation_fn=None)
            return outputs, tf.global_variables()

        outputs, (kernel, bias) = run(both, image)
        assert kernel.shape == (1, 1, 3, 4)
        np.testing.assert_allclose(outputs, image @ kernel[0, 0] + bias, atol=1e-5)

    def test_relu_by_default(self, image):
        assert run(lambda x: lucid_contrib.slim.conv2d(x, 8), image).min() == 0

    def test_arg_scope_gives_defaults_within_its_block_only(self, image):
        slim = lucid_contrib.slim

        def outputs(x):
            with slim.arg_scope([slim.conv2d], activation_fn=tf.zeros_like):
                within = slim.conv2d(x, 2)
                own = slim.conv2d(x, 2, activation_fn=tf.ones_like)
            return within, own, slim.conv2d(x, 8)

        within, own, after = run(outputs, image)
        assert (within == 0).all() and (own == 1).all() and after.max() > 0

    def test_instance_norm(self, image):
        found = run(lucid_contrib.slim.instance_norm, 5 * image + 3)
        np.testing.assert_allclose(found.mean(axis=(1, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(found.std(axis=(1, 2)), 1, atol=1e-3)


def test_resizing_has_no_half_pixel_centres():
    row = np.array([0.0, 1.0], np.float32).reshape(1, 1, 2, 1)
    found = run(lambda x: lucid_contrib.resize_bilinear(x, (1, 4)), row)
    np.testing.assert_allclose(found.ravel(), [0, 0.5, 1, 1])


def test_to_float():
    assert run(lucid_contrib.to_float, np.array([1, 2])).dtype == np.float32

"""Small networks whose answers are known by hand."""

import numpy as np
import tensorflow.compat.v1 as tf

from lucid_rl.model.model import Model


def colour_network(size=8):
    """A Model whose layer "a" is the image's channels, and red minus green."""
    kernel = np.zeros((1, 1, 3, 4), np.float32)
    kernel[0, 0, :3, :3] = np.eye(3)
    kernel[0, 0, :, 3] = 1, -1, 0
    return graph_model(lambda x: tf.nn.relu(conv(x, kernel, "a")), size)


def graph_model(network, size):
    """A Model of a function from images to the last spatial layer."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, (None, size, size, 3), name="images")
        last = network(images)
        flat = tf.reshape(last, (-1, int(np.prod(last.shape[1:]))))
        weights = tf.constant(np.ones((flat.shape[-1], 2), np.float32))
        logits = tf.identity(tf.matmul(flat, weights), name="logits")
        tf.identity(logits[:, 0], name="value")
        graph_def = graph.as_graph_def()
    return Model(graph_def, logits_name="logits", value_name="value")


def conv(images, kernel, name, stride=1, padding="SAME"):
    """A convolution by a constant kernel named so that its layer is `name`."""
    kernel = tf.constant(kernel.astype(np.float32), name=f"{name}/kernel")
    return tf.nn.conv2d(images, kernel, stride, padding)

"""The known architectures as frozen graphs with the article's node names.

The graphs hold the checkpoint's parameters as constants named like the
checkpoint's tensors, take observations in [0, 1] at `Placeholder`, and give the
policy's logits at `ppo2_model/pi_1/add` and the value at
`ppo2_model/strided_slice`, so that layer names, notebooks and tools made for the
article's own `.model.pb` files work on them.
"""

# ruff: noqa: D102, methods are documented in `model.networks.Operations`.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid_rl.errors import ModelError
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.networks import features

INPUT_NAME = "Placeholder"
LOGITS_NAME = "ppo2_model/pi_1/add"
VALUE_NAME = "ppo2_model/strided_slice"

_ROOT = "ppo2_model/"
_BODY = "ppo2_model/pi/"
_POOL_EPSILON = 1e-8  # under the root of L2 pooling, keeps its slope finite at 0


def build_graph_def(
    params: Mapping[str, np.ndarray],
    architecture: str,
    image_shape: tuple[int, int, int] = (64, 64, 3),
    hidden_activation: str = "relu",
) -> tf.GraphDef:
    """Builds the frozen graph of a network from its parameters.

    Args:
        params: float32 arrays by checkpoint name, "ppo2_model/pi/1a/conv2d/kernel:0".
        architecture: one of `checkpoints.architectures.ARCHITECTURES`.
        image_shape: (height, width, channels) of one observation.
        hidden_activation: "relu" or "tanh", of dense layers that only the policy or
            only the value function has.

    Raises:
        ModelError: the architecture is unknown, a parameter is missing, or the
            parameters do not fit each other or the image.
    """
    with tf.Graph().as_default() as graph:
        observations = tf.placeholder(tf.float32, (None, *image_shape), name=INPUT_NAME)
        with tf.name_scope(_ROOT):
            pixels = observations * 255.0
        try:
            with tf.name_scope(_BODY):
                found = features(architecture, GraphOperations(params), pixels / 255.0)
            _heads(params, found, hidden_activation)
        except KeyError as error:
            raise ModelError(
                f"the {architecture!r} architecture needs the parameter "
                f"{error.args[0]!r}, which is missing."
            ) from error
        except ValueError as error:
            raise ModelError(
                f"the parameters do not make an {architecture!r} network for "
                f"images of shape {image_shape}: {error}"
            ) from error
        return _for_any_version(graph.as_graph_def())


def _for_any_version(graph_def: tf.GraphDef) -> tf.GraphDef:
    """Drops attributes that TensorFlow 1 does not have and its readers refuse."""
    for node in graph_def.node:
        for attribute in ("grad_a", "grad_b"):
            if node.op == "MatMul" and attribute in node.attr:
                del node.attr[attribute]
    return graph_def


class GraphOperations:
    """`model.networks.Operations` as nodes with the article's names.

    Attributes:
        body: prefix of the names of the layers' nodes and parameters.
    """

    body = _BODY

    def __init__(self, params: Mapping[str, np.ndarray]):
        self._params = params

    def parameter(self, name: str) -> Any:
        """A constant named as the checkpoint's tensor."""
        value = np.asarray(self._params[f"{name}:0"], np.float32)
        # A trailing slash opens a scope; the full name must be taken from the root.
        with tf.name_scope(None):
            return tf.constant(value, name=name)

    def scope(self, name):
        return tf.name_scope(f"{self.body}{name}/")

    def convolution(self, x, name):
        kernel = self.parameter(f"{self.body}{name}/kernel")
        bias = self.parameter(f"{self.body}{name}/bias")
        with self.scope(name):
            x = tf.nn.conv2d(x, kernel, 1, "SAME", name="Conv2D")
            return tf.nn.bias_add(x, bias, name="BiasAdd")

    def valid_convolution(self, x, name, stride):
        kernel = self.parameter(f"{self.body}{name}/w")
        bias = self.parameter(f"{self.body}{name}/b")
        with self.scope(name):
            x = tf.nn.conv2d(x, kernel, stride, "VALID", name="Conv2D")
            # Kept as (1, C, 1, 1) in checkpoints, whatever the data's layout.
            return tf.add(
                x, tf.reshape(bias, (1, 1, 1, -1), name="Reshape"), name="add"
            )

    def relu(self, x):
        return tf.nn.relu(x, name="Relu")

    def add(self, x, y):
        return tf.add(x, y, name="add")

    def l2_pool(self, x):
        x = tf.pow(x, 2.0, name="pow")
        with tf.name_scope("average_pooling2d"):
            x = tf.nn.avg_pool2d(x, 2, 2, "SAME", name="AvgPool")
        return tf.sqrt(tf.add(x, _POOL_EPSILON, name="add"), name="Sqrt")

    def max_pool(self, x, pad_before):
        if not pad_before:
            return tf.nn.max_pool2d(x, 3, 2, "SAME", name="MaxPool")
        # Repeating the edge changes no maximum of a window that includes it.
        height, width = x.shape[1:3]
        margin = ((0, 0), (1, height % 2), (1, width % 2), (0, 0))
        x = tf.pad(x, margin, "SYMMETRIC", name="MirrorPad")
        return tf.nn.max_pool2d(x, 3, 2, "VALID", name="MaxPool")

    def flatten(self, x):
        return _flatten(x, f"{self.body}flatten/")

    def dense(self, x, name, activation="relu"):
        kernel = self.parameter(f"{self.body}{name}/kernel")
        bias = self.parameter(f"{self.body}{name}/bias")
        with self.scope(name):
            x = tf.matmul(x, kernel, name="MatMul")
            x = tf.nn.bias_add(x, bias, name="BiasAdd")
            if activation == "tanh":
                return tf.tanh(x, name="Tanh")
            return tf.nn.relu(x, name="Relu")

    def affine(self, x, name, scope=None):
        kernel = self.parameter(f"{self.body}{name}/w")
        bias = self.parameter(f"{self.body}{name}/b")
        with self.scope(scope or name):
            return tf.add(tf.matmul(x, kernel, name="MatMul"), bias, name="add")


class _Heads(GraphOperations):
    """The same outside of the trunk that policy and value function share."""

    body = _ROOT


def _flatten(x, scope):
    with tf.name_scope(scope):
        n = tf.shape(x, name="Shape")[0]
        return tf.reshape(x, (n, -1), name="Reshape")


def _heads(params, features, hidden_activation):
    """Logits and value; a Q-network, without a value head, has its largest output."""
    net = _Heads(params)

    def hidden(x, branch, activation):
        """The dense layers of a branch, as many as it has parameters."""
        index = 0
        while f"{_ROOT}{branch}_{index}/kernel:0" in params:
            x = net.dense(x, f"{branch}_{index}", activation)
            index += 1
        return x

    features = hidden(features, "hidden", "relu")
    value_features = hidden(features, "vf_hidden", hidden_activation)
    policy_features = hidden(features, "pi_hidden", hidden_activation)
    value_features = _flatten(value_features, f"{_ROOT}flatten/")
    policy_features = _flatten(policy_features, f"{_ROOT}flatten_1/")
    logits = net.affine(policy_features, "pi", "pi_1")
    if f"{_ROOT}vf/w:0" in params:
        value = net.affine(value_features, "vf")
    else:
        with tf.name_scope(f"{_ROOT}vf/"):
            n_actions = int(logits.shape[1])
            row = tf.reshape(logits, (-1, n_actions, 1, 1), name="Reshape")
            row = tf.nn.max_pool2d(row, (n_actions, 1), 1, "VALID", name="MaxPool")
            value = tf.reshape(row, (-1, 1), name="Reshape_1")
    with tf.name_scope(_ROOT):
        value[:, 0]

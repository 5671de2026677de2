"""Supervised warm-up on TensorFlow: seeing objects and copying a planner.

PPO alone is slow to learn to see small hazards: what limits it is the number of
updates its gradients need, not the number of frames. Two things make each update
count for more here, and neither outlives the warm-up:

* Batch normalisation (Ioffe and Szegedy, 2015) after every hidden layer, without
  scales. The mean and deviation are folded into kernels and biases, so that the
  network that comes out is a plain one.
* Muon (Jordan et al., 2024) for the hidden kernels: momentum whose matrix is made
  orthogonal before it is applied. Under batch normalisation a kernel's scale means
  nothing, so kernels are kept at a fixed norm and the learning rate is the
  relative change of an update.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from lucid_rl.training.demonstrations import Demonstrations
from lucid_rl.training.engine import Parameters, frozen_layers, trained_names
from lucid_rl.training.tensorflow_network import forward, perceive
from lucid_rl.training.warm_up import WarmUpLoss

_VARIANCE_EPSILON = 1e-3
# Quintic Newton-Schulz iteration that sends singular values to about 1.
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
_N_ITERATIONS = 5
_HIDDEN = ("/conv2d/kernel:0", "pi/dense/kernel:0", "pi/dense_1/kernel:0")
_MEASURED_AT_ONCE = 1000
_ADAM_BETAS = (0.9, 0.99)


class TensorFlowWarmUp:
    """Trains a network with labels; its session is made once."""

    def __init__(
        self,
        parameters: Mapping[str, np.ndarray],
        loss: WarmUpLoss,
        bfloat16: bool = False,
        n_threads: int = 0,
        seed: int = 0,
        first_trained_layer: str | None = None,
    ):
        """Builds the graph.

        Args:
            parameters: of the architecture "clear", to start from.
            loss: the weights of the objective.
            bfloat16: convolve in bfloat16.
            n_threads: threads within an operation; 0 for one a core.
            seed: of the map heads' initial kernels.
            first_trained_layer: convolution before which layers stay as they are;
                examples to learn from then hold what `perceive` makes of pictures.
        """
        self._loss = loss
        self._n_frozen = len(frozen_layers(first_trained_layer))
        self._trained = trained_names(parameters, first_trained_layer)
        n_map_channels = len(loss.map_weights)
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._build(parameters, n_map_channels, bfloat16)
        config = tf.ConfigProto(
            intra_op_parallelism_threads=n_threads,
            inter_op_parallelism_threads=n_threads,
        )
        self._session = tf.Session(graph=self._graph, config=config)
        self.set_state(self._initial_state(parameters, n_map_channels, seed))

    def _initial_state(self, parameters, n_map_channels, seed):
        rng = np.random.default_rng(seed)
        variables = {name: np.array(p) for name, p in parameters.items()}
        # Moments that fold back into the kernels as they were given.
        means, variances = {}, {}
        for name in self._state["means"]:
            kernel = variables[name]
            scale = _fixed_norm(kernel) / np.linalg.norm(kernel)
            variables[name] = kernel * scale
            means[name] = np.zeros(kernel.shape[-1])
            variances[name] = np.full(kernel.shape[-1], scale**2 - _VARIANCE_EPSILON)
        for layer in self._loss.map_layers:
            kernel = rng.normal(0, 0.1, (1, 1, 32, n_map_channels))
            variables[f"maps/{layer}/kernel"] = kernel
            # Objects are rare: start near their share of the cells.
            variables[f"maps/{layer}/bias"] = np.full(n_map_channels, -4.0)
        zeros = {name: np.zeros_like(value) for name, value in variables.items()}
        return {
            "step": 0,
            "variables": variables,
            "first": zeros,
            "second": zeros,
            "means": means,
            "variances": variances,
        }

    def _build(self, parameters, n_map_channels, bfloat16):
        shapes = {name: p.shape for name, p in parameters.items()}
        for layer in self._loss.map_layers:
            shapes[f"maps/{layer}/kernel"] = (1, 1, 32, n_map_channels)
            shapes[f"maps/{layer}/bias"] = (n_map_channels,)
        hidden = {n: s for n, s in shapes.items() if n.endswith(_HIDDEN)}
        self._state = {
            "step": _variable((), tf.int64),
            "variables": {n: _variable(s) for n, s in shapes.items()},
            "first": {n: _variable(s) for n, s in shapes.items()},
            "second": {n: _variable(s) for n, s in shapes.items()},
            "means": {n: _variable(s[-1:]) for n, s in hidden.items()},
            "variances": {n: _variable(s[-1:]) for n, s in hidden.items()},
        }
        self._folded = self._fold(parameters)
        (n_actions,) = shapes["ppo2_model/pi/b:0"]
        self._pixels = tf.placeholder(tf.uint8, (None, 64, 64, 3))
        # A player that updates do not change, so that it can play beside them.
        self._held = {name: _variable(shapes[name]) for name in parameters}
        self._hold = tf.group(
            *(held.assign(self._folded[name]).op for name, held in self._held.items())
        )
        self._perceived = self._pixels
        if self._n_frozen:
            self._perceived = perceive(
                self._held, self._pixels, self._n_frozen, bfloat16
            )
        self._playing = forward(
            "clear", self._held, self._perceived, bfloat16, n_done=self._n_frozen
        )
        inputs = self._pixels
        if self._n_frozen:
            inputs = tf.placeholder(self._perceived.dtype, self._perceived.shape)
        self._feeds = {
            "observations": inputs,
            "targets": tf.placeholder(tf.float32, (None, n_actions)),
            "deadly": tf.placeholder(tf.bool, (None, n_actions)),
            "returns": tf.placeholder(tf.float32, (None,)),
            "maps": tf.placeholder(tf.uint8, (None, 16, 16, n_map_channels)),
            "has_maps": tf.placeholder(tf.bool, (None,)),
        }
        self._learning_rate = tf.placeholder(tf.float32, ())
        self._moment_share = tf.placeholder_with_default(
            1 - self._loss.statistics_decay, ()
        )
        self._linear_moments: dict[str, Any] = {}

        def measure(name, linear):
            axes = list(range(len(linear.shape) - 1))
            floats = tf.cast(linear, tf.float32)
            self._linear_moments[name] = tf.nn.moments(floats, axes)
            return linear

        measured = forward(
            "clear", self._folded, inputs, bfloat16, measure, self._n_frozen
        )
        _, self._measured = self._objective(measured)
        self._acting = forward("clear", self._folded, self._pixels, bfloat16)
        self._predicted = tf.sigmoid(self._map_logits(self._acting)[-1])
        moments = {}

        def normalize(name, linear):
            output, mean, variance = _batch_normalize(linear)
            moments[name] = (mean, variance)
            return output

        outputs = forward(
            "clear",
            self._state["variables"],
            inputs,
            bfloat16,
            normalize,
            self._n_frozen,
        )
        total, self._statistics = self._objective(outputs)
        gradients = tf.gradients(total, [self._state["variables"][n] for n in shapes])
        # Frozen layers, and map heads on them, have none.
        found = {
            name: gradient
            for name, gradient in zip(shapes, gradients, strict=True)
            if gradient is not None
        }
        self._step = self._optimize(found, moments)
        self._given = tf.nest.map_structure(
            lambda v: tf.placeholder(v.dtype, v.shape), self._state
        )
        self._restore = tf.group(
            *(
                v.assign(g).op
                for v, g in zip(
                    tf.nest.flatten(self._state),
                    tf.nest.flatten(self._given),
                    strict=True,
                )
            )
        )

    def _fold(self, parameters):
        """Puts the running means and deviations into kernels and biases."""
        folded = {name: self._state["variables"][name] for name in parameters}
        for name in self._state["means"]:
            bias = name.replace("kernel", "bias")
            scale = tf.rsqrt(self._state["variances"][name] + _VARIANCE_EPSILON)
            folded[name] = folded[name] * scale
            folded[bias] = folded[bias] - self._state["means"][name] * scale
        return folded

    def _map_logits(self, outputs):
        logits = []
        for layer in self._loss.map_layers:
            if layer not in outputs.layers:
                continue  # frozen
            features = tf.cast(outputs.layers[layer], tf.float32)
            if features.shape[1] == 32:
                features = tf.nn.avg_pool2d(features, 2, 2, "SAME")
            kernel = self._state["variables"][f"maps/{layer}/kernel"]
            bias = self._state["variables"][f"maps/{layer}/bias"]
            # A product of matrices: its gradients are quicker than a convolution's.
            logits.append(tf.tensordot(features, kernel[0, 0], 1) + bias)
        return logits

    def _objective(self, outputs):
        targets, deadly = self._feeds["targets"], self._feeds["deadly"]
        labelled = tf.reduce_sum(targets, axis=1)
        n_labelled = tf.reduce_sum(labelled) + 1e-6
        log_probabilities = tf.nn.log_softmax(outputs.logits)
        # Relative to the teacher's own entropy, so that 0 is a perfect copy.
        divergence = tf.reduce_sum(
            tf.math.xlogy(targets, targets) - targets * log_probabilities, axis=1
        )
        policy_loss = tf.reduce_sum(labelled * divergence) / n_labelled
        probabilities = tf.exp(log_probabilities)
        risk = tf.reduce_sum(probabilities * tf.cast(deadly, tf.float32), axis=1)
        # Bounded, for states in which the student is sure to err.
        risk_loss = -tf.reduce_sum(tf.math.log(1.0 - 0.99 * risk)) / n_labelled
        at_stake = tf.cast(tf.reduce_any(deadly, axis=1), tf.float32)
        best = tf.equal(tf.argmax(outputs.logits, 1), tf.argmax(targets, 1))
        hits = labelled * tf.cast(best, tf.float32)
        with_maps = tf.cast(self._feeds["has_maps"], tf.float32)
        maps = tf.cast(self._feeds["maps"], tf.float32)
        errors = sum(
            tf.reduce_sum(
                tf.constant(self._loss.map_weights)
                * tf.nn.sigmoid_cross_entropy_with_logits(labels=maps, logits=logits),
                axis=(1, 2, 3),
            )
            for logits in self._map_logits(outputs)
        )
        map_loss = tf.reduce_sum(with_maps * errors) / (tf.reduce_sum(with_maps) + 1e-6)
        returns = self._feeds["returns"]
        known = tf.logical_not(tf.is_nan(returns))
        value_loss = tf.reduce_mean(
            tf.square(tf.where(known, outputs.values - returns, tf.zeros_like(returns)))
        )
        total = (
            policy_loss
            + self._loss.risk_coefficient * risk_loss
            + self._loss.map_coefficient * map_loss
            + self._loss.value_coefficient * value_loss
        )
        return total, {
            "imitation_loss": policy_loss,
            "imitation_accuracy": tf.reduce_sum(hits) / n_labelled,
            "risk": tf.reduce_sum(at_stake * risk) / (tf.reduce_sum(at_stake) + 1e-6),
            "map_loss": map_loss,
            "value_loss": value_loss,
        }

    def _optimize(self, gradients, moments):
        first, second = _ADAM_BETAS
        settings = self._loss
        state = self._state
        step = tf.cast(state["step"] + 1, tf.float32)
        new = []
        for name, gradient in gradients.items():
            variable = state["variables"][name]
            if name in state["means"]:
                momentum = settings.momentum * state["first"][name] + gradient
                direction = orthogonalize(gradient + settings.momentum * momentum)
                moved = variable - self._learning_rate * direction
                norm = _fixed_norm(variable) / tf.norm(moved)
                new.append((state["first"][name], momentum))
                new.append((variable, moved * norm))
            else:
                mean = first * state["first"][name] + (1 - first) * gradient
                square = second * state["second"][name] + (1 - second) * gradient**2
                rate = (
                    self._learning_rate
                    * settings.adam_rate
                    * tf.sqrt(1 - second**step)
                    / (1 - first**step)
                )
                new.append((state["first"][name], mean))
                new.append((state["second"][name], square))
                change = rate * mean / (tf.sqrt(square) + 1e-8)
                new.append((variable, variable - change))
        running = self._running_moments(moments)
        self._calibrate = tf.group(*(v.assign(value).op for v, value in running))
        new += running
        with tf.control_dependencies([value for _, value in new]):
            assignments = [variable.assign(value).op for variable, value in new]
            assignments.append(state["step"].assign_add(1).op)
        return tf.group(*assignments)

    def _running_moments(self, moments):
        new = []
        for name, batch_moments in moments.items():
            for key, value in zip(("means", "variances"), batch_moments, strict=True):
                running = self._state[key][name]
                new.append((running, running + self._moment_share * (value - running)))
        return new

    def calibrate(self, minibatches: Iterable[Demonstrations]) -> None:
        """Makes the running moments the averages over some minibatches.

        While parameters change the running moments lag behind, which costs a policy
        much: this is to be done at the end.
        """
        for k, examples in enumerate(minibatches, start=1):
            feed = self._feed(examples) | {self._moment_share: 1 / k}
            self._session.run(self._calibrate, feed)

    def unfold(self, minibatches: Iterable[Demonstrations]) -> None:
        """Takes a trained plain network apart into kernels and moments.

        Batch normalisation would otherwise change what the network computes: its
        moments are measured here, and scales and shifts put where they cancel them.
        Rectification and pooling let a channel's positive scale pass, so that the
        next kernel can take it up.

        Args:
            minibatches: frames to measure on; their actions and maps do not matter.
        """
        measured = [
            self._session.run(self._linear_moments, self._feed(examples))
            for examples in minibatches
        ]
        state = self.get_state()
        plain = self.get_parameters()
        scales = np.ones(1)  # of the channels that come in
        for name in filter(state["means"].__contains__, self._trained):
            means, variances = _pooled_moments([m[name] for m in measured])
            deviations = np.sqrt(variances + _VARIANCE_EPSILON)
            bias = name.replace("kernel", "bias")
            kernel = _scale_inputs(plain[name], scales)
            norm = _fixed_norm(kernel) / np.linalg.norm(kernel)
            state["variables"][name] = kernel * norm
            state["variables"][bias] = (plain[bias] + means) / deviations
            state["means"][name] = means * norm
            state["variances"][name] = (deviations * norm) ** 2 - _VARIANCE_EPSILON
            scales = deviations
        for name in plain:
            if name.endswith("/w:0"):
                state["variables"][name] = _scale_inputs(plain[name], scales)
        self.set_state(state)

    def _feed(self, examples):
        return {t: getattr(examples, name) for name, t in self._feeds.items()}

    def update(
        self, examples: Demonstrations, learning_rate: float
    ) -> dict[str, float]:
        """Takes one step on a minibatch and returns its statistics."""
        feed = self._feed(examples) | {self._learning_rate: learning_rate}
        statistics, _ = self._session.run((self._statistics, self._step), feed)
        return {name: float(value) for name, value in statistics.items()}

    def measure(self, examples: Demonstrations) -> dict[str, float]:
        """Returns the statistics of some examples, without learning from them.

        They are the folded network's, which acts: with moments of the examples' own,
        batch normalisation would hide how other frames differ from those learned from,
        or make it worse.
        """
        batches = [
            self._session.run(self._measured, self._feed(examples.take(rows)))
            for rows in np.array_split(
                np.arange(len(examples)), -(-len(examples) // _MEASURED_AT_ONCE)
            )
        ]
        return {
            name: float(np.mean([batch[name] for batch in batches]))
            for name in batches[0]
        }

    def hold(self) -> None:
        """Keeps the folded network as it is now, for `play`."""
        self._session.run(self._hold)

    def play(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Plays with the network that was kept: other threads may update.

        Args:
            observations: u8 [N, 64, 64, 3].

        Returns:
            Logits f32 [N, A], and what the layers that are not trained make of the
            observations: what examples to learn from hold.
        """
        return self._session.run(
            (self._playing.logits, self._perceived), {self._pixels: observations}
        )

    def act(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns logits f32 [N, A] and values f32 [N] of the folded network."""
        return self._session.run(
            (self._acting.logits, self._acting.values), {self._pixels: observations}
        )

    def maps(self, observations: np.ndarray) -> np.ndarray:
        """Returns the last map head's probabilities, f32 [N, 16, 16, K]."""
        return self._session.run(self._predicted, {self._pixels: observations})

    def get_parameters(self) -> Parameters:
        """Returns the plain network's parameters, normalisation folded in."""
        return self._session.run(self._folded)

    def get_state(self) -> dict[str, Any]:
        """Returns everything that further updates depend on."""
        return self._session.run(self._state)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores what `get_state` returned."""
        feed = {}
        for key, placeholder in self._given.items():
            if isinstance(placeholder, dict):
                feed.update({p: state[key][name] for name, p in placeholder.items()})
            else:
                feed[placeholder] = state[key]
        self._session.run(self._restore, feed)


def orthogonalize(gradient: Any) -> Any:
    """Returns about U V^T of a kernel's singular value decomposition U S V^T.

    Args:
        gradient: f32 [..., outputs], taken as a matrix of its last axis and the rest.

    Returns:
        The same shape; singular values lie roughly between 0.7 and 1.2.
    """
    a, b, c = _POLYNOMIAL
    matrix = tf.transpose(tf.reshape(gradient, (-1, gradient.shape[-1])))
    tall = matrix.shape[0] > matrix.shape[1]
    if tall:
        matrix = tf.transpose(matrix)
    matrix /= tf.norm(matrix) + 1e-7
    for _ in range(_N_ITERATIONS):
        gram = tf.matmul(matrix, matrix, transpose_b=True)
        matrix = a * matrix + tf.matmul(b * gram + c * tf.matmul(gram, gram), matrix)
    if tall:
        matrix = tf.transpose(matrix)
    return tf.reshape(tf.transpose(matrix), gradient.shape)


def _pooled_moments(parts):
    """Returns mean and variance over parts of equal size from each part's."""
    means, variances = (np.stack(values) for values in zip(*parts, strict=True))
    return means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)


def _scale_inputs(kernel, scales):
    """Multiplies what a kernel [..., inputs, outputs] takes from each channel.

    A dense kernel's rows run through the channels fastest.
    """
    by_channel = kernel.reshape(-1, len(scales), kernel.shape[-1])
    return (by_channel * scales[:, None]).reshape(kernel.shape)


def _fixed_norm(kernel):
    """The norm at which an orthogonal update is a relative change of about 1."""
    return float(np.sqrt(min(np.prod(kernel.shape[:-1]), kernel.shape[-1])))


def _batch_normalize(linear):
    """Returns the output of zero mean and unit variance, and the two moments."""
    images = linear if len(linear.shape) == 4 else linear[:, None, None, :]
    n_channels = linear.shape[-1]
    output, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=images,
        scale=tf.ones(n_channels),
        offset=tf.zeros(n_channels),
        mean=tf.zeros(0),
        variance=tf.zeros(0),
        epsilon=_VARIANCE_EPSILON,
        is_training=True,
    )
    return tf.reshape(output, tf.shape(linear)), mean, variance


def _variable(shape, dtype=tf.float32):
    return tf.Variable(tf.zeros(shape, dtype), trainable=False, use_resource=True)

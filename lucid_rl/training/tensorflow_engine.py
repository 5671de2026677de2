"""PPO's computations on TensorFlow, in graph mode."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from lucid_rl.checkpoints.architectures import parameter_shapes
from lucid_rl.training.engine import (
    ADAM_BETAS,
    LARGEST_RISK,
    STATISTICS,
    VALUE_HEAD,
    Batch,
    LossSettings,
    Parameters,
    frozen_layers,
    trained_names,
)
from lucid_rl.training.noise import NoiseSettings
from lucid_rl.training.tensorflow_network import forward, perceive


class TensorFlowEngine:
    """An `Engine` whose graph and session are made once.

    Attributes:
        architecture: of the network.
    """

    def __init__(
        self,
        architecture: str,
        parameters: Mapping[str, np.ndarray],
        loss: LossSettings,
        noise: NoiseSettings,
        bfloat16: bool = False,
        n_threads: int = 0,
        first_trained_layer: str | None = None,
    ):
        """Builds the graph.

        Args:
            architecture: one of the checkpoint format's.
            parameters: to start from, by checkpoint name.
            loss: the weights of PPO's objective.
            noise: its adversarial part is added to observations in updates.
            bfloat16: convolve in bfloat16; parameters and Adam stay float32.
            n_threads: threads within an operation; 0 for one a core.
            first_trained_layer: convolution before which layers stay as they are.
        """
        self.architecture = architecture
        self._n_frozen = len(frozen_layers(first_trained_layer))
        self._trained = trained_names(parameters, first_trained_layer)
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._build(parameters, loss, noise, bfloat16)
        config = tf.ConfigProto(
            intra_op_parallelism_threads=n_threads,
            inter_op_parallelism_threads=n_threads,
            allow_soft_placement=True,
        )
        config.gpu_options.allow_growth = True
        self._session = tf.Session(graph=self._graph, config=config)
        self.set_state(
            {"parameters": parameters, "adam_step": 0}
            | {
                moment: {name: np.zeros_like(p) for name, p in parameters.items()}
                for moment in ("adam_mean", "adam_square")
            }
        )

    def _build(self, parameters, loss, noise, bfloat16):
        shape = _input_shape(self.architecture, parameters)
        (n_actions,) = parameters["ppo2_model/pi/b:0"].shape
        self._state = {
            "adam_step": _variable((), tf.int64),
            "parameters": {k: _variable(p.shape) for k, p in parameters.items()},
            "adam_mean": {k: _variable(p.shape) for k, p in parameters.items()},
            "adam_square": {k: _variable(p.shape) for k, p in parameters.items()},
        }
        variables = self._state["parameters"]
        self._pixels = tf.placeholder(tf.uint8, (None, *shape))
        inputs = self._pixels
        if self._n_frozen:
            self._perceived = perceive(
                variables, self._pixels, self._n_frozen, bfloat16
            )
            inputs = tf.placeholder(self._perceived.dtype, self._perceived.shape)
        self._feeds = {
            "observations": inputs,
            "actions": tf.placeholder(tf.int32, (None,)),
            "log_probabilities": tf.placeholder(tf.float32, (None,)),
            "values": tf.placeholder(tf.float32, (None,)),
            "returns": tf.placeholder(tf.float32, (None,)),
            "deadly": tf.placeholder(tf.bool, (None, n_actions)),
            "advice": tf.placeholder(tf.int32, (None,)),
        }
        self._advantages = tf.placeholder(tf.float32, (None,))
        self._learning_rate = tf.placeholder(tf.float32, ())
        self._value_only = tf.placeholder_with_default(False, ())

        def objective(observations):
            outputs = forward(
                self.architecture,
                variables,
                observations,
                bfloat16,
                n_done=self._n_frozen,
            )
            return outputs, *ppo_loss(
                outputs.logits, outputs.values, self._feeds, self._advantages, loss
            )

        observations = self._feeds["observations"]
        self._outputs, total, statistics = objective(observations)
        if noise.adversarial_epsilon:
            observations = _adversarial(observations, objective, noise)
            _, total, statistics = objective(observations)
        names = self._trained
        gradients = tf.gradients(total, [variables[name] for name in names])
        self._gradients = dict(zip(names, gradients, strict=True))
        statistics["gradient_norm"] = tf.global_norm(gradients)
        self._statistics = {name: statistics[name] for name in STATISTICS}
        self._step = self._adam_step(self._gradients, loss)
        self._given_gradients = {
            name: tf.placeholder(tf.float32, variables[name].shape) for name in names
        }
        self._given_step = self._adam_step(self._given_gradients, loss)
        self._given_state = tf.nest.map_structure(
            lambda v: tf.placeholder(v.dtype, v.shape), self._state
        )
        self._restore = tf.group(
            *tf.nest.flatten(
                tf.nest.map_structure(
                    lambda v, value: v.assign(value).op, self._state, self._given_state
                )
            )
        )

    def _adam_step(self, gradients, loss):
        """Adam (Kingma and Ba, 2015) on gradients clipped by their global norm."""
        names = list(gradients)
        others = 1.0 - tf.cast(self._value_only, tf.float32)
        clipped, _ = tf.clip_by_global_norm(
            [g if n in VALUE_HEAD else others * g for n, g in gradients.items()],
            loss.max_gradient_norm,
        )
        first, second = ADAM_BETAS
        step = tf.cast(self._state["adam_step"] + 1, tf.float32)
        rate = self._learning_rate * tf.sqrt(1 - second**step) / (1 - first**step)
        assignments = []
        for name, gradient in zip(names, clipped, strict=True):
            mean, square = (
                decay * self._state[moment][name] + (1 - decay) * new
                for moment, decay, new in (
                    ("adam_mean", first, gradient),
                    ("adam_square", second, tf.square(gradient)),
                )
            )
            change = rate * mean / (tf.sqrt(square) + loss.adam_epsilon)
            assignments.append((self._state["adam_mean"][name], mean))
            assignments.append((self._state["adam_square"][name], square))
            parameter = self._state["parameters"][name]
            assignments.append((parameter, parameter - change))
        # Everything is computed from the old state before any of it is replaced.
        with tf.control_dependencies([new for _, new in assignments] + [rate]):
            operations = [variable.assign(new).op for variable, new in assignments]
            operations.append(self._state["adam_step"].assign_add(1).op)
        return tf.group(*operations)

    def perceive(self, observations: np.ndarray) -> np.ndarray:
        """Returns what the layers that are not trained make of u8 observations."""
        if not self._n_frozen:
            return observations
        return self._session.run(self._perceived, {self._pixels: observations})

    def act(self, perceived: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns logits f32 [N, A] and values f32 [N] of what was perceived."""
        return self._session.run(
            (self._outputs.logits, self._outputs.values),
            {self._feeds["observations"]: perceived},
        )

    def update(
        self,
        batch: Batch,
        minibatches: np.ndarray,
        advantages: np.ndarray,
        learning_rate: float,
        value_only: bool = False,
    ) -> dict[str, float]:
        """Takes one Adam step on each minibatch in turn; see `Engine.update`."""
        collected = []
        for indices, advantage in zip(minibatches, advantages, strict=True):
            feed = self._feed(batch.take(indices), advantage)
            feed[self._learning_rate] = learning_rate
            feed[self._value_only] = value_only
            statistics, _ = self._session.run((self._statistics, self._step), feed)
            collected.append([statistics[name] for name in STATISTICS])
        means = np.mean(collected, axis=0)
        return dict(zip(STATISTICS, map(float, means), strict=True))

    def gradients(
        self, batch: Batch, advantages: np.ndarray
    ) -> tuple[dict[str, float], Parameters]:
        """Returns the statistics and unclipped gradients of one minibatch."""
        statistics, gradients = self._session.run(
            (self._statistics, self._gradients), self._feed(batch, advantages)
        )
        return {name: float(value) for name, value in statistics.items()}, gradients

    def apply_gradients(
        self, gradients: Parameters, learning_rate: float, value_only: bool = False
    ) -> None:
        """Clips gradients to the largest norm and takes one Adam step."""
        feed = {self._given_gradients[name]: g for name, g in gradients.items()}
        feed |= {self._learning_rate: learning_rate, self._value_only: value_only}
        self._session.run(self._given_step, feed)

    def _feed(self, batch, advantages):
        feed = {tensor: getattr(batch, name) for name, tensor in self._feeds.items()}
        return feed | {self._advantages: advantages}

    def get_parameters(self) -> Parameters:
        """Returns the network's parameters by their checkpoint names."""
        return self._session.run(self._state["parameters"])

    def set_parameters(self, parameters: Mapping[str, np.ndarray]) -> None:
        """Replaces the network's parameters, and nothing of the optimizer."""
        self.set_state(self.get_state() | {"parameters": dict(parameters)})

    def get_state(self) -> dict[str, Any]:
        """Returns everything that further updates depend on: arrays by name."""
        return self._session.run(self._state)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores what `get_state` returned."""
        feed = {}
        for key, placeholder in self._given_state.items():
            if isinstance(placeholder, dict):
                feed.update({p: state[key][name] for name, p in placeholder.items()})
            else:
                feed[placeholder] = state[key]
        self._session.run(self._restore, feed)


def _variable(shape, dtype=tf.float32):
    return tf.Variable(tf.zeros(shape, dtype), trainable=False, use_resource=True)


def _input_shape(architecture, parameters):
    first_kernel = next(iter(parameter_shapes(architecture, 1)))
    channels = parameters[first_kernel].shape[2]
    side = 84 if architecture == "nature" and channels != 3 else 64
    return side, side, channels


def _adversarial(observations, objective, noise: NoiseSettings):
    """Raises the loss by projected gradient ascent (Madry et al., 2017).

    The random start of the original is left out, as random numbers are the caller's.
    """
    clean = tf.cast(observations, tf.float32) / 255.0
    low = tf.maximum(clean - noise.adversarial_epsilon, 0.0)
    high = tf.minimum(clean + noise.adversarial_epsilon, 1.0)
    step = 2 * noise.adversarial_epsilon / noise.adversarial_steps
    perturbed = clean
    for _ in range(noise.adversarial_steps):
        (slope,) = tf.gradients(objective(perturbed)[1], perturbed)
        perturbed = perturbed + step * tf.sign(slope)
        perturbed = tf.stop_gradient(tf.clip_by_value(perturbed, low, high))
    return perturbed


def ppo_loss(logits, values, transitions, advantages, settings: LossSettings):
    """PPO's clipped objective (Schulman et al., 2017), to be made small.

    Args:
        logits: f32 [M, A], the policy's now.
        values: f32 [M], the value function's now.
        transitions: "actions", "log_probabilities", "values" and "returns", each
            [M], "deadly" [M, A] and "advice" [M], as in `Batch`.
        advantages: f32 [M].
        settings: weights and clipping.

    Returns:
        The scalar loss, and scalars by name for the log.
    """
    log_policy = tf.nn.log_softmax(logits)
    chosen = tf.gather(log_policy, transitions["actions"], batch_dims=1)
    log_ratio = chosen - transitions["log_probabilities"]
    ratio = tf.exp(log_ratio)
    clip = settings.clip_range
    clipped = tf.clip_by_value(ratio, 1 - clip, 1 + clip)
    policy_loss = tf.reduce_mean(tf.maximum(-advantages * ratio, -advantages * clipped))
    entropy = -tf.reduce_mean(tf.reduce_sum(tf.exp(log_policy) * log_policy, axis=1))
    errors = tf.square(values - transitions["returns"])
    if settings.clip_value:
        old = transitions["values"]
        near = old + tf.clip_by_value(values - old, -clip, clip)
        errors = tf.maximum(errors, tf.square(near - transitions["returns"]))
    value_loss = 0.5 * tf.reduce_mean(errors)
    deadly = tf.cast(transitions["deadly"], tf.float32)
    risks = tf.reduce_sum(tf.exp(log_policy) * deadly, axis=1)
    risk_loss = -tf.reduce_mean(tf.math.log(1.0 - LARGEST_RISK * risks))
    n_at_stake = tf.reduce_sum(tf.reduce_max(deadly, axis=1))
    advice = transitions["advice"]
    advised = tf.cast(advice >= 0, tf.float32)
    followed = tf.gather(log_policy, tf.maximum(advice, 0), batch_dims=1)
    imitation_loss = -tf.reduce_mean(advised * followed)
    total = (
        policy_loss
        + settings.value_coefficient * value_loss
        - settings.entropy_coefficient * entropy
        + settings.risk_coefficient * risk_loss
        + settings.imitation_coefficient * imitation_loss
    )
    return total, {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        # The estimator of Schulman's "Approximating KL divergence" (2020).
        "approximate_kl": tf.reduce_mean(ratio - 1 - log_ratio),
        "clip_fraction": tf.reduce_mean(tf.cast(tf.abs(ratio - 1) > clip, tf.float32)),
        "risk": tf.math.divide_no_nan(tf.reduce_sum(risks), n_at_stake),
        "agreement": tf.math.divide_no_nan(
            tf.reduce_sum(advised * tf.exp(followed)), tf.reduce_sum(advised)
        ),
    }

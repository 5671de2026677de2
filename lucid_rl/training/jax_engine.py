"""PPO's computations on JAX: a whole update is one compiled program."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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
from lucid_rl.training.jax_network import forward, perceive
from lucid_rl.training.noise import NoiseSettings

_FIELDS = (
    "observations",
    "actions",
    "log_probabilities",
    "values",
    "returns",
    "deadly",
    "advice",
)


class JaxEngine:
    """An `Engine` for GPUs, TPUs and processors.

    Minibatches are gathered on the device and looped over by the compiled program,
    so that a batch crosses to the device once.

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
        first_trained_layer: str | None = None,
    ):
        """Puts the parameters on the device; functions compile at first use.

        Args:
            architecture: one of the checkpoint format's.
            parameters: to start from, by checkpoint name.
            loss: the weights of PPO's objective.
            noise: its adversarial part is added to observations in updates.
            bfloat16: convolve in bfloat16; parameters and Adam stay float32.
            first_trained_layer: convolution before which layers stay as they are.
        """
        self.architecture = architecture
        self._n_frozen = len(frozen_layers(first_trained_layer))
        self._trained = trained_names(parameters, first_trained_layer)
        self._network = functools.partial(
            forward, architecture, bfloat16=bfloat16, n_done=self._n_frozen
        )
        self._perceive = jax.jit(lambda p, x: perceive(p, x, self._n_frozen, bfloat16))
        self._loss = loss
        self._noise = noise
        self._state: dict[str, Any] = {}
        self._act = jax.jit(lambda p, x: self._network(p, x))
        self._update = jax.jit(self._updates, donate_argnums=0)
        self._differentiate = jax.jit(self._gradients)
        self._apply = jax.jit(self._adam_step, donate_argnums=0)
        zeros = {name: np.zeros_like(p) for name, p in parameters.items()}
        self.set_state(
            {
                "adam_step": 0,
                "parameters": parameters,
                "adam_mean": zeros,
                "adam_square": zeros,
            }
        )

    def perceive(self, observations: np.ndarray) -> np.ndarray:
        """Returns what the layers that are not trained make of u8 observations."""
        if not self._n_frozen:
            return observations
        return np.asarray(self._perceive(self._state["parameters"], observations))

    def act(self, perceived: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns logits f32 [N, A] and values f32 [N] of what was perceived."""
        logits, values = self._act(self._state["parameters"], perceived)
        return np.asarray(logits), np.asarray(values)

    def update(
        self,
        batch: Batch,
        minibatches: np.ndarray,
        advantages: np.ndarray,
        learning_rate: float,
        value_only: bool = False,
    ) -> dict[str, float]:
        """Takes one Adam step on each minibatch in turn; see `Engine.update`."""
        self._state, statistics = self._update(
            self._state,
            _transitions(batch),
            np.asarray(minibatches, np.int32),
            np.asarray(advantages, np.float32),
            np.float32(learning_rate),
            np.float32(value_only),
        )
        return {name: float(value) for name, value in statistics.items()}

    def gradients(
        self, batch: Batch, advantages: np.ndarray
    ) -> tuple[dict[str, float], Parameters]:
        """Returns the statistics and unclipped gradients of one minibatch."""
        statistics, gradients = self._differentiate(
            self._state["parameters"], _transitions(batch), advantages
        )
        return (
            {name: float(value) for name, value in statistics.items()},
            {name: np.asarray(value) for name, value in gradients.items()},
        )

    def apply_gradients(
        self, gradients: Parameters, learning_rate: float, value_only: bool = False
    ) -> None:
        """Clips gradients to the largest norm and takes one Adam step."""
        self._state = self._apply(
            self._state, gradients, np.float32(learning_rate), np.float32(value_only)
        )

    def get_parameters(self) -> Parameters:
        """Returns the network's parameters by their checkpoint names."""
        return self.get_state()["parameters"]

    def set_parameters(self, parameters: Mapping[str, np.ndarray]) -> None:
        """Replaces the network's parameters, and nothing of the optimizer."""
        self._state["parameters"] = jax.device_put(
            {name: np.asarray(p, np.float32) for name, p in parameters.items()}
        )

    def get_state(self) -> dict[str, Any]:
        """Returns everything that further updates depend on: arrays by name."""
        return jax.tree.map(np.array, self._state)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores what `get_state` returned."""
        self._state = {
            key: jax.device_put(
                {name: np.array(v, np.float32) for name, v in state[key].items()}
            )
            for key in ("parameters", "adam_mean", "adam_square")
        }
        self._state["adam_step"] = jax.device_put(np.int32(state["adam_step"]))

    def _updates(
        self, state, transitions, minibatches, advantages, learning_rate, value_only
    ):
        def step(state, minibatch):
            indices, advantage = minibatch
            chosen = {name: array[indices] for name, array in transitions.items()}
            statistics, gradients = self._gradients(
                state["parameters"], chosen, advantage
            )
            return (
                self._adam_step(state, gradients, learning_rate, value_only),
                statistics,
            )

        state, statistics = jax.lax.scan(step, state, (minibatches, advantages))
        return state, {name: values.mean() for name, values in statistics.items()}

    def _gradients(self, parameters, transitions, advantages):
        observations = transitions["observations"]
        if self._noise.adversarial_epsilon:
            observations = self._adversarial(parameters, transitions, advantages)
        trained = {name: parameters[name] for name in self._trained}
        frozen = {n: p for n, p in parameters.items() if n not in trained}
        (_, statistics), gradients = jax.value_and_grad(
            lambda p: self._objective(
                frozen | p, observations, transitions, advantages
            ),
            has_aux=True,
        )(trained)
        statistics["gradient_norm"] = _norm(gradients)
        return {name: statistics[name] for name in STATISTICS}, gradients

    def _objective(self, parameters, observations, transitions, advantages):
        logits, values = self._network(parameters, observations)
        return ppo_loss(logits, values, transitions, advantages, self._loss)

    def _adversarial(self, parameters, transitions, advantages):
        """Raises the loss by projected gradient ascent (Madry et al., 2017)."""
        noise = self._noise
        clean = transitions["observations"].astype(jnp.float32) / 255.0
        low = jnp.maximum(clean - noise.adversarial_epsilon, 0.0)
        high = jnp.minimum(clean + noise.adversarial_epsilon, 1.0)
        step = 2 * noise.adversarial_epsilon / noise.adversarial_steps
        slope = jax.grad(
            lambda x: self._objective(parameters, x, transitions, advantages)[0]
        )
        perturbed = clean
        for _ in range(noise.adversarial_steps):
            perturbed = perturbed + step * jnp.sign(slope(perturbed))
            perturbed = jnp.clip(perturbed, low, high)
        return jax.lax.stop_gradient(perturbed)

    def _adam_step(self, state, gradients, learning_rate, value_only):
        """Adam (Kingma and Ba, 2015) on gradients clipped by their global norm."""
        gradients = {
            name: g if name in VALUE_HEAD else (1 - value_only) * g
            for name, g in gradients.items()
        }
        norm = _norm(gradients)
        scale = self._loss.max_gradient_norm / jnp.maximum(
            norm, self._loss.max_gradient_norm
        )
        first, second = ADAM_BETAS
        step = state["adam_step"] + 1
        power = step.astype(jnp.float32)
        rate = learning_rate * jnp.sqrt(1 - second**power) / (1 - first**power)
        mean, square, parameters = (
            dict(state[key]) for key in ("adam_mean", "adam_square", "parameters")
        )
        for name, gradient in gradients.items():
            g = scale * gradient
            mean[name] = first * state["adam_mean"][name] + (1 - first) * g
            square[name] = second * state["adam_square"][name] + (1 - second) * g**2
            change = (
                rate * mean[name] / (jnp.sqrt(square[name]) + self._loss.adam_epsilon)
            )
            parameters[name] = state["parameters"][name] - change
        return {
            "adam_step": step,
            "parameters": parameters,
            "adam_mean": mean,
            "adam_square": square,
        }


def _transitions(batch: Batch) -> dict[str, np.ndarray]:
    return {name: getattr(batch, name) for name in _FIELDS}


def _norm(gradients):
    return jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in gradients.values()))


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
    log_policy = jax.nn.log_softmax(logits)
    chosen = jnp.take_along_axis(
        log_policy, transitions["actions"][:, None].astype(jnp.int32), axis=1
    )[:, 0]
    log_ratio = chosen - transitions["log_probabilities"]
    ratio = jnp.exp(log_ratio)
    clip = settings.clip_range
    clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
    policy_loss = jnp.maximum(-advantages * ratio, -advantages * clipped).mean()
    entropy = -(jnp.exp(log_policy) * log_policy).sum(axis=1).mean()
    errors = jnp.square(values - transitions["returns"])
    if settings.clip_value:
        old = transitions["values"]
        near = old + jnp.clip(values - old, -clip, clip)
        errors = jnp.maximum(errors, jnp.square(near - transitions["returns"]))
    value_loss = 0.5 * errors.mean()
    deadly = transitions["deadly"].astype(jnp.float32)
    risks = (jnp.exp(log_policy) * deadly).sum(axis=1)
    risk_loss = -jnp.log(1.0 - LARGEST_RISK * risks).mean()
    n_at_stake = deadly.max(axis=1).sum()
    advice = transitions["advice"]
    advised = (advice >= 0).astype(jnp.float32)
    followed = jnp.take_along_axis(log_policy, jnp.maximum(advice, 0)[:, None], axis=1)[
        :, 0
    ]
    imitation_loss = -(advised * followed).mean()
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
        "approximate_kl": (ratio - 1 - log_ratio).mean(),
        "clip_fraction": (jnp.abs(ratio - 1) > clip).mean(),
        "risk": risks.sum() / jnp.maximum(n_at_stake, 1),
        "agreement": (advised * jnp.exp(followed)).sum()
        / jnp.maximum(advised.sum(), 1),
    }

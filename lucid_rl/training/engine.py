"""What a training engine does, and the data that pass through it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.training.noise import NoiseSettings

Parameters = dict[str, np.ndarray]  # "ppo2_model/pi/1a/conv2d/kernel:0" -> float32


@dataclass(frozen=True)
class Batch:
    """Transitions that PPO learns from; the first axis of every array is N."""

    observations: np.ndarray  # [N, H, W, C], as the engine perceived them
    actions: np.ndarray  # int32 [N]
    log_probabilities: np.ndarray  # f32 [N], of the actions when they were chosen
    values: np.ndarray  # f32 [N], predicted when the actions were chosen
    returns: np.ndarray  # f32 [N], targets of the value function
    deadly: np.ndarray  # bool [N, A], actions known to lose the game
    advice: np.ndarray  # int32 [N], actions known to be good; -1 for none

    def __len__(self) -> int:
        return len(self.actions)

    def take(self, indices: np.ndarray) -> "Batch":
        """Returns the transitions at `indices`."""
        return Batch(**{f.name: getattr(self, f.name)[indices] for f in fields(self)})

    def without_observations(self) -> "Batch":
        """Returns the transitions without the pictures, for those who only count."""
        return replace(self, observations=self.observations[:, :0])

    @staticmethod
    def concatenate(batches: "Sequence[Batch]") -> "Batch":
        """Returns the transitions of several batches, one after another."""
        if len(batches) == 1:
            return batches[0]
        names = [f.name for f in fields(Batch)]
        return Batch(
            *(np.concatenate([getattr(b, name) for b in batches]) for name in names)
        )

    @property
    def advantages(self) -> np.ndarray:
        """Estimated advantages of the actions, f32 [N]."""
        return self.returns - self.values


@dataclass(frozen=True)
class LossSettings:
    """The weights of PPO's objective; the defaults are the article's.

    Attributes:
        clip_range: largest change of a probability ratio that pays.
        clip_value: clip the value function's change likewise.
        value_coefficient: weight of the value function's squared error.
        entropy_coefficient: weight of the policy's entropy.
        risk_coefficient: weight of -log(1 - p), p being the probability of an action
            that is known to lose the game (the article: none).
        imitation_coefficient: weight of -log(p), p being the probability of an action
            that is known to be good (the article: none).
        max_gradient_norm: gradients are scaled down to this global norm.
        adam_epsilon: added to the root of Adam's second moment.
    """

    clip_range: float = 0.2
    clip_value: bool = True
    value_coefficient: float = 0.5
    entropy_coefficient: float = 0.01
    risk_coefficient: float = 0.0
    imitation_coefficient: float = 0.0
    max_gradient_norm: float = 0.5
    adam_epsilon: float = 1e-5


class Engine(Protocol):
    """Computes policies and PPO's updates on some library and device.

    Two engines with the same parameters and the same calls agree to within
    rounding; every random choice is made by the caller.
    """

    def perceive(self, observations: np.ndarray) -> np.ndarray:
        """Returns what the layers that are not trained make of u8 observations.

        It is computed once and serves for acting and for every update. Where all
        layers are trained it is the observations themselves.
        """

    def act(self, perceived: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns logits f32 [N, A] and values f32 [N] of what was perceived."""

    def update(
        self,
        batch: Batch,
        minibatches: np.ndarray,
        advantages: np.ndarray,
        learning_rate: float,
        value_only: bool = False,
    ) -> dict[str, float]:
        """Takes one Adam step on each minibatch in turn.

        Args:
            batch: N transitions.
            minibatches: int [U, M], the transitions of each of U steps.
            advantages: f32 [U, M], normalised as the caller sees fit.
            learning_rate: Adam's, for all steps.
            value_only: change nothing but the value function's head.

        Returns:
            The means over the steps of `STATISTICS`.
        """

    def gradients(
        self, batch: Batch, advantages: np.ndarray
    ) -> tuple[dict[str, float], Parameters]:
        """Returns the statistics and unclipped gradients of one minibatch."""

    def apply_gradients(
        self, gradients: Parameters, learning_rate: float, value_only: bool = False
    ) -> None:
        """Clips gradients to the largest norm and takes one Adam step."""

    def get_parameters(self) -> Parameters:
        """Returns the network's parameters by their checkpoint names."""

    def set_parameters(self, parameters: Mapping[str, np.ndarray]) -> None:
        """Replaces the network's parameters, and nothing of the optimizer."""

    def get_state(self) -> dict[str, Any]:
        """Returns everything that further updates depend on: arrays by name."""

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores what `get_state` returned."""


VALUE_HEAD = ("ppo2_model/vf/w:0", "ppo2_model/vf/b:0")
"""What `value_only` updates change."""

ADAM_BETAS = (0.9, 0.999)
"""Decay of Adam's first and second moments; TensorFlow's and JAX's usual ones."""

STATISTICS = (
    "policy_loss",
    "value_loss",
    "entropy",
    "approximate_kl",
    "clip_fraction",
    "risk",
    "agreement",
    "gradient_norm",
)
"""What an update returns: numbers by these names.

"risk" is the mean probability of actions known to lose the game, where there are some,
and "agreement" that of actions known to be good.
"""

LARGEST_RISK = 0.99
"""By which risks are multiplied in the loss, which is bounded by it."""

CLEAR_CONVOLUTIONS = ("1a", "2a", "2b", "3a", "4a")
"""Layers of the architecture "clear" that can be frozen, from the first on."""


def frozen_layers(first_trained_layer: str | None) -> tuple[str, ...]:
    """The layers of the architecture "clear" before the first one that is trained.

    Raises:
        SettingsError: there is no such layer.
    """
    if first_trained_layer is None:
        return ()
    if first_trained_layer not in CLEAR_CONVOLUTIONS:
        raise SettingsError(
            f"first_trained_layer is {first_trained_layer!r}: expected one of "
            f"{', '.join(CLEAR_CONVOLUTIONS)}."
        )
    return CLEAR_CONVOLUTIONS[: CLEAR_CONVOLUTIONS.index(first_trained_layer)]


def trained_names(
    names: Iterable[str], first_trained_layer: str | None
) -> tuple[str, ...]:
    """Those of a network's parameters that are trained, by their checkpoint names."""
    frozen = tuple(f"/{layer}/" for layer in frozen_layers(first_trained_layer))
    return tuple(name for name in names if not any(part in name for part in frozen))


def make_engine(
    name: str,
    architecture: str,
    parameters: Parameters,
    loss: LossSettings,
    noise: NoiseSettings,
    bfloat16: bool = False,
    n_threads: int = 0,
    first_trained_layer: str | None = None,
) -> Engine:
    """Makes an engine by its name, importing only that one's library.

    Args:
        name: "tensorflow" or "jax".
        architecture: one of the checkpoint format's.
        parameters: to start from.
        loss: the weights of PPO's objective.
        noise: for its adversarial part.
        bfloat16: convolve in bfloat16.
        n_threads: of TensorFlow on a processor; 0 for one a core.
        first_trained_layer: convolution (of "clear") before which all layers stay as
            they are; None to train all.

    Raises:
        SettingsError: no such engine, or its library is not installed.
    """
    if name == "tensorflow":
        from lucid_rl.training.tensorflow_engine import TensorFlowEngine

        return TensorFlowEngine(
            architecture,
            parameters,
            loss,
            noise,
            bfloat16,
            n_threads,
            first_trained_layer,
        )
    if name != "jax":
        raise SettingsError(f"engine is {name!r}: expected tensorflow or jax.")
    try:
        from lucid_rl.training.jax_engine import JaxEngine
    except ImportError as error:
        raise SettingsError(
            'the engine "jax" needs JAX, which is not installed: '
            "pip install 'lucid_rl[jax]'."
        ) from error
    return JaxEngine(
        architecture, parameters, loss, noise, bfloat16, first_trained_layer
    )

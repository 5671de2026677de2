"""Forward passes and gradient steps, on TensorFlow or JAX through Keras."""

import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.initialization import Parameters

Arrays = Mapping[str, np.ndarray]

# Kernels are matrices to the optimizer, as Muon needs them.
_KERNELS = ("/kernel:0", "/w:0")
_HEADS = ("ppo2_model/pi/w:0", "ppo2_model/vf/w:0")


class Learner:
    """A network, its optimizer, and the compiled functions of both.

    Random choices are the caller's: the same calls give the same results, up to
    rounding, on every backend.

    Attributes:
        config: of the run.
    """

    def __init__(self, config: TrainConfig, parameters: Arrays):
        """Makes the optimizer; functions compile at their first call.

        Raises:
            SettingsError: the backend is not installed, or this process uses another.
        """
        self.config = config
        self._keras = _import_keras(config)
        self._shapes = {name: np.shape(p) for name, p in parameters.items()}
        self._parameters = self._make_variables(parameters)
        self._average = self._make_variables(parameters)
        self._optimizer = self._make_optimizer()
        self._optimizer.build(list(self._parameters.values()))
        self._act = self._compile(self._forward)
        self._differentiate = self._compile(self._gradients)
        self._apply = self._compile(self._descend)
        self._step = self._compile(self._gradients_and_descend)

    def _make_variables(self, parameters):
        return {
            name: self._keras.Variable(_as_matrix(name, p), name=name.replace("/", "."))
            for name, p in parameters.items()
        }

    def _make_optimizer(self):
        config, optimizers = self.config, self._keras.optimizers
        options = {
            "learning_rate": config.learning_rate,
            "epsilon": 1e-5,
            "global_clipnorm": config.max_gradient_norm,
        }
        if config.optimizer == "adam":
            return optimizers.Adam(**options)
        # Earlier ones leave convolutions' kernels to Adam.
        if "adam_weight_decay" not in inspect.signature(optimizers.Muon).parameters:
            raise SettingsError(
                "optimizer=muon: needs Keras 3.13 or newer, on Python 3.11 or newer"
            )
        return optimizers.Muon(
            **options,
            exclude_layers=[name.replace("/", r"\.") for name in _HEADS],
            weight_decay=None,
            adam_weight_decay=None,
        )

    def act(
        self, observations: np.ndarray, averaged: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes the policy and the value of observations.

        `averaged`: by the averaged parameters.

        Returns:
            Logits f32 [N, A] and values f32 [N].
        """
        logits, values = self._act(self._tensor(observations), averaged)
        return self._array(logits), self._array(values)

    def update(self, batch: Arrays, learning_rate: float) -> dict[str, float]:
        """Takes one gradient step on one minibatch; returns the loss's statistics.

        `batch` is that of `losses.loss`, with "observations" u8 [M, H, W, C].
        """
        rate = self._tensor(np.float32(learning_rate))
        return self._floats(self._step(self._tensors(batch), rate))

    def gradients(self, batch: Arrays) -> tuple[dict[str, float], Parameters]:
        """Returns the statistics and unclipped gradients of one minibatch."""
        statistics, gradients = self._differentiate(self._tensors(batch))
        return self._floats(statistics), self._as_parameters(gradients)

    def apply_gradients(self, gradients: Arrays, learning_rate: float) -> None:
        """Clips gradients to the largest norm and takes one step of the optimizer."""
        matrices = {name: _as_matrix(name, g) for name, g in gradients.items()}
        self._apply(self._tensors(matrices), self._tensor(np.float32(learning_rate)))

    def get_parameters(self, averaged: bool = False) -> Parameters:
        """Returns the parameters by checkpoint name, of the last step or averaged."""
        return self._as_parameters(self._average if averaged else self._parameters)

    def get_state(self) -> dict[str, Any]:
        """Returns everything that further steps depend on: arrays by name."""
        return {
            "parameters": self.get_parameters(),
            "average": self.get_parameters(averaged=True),
            "optimizer": {
                _own_name(v): self._array(v) for v in self._optimizer.variables
            },
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores what `get_state` returned."""
        for key, variables in (
            ("parameters", self._parameters),
            ("average", self._average),
        ):
            for name, variable in variables.items():
                variable.assign(_as_matrix(name, np.asarray(state[key][name])))
        for variable in self._optimizer.variables:
            variable.assign(state["optimizer"][_own_name(variable)])

    # What follows is compiled.

    def _forward(self, observations, averaged=False):
        variables = self._average if averaged else self._parameters
        return self._network(_values(variables), observations)

    def _network(self, parameters, observations):
        from lucid_rl.training.network import forward

        reshape = self._keras.ops.reshape
        return forward(
            self.config.architecture,
            {name: reshape(p, self._shapes[name]) for name, p in parameters.items()},
            observations,
            self.config.bfloat16,
        )

    def _loss(self, parameters, batch, observations):
        from lucid_rl.training.losses import loss

        logits, values = self._network(parameters, observations)
        return loss(logits, values, batch, self.config)

    def _gradients(self, batch):
        parameters, observations = _values(self._parameters), batch["observations"]
        if self.config.noise.adversarial_epsilon:
            observations = self._adversarial(parameters, batch)
        statistics, gradients = self._slope(
            lambda p: self._loss(p, batch, observations), parameters
        )
        ops = self._keras.ops
        squares = [ops.sum(ops.square(g)) for g in gradients.values()]
        return statistics | {"gradient_norm": ops.sqrt(sum(squares))}, gradients

    def _descend(self, gradients, learning_rate):
        ops = self._keras.ops
        self._optimizer.learning_rate = learning_rate
        self._optimizer.apply([gradients[name] for name in self._parameters])
        # Polyak averaging, over about a tenth of the steps until these are enough.
        steps = ops.cast(self._optimizer.iterations.value, "float32")
        longest = max(1, self.config.averaged_updates)
        fraction = ops.maximum(1 / longest, 10 / (steps + 9))
        for name, average in self._average.items():
            change = self._parameters[name].value - average.value
            average.assign(average.value + fraction * change)

    def _gradients_and_descend(self, batch, learning_rate):
        statistics, gradients = self._gradients(batch)
        self._descend(gradients, learning_rate)
        return statistics

    def _adversarial(self, parameters, batch):
        """Raises the loss by projected gradient ascent (Madry et al., 2017).

        The random start of the original is left out, as random numbers are the
        caller's.
        """
        ops, noise = self._keras.ops, self.config.noise
        clean = ops.cast(batch["observations"], "float32") / 255.0
        low = ops.maximum(clean - noise.adversarial_epsilon, 0.0)
        high = ops.minimum(clean + noise.adversarial_epsilon, 1.0)
        step = 2 * noise.adversarial_epsilon / noise.adversarial_steps
        perturbed = clean
        for _ in range(noise.adversarial_steps):
            _, slope = self._slope(
                lambda x: self._loss(parameters, batch, x), perturbed
            )
            perturbed = ops.clip(perturbed + step * ops.sign(slope), low, high)
        return ops.stop_gradient(perturbed)

    # What differs between the libraries.

    def _compile(self, function: Callable) -> Callable:
        """Compiles a function that reads and changes the variables."""
        if self.config.engine == "jax":
            return _compile_with_jax(function, self._all_variables())
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True)

    def _all_variables(self):
        return [
            *self._parameters.values(),
            *self._average.values(),
            *self._optimizer.variables,
        ]

    def _slope(self, function: Callable, at: Any) -> tuple[Any, Any]:
        """Auxiliary results and gradient of a function that returns (loss, results)."""
        if self.config.engine == "jax":
            import jax

            (_, results), gradient = jax.value_and_grad(function, has_aux=True)(at)
            return results, gradient
        import tensorflow as tf

        with tf.GradientTape() as tape:
            # Identities, since a variable's own value may be a variable.
            at = tf.nest.map_structure(tf.identity, at)
            tape.watch(at)
            value, results = function(at)
        return results, tape.gradient(value, at)

    def _tensor(self, array: Any) -> Any:
        return self._keras.ops.convert_to_tensor(array)

    def _tensors(self, arrays: Arrays) -> dict[str, Any]:
        return {name: self._tensor(array) for name, array in arrays.items()}

    def _array(self, tensor: Any) -> np.ndarray:
        return self._keras.ops.convert_to_numpy(tensor)

    def _floats(self, scalars: Mapping[str, Any]) -> dict[str, float]:
        return {name: float(self._array(value)) for name, value in scalars.items()}

    def _as_parameters(self, matrices: Mapping[str, Any]) -> Parameters:
        return {
            name: self._array(matrix).reshape(self._shapes[name])
            for name, matrix in matrices.items()
        }


def _values(variables):
    return {name: variable.value for name, variable in variables.items()}


def _compile_with_jax(function, variables):
    """A pure function of the variables' values is compiled; they are assigned after."""
    import jax
    import keras

    def pure(values, arguments, flags):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            results = function(*arguments, *flags)
        return results, [scope.get_current_value(v) for v in variables]

    compiled = jax.jit(pure, donate_argnums=0, static_argnums=2)

    def call(*arguments):
        flags = tuple(a for a in arguments if isinstance(a, bool))
        tensors = tuple(a for a in arguments if not isinstance(a, bool))
        # Products of float32 stay whole on devices that would round their factors.
        with jax.default_matmul_precision("float32"):
            results, values = compiled([v.value for v in variables], tensors, flags)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return results

    return call


def _own_name(variable):
    """Its path without the optimizer's name, which Keras numbers in each process."""
    return variable.path.partition("/")[2]


def _as_matrix(name: str, parameter: np.ndarray) -> np.ndarray:
    if name.endswith(_KERNELS):
        return parameter.reshape(-1, parameter.shape[-1])
    return parameter


def _import_keras(config: TrainConfig) -> Any:
    """Imports Keras on the backend that the run asks for."""
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = config.engine
    try:
        import keras

        __import__(config.engine)
    except ImportError as error:
        raise SettingsError(
            f"engine={config.engine!r} needs Keras and {config.engine}, which are not "
            f"installed: pip install keras {config.engine}."
        ) from error
    if keras.backend.backend() != config.engine:
        raise SettingsError(
            f"engine={config.engine!r}, but this process already uses Keras on "
            f"{keras.backend.backend()}: train in a process of its own."
        )
    if config.engine == "tensorflow" and config.n_threads:
        import tensorflow as tf

        threading = tf.config.threading
        # Too late once TensorFlow has started: then its threads are as they are.
        with contextlib.suppress(RuntimeError):
            threading.set_intra_op_parallelism_threads(config.n_threads)
            threading.set_inter_op_parallelism_threads(config.n_threads)
    return keras

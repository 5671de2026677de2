"""The state dictionary in what a PyTorch file holds, and its layers."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from lucid_rl.checkpoints.plain_values import Placeholder
from lucid_rl.errors import CheckpointError, InputError, some_of

Weights = dict[str, np.ndarray]

WEIGHT, BIAS = ".weight", ".bias"
_MIN_CONVOLUTIONS = 3
_MAX_DEPTH = 32
_MAX_VISITS = 100_000
_EPSILON = 1e-5  # of PyTorch's batch normalization
# What PyTorch puts before all names of a module that runs in parallel or compiled.
_WRAPPERS = re.compile(r"(module\.|_orig_mod\.)+")
# Activations other than ReLU, by a module's classes.
_ACTIVATION = re.compile(
    r"torch\.nn\.modules\.activation\.(?!ReLU$|Softmax$|LogSoftmax$)(\w+)"
)


def find_weights(content: Any, name: str | None = None) -> Weights:
    """The state dictionary in what a file holds: arrays by name, in their order.

    Args:
        content: as `read_torch` returns it: a state dictionary, something that holds
            one, a module, or a method of a module.
        name: keys that lead to it, joined by "/"; by default it must be the only one.

    Raises:
        CheckpointError: there is none, or several.
        InputError: the name leads to none.
    """
    search = _Search()
    search.collect(content, "", 0)
    found = search.found
    names = [found_name or "(the whole)" for found_name in found]
    if name is not None:
        if name not in found:
            there = some_of(names) or "none"
            raise InputError(f"it holds no state dictionary {name!r}, but {there}.")
        return _unwrapped(found[name])
    if len(found) > 1:
        raise CheckpointError(
            f"it holds several state dictionaries, {some_of(names)}: name one."
        )
    if not found:
        raise CheckpointError(
            f"it holds no state dictionary of a convolutional network; it holds "
            f"{_described(content)}."
        )
    return _unwrapped(next(iter(found.values())))


def _described(content: Any) -> str:
    if isinstance(content, Placeholder):
        return f"an object of {content}"
    keys = ""
    if isinstance(content, dict):
        keys = f" with the keys {some_of(f'{key!s:.80}' for key in content)}"
    return f"a {type(content).__name__}{keys}"


def _unwrapped(weights: Weights) -> Weights:
    if not all(_WRAPPERS.match(name) for name in weights):
        return weights
    return {_WRAPPERS.sub("", name, count=1): a for name, a in weights.items()}


class _Search:
    """Walks through what a file holds; each container once, and not too many."""

    def __init__(self) -> None:
        self.found: dict[str, Weights] = {}
        self._seen: set[int] = set()
        self._left = _MAX_VISITS

    def collect(self, value: Any, name: str, depth: int) -> None:
        """Finds state dictionaries, by the keys that lead to them."""
        if isinstance(value, Placeholder):
            module = self._of_module(value, depth)
            if _is_network(module):
                self.found[name] = module
                return
            # The module of a bound method is among its arguments.
            for inner in (value.state, value.items, *(value.arguments or ())):
                if isinstance(inner, (dict, Placeholder)):
                    self.collect(inner, name, depth + 1)
            return
        if not isinstance(value, dict) or depth > _MAX_DEPTH or id(value) in self._seen:
            return
        self._seen.add(id(value))
        arrays = _arrays(value)
        if _is_network(arrays):
            self.found[name] = arrays
            return
        self._count(len(value))
        for key, inner in value.items():
            if isinstance(inner, (dict, Placeholder)):
                path = f"{name}/{key!s:.80}" if name else f"{key!s:.80}"
                self.collect(inner, path, depth + 1)

    def _of_module(self, module: Placeholder, depth: int) -> Weights:
        """What `state_dict()` of a module would be, from what it keeps in itself."""
        self._count(1)
        if unknown := _ACTIVATION.fullmatch(module.name):
            raise CheckpointError(
                f"it holds a network with the activation {unknown[1]}; "
                "expected ReLU. Export it to ONNX: every feed-forward network can be "
                "loaded from there."
            )
        state = module.state if isinstance(module.state, dict) else {}
        weights: Weights = {}
        for part in ("_parameters", "_buffers"):
            own = state.get(part)
            weights |= _arrays(own) if isinstance(own, dict) else {}
        modules = state.get("_modules")
        if isinstance(modules, dict) and depth <= _MAX_DEPTH:
            for key, inner in modules.items():
                if isinstance(inner, Placeholder):
                    for name, array in self._of_module(inner, depth + 1).items():
                        weights[f"{key!s:.80}.{name}"] = array
        self._count(len(weights))
        return weights

    def _count(self, n: int) -> None:
        self._left -= n
        if self._left < 0:
            raise CheckpointError(
                f"it holds more than {_MAX_VISITS} parts to look through."
            )


def _arrays(value: dict[Any, Any]) -> Weights:
    return {f"{k!s:.200}": a for k, a in value.items() if isinstance(a, np.ndarray)}


def _is_network(weights: Weights) -> bool:
    kernels = [k for k, a in weights.items() if k.endswith(WEIGHT) and a.ndim == 4]
    return len(kernels) >= _MIN_CONVOLUTIONS


@dataclasses.dataclass
class Layer:
    """A convolution or a dense layer.

    Attributes:
        name: in the file, without ".weight".
        kernel: [out, in, height, width] or [out, in].
        bias: [out].
        tensors: names of its tensors and of their equals.
    """

    name: str
    kernel: np.ndarray
    bias: np.ndarray
    tensors: set[str]

    @property
    def n_inputs(self) -> int:
        """Channels or features that it reads."""
        return self.kernel.shape[1]

    @property
    def n_outputs(self) -> int:
        """Channels or features that it computes."""
        return len(self.kernel)

    def __str__(self) -> str:
        return f"{self.name} {self.kernel.shape[::-1]}"


def layers_of(weights: Weights) -> tuple[list[Layer], list[str]]:
    """The convolutions and dense layers of a state dictionary, in its order.

    Layers that several names share appear once, by the first. Batch normalization is
    folded into the layer before it. The sentences say what was assumed.

    Raises:
        CheckpointError: a batch normalization follows no layer of its width.
    """
    layers: list[Layer] = []
    known: dict[Any, Layer] = {}
    notes = []
    for name, array in weights.items():
        if name.endswith(WEIGHT) and array.ndim in (2, 4):
            layer = _layer(name.removesuffix(WEIGHT), weights)
            identity = (array.shape, _digest(array), _digest(layer.bias))
            if identity in known and array.any():
                known[identity].tensors |= layer.tensors
            else:
                known[identity] = layer
                layers.append(layer)
        elif name.endswith(".running_var"):
            norm = name.removesuffix(".running_var")
            before = layers[-1] if layers else None
            if (
                before is None
                or array.shape != (before.n_outputs,)
                # It must be of the same module, and the first behind the layer.
                or _parent(norm) != _parent(before.name)
                or any(name.endswith(".running_var") for name in before.tensors)
            ):
                raise CheckpointError(
                    "it is not clear which layer the batch normalization "
                    f"{norm} follows. Export the network to ONNX."
                )
            _fold(before, norm, weights)
            notes.append(f"batch normalization {norm} is taken to follow {before.name}")
    return layers, notes


def _layer(name: str, weights: Weights) -> Layer:
    kernel = weights[name + WEIGHT]
    bias = weights.get(name + BIAS)
    tensors = {name + WEIGHT} | ({name + BIAS} if bias is not None else set())
    if bias is None or bias.shape != kernel.shape[:1]:
        bias = np.zeros(len(kernel), np.float32)
    return Layer(name, kernel, bias, tensors)


def _fold(layer: Layer, norm: str, weights: Weights) -> None:
    """Multiplies a layer by the batch normalization behind it."""
    mean, variance, gain, offset = (
        weights.get(f"{norm}.{part}", default).astype(np.float64)
        for part, default in (
            ("running_mean", np.zeros(layer.n_outputs)),
            ("running_var", np.ones(layer.n_outputs)),
            ("weight", np.ones(layer.n_outputs)),
            ("bias", np.zeros(layer.n_outputs)),
        )
    )
    scale = gain / np.sqrt(variance + _EPSILON)
    layer.kernel = (layer.kernel.T.astype(np.float64) * scale).T
    layer.bias = (layer.bias - mean) * scale + offset
    layer.tensors |= {name for name in weights if name.startswith(norm + ".")}


def _digest(array: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(array).data).digest()


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def chains(layers: list[Layer]) -> Iterator[list[Layer]]:
    """Dense layers in runs that follow each other: "actor.0", "actor.2"."""
    chain: list[Layer] = []
    for layer in layers:
        follows = chain and _stem(chain[-1].name) == _stem(layer.name)
        if follows and layer.n_inputs == chain[-1].n_outputs:
            chain.append(layer)
            continue
        if chain:
            yield chain
        chain = [layer]
    if chain:
        yield chain


def _stem(name: str) -> str:
    """The module that holds a numbered layer; a layer with a name is one of its own."""
    stem, _, number = name.rpartition(".")
    return stem if number.isdigit() else name

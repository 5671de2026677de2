"""Agents trained in PyTorch, as checkpoints.

Programs name their layers as they like; which layer is which is told by the order and
the shapes of the tensors: 15 convolutions of 3 by 3 make IMPALA's residual network
(CleanRL's and train-procgen-pytorch's for Procgen), 3 of 8, 4 and 3 make Mnih's
(Stable-Baselines3's `CnnPolicy`), each with a dense layer and two heads.
Observations are taken to be divided by 255.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lucid_rl.checkpoints.architectures import CONV_LAYERS, parameter_shapes
from lucid_rl.checkpoints.checkpoint import Checkpoint
from lucid_rl.checkpoints.plain_values import Placeholder
from lucid_rl.checkpoints.torch_files import read_torch
from lucid_rl.errors import CheckpointError, InputError, some_of
from lucid_rl.files import PathLike

Weights = dict[str, np.ndarray]

_ARCHITECTURES = ("impala_torch", "nature")
_WEIGHT, _BIAS = ".weight", ".bias"
_MIN_CONVOLUTIONS = 3
_MAX_DEPTH = 8


def import_torch(
    path: PathLike,
    *,
    state_dict: str | None = None,
    policy: str | None = None,
    value: str | None = None,
    ignored: Sequence[str] = (),
    args: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Makes a checkpoint of an agent that was trained in PyTorch.

    Args:
        path: a file of `torch.save` (a state dictionary, something that holds one, or
            a module), or an archive of Stable-Baselines3. PyTorch is not needed, and
            nothing in the file runs.
        state_dict: where in the file the state dictionary is, such as
            "model_state_dict", where there are several.
        policy: name of the layer of the policy's logits, where it is not the only one
            of its inputs with several outputs.
        value: name of the layer of the value function, likewise of one output.
        ignored: beginnings of names of tensors that play no part in either.
        args: settings to put into the checkpoint: `env_name`, `distribution_mode`,
            `paint_vel_info`, `gamma`, `reward_scale`, ….

    Returns:
        A checkpoint of the architecture "impala_torch" or "nature".

    Raises:
        FileFormatError: the file cannot be read.
        CheckpointError: it holds no such network, or more than one.
        InputError: a name that is not in the file.
    """
    weights = find_weights(read_torch(path), str(path), state_dict)
    params, architecture = parameters(weights, str(path), policy, value, ignored)
    # Elsewhere nothing is painted into observations.
    settings = {"library": "pytorch", "paint_vel_info": False, **(args or {})}
    return Checkpoint(params, {**settings, "cnn": architecture}, path=str(path))


def find_weights(content: Any, where: str, name: str | None = None) -> Weights:
    """The state dictionary in what a file holds.

    Args:
        content: as `read_torch` returns it.
        where: what to call the file in an error.
        name: keys that lead to it, joined by "/"; by default it must be the only one.

    Returns:
        Arrays by name, in their order.

    Raises:
        CheckpointError: there is none, or several.
        InputError: the name leads to none.
    """
    found: dict[str, Weights] = {}
    _collect(content, "", found, 0)
    names = [found_name or "(the whole)" for found_name in found]
    if name is not None:
        if name not in found:
            there = some_of(names) or "none"
            raise InputError(
                f"{where} holds no state dictionary {name!r}, but {there}."
            )
        return found[name]
    if len(found) > 1:
        raise CheckpointError(
            f"{where} holds several state dictionaries, {some_of(names)}: name one."
        )
    if not found:
        keys = f" with the keys {some_of(content)}" if isinstance(content, dict) else ""
        raise CheckpointError(
            f"{where} holds no state dictionary of a convolutional network; it holds "
            f"a {type(content).__name__}{keys}."
        )
    return next(iter(found.values()))


def parameters(
    weights: Weights,
    where: str,
    policy: str | None = None,
    value: str | None = None,
    ignored: Sequence[str] = (),
) -> tuple[Weights, str]:
    """Parameters by the article's names, and their architecture.

    Kernels turn from [out, in, height, width] to [height, width, in, out], and the
    dense layer's inputs from channels first to channels last.

    Args:
        weights: a state dictionary.
        where: what to call it in an error.
        policy: as in `import_torch`.
        value: as in `import_torch`.
        ignored: as in `import_torch`.

    Raises:
        CheckpointError: they make no known network.
        InputError: a name that is not there.
    """
    for start in ignored:
        if not any(name.startswith(start) for name in weights):
            raise InputError(f"{where}: no tensor's name begins with {start!r}.")
    kept = {
        name: array
        for name, array in weights.items()
        if array.dtype.kind == "f" and not name.startswith(tuple(ignored))
    }
    layers = _layers(kept)
    architecture, sources = _network(layers, where, policy, value)
    _check_all_used(kept, sources, where)
    *convolutions, trunk, policy, value = sources
    n_channels = layers[convolutions[0]].shape[1]
    shapes = parameter_shapes(architecture, len(layers[policy]), n_channels)
    names = list(shapes)
    params = {}
    # A kernel and a bias for each layer, in the order in which they follow each other.
    for source, kernel, bias in zip(sources, names[::2], names[1::2], strict=True):
        array = layers[source]
        if source == trunk:
            n_last = len(layers[convolutions[-1]])
            side = math.isqrt(array.shape[1] // n_last)
            array = array.reshape(-1, n_last, side, side)
        order = (2, 3, 1, 0) if array.ndim == 4 else (1, 0)
        params[kernel] = array.transpose(order).reshape(shapes[kernel])
        zeros = np.zeros(len(array))
        params[bias] = kept.get(source + _BIAS, zeros).reshape(shapes[bias])
    as_float32 = {k: np.ascontiguousarray(a, np.float32) for k, a in params.items()}
    return as_float32, architecture


def _network(
    layers: Weights, where: str, policy: str | None, value: str | None
) -> tuple[str, list[str]]:
    """The architecture, and the layers' names in its order, the heads last."""
    convolutions = [name for name, array in layers.items() if array.ndim == 4]
    architecture = _architecture([layers[name].shape for name in convolutions], where)
    shapes = list(parameter_shapes(architecture, 1).values())
    n_inputs, n_features = shapes[2 * len(convolutions)]
    dense = {name: array.shape for name, array in layers.items() if array.ndim == 2}
    trunk = _only(
        [name for name, shape in dense.items() if shape == (n_features, n_inputs)],
        f"dense layer from {n_inputs} to {n_features} (for 64 by 64 pixels)",
        dense,
        where,
    )
    heads = {name: shape[0] for name, shape in dense.items() if shape[1] == n_features}
    chosen = []
    for name, candidates, what in (
        (policy, [h for h, n in heads.items() if n > 1], "policy"),
        (value, [h for h, n in heads.items() if n == 1], "value function"),
    ):
        if name is not None and name not in candidates:
            raise InputError(
                f"{where} has no head of the {what} {name!r}, but "
                f"{some_of(candidates) or 'none'}."
            )
        expected = f"head of the {what}, from {n_features} to "
        expected += "the number of actions" if what == "policy" else "1"
        chosen.append(name or _only(candidates, expected, dense, where))
    return architecture, [*convolutions, trunk, *chosen]


def _collect(value: Any, name: str, found: dict[str, Weights], depth: int) -> None:
    """Finds state dictionaries, by the keys that lead to them."""
    if isinstance(value, Placeholder):
        value = _module_weights(value) or value.state
    if not isinstance(value, dict) or depth > _MAX_DEPTH:
        return
    arrays = {str(k): a for k, a in value.items() if isinstance(a, np.ndarray)}
    kernels = [k for k, a in arrays.items() if k.endswith(_WEIGHT) and a.ndim == 4]
    if len(kernels) >= _MIN_CONVOLUTIONS:
        found[name] = arrays
        return
    for key, inner in value.items():
        _collect(inner, f"{name}/{key}" if name else str(key), found, depth + 1)


def _module_weights(module: Placeholder, depth: int = 0) -> Weights:
    """What `state_dict()` of a module would be, from what it keeps in itself."""
    state = module.state if isinstance(module.state, dict) else {}
    weights: Weights = {}
    for part in ("_parameters", "_buffers"):
        own = state.get(part)
        if isinstance(own, dict):
            weights |= {str(k): a for k, a in own.items() if isinstance(a, np.ndarray)}
    modules = state.get("_modules")
    if isinstance(modules, dict) and depth <= _MAX_DEPTH:
        for key, inner in modules.items():
            if isinstance(inner, Placeholder):
                for name, array in _module_weights(inner, depth + 1).items():
                    weights[f"{key}.{name}"] = array
    return weights


def _layers(weights: Weights) -> Weights:
    """Kernels by their layer's name; of equal ones, which are shared, the first."""
    layers: Weights = {}
    for name, array in weights.items():
        is_kernel = name.endswith(_WEIGHT) and array.ndim in (2, 4)
        if is_kernel and not any(np.array_equal(array, a) for a in layers.values()):
            layers[name.removesuffix(_WEIGHT)] = array
    return layers


def _architecture(found: list[tuple[int, ...]], where: str) -> str:
    for architecture in _ARCHITECTURES:
        n_channels = found[0][1] if found else 3
        shapes = list(parameter_shapes(architecture, 1, n_channels).values())
        n = len(CONV_LAYERS[architecture])
        if found == [(o, i, h, w) for h, w, i, o in shapes[: 2 * n : 2]]:
            return architecture
    raise CheckpointError(
        f"{where} holds {len(found)} convolutions, [out, in, height, width] = "
        f"{some_of(found)}. Expected the 15 of IMPALA's network of 16, 32 and 32 "
        "channels, or the 3 of Mnih's of 32, 64 and 64, in their order."
    )


def _only(
    names: list[str], what: str, dense: Mapping[str, tuple[int, ...]], where: str
) -> str:
    if len(names) == 1:
        return names[0]
    if names:
        raise CheckpointError(
            f"{where} has more than one {what}: {some_of(names)}. Name one, or leave "
            "the others out."
        )
    shapes = [f"{name} {shape[::-1]}" for name, shape in dense.items()]
    raise CheckpointError(
        f"{where} has no {what}; its dense layers are {some_of(shapes) or 'none'}."
    )


def _check_all_used(weights: Weights, sources: Sequence[str], where: str) -> None:
    """A tensor that plays a part which is not known here would be missed in silence."""
    known = {source + end for source in sources for end in (_WEIGHT, _BIAS)}
    used = [weights[name] for name in known & weights.keys()]
    rest = [
        name
        for name, array in weights.items()
        if name not in known and not any(np.array_equal(array, a) for a in used)
    ]
    if rest:
        raise CheckpointError(
            f"{where} holds tensors that are none of the network's: {some_of(rest)}. "
            "Recurrent layers, normalization and further dense layers are not known "
            "here; if these play no part in policy and value, have them ignored."
        )

"""Agents trained in PyTorch, as checkpoints.

Programs name their layers as they like; which layer is which follows from the order and
the shapes of the tensors: 15 convolutions of 3 by 3 make IMPALA's residual network
(CleanRL's and train-procgen-pytorch's for Procgen), 3 of 8, 4 and 3 make Mnih's
(Stable-Baselines3's `CnnPolicy`, CleanRL's for Atari), each with dense layers and heads
of the policy and the value function, or of Q-values alone.
Observations are taken to be divided by 255.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from lucid_rl.checkpoints.architectures import (
    KERNEL_SIZES,
    Sizes,
    last_map_size,
    parameter_shapes,
    square_image_size,
)
from lucid_rl.checkpoints.checkpoint import Checkpoint
from lucid_rl.checkpoints.torch_files import read_stable_baselines3, read_torch
from lucid_rl.checkpoints.torch_weights import (
    Layer,
    Weights,
    chains,
    find_weights,
    layers_of,
)
from lucid_rl.errors import CheckpointError, InputError, reading, some_of
from lucid_rl.files import PathLike

_EXPORT = "Export it to ONNX: every feed-forward network can be loaded from there."
# Names of parameters by their role.
_CONTINUOUS = re.compile(r"(^|[._])log_?std(s|dev)?($|[._])", re.IGNORECASE)
_RECURRENT = re.compile(r"(lstm|gru|rnn)|weight_(ih|hh)", re.IGNORECASE)
_TARGET = re.compile(r"(^|[._])target[._]|_target[._]")
_AUXILIARY = re.compile(r"(^|[._])aux")
_OF_POLICY = re.compile(r"(^|[._])(pi|policy|actor|action)([._]|$)")
_OF_VALUE = re.compile(r"(^|[._])(vf?|value|critic)([._]|$)")


def import_torch(
    path: PathLike,
    *,
    state_dict: str | None = None,
    policy: str | None = None,
    value: str | None = None,
    ignored: Sequence[str] = (),
    image_size: tuple[int, int] | None = None,
    activation: str | None = None,
    args: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Makes a checkpoint of an agent that was trained in PyTorch.

    Args:
        path: a file of `torch.save` (a state dictionary, something that holds one, or
            a module), or an archive of Stable-Baselines3. PyTorch is not needed, and
            nothing in the file runs.
        state_dict: where in the file the state dictionary is, such as
            "model_state_dict", where there are several.
        policy: name of the layer of the policy's logits (or Q-values), where it is not
            the only one of its inputs with several outputs.
        value: name of the layer of the value function, likewise of one output.
        ignored: beginnings of names of tensors that play no part in either: further
            heads, or whole other networks.
        image_size: height and width of observations, where they are not the most usual
            square that fits the first dense layer.
        activation: "relu" or "tanh", of dense layers that policy or value function
            have for themselves, where the file does not state it.
        args: settings to put into the checkpoint: `env_name`, `distribution_mode`,
            `paint_vel_info`, `gamma`, `reward_scale`, ….

    Returns:
        A checkpoint of the architecture "impala_torch" or "nature". Its `extra` has,
        under "assumed", sentences on what the file does not state.

    Raises:
        FileFormatError: the file cannot be read.
        CheckpointError: it holds no such network, or more than one.
        InputError: a name that is not in the file.
    """
    content, stated = read_torch(path), read_stable_baselines3(path)
    with reading(path):
        network = parameters(
            find_weights(content, state_dict),
            policy=policy,
            value=value,
            ignored=ignored,
            image_size=image_size or stated.pop("image_size", None),
            activation=activation or stated.get("activation"),
        )
    stated.pop("activation", None)
    # Elsewhere nothing is painted into observations.
    settings = {"library": "pytorch", "paint_vel_info": False, **stated}
    settings |= {**network.settings, **(args or {})}
    return Checkpoint(
        network.params,
        settings,
        {"assumed": network.assumed} if network.assumed else {},
        path=str(path),
    )


@dataclasses.dataclass(frozen=True)
class Network:
    """A network by the article's names.

    Attributes:
        params: float32 by tensor name.
        settings: its part of a checkpoint's args.
        assumed: sentences on what was taken for granted.
    """

    params: Weights
    settings: dict[str, Any]
    assumed: list[str]


def parameters(
    weights: Weights,
    policy: str | None = None,
    value: str | None = None,
    ignored: Sequence[str] = (),
    image_size: tuple[int, int] | None = None,
    activation: str | None = None,
) -> Network:
    """Parameters of a state dictionary by the article's names.

    Kernels turn from [out, in, height, width] to [height, width, in, out], and the
    first dense layer's inputs from channels first to channels last. The arguments are
    those of `import_torch`.

    Raises:
        CheckpointError: they make no known network.
        InputError: a name that is not there.
    """
    _check_kind(weights)
    layers, assumed = layers_of(
        {name: array for name, array in weights.items() if array.dtype.kind == "f"}
    )
    kept, left_out = _kept(layers, ignored)
    targets = [layer for layer in kept if _TARGET.search(layer.name)]
    if targets and len(targets) < len(kept):
        kept = [layer for layer in kept if not _TARGET.search(layer.name)]
        left_out += targets
        assumed.append("target networks are left out")
    plan = _Plan(kept, policy, value)
    if not plan.value:
        if any(layer.n_outputs == 1 for layer in left_out):
            raise CheckpointError(
                f"without {some_of(map(str, left_out))} there is no head of "
                "the value function."
            )
        assumed.append(
            "without a value head it is taken for a Q-network: value = largest Q, "
            "policy = softmax of Q; an agent of Q-learning takes the largest (greedy)"
        )
    left_out += plan.auxiliary
    assumed += [f"auxiliary head {layer.name} is left out" for layer in plan.auxiliary]
    _check_left_out(plan, left_out)
    _check_all_used(weights, [*plan.used, *left_out], ignored)
    settings = _settings(plan, activation)
    first = plan.trunk[0]
    n_positions = first.n_inputs // plan.convolutions[-1].n_outputs
    if image_size is None:
        image_size = square_image_size(plan.architecture, n_positions)
        assumed.append("observations of {} by {} pixels".format(*image_size))
    if math.prod(last_map_size(plan.architecture, image_size)) != n_positions:
        raise CheckpointError(
            f"the dense layer {first} does not fit observations of "
            "{} by {} pixels: give their height and width.".format(*image_size)
        )
    settings["image_size"] = list(image_size)
    return Network(_params(plan, image_size), settings, assumed)


def _check_kind(weights: Weights) -> None:
    for pattern, found in (
        (_CONTINUOUS, "a policy of continuous actions"),
        (_RECURRENT, "a recurrent network"),
    ):
        names = [name for name in weights if pattern.search(name)]
        if names:
            raise CheckpointError(
                f"it holds {found} ({some_of(names)}); expected a feed-forward "
                "network with a choice of actions."
            )


def _kept(
    layers: list[Layer], ignored: Sequence[str]
) -> tuple[list[Layer], list[Layer]]:
    names = {name for layer in layers for name in layer.tensors}
    for start in ignored:
        if not any(name.startswith(start) for name in names):
            raise InputError(f"no layer's name begins with {start!r}.")
    kept: list[Layer] = []
    left_out: list[Layer] = []
    for layer in layers:
        # A layer with several names is kept unless all are ignored.
        is_ignored = all(name.startswith(tuple(ignored)) for name in layer.tensors)
        (left_out if ignored and is_ignored else kept).append(layer)
    return kept, left_out


class _Plan:
    """Which layer is which.

    Attributes:
        architecture: of the convolutions.
        convolutions: in their order.
        trunk: dense layers that policy and value function share.
        policy: dense layers of the policy, its head last.
        value: dense layers of the value function, its head last; none of a Q-network.
        auxiliary: heads that play no part.
    """

    def __init__(
        self, layers: list[Layer], policy: str | None, value: str | None
    ) -> None:
        self.convolutions = [layer for layer in layers if layer.kernel.ndim == 4]
        self.architecture = _architecture(self.convolutions)
        self._dense = [layer for layer in layers if layer.kernel.ndim == 2]
        runs = list(chains(self._dense))
        n_channels = self.convolutions[-1].n_outputs
        if not runs or runs[0][0].n_inputs % n_channels:
            self._refuse(
                f"dense layer behind the {n_channels} channels of the last map"
            )
        self.trunk, *branches = runs
        widths = {run[0].n_inputs for run in branches}
        ends = [
            run
            for run in (branches or [self.trunk])
            if run[-1].n_outputs not in widths or run[-1].name in (policy, value)
        ]
        self.auxiliary: list[Layer] = []
        self.policy = self._heads(
            [run for run in ends if run[-1].n_outputs > 1],
            policy,
            "policy",
            "the number of actions",
        )
        self.value: list[Layer] = []
        singles = [run for run in ends if run[-1].n_outputs == 1]
        if singles or value is not None:
            self.value = self._heads(singles, value, "value function", "1")
        if not branches:
            # Q-values at the end of the only run.
            self.trunk, self.policy = self.trunk[:-1], self.trunk[-1:]
        if not self.trunk:
            self._refuse("dense layer that the heads share")
        self._join([run for run in branches if run not in ends])

    @property
    def used(self) -> list[Layer]:
        """All layers that play a part."""
        return [*self.convolutions, *self.trunk, *self.policy, *(self.value)]

    def _heads(
        self, runs: list[list[Layer]], name: str | None, what: str, n_outputs: str
    ) -> list[Layer]:
        names = [run[-1].name for run in runs]
        if name is not None:
            if name not in names:
                raise InputError(
                    f"it has no head of the {what} {name!r}, but "
                    f"{some_of(names) or 'none'}."
                )
            return runs[names.index(name)]
        main = [run for run in runs if not _AUXILIARY.search(run[-1].name)]
        if len(main) == 1:
            self.auxiliary += [
                layer for run in runs if run not in main for layer in run
            ]
            return main[0]
        if runs:
            raise CheckpointError(
                f"it has more than one head of the {what} (dense layers to "
                f"{n_outputs}): {some_of(names)}. Name one, and ignore the others."
            )
        self._refuse(
            f"head of the {what}, from {self.trunk[-1].n_outputs} to {n_outputs}"
        )

    def _join(self, between: list[list[Layer]]) -> None:
        """Puts the runs between trunk and heads where they belong."""
        shared = self.trunk[-1].n_outputs
        for run in between:
            if run[0].n_inputs != shared:
                self._refuse(f"place for the dense layers {some_of(map(str, run))}")
            name = run[-1].name
            of_policy, of_value = _OF_POLICY.search(name), _OF_VALUE.search(name)
            width = run[-1].n_outputs
            if of_policy and not of_value and self.policy[0].n_inputs == width:
                self.policy = run + self.policy
            elif of_value and not of_policy and self.value[0].n_inputs == width:
                self.value = run + self.value
            elif len(between) == 1 and not (of_policy or of_value):
                self.trunk = self.trunk + run
                shared = width
            else:
                self._refuse(f"place for the dense layers {some_of(map(str, run))}")
        for run in (self.policy, self.value):
            if run and run[0].n_inputs != self.trunk[-1].n_outputs:
                self._refuse(f"dense layer from the shared ones to {run[0]}")

    def _refuse(self, what: str) -> NoReturn:
        dense = some_of(map(str, self._dense)) or "none"
        raise CheckpointError(
            f"it has no {what}; its dense layers are {dense}. {_EXPORT}"
        )


def _architecture(convolutions: list[Layer]) -> str:
    shapes = [layer.kernel.shape for layer in convolutions]
    for architecture in ("impala_torch", "nature"):
        sizes = KERNEL_SIZES[architecture]
        if [shape[2:] for shape in shapes] == [(size, size) for size in sizes] and all(
            before[0] == shape[1] for before, shape in itertools.pairwise(shapes)
        ):
            widths = [shape[0] for shape in shapes]
            # The residual sums of IMPALA's three sequences have one width each.
            if len(shapes) == 3 or widths == [w for w in widths[::5] for _ in range(5)]:
                return architecture
    two = ""
    if len(shapes) in (6, 30):
        two = (
            " Two networks, one for the policy and one for the value function, are not "
            "known here."
        )
    raise CheckpointError(
        f"it holds {len(shapes)} convolutions, [out, in, height, width] = "
        f"{some_of(shapes)}. Expected the 15 of 3 by 3 of IMPALA's network, or the 3 "
        f"of 8, 4 and 3 of Mnih's, in their order.{two} {_EXPORT}"
    )


def _check_left_out(plan: _Plan, left_out: Iterable[Layer]) -> None:
    """Refuses to leave out what policy or value function may be computed from."""
    left_out = list(left_out)
    convolutions = [layer for layer in left_out if layer.kernel.ndim == 4]
    n_actions = plan.policy[-1].n_outputs
    needed = {n_actions, 1} if plan.value else {n_actions}
    found = {layer.n_outputs for layer in left_out if layer.kernel.ndim == 2}
    if convolutions and not needed <= found:
        raise CheckpointError(
            f"leaving out the convolutions {some_of(map(str, convolutions))} "
            "leaves heads that may read them. A network of its own for the policy or "
            f"the value function is not known here. {_EXPORT}"
        )
    dense = [layer for layer in left_out if layer.kernel.ndim == 2]
    read = {layer.n_inputs for layer in plan.used if layer.kernel.ndim == 2}
    for layer in dense:
        # Its output may be read by another layer that is left out.
        others = {other.n_inputs for other in dense if other is not layer}
        if not convolutions and layer.n_outputs in read - others:
            raise CheckpointError(
                f"leaving out {layer} leaves layers that may read it. {_EXPORT}"
            )


def _check_all_used(
    weights: Weights, layers: Iterable[Layer], ignored: Sequence[str]
) -> None:
    """A tensor that plays a part which is not known here would be missed in silence."""
    known = {name for layer in layers for name in layer.tensors}
    rest = [
        name
        for name, array in weights.items()
        if name not in known
        and array.dtype.kind == "f"
        and not (ignored and name.startswith(tuple(ignored)))
        and not _TARGET.search(name)
    ]
    if rest:
        raise CheckpointError(
            f"it holds tensors that are none of the network's: {some_of(rest)}. "
            "If these play no part in policy and value, have them ignored; otherwise "
            f"{_EXPORT[0].lower()}{_EXPORT[1:]}"
        )


def _settings(plan: _Plan, activation: str | None) -> dict[str, Any]:
    settings: dict[str, Any] = {"cnn": plan.architecture}
    if not plan.value:
        settings["q_network"] = True
    own = [*plan.policy[:-1], *(plan.value)[:-1]]
    if own and activation is None:
        raise CheckpointError(
            f"it has dense layers before its heads, {some_of(map(str, own))}, and "
            "does not state their activation: give relu or tanh."
        )
    if own:
        settings["hidden_activation"] = activation
    n_channels = plan.convolutions[0].n_inputs
    if n_channels > 3 and n_channels % 3 == 0:
        settings["frame_stack"] = n_channels // 3
    return settings


def _params(plan: _Plan, image_size: tuple[int, int]) -> Weights:
    """The layers by the article's names, in its order of axes."""
    first, *hidden = plan.trunk
    *policy, policy_head = plan.policy
    sizes = Sizes(
        image_size,
        channels=tuple(
            layer.n_outputs
            for layer in plan.convolutions[:: len(plan.convolutions) // 3]
        ),
        dense=(first.n_outputs,),
        hidden=tuple(
            tuple(layer.n_outputs for layer in run)
            for run in (hidden, policy, plan.value[:-1])
        ),
        has_value=bool(plan.value),
    )
    shapes = parameter_shapes(
        plan.architecture,
        policy_head.n_outputs,
        plan.convolutions[0].n_inputs,
        sizes,
    )
    ordered = [*plan.convolutions, *plan.trunk, *policy, *plan.value[:-1]]
    ordered += [policy_head, *plan.value[-1:]]
    names = list(shapes)
    params: Weights = {}
    # A kernel and a bias for each layer, in the order in which they follow each other.
    for layer, kernel, bias in zip(ordered, names[::2], names[1::2], strict=True):
        array = layer.kernel
        if layer is first:
            map_size = last_map_size(plan.architecture, image_size)
            array = array.reshape(-1, plan.convolutions[-1].n_outputs, *map_size)
        order = (2, 3, 1, 0) if array.ndim == 4 else (1, 0)
        params[kernel] = array.transpose(order).reshape(shapes[kernel])
        params[bias] = layer.bias.reshape(shapes[bias])
    return {k: np.ascontiguousarray(a, np.float32) for k, a in params.items()}

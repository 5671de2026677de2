"""A checkpoint: a trained model's parameters and settings as one checked value."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid_rl.checkpoints.architectures import POLICY_BIAS, Sizes, parameter_shapes
from lucid_rl.checkpoints.byte_reader import EXPORT
from lucid_rl.checkpoints.jd_format import read_jd, write_jd
from lucid_rl.checkpoints.parameter_checks import (
    check_architecture,
    check_args,
    check_params,
)
from lucid_rl.errors import CheckpointError, InputError, reading
from lucid_rl.validation import is_set

DEFAULT_ARGS: dict[str, Any] = {
    "env_kind": "procgen",
    "cnn": "clear",
    "use_lstm": 0,
    "frame_stack": 1,
    "num_steps": 256,
    "learning_rate": 5e-4,
    "entropy_coeff": 0.01,
    "gamma": 0.999,
    "lambda": 0.95,
    "num_minibatches": 8,
    "ppo_epochs": 3,
    "clip_range": 0.2,
    "clip_vf": 1,
    "epsilon_greedy": 0.0,
    "reward_scale": 1.0,
    "reward_processing": "none",
    "use_sticky_actions": 0,
    "stack_channels": "16_32_32",
    "emb_size": 256,
    "library": "baselines",
    "save_all": False,
}
"""Settings of the article's training script, for those that a checkpoint lacks. The
game, `env_name`, has no default: a model is analysed only on a game it was trained on.
"""


BUNDLED = {
    "bundled": "coinrun_hard.jd",
    "bundled:100_levels": "coinrun_100_levels.jd",
    "bundled:distilled": "coinrun_distilled.jd",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """The parameters and settings of a trained model, in the article's terms.

    Checked when it is made: a Checkpoint that exists makes a model.

    Raises:
        CheckpointError: the architecture is unknown, the model is recurrent, or
            parameters are missing, too many, of another shape or dtype, or not
            finite; names file, tensor, expected and found.
    """

    params: dict[str, np.ndarray] = dataclasses.field(repr=False)
    """float32 by full tensor name, "ppo2_model/pi/1a/conv2d/kernel:0"; read-only."""

    args: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    """The training script's settings; missing ones are filled from
    `DEFAULT_ARGS`, unknown ones are kept."""

    extra: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    """Anything else that was stored; empty in the article's files."""

    time: float = 0.0
    """When it was saved, in seconds since 1970."""

    path: str | None = None
    """The file it was read from."""

    sizes: Sizes = dataclasses.field(init=False, repr=False)
    """Of the network, inferred from its parameters."""

    def __post_init__(self) -> None:
        with reading(self.path or "the checkpoint"):
            self._check()

    def _check(self) -> None:
        for field in ("params", "args", "extra"):
            if not isinstance(getattr(self, field), dict):
                kind = type(getattr(self, field)).__name__
                raise CheckpointError(f"{field} is a {kind}, not a dict.")
        # As in the article's code, None stands for the default; but a name of an
        # architecture that is None cannot be guessed.
        given = {
            name: value
            for name, value in self.args.items()
            if value is not None or name not in DEFAULT_ARGS or name == "cnn"
        }
        object.__setattr__(self, "args", {**DEFAULT_ARGS, **given})
        check_architecture(self.args, self.params)
        check_args(self.args)
        size = self.args.get("image_size")
        sizes = check_params(
            self.params,
            self.args["cnn"],
            None if size is None else tuple(size),
            not is_set(self.args.get("q_network")),
        )
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "params", _read_only(self.params))

    @property
    def architecture(self) -> str:
        """One of `architectures.ARCHITECTURES`."""
        return self.args["cnn"]

    @property
    def n_actions(self) -> int:
        """Number of logits, as the policy head's bias has them."""
        return len(self.params[POLICY_BIAS])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an observation."""
        first = next(iter(parameter_shapes(self.architecture, 1)))
        return (*self.sizes.image_size, self.params[first].shape[2])

    @property
    def n_parameters(self) -> int:
        """Number of trained numbers."""
        return sum(array.size for array in self.params.values())

    def __repr__(self) -> str:
        game = self.args.get("env_name", "unknown game")
        return (
            f"Checkpoint({self.architecture}, {self.n_actions} actions, "
            f"{self.n_parameters:,} parameters, {game}, "
            f"path={self.path!r})"
        )

    def replace_params(
        self,
        changes: Mapping[str, np.ndarray],
        *,
        args: Mapping[str, Any] | None = None,
    ) -> "Checkpoint":
        """A new checkpoint with some parameters and settings replaced, by their names.

        Floats of other widths, as edits in float64 have them, are rounded to float32.

        Raises:
            CheckpointError: a name is unknown or a value does not fit.
        """
        new = {}
        for name, value in changes.items():
            array = np.asarray(value)
            # What overflows is refused as infinite, by name, below.
            with np.errstate(over="ignore"):
                is_float = array.dtype.kind == "f"
                new[name] = array.astype(np.float32) if is_float else array
        return Checkpoint(
            params={**self.params, **new},
            args={**self.args, **(args or {})},
            extra=dict(self.extra),
            time=self.time,
        )


def load_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Reads and checks a checkpoint of the article's format; nothing in it runs.

    Raises:
        FileFormatError: the file is missing, damaged or unsafe.
        CheckpointError: its parameters make no model that is known here.
    """
    value = read_jd(path, required=("params",))
    if not isinstance(value, dict) or not isinstance(value.get("params"), dict):
        keys = sorted(map(str, value)) if isinstance(value, dict) else None
        found = f"a dict of {keys!s:.200}" if keys else f"a {type(value).__name__}"
        raise CheckpointError(
            f"{path} is not a checkpoint: expected a dict with params and args, found "
            f"{found}. {EXPORT}."
        )
    time = value.get("time", 0.0)
    if not isinstance(time, (float, np.floating)):
        time = time if type(time) is int and abs(time) < 2**53 else 0.0
    return Checkpoint(
        params=value["params"],
        args=value.get("args", {}),
        extra=value.get("extra", {}),
        time=float(time),
        path=str(path),
    )


def save_checkpoint(checkpoint: Checkpoint, path: str | os.PathLike) -> None:
    """Writes a checkpoint that the article's own code reads, atomically.

    Raises:
        InputError: args or extra hold something that cannot be stored.
        SaveError: the file cannot be written.
    """
    if not isinstance(checkpoint, Checkpoint):
        found = type(checkpoint).__name__
        raise InputError(f"got {found}: expected a Checkpoint, as model.checkpoint is")
    write_jd(
        {
            "args": checkpoint.args,
            "params": checkpoint.params,
            "extra": checkpoint.extra,
            "time": checkpoint.time,
        },
        path,
    )


def bundled_checkpoint_path(name: str = "bundled") -> pathlib.Path:
    """A model that comes with the package, trained by it on hard CoinRun.

    Args:
        name: one of `BUNDLED`: trained on unlimited levels, on 100, or distilled from
            the released model.
    """
    return pathlib.Path(__file__).parent.parent / "data" / BUNDLED[name]


def _read_only(params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    views = {name: array.view() for name, array in params.items()}
    for view in views.values():
        view.flags.writeable = False
    return views

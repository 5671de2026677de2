"""Whether parameters make one of the known networks."""

from typing import Any

import numpy as np

from lucid_rl.checkpoints.architectures import (
    ARCHITECTURES,
    POLICY_BIAS,
    parameter_shapes,
)
from lucid_rl.errors import CheckpointError, some_of


def check_architecture(
    args: dict[str, Any], params: dict[str, Any], where: str
) -> None:
    """Refuses recurrent models and architectures that are not known here.

    Args:
        args: the training script's settings, with cnn and use_lstm.
        params: anything, by tensor name.
        where: what to call the checkpoint in an error.

    Raises:
        CheckpointError: says what was found and expected.
    """
    recurrent = [str(name) for name in params if "lstm" in str(name)]
    # Anything but a plain zero counts: an array has no truth.
    is_off = args["use_lstm"] is None or np.array_equal(args["use_lstm"], 0)
    if recurrent or not is_off:
        reason = f"tensor {recurrent[0]!r:.100}" if recurrent else "use_lstm is set"
        raise CheckpointError(
            f"{where} holds a recurrent model ({reason}); expected a feed-forward one, "
            "since the methods here look at one frame at a time."
        )
    name = args["cnn"]
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise CheckpointError(
            f"{where} names the architecture {name!r:.80}; expected one of "
            f"{', '.join(ARCHITECTURES)}."
        )


def check_params(params: dict[str, Any], architecture: str, where: str) -> None:
    """Makes sure that parameters are those of an architecture: float32, finite.

    Numbers of actions and of input channels are taken from the parameters.

    Args:
        params: anything, by tensor name.
        architecture: one of `ARCHITECTURES`.
        where: what to call the checkpoint in an error.

    Raises:
        CheckpointError: names the tensor, what was expected and found.
    """
    for name, array in params.items():
        if not isinstance(array, np.ndarray) or array.dtype != np.float32:
            found = getattr(array, "dtype", type(array).__name__)
            raise CheckpointError(
                f"{where}: tensor {name!r:.100} must be a float32 array, found {found}."
            )
    first = next(iter(parameter_shapes(architecture, 1)))
    _check_names(params, set(parameter_shapes(architecture, 1)), where)
    if params[POLICY_BIAS].ndim != 1 or params[POLICY_BIAS].size == 0:
        raise CheckpointError(
            f"{where}: tensor {POLICY_BIAS} must have shape (number of actions,), "
            f"found {params[POLICY_BIAS].shape}."
        )
    # Stacked frames widen the observation's channels.
    n_channels = params[first].shape[2] if params[first].ndim == 4 else 3
    n_actions = len(params[POLICY_BIAS])
    for name, shape in parameter_shapes(
        architecture, n_actions, n_channels or 3
    ).items():
        array = params[name]
        if array.shape != shape:
            raise CheckpointError(
                f"{where}: tensor {name} of architecture {architecture} must have "
                f"shape {shape}, found {array.shape}."
            )
        n_bad = array.size - np.count_nonzero(np.isfinite(array))
        if n_bad:
            raise CheckpointError(
                f"{where}: tensor {name} must be finite, found {n_bad} of {array.size} "
                "numbers NaN or infinite; the training diverged or the file is damaged."
            )


def _check_names(params: dict[str, Any], expected: set[str], where: str) -> None:
    missing = sorted(expected - params.keys())
    unknown = sorted(f"{name!r:.100}" for name in params.keys() - expected)
    if missing or unknown:
        problems = [
            f"{what} {some_of(names)}"
            for what, names in (("missing", missing), ("not expected", unknown))
            if names
        ]
        raise CheckpointError(f"{where}: {'; '.join(problems)}.")

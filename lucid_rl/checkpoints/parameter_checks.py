"""Whether parameters make one of the known networks."""

import numbers
import sys
from typing import Any

import numpy as np

from lucid_rl.checkpoints.architectures import (
    ARCHITECTURES,
    POLICY_BIAS,
    Sizes,
    parameter_shapes,
    sizes_of,
)
from lucid_rl.errors import CheckpointError, some_of


def check_architecture(args: dict[str, Any], params: dict[str, Any]) -> None:
    """Refuses recurrent models and unknown architectures.

    Raises:
        CheckpointError: says what was found and expected.
    """
    recurrent = [str(name) for name in params if "lstm" in str(name)]
    # Anything but zero counts as set; arrays have no truth value.
    is_off = args["use_lstm"] is None or np.array_equal(args["use_lstm"], 0)
    if recurrent or not is_off:
        reason = f"tensor {recurrent[0]!r:.100}" if recurrent else "use_lstm is set"
        raise CheckpointError(
            f"it holds a recurrent model ({reason}); expected a feed-forward one, "
            "since the methods here look at one frame at a time."
        )
    name = args["cnn"]
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise CheckpointError(
            f"it names the architecture {name!r:.80}; expected one of "
            f"{', '.join(ARCHITECTURES)}."
        )


def check_args(args: dict[str, Any]) -> None:
    """Refuses settings that are used here and make no sense.

    Raises:
        CheckpointError: says which one, and what was expected.
    """
    for name in ("gamma", "lambda", "reward_scale"):
        value = args[name]
        is_number = isinstance(value, numbers.Real)
        if not (is_number and abs(value) <= sys.float_info.max):
            raise CheckpointError(
                f"the setting {name} is {_short(value)}, expected a number."
            )
    size = args.get("image_size")
    if size is not None and not (
        isinstance(size, (list, tuple))
        and len(size) == 2
        and all(type(n) is int and 8 <= n <= 4096 for n in size)
    ):
        raise CheckpointError(
            f"the setting image_size is {_short(size)}, expected height and "
            "width in pixels."
        )
    activation = args.get("hidden_activation", "relu")
    if not isinstance(activation, str) or activation not in ("relu", "tanh"):
        raise CheckpointError(
            "the setting hidden_activation is "
            f"{_short(activation)}, expected 'relu' or 'tanh'."
        )


def _short(value: Any) -> str:
    is_short = isinstance(value, (str, int, float, bool))
    return repr(value)[:80] if is_short else f"of type {type(value).__name__}"


def check_params(
    params: dict[str, Any],
    architecture: str,
    image_size: tuple[int, int] | None = None,
    has_value: bool = True,
) -> Sizes:
    """Makes sure that parameters are those of an architecture: float32, finite.

    Numbers of actions and of input channels and all widths are taken from the
    parameters, as is the image's size by default.

    `params` may be anything; `image_size` is the height and width of observations;
    `has_value` says whether there is a head of the value function.

    Raises:
        CheckpointError: names the tensor, what was expected and found.
    """
    for name, array in params.items():
        if not isinstance(array, np.ndarray) or array.dtype != np.float32:
            found = getattr(array, "dtype", type(array).__name__)
            raise CheckpointError(
                f"tensor {name!r:.100} must be a float32 array, found {found}."
            )
    sizes = sizes_of(architecture, params, image_size, has_value)
    first, *others = parameter_shapes(architecture, 1, 1, sizes)
    _check_names(params, {first, *others})
    if params[POLICY_BIAS].ndim != 1 or params[POLICY_BIAS].size == 0:
        raise CheckpointError(
            f"tensor {POLICY_BIAS} must have shape (number of actions,), "
            f"found {params[POLICY_BIAS].shape}."
        )
    # Stacked frames widen the observation's channels.
    n_channels = params[first].shape[2] if params[first].ndim == 4 else 3
    n_actions = len(params[POLICY_BIAS])
    expected = parameter_shapes(architecture, n_actions, n_channels or 3, sizes)
    for name, shape in expected.items():
        array = params[name]
        if array.shape != shape:
            raise CheckpointError(
                f"tensor {name} of architecture {architecture} must have "
                f"shape {shape}, found {array.shape}."
            )
        n_bad = array.size - np.count_nonzero(np.isfinite(array))
        if n_bad:
            raise CheckpointError(
                f"tensor {name} must be finite, found {n_bad} of {array.size} "
                "numbers NaN or infinite; the training diverged or the file is damaged."
            )
    return sizes


def _check_names(params: dict[str, Any], expected: set[str]) -> None:
    missing = sorted(expected - params.keys())
    unknown = sorted(f"{name!r:.100}" for name in params.keys() - expected)
    if missing or unknown:
        problems = [
            f"{what} {some_of(names)}"
            for what, names in (("missing", missing), ("not expected", unknown))
            if names
        ]
        raise CheckpointError(f"{'; '.join(problems)}.")

"""How a checkpoint's `args` become the settings of a game.

The article's code passes on what is not None, so that the engine's own default stands
for everything else; so does this. The tables give every argument of both engines; what
is in none of them does not change the game.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.validation import is_set


@dataclasses.dataclass(frozen=True)
class Argument:
    """An argument of an engine.

    Attributes:
        field: the field of `GameSettings`.
        default: the engine's own default, as the argument has it.
        convert: turns a given value into the field's.
        of_levels: whether it says which levels the model was trained on.
    """

    field: str
    default: Any
    convert: Callable[[Any], Any]
    of_levels: bool = False


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int | float | np.number | np.bool_) or value != int(value):
        raise ValueError("expected a whole number")
    return int(value)


def _or_none(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _truth(value: Any) -> bool:
    if _whole(value) not in (0, 1):
        raise ValueError("expected 0 or 1")
    return bool(value)


def _unless_minus_one(value: Any) -> int | None:
    return None if _whole(value) == -1 else _whole(value)


def _minus_one_is_true(value: Any) -> bool:
    # The standard game, which is the only one played here, paints the velocity.
    return True if _whole(value) == -1 else _truth(value)


PROCGEN = {
    "distribution_mode": Argument("distribution_mode", "hard", _text),
    "paint_vel_info": Argument("paint_vel_info", False, _truth),
    "center_agent": Argument("center_agent", True, _truth),
    "use_backgrounds": Argument("use_backgrounds", True, _truth),
    "use_monochrome_assets": Argument("use_monochrome_assets", False, _truth),
    "restrict_themes": Argument("restrict_themes", False, _truth),
    "use_generated_assets": Argument("use_generated_assets", False, _truth),
    "debug_mode": Argument("debug_mode", 0, _whole),
    "frame_stack": Argument("frame_stack", 1, _whole),
    "num_levels": Argument("n_levels", 0, _whole, of_levels=True),
    "start_level": Argument("start_level", 0, _whole, of_levels=True),
}
"""Arguments of Procgen's games."""

COINRUN_ORIGINAL = {
    "high_difficulty": Argument(
        "distribution_mode", False, lambda value: "hard" if _truth(value) else "mixed"
    ),
    "paint_vel_info": Argument("paint_vel_info", -1, _minus_one_is_true),
    "frame_stack": Argument("frame_stack", 1, _whole),
    "num_levels": Argument("n_levels", 0, _whole, of_levels=True),
    "start_level": Argument("start_level", 0, _whole, of_levels=True),
    "set_seed": Argument("level_set_seed", -1, _unless_minus_one, of_levels=True),
}
"""Arguments of the original CoinRun; `start_level` is this package's addition."""

GYMNASIUM = {
    "wrappers": Argument("wrappers", None, _or_none(_text)),
    "frame_stack": Argument("frame_stack", None, _or_none(_whole)),
}
"""Arguments of Gymnasium's environments; `wrappers` is this package's addition."""

NOT_PLAYED = (
    "use_sequential_levels",
    "use_easy_jump",
    "plain_assets",
    "physics_mode",
    "fix_background",
    "fixed_difficulty",
    "game_mechanics",
    "sample_game_mechanics",
    "is_high_difficulty",
    "is_uniform_difficulty",
    "use_black_white",
)
"""Arguments of OpenAI's own engines that the public ones, or this package, lack."""


def fields_from_args(
    args: Mapping[str, Any], table: Mapping[str, Argument], of_levels: bool = False
) -> dict[str, Any]:
    """Fields of `GameSettings` that an engine would be started with.

    Raises:
        SettingsError: a value is none that its argument can have.
    """
    fields = {}
    for name, argument in table.items():
        if argument.of_levels and not of_levels:
            continue
        value = args.get(name)
        try:
            value = argument.default if value is None else value
            fields[argument.field] = argument.convert(value)
        except (ValueError, TypeError, OverflowError) as error:
            raise SettingsError(
                f"the model's args say {name}={value!r}: {error}"
            ) from error
    return fields


def not_played(args: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the training arguments that no public engine supports."""
    return {name: args[name] for name in NOT_PLAYED if is_set(args.get(name))}

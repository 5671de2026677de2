"""Checks of settings: rules in the fields' types, one form of message for all.

Example:
    >>> @dataclasses.dataclass(frozen=True)
    ... class PathSettings(Settings):
    ...     n_steps: Positive = 10
    ...     scale: Annotated[float, at_least(0.5)] = 1.0
    ...     rule: Literal["midpoint", "right_riemann"] = "midpoint"
"""

import dataclasses
import functools
import itertools
import numbers
import operator
import types
import typing
from collections.abc import Callable, Collection
from typing import Annotated, Any, Literal, Union

import numpy as np

from lucid_rl.errors import SettingsError

# Networks compute in float32, where larger numbers are infinite.
_LARGEST = float(np.finfo(np.float32).max)
_RANGE = f"at most {_LARGEST:.1e}"


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule for a field's value: a condition, and its description."""

    holds: Callable[[Any], bool]
    expected: str

    def __repr__(self) -> str:
        return self.expected  # as signatures show it

    def __or__(self, other: "Rule") -> "Rule":
        return Rule(
            lambda value: self.holds(value) or other.holds(value),
            f"{self.expected}, or {other.expected}",
        )


def at_least(lowest: float, highest: int = 2**31 - 1) -> Rule:
    """A number that is `lowest` or larger; a whole one where `lowest` is an int.

    Whole numbers are at most `highest`: games and libraries take no larger counts and
    seeds.
    """
    if isinstance(lowest, int):
        return Rule(
            lambda value: _is_whole(value) and lowest <= value <= highest,
            f"a whole number of at least {lowest}, at most {highest}",
        )
    return Rule(
        lambda value: _is_finite(value) and value >= lowest,
        f"at least {lowest:g}, {_RANGE}",
    )


def above(bound: float) -> Rule:
    """A finite number larger than `bound`."""
    return Rule(
        lambda value: _is_finite(value) and value > bound, f"above {bound:g}, {_RANGE}"
    )


def between(lowest: float, highest: float) -> Rule:
    """A number from `lowest` to `highest`, both included."""
    return Rule(
        lambda value: _is_finite(value) and lowest <= value <= highest,
        f"between {lowest:g} and {highest:g}",
    )


def whole(lowest: int, highest: int) -> Rule:
    """A whole number from `lowest` to `highest`, both included."""
    return Rule(
        lambda value: _is_whole(value) and lowest <= value <= highest,
        f"a whole number between {lowest} and {highest}",
    )


def one_of(known: Collection[Any]) -> Rule:
    """One of the given values."""
    return Rule(lambda value: value in known, f"one of {', '.join(map(str, known))}")


def some_of(known: Collection[Any]) -> Rule:
    """One or more of the given values."""
    return Rule(
        lambda values: bool(values) and set(values) <= set(known),
        f"some of {', '.join(map(str, known))}",
    )


def instance_of(kind: type) -> Rule:
    """An instance of a class."""
    return Rule(lambda value: isinstance(value, kind), f"a {kind.__name__}")


def none() -> Rule:
    """None, for `none() | at_least(1)`."""
    return Rule(lambda value: value is None, "None")


Natural = Annotated[int, at_least(0)]
Positive = Annotated[int, at_least(1)]
PositiveFloat = Annotated[float, above(0)]
NonNegativeFloat = Annotated[float, at_least(0.0)]
Fraction = Annotated[float, between(0, 1)]


def check_fields(settings: Any, **rules: Rule) -> None:
    """Checks fields of a settings dataclass.

    Args:
        settings: an instance; fields of a type `Annotated[..., rule]`, `Literal`,
            `bool`, of dataclasses and of tuples are checked, and of unions of these and
            None.
        **rules: rules of other fields.

    Raises:
        SettingsError: a field breaks its rule; names the field, the value and what
            was expected.
    """
    own = _rules_of(type(settings))  # type: ignore[arg-type]
    for name, rule in (*own, *rules.items()):
        check(name, getattr(settings, name), rule)


@functools.cache
def _rules_of(settings: type) -> list[tuple[str, Rule]]:
    hints = typing.get_type_hints(settings, include_extras=True)
    return [(name, rule) for name, kind in hints.items() for rule in _rules(kind)]


def _rules(kind: Any) -> list[Rule]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return [rule for rule in kind.__metadata__ if isinstance(rule, Rule)]
    if origin is Literal:
        return [one_of(arguments)]
    if kind is types.NoneType:
        return [none()]
    if kind is bool:
        return [Rule(_is_truth, "True or False")]
    if dataclasses.is_dataclass(kind):
        return [instance_of(kind)]  # type: ignore[arg-type]
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return [_all_of(arguments[0])]
    if origin in (Union, types.UnionType):
        # None where a member takes any value.
        combinations = itertools.product(*map(_rules, arguments))
        return [functools.reduce(operator.or_, rules) for rules in combinations]
    return []


def _all_of(kind: Any) -> Rule:
    """A tuple or list; text, whose letters would be its items, is neither."""
    rules = _rules(kind)
    return Rule(
        lambda values: (
            isinstance(values, tuple | list)
            and all(rule.holds(value) for value in values for rule in rules)
        ),
        " ".join(["a tuple", *(f"of {rule.expected}" for rule in rules)]),
    )


class Settings:
    """Base of settings dataclasses: checks the fields when an instance is made."""

    def __post_init__(self) -> None:
        check_fields(self)


def check(name: str, value: Any, rule: Rule) -> None:
    """Checks one value; raises `SettingsError` as `check_fields` does."""
    if not rule.holds(value):
        raise SettingsError(f"{name}={value!r}: expected {rule.expected}.")


def is_set(value: Any) -> bool:
    """Whether a flag that a file holds is set: by its truth, if it has one.

    Arrays of several numbers have none; those are set unless all are 0.
    """
    return bool(np.any(value) if isinstance(value, np.ndarray) else value)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or (_is_whole(value) and value in (0, 1))


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return _is_number(value) and bool(abs(value) <= _LARGEST)  # not for NaN

"""Rules of settings, from the types of their fields."""

import dataclasses
from typing import Annotated, Literal

import pytest

from lucid_rl.errors import SettingsError
from lucid_rl.validation import Fraction, Positive, Settings, above


@dataclasses.dataclass(frozen=True)
class Made(Settings):
    n: Positive | None = None
    k: Positive | Literal["auto"] = "auto"
    rule: Literal["a", "b"] = "a"
    part: Annotated[Fraction, above(0)] = 0.5
    name: str | None = None


@pytest.mark.parametrize(
    "values", [{}, {"n": 3, "k": 2, "rule": "b", "part": 1, "name": 7}]
)
def test_values_within_the_rules(values):
    Made(**values)


@pytest.mark.parametrize(
    "values",
    [{"n": 0}, {"n": True}, {"k": "many"}, {"k": 0.5}, {"rule": "c"}, {"rule": None}]
    + [{"part": part} for part in (0, 1.5, float("nan"))],
)
def test_values_outside_name_the_field_and_what_was_expected(values):
    (name,) = values
    with pytest.raises(SettingsError, match=f"^{name}=.*: expected "):
        Made(**values)

"""Rules of settings, from the types of their fields."""

import dataclasses
import inspect
from typing import Annotated, Literal

import numpy as np
import pytest

from lucid_rl.errors import SettingsError
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.validation import Fraction, Positive, Settings, above


@dataclasses.dataclass(frozen=True)
class Made(Settings):
    n: Positive | None = None
    k: Positive | Literal["auto"] = "auto"
    rule: Literal["a", "b"] = "a"
    part: Annotated[Fraction, above(0)] = 0.5
    name: str | None = None
    inner: GameSettings | None = None
    names: tuple[str, ...] = ()
    numbers: tuple[Positive, ...] = (1,)
    flag: bool | None = None


def test_signatures_show_rules_in_words():
    assert "[float, between 0 and 1, above 0, " in str(inspect.signature(Made))


@pytest.mark.parametrize(
    "values",
    [
        {"n": 3, "k": 2, "rule": "b", "part": 1, "name": 7},
        {"names": ["a"], "inner": GameSettings(), "flag": np.bool_(True)},
        {"numbers": (), "flag": 1},
    ],
)
def test_values_within_the_rules(values):
    Made(**values)


@pytest.mark.parametrize(
    "values",
    [{"n": 0}, {"n": True}, {"k": "many"}, {"k": 0.5}, {"rule": "c"}, {"rule": None}]
    + [{"part": part} for part in (0, 1.5, float("nan"))]
    + [{"inner": "coinrun"}, {"names": "2b"}, {"numbers": (1, 0)}, {"numbers": 1}]
    + [{"flag": flag} for flag in ("no", 2, 0.5)],
)
def test_values_outside_name_the_field_and_what_was_expected(values):
    (name,) = values
    with pytest.raises(SettingsError, match=f"^{name}=.*: expected "):
        Made(**values)

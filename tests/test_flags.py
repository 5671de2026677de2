"""Flags from settings: every type, defaults, help, nesting, wrong values."""

import dataclasses
import os
from typing import Literal

import pytest
from absl import flags

from lucid_rl.flags import define_flags


@dataclasses.dataclass(frozen=True)
class Inner:
    """How it is done.

    Attributes:
        rate: a step's size.
        sizes: of each part,
            in pixels.
    """

    rate: float = 0.5
    sizes: tuple[int, ...] = (1, 2)


@dataclasses.dataclass(frozen=True)
class Outer:
    """What is done."""

    name: str = "it"
    """The name."""
    n: int | None = None
    """How many."""
    quick: bool = False
    """Whether to hurry."""
    mode: Literal["a", "b"] = "a"
    """Which way."""
    folder: str | os.PathLike = "out"
    """Where to."""
    layers: tuple[str, ...] = ()
    """Which ones."""
    inner: Inner = dataclasses.field(default_factory=Inner)
    unused: dict = dataclasses.field(default_factory=dict)


@pytest.fixture
def parse():
    values = flags.FlagValues()
    read = define_flags(
        Outer(), skip=("unused",), names={"inner.rate": "rate"}, flag_values=values
    )

    def parse(*arguments):
        values.unparse_flags()
        values(["program", *arguments])
        return read()

    parse.values = values
    return parse


def test_defaults_are_the_settings_own(parse):
    assert parse() == Outer()


def test_values_of_every_type(parse):
    found = parse(
        "--name=other",
        "--n=3",
        "--quick",
        "--mode=b",
        "--folder=there",
        "--layers=1a,2b",
        "--rate=0.25",
        "--inner_sizes=3,4,5",
    )
    inner = Inner(rate=0.25, sizes=(3, 4, 5))
    assert found == Outer("other", 3, True, "b", "there", ("1a", "2b"), inner)


def test_help_is_what_the_fields_say(parse):
    assert parse.values["folder"].help == "Where to."
    assert parse.values["inner_sizes"].help == "of each part, in pixels."


@pytest.mark.parametrize(
    "wrong", ["--n=many", "--mode=c", "--inner_sizes=3,x", "--quick=perhaps"]
)
def test_wrong_values_are_refused(parse, wrong):
    with pytest.raises(flags.IllegalFlagValueError):
        parse(wrong)


def test_skipped_fields_have_no_flag(parse):
    assert "unused" not in parse.values


def test_a_type_without_a_flag_is_an_error_of_the_program():
    with pytest.raises(TypeError, match="unused"):
        define_flags(Outer(), flag_values=flags.FlagValues())

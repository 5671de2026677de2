"""Flags from settings: every type, defaults, help, nesting, wrong values."""

import dataclasses
import os
from typing import Literal

import pytest
from absl import flags

from lucid_rl.errors import SettingsError
from lucid_rl.flags import define_changes, define_flags, define_integers
from lucid_rl.validation import above, check_fields


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

    def __post_init__(self):
        check_fields(self, rate=above(0))


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
    k: int | Literal["auto"] = 8
    """How many of each."""
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
        "--k=auto",
        "--rate=0.25",
        "--inner_sizes=3,4,5",
    )
    inner = Inner(rate=0.25, sizes=(3, 4, 5))
    assert found == Outer("other", 3, True, "b", "there", ("1a", "2b"), "auto", inner)
    assert parse("--k=3").k == 3


def test_help_is_what_the_fields_say(parse):
    assert parse.values["folder"].help == "Where to."
    assert parse.values["inner_sizes"].help == "Of each part, in pixels."


@pytest.mark.parametrize(
    "wrong",
    ["--n=many", "--mode=c", "--inner_sizes=3,x", "--quick=perhaps", "--k=some"],
)
def test_wrong_values_are_refused(parse, wrong):
    with pytest.raises(flags.IllegalFlagValueError):
        parse(wrong)


def test_skipped_fields_have_no_flag(parse):
    assert "unused" not in parse.values


def test_a_type_without_a_flag_is_an_error_of_the_program():
    with pytest.raises(TypeError, match="unused"):
        define_flags(Outer(), flag_values=flags.FlagValues())


def test_only_named_fields_of_a_nested_dataclass():
    values = flags.FlagValues()
    names = {"inner.rate": "speed"}
    read = define_flags(
        Outer(), skip=("inner", "unused"), names=names, flag_values=values
    )
    assert "speed" in values and "inner_sizes" not in values
    values(["program", "--speed=2"])
    assert read(name="x") == Outer("x", inner=Inner(rate=2))


def test_flags_of_a_flat_dataclass_have_its_fields_names():
    values = flags.FlagValues()
    options = {
        "skip": ("unused",),
        "flat": ("inner",),
        "names": {"inner.rate": "speed"},
    }
    read = define_flags(Outer(), flag_values=values, **options)
    assert "sizes" in values and "inner_sizes" not in values
    values(["program", "--speed=2"])
    assert read() == Outer(inner=Inner(rate=2))


def test_a_value_out_of_range_names_the_flag():
    values = flags.FlagValues()
    read = define_flags(Inner(), names={"rate": "speed"}, flag_values=values)
    values(["program", "--speed=0"])
    with pytest.raises(SettingsError, match=r"^--speed=0.0: expected above 0"):
        read()


def test_changes_are_the_flags_that_were_given():
    values = flags.FlagValues()
    read = define_changes(
        Outer, {"n": "count", "quick": "quick", "mode": "mode"}, "Or so.", values
    )
    assert values["count"].help == "How many. Or so."
    values(["program", "--noquick", "--count=0"])
    assert read() == {"n": 0, "quick": False}


def test_whole_numbers_by_commas():
    values = flags.FlagValues()
    read = define_integers("chosen", (1,), "Which.", values)
    values(["program"])
    assert read() == (1,)
    values(["program", "--chosen=3,4"])
    assert read() == (3, 4)
    with pytest.raises(flags.IllegalFlagValueError, match="expected whole numbers"):
        values(["program", "--chosen=a"])

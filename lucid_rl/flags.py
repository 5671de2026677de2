"""Command-line flags made of a settings dataclass.

Each field becomes an absl flag of its name, type, default and documentation, so that
nothing about a setting is written twice.
"""

import dataclasses
import functools
import os
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import docstring_parser
from absl import flags

from lucid_rl.errors import SettingsError

_Settings = TypeVar("_Settings")
_WORDS = {int: "whole numbers", float: "numbers"}

# Flags belong to the script that asks for them: they are in its --help.
flags.disclaim_key_flags()


def define_flags(
    defaults: _Settings,
    *,
    skip: tuple[str, ...] = (),
    names: Mapping[str, str] | None = None,
    flat: tuple[str, ...] = (),
    flag_values: flags.FlagValues = flags.FLAGS,
) -> Callable[..., _Settings]:
    """Defines a flag for each field of a settings dataclass.

    Fields of nested dataclasses get flags of their own, named `<field>_<subfield>`.
    A flag's help is the field's docstring or its entry under "Attributes:".

    Args:
        defaults: settings whose values are the flags' defaults.
        skip: fields without a flag, "field" or "field.subfield"; of a nested dataclass
            that is skipped, the subfields in `names` keep theirs.
        names: names of flags by field, where they differ from the rule above.
        flat: nested dataclasses whose flags are named `<subfield>`.
        flag_values: where the flags are registered; absl's own by default.

    Returns:
        A function that makes settings of the flags' values, once they are parsed;
        keyword arguments replace fields. Its `SettingsError` names the flag.

    Raises:
        TypeError: a field's type has no flag: skip it.

    Example:
        >>> settings = define_flags(TrainConfig())
        >>> app.run(lambda argv: train(settings()))
    """
    names = dict(names or {})
    readers: dict[str, Callable[[], Any]] = {}
    types_of = typing.get_type_hints(type(defaults))
    texts = field_texts(type(defaults))  # type: ignore[arg-type]
    for field in dataclasses.fields(defaults):  # type: ignore[arg-type]
        key = field.name
        default = getattr(defaults, key)
        if dataclasses.is_dataclass(default):
            readers[key] = _define_nested(default, key, skip, names, flat, flag_values)
        elif key not in skip and field.init:
            name = names.get(key, key)
            readers[key] = _define(
                name, types_of[key], default, texts[key], flag_values
            )

    def read(**changes: Any) -> _Settings:
        values = {key: reader() for key, reader in readers.items()}
        try:
            return dataclasses.replace(defaults, **{**values, **changes})  # type: ignore[type-var]
        except SettingsError as error:
            field, equals, rest = str(error).partition("=")
            if not equals or field not in readers:
                raise
            raise SettingsError(f"--{names.get(field, field)}={rest}") from error

    return read


def define_changes(
    settings_class: type,
    fields: Mapping[str, str],
    note: str,
    flag_values: flags.FlagValues = flags.FLAGS,
) -> Callable[[], dict[str, Any]]:
    """Defines flags without defaults, for fields that something else decides.

    `fields` has the flags' names by field; `note`, added to the help, says what holds
    in place of a flag that is not given. The function returned gives the values of the
    flags that were given, by field.
    """
    types_of, texts = typing.get_type_hints(settings_class), field_texts(settings_class)
    readers = {
        field: _define(
            name, types_of[field], None, f"{texts[field]} {note}", flag_values
        )
        for field, name in fields.items()
    }

    def read() -> dict[str, Any]:
        values = {field: reader() for field, reader in readers.items()}
        return {field: value for field, value in values.items() if value is not None}

    return read


def define_integers(
    name: str,
    default: tuple[int, ...],
    text: str,
    flag_values: flags.FlagValues = flags.FLAGS,
) -> Callable[[], tuple[int, ...]]:
    """Defines a flag of whole numbers, separated by commas; returns its reader."""
    return _define_list(name, int, default, text, flag_values)


@functools.cache
def field_texts(settings_class: type) -> dict[str, str]:
    """Documentation of each field of a settings dataclass; "" where there is none."""
    texts = {field.name: "" for field in dataclasses.fields(settings_class)}
    for base in reversed(settings_class.__mro__[:-1]):
        for entry in docstring_parser.parse_from_object(base).params:
            if entry.arg_name in texts and entry.description:
                texts[entry.arg_name] = " ".join(entry.description.split())
    return texts


def _define_nested(default, key, skip, names, flat, flag_values):
    inner, prefix = f"{key}.", "" if key in flat else f"{key}_"
    own = {f.name: f"{prefix}{f.name}" for f in dataclasses.fields(default)}
    given = {k.removeprefix(inner): v for k, v in names.items() if k.startswith(inner)}
    skipped, flattened = (
        tuple(k.removeprefix(inner) for k in keys if k.startswith(inner))
        for keys in (skip, flat)
    )
    if key in skip:
        skipped = tuple(own.keys() - given.keys())
    return define_flags(
        default,
        skip=skipped,
        names={**own, **given},
        flat=flattened,
        flag_values=flag_values,
    )


def _define(name, kind, default, text, flag_values) -> Callable[[], Any]:
    kind, text = _without_none(kind), text[:1].upper() + text[1:]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return _define_list(name, arguments[0], default, text, flag_values)
    define: Any = {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }.get(kind)
    if origin in (typing.Union, types.UnionType) and int in arguments:
        words = [w for a in arguments for w in typing.get_args(a)]
        define = functools.partial(_define_integer_or_word, words)
    if origin is Literal:
        define = functools.partial(flags.DEFINE_enum, enum_values=[*arguments])
    elif str in arguments or kind is os.PathLike:
        define = flags.DEFINE_string
        default = None if default is None else os.fspath(default)
    if define is None:
        raise TypeError(f"no flag for the field {name!r} of type {kind}")
    holder = define(name=name, default=default, help=text, flag_values=flag_values)
    return lambda: holder.value


class _IntegerOrWord(flags.ArgumentParser):
    def __init__(self, words):
        self.words = words

    def parse(self, argument):
        if argument in self.words or isinstance(argument, int):
            return argument
        try:
            return int(argument)
        except ValueError as error:
            words = ", ".join(self.words)
            raise ValueError(f"expected a whole number, or {words}") from error


def _define_integer_or_word(words, name, default, help, flag_values):
    return flags.DEFINE(
        _IntegerOrWord(words), name, default, help, flag_values=flag_values
    )


def _define_list(name, kind, default, text, flag_values):
    if default is not None:
        default = [str(value) for value in default]
    holder = flags.DEFINE(
        _Values(kind),
        name,
        default,
        text,
        flag_values=flag_values,
        serializer=flags.CsvListSerializer(","),
    )
    return lambda: None if holder.value is None else tuple(holder.value)


class _Values(flags.ListParser):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def parse(self, argument):
        try:
            return [self.kind(word) for word in super().parse(argument)]
        except ValueError as error:
            expected = _WORDS.get(self.kind, "values")
            raise ValueError(f"expected {expected}, separated by commas") from error


def _without_none(kind: Any) -> Any:
    """X for X | None, and the type as it is otherwise."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        rest = [a for a in typing.get_args(kind) if a is not type(None)]
        return rest[0] if len(rest) == 1 else kind
    return kind

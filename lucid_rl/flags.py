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

_Settings = TypeVar("_Settings")

# Flags belong to the script that asks for them: they are in its --help.
flags.disclaim_key_flags()


def define_flags(
    defaults: _Settings,
    *,
    skip: tuple[str, ...] = (),
    names: Mapping[str, str] | None = None,
    flag_values: flags.FlagValues = flags.FLAGS,
) -> Callable[..., _Settings]:
    """Defines a flag for each field of a settings dataclass.

    Fields of nested dataclasses get flags of their own, named `<field>_<subfield>`.
    A flag's help is the field's docstring or its entry under "Attributes:".

    Args:
        defaults: settings whose values are the flags' defaults.
        skip: fields without a flag, "field" or "field.subfield".
        names: names of flags by field, where they differ from the rule above.
        flag_values: where the flags are registered; absl's own by default.

    Returns:
        A function that makes settings of the flags' values, once they are parsed;
        keyword arguments replace fields.

    Raises:
        TypeError: a field's type has no flag: skip it.

    Example:
        settings = define_flags(TrainConfig())
        app.run(lambda argv: train(settings()))
    """
    names = dict(names or {})
    readers: dict[str, Callable[[], Any]] = {}
    types_of = typing.get_type_hints(type(defaults))
    texts = field_texts(type(defaults))  # type: ignore[arg-type]
    for field in dataclasses.fields(defaults):  # type: ignore[arg-type]
        key = field.name
        if key in skip or not field.init:
            continue
        default = getattr(defaults, key)
        if dataclasses.is_dataclass(default):
            readers[key] = _define_nested(default, key, skip, names, flag_values)
        else:
            name = names.get(key, key)
            readers[key] = _define(
                name, types_of[key], default, texts[key], flag_values
            )

    def read(**changes: Any) -> _Settings:
        values = {key: reader() for key, reader in readers.items()}
        return dataclasses.replace(defaults, **{**values, **changes})  # type: ignore[type-var]

    return read


@functools.cache
def field_texts(settings_class: type) -> dict[str, str]:
    """What a settings dataclass says of each field; "" where it says nothing."""
    texts = {field.name: "" for field in dataclasses.fields(settings_class)}
    for base in reversed(settings_class.__mro__[:-1]):
        for entry in docstring_parser.parse_from_object(base).params:
            if entry.arg_name in texts and entry.description:
                texts[entry.arg_name] = " ".join(entry.description.split())
    return texts


def _define_nested(default, key, skip, names, flag_values):
    inner = f"{key}."
    own = {f.name: f"{key}_{f.name}" for f in dataclasses.fields(default)}
    given = {k.removeprefix(inner): v for k, v in names.items() if k.startswith(inner)}
    skipped = tuple(k.removeprefix(inner) for k in skip if k.startswith(inner))
    return define_flags(
        default, skip=skipped, names={**own, **given}, flag_values=flag_values
    )


def _define(name, kind, default, text, flag_values) -> Callable[[], Any]:
    kind = _without_none(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return _define_list(name, arguments[0], default, text, flag_values)
    define: Any = {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }.get(kind)
    if origin is Literal:
        define = functools.partial(flags.DEFINE_enum, enum_values=[*arguments])
    elif os.PathLike in (kind, *arguments):
        define = flags.DEFINE_string
        default = None if default is None else os.fspath(default)
    if define is None:
        raise TypeError(f"no flag for the field {name!r} of type {kind}")
    holder = define(name=name, default=default, help=text, flag_values=flag_values)
    return lambda: holder.value


def _define_list(name, kind, default, text, flag_values):
    words = None if default is None else [str(value) for value in default]
    holder = flags.DEFINE_list(name, words, text, flag_values=flag_values)
    if kind is not str:
        flags.register_validator(
            name,
            lambda values: _are(kind, values),
            message=f"expected values of type {kind.__name__}, separated by commas",
            flag_values=flag_values,
        )

    def read():
        if holder.value is None:
            return None
        return tuple(kind(value) for value in holder.value)

    return read


def _are(kind, values):
    try:
        return all(kind(value) is not None for value in values or ())
    except ValueError:
        return False


def _without_none(kind: Any) -> Any:
    """X for X | None, and the type as it is otherwise."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        rest = [a for a in typing.get_args(kind) if a is not type(None)]
        return rest[0] if len(rest) == 1 else kind
    return kind

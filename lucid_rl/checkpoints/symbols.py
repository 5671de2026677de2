"""The names that a `.jd` file may mention, and what each stands for.

A name is never imported: it becomes a `Symbol`, and a symbol becomes data only
through the constructors here, which check their arguments.
"""

import collections
import enum
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np

from lucid_rl.checkpoints import pickled_arrays, plain_values


class Symbol(enum.Enum):
    """What an admitted name stands for."""

    ARRAY = enum.auto()
    ARRAY_DESCRIPTION = enum.auto()
    ARRAY_FROM_BUFFER = enum.auto()
    BYTES_OF_TEXT = enum.auto()
    BYTEARRAY = enum.auto()
    COMPLEX = enum.auto()
    DTYPE = enum.auto()
    EMPTY_ARRAY = enum.auto()
    FROZENSET = enum.auto()
    MEMORY_MAP = enum.auto()
    ORDERED_DICT = enum.auto()
    SCALAR = enum.auto()
    SET = enum.auto()


SYMBOLS: dict[tuple[str, str], Symbol] = {
    ("numpy", "ndarray"): Symbol.ARRAY,
    # joblib writes what was a memory map under this type, but with its bytes
    # inline; it is read as a plain array.
    ("numpy", "memmap"): Symbol.MEMORY_MAP,
    ("numpy", "dtype"): Symbol.DTYPE,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): Symbol.ARRAY_DESCRIPTION,
    ("collections", "OrderedDict"): Symbol.ORDERED_DICT,
    # How Python 3 writes bytes in the protocols of Python 2.
    ("_codecs", "encode"): Symbol.BYTES_OF_TEXT,
}
# numpy 2 renamed its inner package.
for _core in ("numpy.core", "numpy._core"):
    SYMBOLS[f"{_core}.multiarray", "_reconstruct"] = Symbol.EMPTY_ARRAY
    SYMBOLS[f"{_core}.multiarray", "scalar"] = Symbol.SCALAR
    SYMBOLS[f"{_core}.numeric", "_frombuffer"] = Symbol.ARRAY_FROM_BUFFER
for _builtins in ("builtins", "__builtin__"):
    # Only empty bytes are written so.
    SYMBOLS[_builtins, "bytes"] = Symbol.BYTES_OF_TEXT
    SYMBOLS[_builtins, "bytearray"] = Symbol.BYTEARRAY
    SYMBOLS[_builtins, "complex"] = Symbol.COMPLEX
    SYMBOLS[_builtins, "frozenset"] = Symbol.FROZENSET
    SYMBOLS[_builtins, "set"] = Symbol.SET


def find_symbol(module: str, name: str) -> Symbol:
    """The symbol of an admitted name; UnpicklingError for any other."""
    symbol = SYMBOLS.get((module, name))
    if symbol is None:
        # As a repr: a stranger's text could control the terminal.
        full_name = repr(f"{module[:80]}.{name[:80]}")
        raise UnpicklingError(
            f"it names {full_name}, which no checkpoint needs and could run code; "
            "do not open it with joblib or pickle either"
        )
    return symbol


def construct(symbol: Any, arguments: Any) -> Any:
    """The value that a file asks for with a name and arguments.

    Raises:
        UnpicklingError: the symbol is no constructor of data.
        TypeError, ValueError: the arguments are not what it takes.
    """
    constructor = _CONSTRUCTORS.get(symbol) if isinstance(symbol, Symbol) else None
    if constructor is None or type(arguments) is not tuple:
        raise UnpicklingError(
            "it calls what makes no data: it is damaged or meant to run code"
        )
    return constructor(*arguments)


def checked_key(key: Any) -> Any:
    """The key, if a dictionary or a set may hold it."""
    if not plain_values.is_plain_key(key):
        raise UnpicklingError(
            f"it has a key of type {type(key).__name__}, not text or a number"
        )
    return key


def _empty_array(kind: Any, shape: Any, _: Any) -> np.ndarray:
    if kind is not Symbol.ARRAY or shape != (0,):
        raise UnpicklingError("it has a malformed array")
    return np.empty(0, np.int8)


def _bytes_of_text(text: str = "", encoding: str = "latin1") -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise UnpicklingError("it has malformed bytes")
    return text.encode("latin1")


def _bytearray(data: bytes | str = b"", encoding: str = "latin1") -> bytearray:
    # A number would make that many bytes.
    return bytearray(data if type(data) is bytes else _bytes_of_text(data, encoding))  # type: ignore[arg-type]


def _complex(real: float, imaginary: float) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise UnpicklingError("it has a malformed complex number")
    return complex(real, imaginary)


def _set(items: list | tuple = ()) -> set:
    if type(items) not in (list, tuple):
        raise UnpicklingError("it has a malformed set")
    return set(map(checked_key, items))


def _ordered_dict(pairs: list | tuple = ()) -> collections.OrderedDict:
    if type(pairs) not in (list, tuple):
        raise UnpicklingError("it has a malformed dictionary")
    if not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
        raise UnpicklingError("it has a malformed dictionary")
    return collections.OrderedDict((checked_key(key), value) for key, value in pairs)


_CONSTRUCTORS: dict[Symbol, Callable[..., Any]] = {
    Symbol.ARRAY_DESCRIPTION: pickled_arrays.ArrayDescription,
    Symbol.ARRAY_FROM_BUFFER: pickled_arrays.array_from_buffer,
    Symbol.BYTES_OF_TEXT: _bytes_of_text,
    Symbol.BYTEARRAY: _bytearray,
    Symbol.COMPLEX: _complex,
    Symbol.DTYPE: pickled_arrays.make_dtype,
    Symbol.EMPTY_ARRAY: _empty_array,
    Symbol.FROZENSET: lambda *items: frozenset(_set(*items)),
    Symbol.ORDERED_DICT: _ordered_dict,
    Symbol.SCALAR: pickled_arrays.make_scalar,
    Symbol.SET: _set,
}

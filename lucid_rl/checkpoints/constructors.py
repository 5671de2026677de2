"""The names in a pickle from which data are made, and how.

A name is never imported: it becomes a `Placeholder`, and a placeholder becomes data
only through the constructors here, which check their arguments.
"""

import collections
from collections.abc import Callable, Mapping
from pickle import UnpicklingError
from typing import Any

import numpy as np

from lucid_rl.checkpoints import pickled_arrays
from lucid_rl.checkpoints.plain_values import Placeholder, is_plain_key

# numpy 2 and Python 3 renamed modules.
_RENAMED = {
    "numpy._core": "numpy.core",
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
}


def find_name(module: str, name: str) -> Placeholder:
    """The placeholder of a name."""
    for old, new in _RENAMED.items():
        if module == old or module.startswith(old + "."):
            module = new + module.removeprefix(old)
    return Placeholder(f"{module}.{name}")


def construct(
    function: Any, arguments: Any, constructors: Mapping[str, Callable[..., Any]]
) -> Any:
    """The value that a file asks for with a name and arguments.

    Data where the name has a constructor, else a placeholder of the result.

    Raises:
        UnpicklingError: the file calls no name, or with other arguments.
        TypeError, ValueError: the arguments are not what a constructor takes.
    """
    if not isinstance(function, Placeholder) or type(arguments) is not tuple:
        kind = type(function).__name__
        raise UnpicklingError(f"it calls a {kind} as a function; it is damaged")
    if function.name == "copyreg._reconstructor" and len(arguments) == 3:
        # How protocols 0 and 1 make objects of a class with a base and its value.
        function, base, value = arguments
        of_object = isinstance(base, Placeholder) and base.name == "builtins.object"
        return construct(function, () if of_object else (value,), constructors)
    if function.name == "copyreg.__newobj__" and arguments:
        return construct(arguments[0], arguments[1:], constructors)
    constructor = constructors.get(function.name)
    if constructor is None or function.arguments is not None:
        return Placeholder(function.name, arguments)
    return constructor(*arguments)


def as_key(key: Any) -> Any:
    """A key that a dictionary or a set may hold: a placeholder of any other.

    Hashing what is nested and shared may never end; a placeholder's hash is its
    identity.
    """
    if isinstance(key, np.generic):
        key = key.item()
    if is_plain_key(key) or isinstance(key, Placeholder):
        return key
    return Placeholder(type(key).__name__, ())


def _empty_array(kind: Any, shape: Any, _: Any) -> Any:
    if not isinstance(kind, Placeholder) or shape != (0,):
        raise UnpicklingError("it has a malformed array")
    if kind.name != "numpy.ndarray":
        return Placeholder(kind.name, ())
    return np.empty(0, np.int8)


def _bytes_of_text(text: str = "", encoding: str = "latin1") -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise UnpicklingError("it has malformed bytes")
    return text.encode("latin1")


def _bytearray(data: bytes | str = b"", encoding: str = "latin1") -> bytearray:
    # bytearray(n) would allocate n bytes.
    return bytearray(data if type(data) is bytes else _bytes_of_text(data, encoding))  # type: ignore[arg-type]


def _complex(real: float, imaginary: float) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise UnpicklingError("it has a malformed complex number")
    return complex(real, imaginary)


def _set(items: list | tuple = ()) -> set:
    if type(items) not in (list, tuple):
        raise UnpicklingError("it has a malformed set")
    return set(map(as_key, items))


def _ordered_dict(pairs: list | tuple = ()) -> collections.OrderedDict:
    if type(pairs) not in (list, tuple):
        raise UnpicklingError("it has a malformed dictionary")
    if not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
        raise UnpicklingError("it has a malformed dictionary")
    return collections.OrderedDict((as_key(key), value) for key, value in pairs)


def _counter(counts: Any = None) -> dict:
    if counts is not None and type(counts) is not dict:
        raise UnpicklingError("it has a malformed counter")
    return {} if counts is None else counts


CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "numpy.dtype": pickled_arrays.make_dtype,
    "numpy.core.multiarray._reconstruct": _empty_array,
    "numpy.core.multiarray.scalar": pickled_arrays.make_scalar,
    "numpy.core.numeric._frombuffer": pickled_arrays.array_from_buffer,
    "joblib.numpy_pickle.NumpyArrayWrapper": pickled_arrays.ArrayDescription,
    # How Python 3 writes bytes in the protocols of Python 2; only empty ones by name.
    "_codecs.encode": _bytes_of_text,
    "builtins.bytes": _bytes_of_text,
    "builtins.bytearray": _bytearray,
    "builtins.complex": _complex,
    "builtins.frozenset": lambda *items: frozenset(_set(*items)),
    "builtins.set": _set,
    "collections.OrderedDict": _ordered_dict,
    # As plain dictionaries; what a defaultdict makes by itself is not needed.
    "collections.defaultdict": lambda *_: {},
    "collections.Counter": _counter,
    "argparse.Namespace": lambda *_: {},
    "types.SimpleNamespace": lambda *_: {},
}
"""What a call of each name makes, from the arguments in the file."""

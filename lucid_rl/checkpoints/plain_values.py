"""What a `.jd` file may hold: numbers, text, plain containers and numeric arrays.

The same rule is checked on what is read and on what is written.
"""

import collections
import re
from typing import Any

import numpy as np

MAX_DEPTH = 64
"""Containers nested deeper than this are refused (the article's files need 4)."""

MAX_ITEMS = 1_000_000
"""Most items a value may have in all; a shared container counts each time."""

# Distinct integers below it have distinct hashes.
_LARGEST_INTEGER_KEY = 2**61 - 2

_KEY_TYPES = (str, bytes, float, bool, type(None))
_LEAF_TYPES = frozenset({*_KEY_TYPES, int, complex, bytearray})
_MAPPINGS = frozenset({dict, collections.OrderedDict})
_SEQUENCES = frozenset({list, tuple})
_SETS = frozenset({set, frozenset})
_MAX_REASONS = 10

_DTYPE_CODE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c(8|16)|[SU][1-9]\d{0,8})")


class Placeholder:
    """Stands for what a file names and is not plain data: function, class or object.

    Nothing is imported or called for it.

    Attributes:
        name: dotted name of the class or function.
        arguments: of the file's call of it; None for the name itself.
        state: what the file stores in the object; None if nothing.
        items: what the file stores under keys, if the object is a mapping.
    """

    __slots__ = ("arguments", "items", "name", "state")

    def __init__(self, name: str, arguments: Any = None) -> None:
        self.name = name
        self.arguments = arguments
        self.state: Any = None
        self.items: dict[Any, Any] | None = None

    def __str__(self) -> str:
        # As a repr: control characters of the file must not reach the terminal.
        return repr(self.name[:160])


class NotPlainError(ValueError):
    """A value holds something that a `.jd` file may not hold."""


def is_plain_dtype(code: str) -> bool:
    """Whether an array may have this dtype, given as in "<f4" or "u1".

    Booleans, integers, floats, complex numbers and fixed-width text may be
    stored; objects, records, dates and platform-dependent long doubles may not.
    """
    return _DTYPE_CODE.fullmatch(code) is not None


def is_plain_key(key: Any) -> bool:
    """Whether a dictionary or a set may hold this key."""
    if type(key) is int:
        return abs(key) <= _LARGEST_INTEGER_KEY
    return type(key) in _KEY_TYPES


def check_plain(value: Any) -> None:
    """Makes sure that a value holds nothing but what a `.jd` file may hold.

    Raises:
        NotPlainError: says where and why.
    """
    reasons = plain_parts(value)[1]
    if reasons:
        raise NotPlainError(next(iter(reasons.values())))


def plain_parts(value: Any) -> tuple[Any, dict[str, str]]:
    """A value without what a `.jd` file may not hold, None if nothing is left.

    Dictionaries lose the items that are not plain; lists and tuples with such an item,
    whose places would shift, are left out whole. Takes time proportional to the number
    of distinct items, however often a container is shared. What is plain throughout is
    not copied. The first ten reasons are given by place, as in "value['args'][3]".
    """
    plain = _Plain()
    found = plain.part(value, (None, "value"), 0)
    return (None if found is None else found[0]), plain.reasons


_Path = tuple[Any, Any]
_Measured = tuple[Any, int, int]  # a plain copy, its height, its number of items


class _Plain:
    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self._known: dict[int, _Measured | None] = {}

    def part(self, value: Any, path: _Path, depth: int) -> _Measured | None:
        """A plain copy of a part, or None where it is left out."""
        kind = type(value)
        if kind in _LEAF_TYPES:
            return value, 0, 1
        if isinstance(value, (np.generic, np.memmap)) or kind is np.ndarray:
            if is_plain_dtype(value.dtype.str):
                return value, 0, 1
            return self._leave_out(path, f"has dtype {value.dtype}, which is not kept")
        if isinstance(value, Placeholder):
            return self._leave_out(
                path, f"names {value}, which is not plain data; it was not run"
            )
        if kind not in _MAPPINGS | _SEQUENCES | _SETS:
            return self._leave_out(
                path, f"is of type {kind.__qualname__}, which cannot be stored"
            )
        if not value:
            return value, 1, 1
        if id(value) not in self._known:
            self._known[id(value)] = None  # for what contains itself
            if depth >= MAX_DEPTH:
                return self._leave_out(
                    path, f"is nested deeper than {MAX_DEPTH} containers"
                )
            self._known[id(value)] = self._container(value, path, depth)
        elif self._known[id(value)] is None:
            return self._leave_out(path, "contains itself, or is left out elsewhere")
        return self._known[id(value)]

    def _container(self, value: Any, path: _Path, depth: int) -> _Measured | None:
        kind = type(value)
        keys = range(len(value)) if kind in _SEQUENCES else value
        kept: list[Any] = []
        height, n_items, whole, same = 0, 1 + len(value), True, True
        for key, child in zip(keys, value, strict=True):
            if kind not in _SEQUENCES and not is_plain_key(key):
                what = key if isinstance(key, Placeholder) else type(key).__qualname__
                self._leave_out(
                    path, f"has {what} as a key; keys must be text, bytes or numbers"
                )
                whole = False
                continue
            if kind in _MAPPINGS:
                child = value[key]
            if kind in _SETS or type(child) in _LEAF_TYPES:
                kept.append((key, child) if kind in _MAPPINGS else child)
                continue
            found = self.part(child, (path, key), depth + 1)
            if found is None:
                whole = False
                continue
            same = same and found[0] is child
            kept.append((key, found[0]) if kind in _MAPPINGS else found[0])
            height = max(height, found[1])
            n_items += found[2] - 1
        if height + 1 > MAX_DEPTH:
            return self._leave_out(
                path, f"is nested deeper than {MAX_DEPTH} containers"
            )
        if n_items > MAX_ITEMS:
            return self._leave_out(path, f"has more than {MAX_ITEMS} items")
        if not whole and kind not in _MAPPINGS:
            return None
        return (value if whole and same else kind(kept)), height + 1, n_items

    def _leave_out(self, path: _Path, reason: str) -> _Measured | None:
        if len(self.reasons) >= _MAX_REASONS:
            return None
        keys: list[str] = []
        inner: Any = path
        while inner[0] is not None:
            inner, key = inner
            # Not the whole: shared text would be copied for each place.
            short = key[:80] if isinstance(key, (str, bytes)) else key
            keys.append(f"[{short!r}]")
        where = "".join([inner[1], *reversed(keys)])
        self.reasons.setdefault(where, f"{where} {reason}")
        return None

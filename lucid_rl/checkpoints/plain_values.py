"""What a `.jd` file may hold: numbers, text, plain containers and numeric arrays.

The same rule is checked on what is read and on what is written.
"""

import collections
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

MAX_DEPTH = 64
"""Containers nested deeper than this are refused (the article's files need 4)."""

MAX_ITEMS = 1_000_000
"""Most items a value may have in all; a shared container counts each time."""

# Distinct integers below it have distinct hashes, so that no file can fill a
# dictionary with colliding keys, which would take quadratic time.
_LARGEST_INTEGER_KEY = 2**61 - 2

_KEY_TYPES = (str, bytes, float, bool, type(None))
_LEAF_TYPES = frozenset({*_KEY_TYPES, int, complex, bytearray})
_MAPPINGS = frozenset({dict, collections.OrderedDict})
_SEQUENCES = frozenset({list, tuple})
_SETS = frozenset({set, frozenset})

_DTYPE_CODE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c(8|16)|[SU][1-9]\d{0,8})")


class NotPlainError(ValueError):
    """A value holds something that a `.jd` file may not hold."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []

    def __str__(self) -> str:
        return f"value{''.join(reversed(self.path))} {self.reason}"


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

    Takes time proportional to the number of distinct items, however often a
    container is shared, and refuses values that contain themselves.

    Raises:
        NotPlainError: says where and why.
    """
    _measure(value, 0, {})


def _measure(
    value: Any, depth: int, known: dict[int, tuple[int, int]]
) -> tuple[int, int]:
    """Height and number of items of `value`, remembered by identity in `known`."""
    kind = type(value)
    if kind in _LEAF_TYPES:
        return 0, 1
    if kind is np.ndarray or isinstance(value, (np.generic, np.memmap)):
        if not is_plain_dtype(value.dtype.str):
            raise NotPlainError(f"has dtype {value.dtype}, which cannot be stored")
        return 0, 1
    children: Iterable[tuple[Any, Any]]
    if kind in _MAPPINGS:
        children = value.items()
    elif kind in _SEQUENCES:
        children = enumerate(value)
    elif kind in _SETS:
        children = ()
    else:
        raise NotPlainError(f"is of type {kind.__qualname__}, which cannot be stored")
    if kind not in _SEQUENCES:
        for key in value:
            if not is_plain_key(key):
                raise NotPlainError(
                    f"has a key of type {type(key).__qualname__}; keys must be text, "
                    "bytes, numbers or None"
                )
    if id(value) not in known:
        if depth >= MAX_DEPTH:
            raise NotPlainError(f"is nested deeper than {MAX_DEPTH} containers")
        height, items = 0, 1 + len(value)
        for key, child in children:
            if type(child) in _LEAF_TYPES:
                continue
            try:
                child_height, child_items = _measure(child, depth + 1, known)
            except NotPlainError as error:
                error.path.append(f"[{key!r:.80}]")
                raise
            height = max(height, child_height)
            items += child_items - 1
        known[id(value)] = 1 + height, items
    height, items = known[id(value)]
    if depth + height > MAX_DEPTH:
        raise NotPlainError(f"is nested deeper than {MAX_DEPTH} containers")
    if items > MAX_ITEMS:
        raise NotPlainError(f"has more than {MAX_ITEMS} items")
    return height, items

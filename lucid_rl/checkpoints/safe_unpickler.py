"""A pickle reader that runs nothing.

Python's own unpickler imports whatever a file names and calls it. This one makes data
of the known names (see constructors.py) and inert placeholders of all others:
nothing is imported, and no object of the file is ever called. Memory and time are
bounded by what the file holds.
"""

import collections
import pickle
import pickletools
from collections.abc import Callable, Mapping
from pickle import UnpicklingError
from typing import Any

import numpy as np

from lucid_rl.checkpoints import pickled_arrays
from lucid_rl.checkpoints.byte_reader import ByteReader
from lucid_rl.checkpoints.constructors import (
    CONSTRUCTORS,
    as_key,
    construct,
    find_name,
)
from lucid_rl.checkpoints.plain_values import Placeholder

MAX_OPERATIONS = 1_000_000
"""Most pickle operations of a file. A checkpoint takes about a thousand: the
numbers of an array are no operations."""

_MAX_DIGITS = 1000

# Numbers can be chosen so that a dictionary of them takes quadratic time. Small whole
# ones cannot, and of others, which cost this many operations, there are too few.
_SMALL_KEY = 2**20
_KEY_OPERATIONS = 100

# The implementation in Python, as in joblib: its table of operations can be replaced.
_Base: Any = pickle._Unpickler  # type: ignore[attr-defined]

_INHERITED = (
    pickle.MARK, pickle.STOP, pickle.POP, pickle.POP_MARK, pickle.DUP,
    pickle.PROTO, pickle.FRAME, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE,
    pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.FLOAT,
    pickle.BINFLOAT, pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING,
    pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8, pickle.UNICODE,
    pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE8, pickle.TUPLE,
    pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3,
    pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_SET, pickle.LIST,
    pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.BINGET, pickle.LONG_BINGET,
    pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE,
)  # fmt: skip
"""Operations that are safe as they are: they push, pop, group and remember plain
values, or ask `find_class`, which is replaced below."""


class _Operations(dict):
    def __missing__(self, code: int) -> Any:
        known = pickletools.code2op.get(chr(code))  # type: ignore[attr-defined]
        name = known.name if known else f"0x{code:02x}"
        raise UnpicklingError(
            f"operation {name} is not admitted: it is damaged, or no such file at all"
        )


def _counted(step: Callable[[Any], None]) -> Callable[[Any], None]:
    def run(unpickler: "SafeUnpickler") -> None:
        unpickler._spend(1)
        step(unpickler)

    return run


class SafeUnpickler(_Base):
    """Reads one value of plain containers, scalars, numpy arrays and placeholders.

    `load` raises `pickle.UnpicklingError` with a reason for what is refused on purpose;
    a damaged pickle raises whatever its broken operation raises. `constructors` make
    data beside `CONSTRUCTORS`, by name; without `persistent_load` there are no
    persistent identifiers.
    """

    def __init__(
        self,
        source: ByteReader,
        constructors: Mapping[str, Callable[..., Any]] | None = None,
        persistent_load: Callable[[Any], Any] | None = None,
        max_operations: int = MAX_OPERATIONS,
    ) -> None:
        # Latin-1 keeps every byte of what Python 2 called a string.
        super().__init__(source, encoding="latin1")
        self._source = source
        self._constructors = {**CONSTRUCTORS, **(constructors or {})}
        self._persistent_load = persistent_load
        self._operations_left = max_operations
        # Bytes that constructors may copy out of remembered values, which two bytes
        # can name again. Valid files copy each of their bytes at most twice.
        self._copies_left = 2 * source.remaining + 1024

    def find_class(self, module: str, name: str) -> Placeholder:
        """The placeholder of a name; nothing is imported."""
        return find_name(module, name)

    def _spend(self, operations: int) -> None:
        self._operations_left -= operations
        if self._operations_left < 0:
            raise UnpicklingError(f"it takes more than {MAX_OPERATIONS} operations")

    def _pay_for(self, values: Any) -> None:
        """Counts what is about to be looked through or copied."""
        self._spend(len(values))
        for value in values:
            if type(value) in (bytes, bytearray, str):
                self._copies_left -= len(value)
            elif type(value) in (list, tuple):
                self._spend(len(value))
        if self._copies_left < 0:
            raise UnpicklingError("it repeats its data again and again")

    def _read_integer(self) -> int:
        line = self.readline().rstrip(b"\n").removesuffix(b"L")
        # Converting digits takes quadratic time.
        if len(line) > _MAX_DIGITS:
            raise UnpicklingError(f"it holds a number of {len(line)} digits")
        # Protocol 0 writes False and True as these two.
        return line == b"01" if line in (b"00", b"01") else int(line)

    def _load_integer(self) -> None:
        self.append(self._read_integer())

    def _load_get(self) -> None:
        self.append(self.memo[self._read_integer()])

    def _load_put(self) -> None:
        self.memo[self._read_integer()] = self.stack[-1]

    def _load_bytearray(self) -> None:
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    def _target(self, *kinds: type) -> Any:
        if type(self.stack[-1]) not in (*kinds, Placeholder):
            kind = type(self.stack[-1]).__name__
            raise UnpicklingError(f"it adds items to a {kind}; it is damaged")
        return self.stack[-1]

    def _load_append(self) -> None:
        self._extend([self.stack.pop()])

    def _load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._target(list)
        if type(target) is list:
            target.extend(items)

    def _load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set_items(items)

    def _load_setitem(self) -> None:
        value = self.stack.pop()
        self._set_items([self.stack.pop(), value])

    def _load_setitems(self) -> None:
        self._set_items(self.pop_mark())

    def _set_items(self, items: list[Any]) -> None:
        target = self._target(dict, collections.OrderedDict)
        if type(target) is Placeholder:
            target.items = {} if target.items is None else target.items
            target = target.items
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self._key(key)] = value

    def _load_additems(self) -> None:
        items = self.pop_mark()
        target = self._target(set)
        if type(target) is set:
            target.update(map(self._key, items))

    def _load_frozenset(self) -> None:
        items = self.pop_mark()
        self.append(frozenset(map(self._key, items)))

    def _key(self, key: Any) -> Any:
        key = as_key(key)
        is_small = type(key) is int and abs(key) < _SMALL_KEY
        if isinstance(key, (int, float)) and not is_small:
            self._spend(_KEY_OPERATIONS)
        return key

    def _load_call(self) -> None:
        arguments = self.stack.pop()
        self._call(self.stack.pop(), arguments)

    def _load_call_with_names(self) -> None:
        self.stack.pop()  # arguments by name: only objects that are not known have them
        self._load_call()

    def _load_instance(self) -> None:
        module, name = (self.readline()[:-1].decode("ascii") for _ in range(2))
        self._call(find_name(module, name), tuple(self.pop_mark()))

    def _load_object(self) -> None:
        function, *arguments = self.pop_mark()
        self._call(function, tuple(arguments))

    def _call(self, function: Any, arguments: Any) -> None:
        self._pay_for(arguments)
        self.append(construct(function, arguments, self._constructors))

    def _load_persistent(self) -> None:
        if self._persistent_load is None:
            raise UnpicklingError("it refers to data outside of it")
        self.append(self._persistent_load(self.stack.pop()))

    def _read_pickle(self) -> None:
        """Reads over a whole pickle that stands where joblib found objects."""
        inner = SafeUnpickler(self._source, max_operations=self._operations_left)
        inner.load()
        self._operations_left = inner._operations_left

    def _load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) is pickled_arrays.DtypeRecord:
            target.set_state(state)
        elif type(target) is np.ndarray and target.size == 0:
            self._pay_for(state)
            pickled_arrays.set_array_state(target, state)
        elif type(target) is pickled_arrays.ArrayDescription:
            # In a dictionary the key lies just below the description.
            key = self.stack[-2] if len(self.stack) > 1 else None
            name = repr(key[:200]) if type(key) is str else "in the file"
            self.stack[-1] = pickled_arrays.read_described_array(
                state, self._source, name, self._read_pickle
            )
        elif type(target) is Placeholder:
            target.state = state
        elif type(target) is dict and type(state) is dict:
            # A namespace; every other dictionary is built by items.
            self._spend(len(state))
            target.update(state)
        elif type(target) is not collections.OrderedDict:
            # An ordered dictionary's own attributes are not among its items.
            kind = type(target).__name__
            raise UnpicklingError(f"it sets the state of a {kind}; it is damaged")

    dispatch = _Operations(
        {code[0]: _counted(_Base.dispatch[code[0]]) for code in _INHERITED}
        | {
            code[0]: _counted(step)
            for code, step in (
                (pickle.INT, _load_integer),
                (pickle.LONG, _load_integer),
                (pickle.GET, _load_get),
                (pickle.PUT, _load_put),
                (pickle.BYTEARRAY8, _load_bytearray),
                (pickle.APPEND, _load_append),
                (pickle.APPENDS, _load_appends),
                (pickle.DICT, _load_dict),
                (pickle.SETITEM, _load_setitem),
                (pickle.SETITEMS, _load_setitems),
                (pickle.ADDITEMS, _load_additems),
                (pickle.FROZENSET, _load_frozenset),
                (pickle.NEWOBJ, _load_call),
                (pickle.NEWOBJ_EX, _load_call_with_names),
                (pickle.INST, _load_instance),
                (pickle.OBJ, _load_object),
                (pickle.BINPERSID, _load_persistent),
                (pickle.REDUCE, _load_call),
                (pickle.BUILD, _load_build),
            )
        }
    )

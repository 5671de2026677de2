"""Numpy arrays from the untrusted descriptions of them in a pickle.

Arrays come in four ways: joblib's (a description, then raw bytes behind it),
numpy's `_reconstruct` with a state, numpy's `_frombuffer`, and scalars. A
description may claim anything, so every size is held against the bytes that are
really there before memory is taken. Arrays of anything but plain numbers and text
(objects, records, dates) are read over and become placeholders.
"""

import math
import re
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np

from lucid_rl.checkpoints.byte_reader import ByteReader
from lucid_rl.checkpoints.plain_values import Placeholder, is_plain_dtype

_MAX_DIMENSIONS = 32


class DtypeRecord(Placeholder):
    """A numpy dtype under construction: its byte order comes after its code.

    Attributes:
        dtype: None where it is not one of plain numbers or text.
        n_bytes: of one item; None for objects, which are pickled in place of bytes.
    """

    __slots__ = ("dtype", "n_bytes")

    def __init__(self, code: str) -> None:
        super().__init__(f"numpy.dtype of {code[:40]}")
        self.dtype = np.dtype(code) if is_plain_dtype(code) else None
        size = re.fullmatch(r"[<>|=]?[a-zA-Z](\d{0,9})", code)
        if size is None and self.dtype is None:
            raise UnpicklingError(f"an array of a malformed dtype {code[:40]!r}")
        # Dates have 8 bytes whatever their code says; objects are no bytes.
        kind = code.lstrip("<>|=")[:1]
        self.n_bytes: int | None = 8
        if size is not None and kind not in "mM":
            self.n_bytes = None if kind == "O" else int(size[1] or 1)
        if self.dtype is not None:
            self.n_bytes = self.dtype.itemsize

    def set_state(self, state: Any) -> None:
        """Takes the byte order from numpy's (version, order, 3 x None, ...)."""
        if type(state) is not tuple or not 5 <= len(state) <= 9:
            raise UnpicklingError("a dtype has a malformed state")
        _, order, *parts = state[:5]
        if type(order) is not str or order not in ("<", ">", "|", "="):
            raise UnpicklingError("a dtype has a malformed state")
        if any(part is not None for part in parts):
            self.name = "numpy.dtype of records or subarrays"
            self.dtype = None
            # Objects among a record's fields: its arrays are pickled as a whole.
            self.n_bytes = None if _has_objects(state) else self.n_bytes
        if self.dtype is not None:
            self.dtype = self.dtype.newbyteorder(order)  # type: ignore[arg-type]


def _has_objects(state: tuple[Any, ...]) -> bool:
    # The last of numpy's flags; the first one says that there are references.
    return len(state) > 7 and type(state[7]) is int and bool(state[7] & 1)


class ArrayDescription(Placeholder):
    """joblib's description of the array whose raw bytes follow it."""

    def __init__(self) -> None:
        super().__init__("joblib.numpy_pickle.NumpyArrayWrapper", ())


def make_dtype(code: Any, *_: Any) -> DtypeRecord:
    """A dtype from its code, as in "f4"."""
    if type(code) is not str:
        # No repr of what is not text: nested and shared, it can take forever.
        raise UnpicklingError(f"an array whose dtype is a {type(code).__name__}")
    return DtypeRecord(code)


def read_described_array(
    state: Any, source: ByteReader, name: str, read_pickle: Callable[[], Any]
) -> Any:
    """Reads the raw bytes that follow joblib's description of an array.

    `state` has the attributes of joblib's wrapper, `name` is for errors, and
    `read_pickle` reads the pickle that stands in place of the bytes of objects. An
    array that is not plain becomes a placeholder.
    """
    if type(state) is not dict or type(state.get("subclass")) is not Placeholder:
        raise UnpicklingError(f"the array {name} has a malformed description")
    record, shape = _checked(state.get("dtype"), state.get("shape"), name)
    kind = state["subclass"].name
    placeholder = Placeholder(f"{kind} of {record.name}", ())
    if record.n_bytes is None:
        read_pickle()
        return placeholder
    if state.get("order") not in ("C", "F"):
        raise UnpicklingError(f"the array {name} has neither C nor Fortran order")
    # Files of joblib 1.2 and later align arrays: one byte says how many to skip.
    if state.get("numpy_array_alignment_bytes") is not None:
        source.read(source.read(1)[0])
    n_bytes = math.prod(shape) * record.n_bytes
    if n_bytes > source.remaining:
        raise UnpicklingError(
            f"the file ends inside the array {name}: {record.dtype or record.name} of "
            f"shape {shape} takes {n_bytes} bytes, {source.remaining} are left; "
            f"{source.shortage}"
        )
    data = np.empty(n_bytes, np.uint8)
    source.readinto(data.data)
    if record.dtype is None or kind not in ("numpy.ndarray", "numpy.memmap"):
        return placeholder
    return _finish(data, record.dtype, shape, state["order"], name)


def array_from_buffer(buffer: Any, record: Any, shape: Any, order: Any) -> Any:
    """The array that numpy pickles with protocol 5."""
    record, shape = _checked(record, shape, "in the pickle")
    if record.dtype is None:
        return Placeholder(f"numpy.ndarray of {record.name}", ())
    if type(buffer) not in (bytes, bytearray) or order not in ("C", "F"):
        raise UnpicklingError("an array has a malformed buffer")
    data = _copied(buffer, record.dtype, shape)
    return _finish(data, record.dtype, shape, order, "in the pickle")


def set_array_state(array: np.ndarray, state: Any) -> None:
    """Fills, in place, the empty array that numpy's `_reconstruct` made.

    The state is (version, shape, dtype, Fortran order, bytes); a bytes value written by
    Python 2 arrives as Latin-1 text, and very old files lack the version. An array of a
    dtype that is not plain becomes an empty one of objects, which is not plain either.
    """
    if type(state) is not tuple or len(state) not in (4, 5):
        raise UnpicklingError("an array has a malformed state")
    shape, record, is_fortran, buffer = state[-4:]
    record, shape = _checked(record, shape, "in the pickle")
    if record.dtype is None:
        array.__setstate__((1, (0,), np.dtype(object), False, []))
        return
    if type(buffer) is str:
        buffer = buffer.encode("latin1")
    if type(buffer) not in (bytes, bytearray):
        raise UnpicklingError("an array has a malformed buffer")
    # Bytes keep their order in memory here: the state says how it is meant.
    data = _copied(buffer, record.dtype, shape)
    value = _finish(data, record.dtype, (-1,), "C", "in the pickle")
    array.__setstate__((1, shape, value.dtype, bool(is_fortran), value.tobytes()))


def make_scalar(record: Any, buffer: Any = None) -> Any:
    """A numpy scalar from its dtype and bytes."""
    record, shape = _checked(record, (), "of one number")
    if record.dtype is None:
        return Placeholder(f"numpy scalar of {record.name}", ())
    if type(buffer) is str:
        buffer = buffer.encode("latin1")
    if type(buffer) is not bytes:
        raise UnpicklingError("a numpy scalar has a malformed buffer")
    data = _copied(buffer, record.dtype, shape)
    return _finish(data, record.dtype, shape, "C", "of one number")[()]


def _checked(record: Any, shape: Any, name: str) -> tuple[DtypeRecord, tuple[int, ...]]:
    if type(record) is not DtypeRecord:
        raise UnpicklingError(f"the array {name} has no dtype")
    if type(shape) is not tuple or len(shape) > _MAX_DIMENSIONS:
        raise UnpicklingError(f"the array {name} has a malformed shape")
    if not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise UnpicklingError(f"the array {name} has a malformed shape")
    return record, shape


def _copied(
    buffer: bytes | bytearray, dtype: np.dtype, shape: tuple[int, ...]
) -> np.ndarray:
    n_bytes = math.prod(shape) * dtype.itemsize
    if len(buffer) != n_bytes:
        raise UnpicklingError(
            f"an array of {dtype} and shape {shape} takes {n_bytes} bytes, the file "
            f"gives {len(buffer)}; it is damaged"
        )
    return np.frombuffer(buffer, np.uint8).copy()


def _finish(
    data: np.ndarray, dtype: np.dtype, shape: tuple[int, ...], order: str, name: str
) -> np.ndarray:
    """Views raw bytes as an array of native byte order, and checks its content."""
    array = data.view(dtype)
    native = dtype.newbyteorder("=")
    if dtype != native:
        array = array.astype(native)
    # Other bytes make booleans and characters that numpy does not expect.
    if dtype.kind == "b" and data.size and data.max() > 1:
        raise UnpicklingError(f"the array {name} holds booleans other than 0 and 1")
    if dtype.kind == "U" and array.size and array.view(np.uint32).max() > 0x10FFFF:
        raise UnpicklingError(f"the array {name} holds text that is not Unicode")
    return array.reshape(shape, order=order)  # type: ignore[call-overload]

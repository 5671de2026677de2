"""Numpy arrays from the untrusted descriptions of them in a pickle.

Arrays come in four ways: joblib's (a description, then raw bytes behind it),
numpy's `_reconstruct` with a state, numpy's `_frombuffer`, and scalars. A
description may claim anything, so every size is held against the bytes that are
really there before memory is taken.
"""

import dataclasses
import math
from pickle import UnpicklingError
from typing import Any, Protocol

import numpy as np

from lucid_rl.checkpoints.plain_values import is_plain_dtype

_MAX_DIMENSIONS = 32


class ByteSource(Protocol):
    """A file that knows how many bytes it still has."""

    @property
    def remaining(self) -> int:
        """Number of bytes left."""

    def read(self, size: int) -> bytes:
        """Reads exactly `size` bytes; UnpicklingError where there are fewer."""

    def readinto(self, buffer: memoryview) -> None:
        """Fills the buffer; UnpicklingError where there are too few bytes."""


@dataclasses.dataclass
class DtypeRecord:
    """A numpy dtype under construction: its byte order comes after its code."""

    dtype: np.dtype

    def set_state(self, state: Any) -> None:
        """Takes the byte order from numpy's (version, order, 3 x None, ...)."""
        if type(state) is not tuple or not 5 <= len(state) <= 9:
            raise UnpicklingError("a dtype has a malformed state")
        _, order, *parts = state[:5]
        if order not in ("<", ">", "|", "=") or parts != [None, None, None]:
            raise UnpicklingError(
                "an array of records or subarrays; only plain numbers and text "
                "are admitted"
            )
        self.dtype = self.dtype.newbyteorder(order)


class ArrayDescription:
    """joblib's description of the array whose raw bytes follow it."""


def make_dtype(code: Any, *_: Any) -> DtypeRecord:
    """A dtype from its code, as in "f4"; objects, records and dates are refused."""
    if type(code) is not str or not is_plain_dtype(code):
        # No repr of what is no text: nested and shared, it can take forever.
        found = code[:40] if type(code) is str else type(code).__name__
        kind = "objects" if found.startswith("O") else f"dtype {found!r}"
        raise UnpicklingError(
            f"an array of {kind}; only numbers, booleans and fixed-width text are "
            "admitted"
        )
    return DtypeRecord(np.dtype(code))


def read_described_array(
    state: Any, array_types: tuple[Any, ...], source: ByteSource, name: str
) -> np.ndarray:
    """Reads the raw bytes that follow joblib's description of an array.

    Args:
        state: attributes of joblib's wrapper.
        array_types: admitted values of its `subclass`.
        source: the file, just behind the description.
        name: what to call the array in an error.
    """
    if type(state) is not dict or state.get("subclass") not in array_types:
        raise UnpicklingError(f"the array {name} has a malformed description")
    dtype, shape = _checked(state.get("dtype"), state.get("shape"), name)
    if state.get("order") not in ("C", "F"):
        raise UnpicklingError(f"the array {name} has neither C nor Fortran order")
    # Files of joblib 1.2 and later align arrays: one byte says how many to skip.
    if state.get("numpy_array_alignment_bytes") is not None:
        source.read(source.read(1)[0])
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > source.remaining:
        raise UnpicklingError(
            f"the file ends inside the array {name}: {dtype} of shape {shape} takes "
            f"{n_bytes} bytes, {source.remaining} are left; it is truncated or damaged"
        )
    data = np.empty(n_bytes, np.uint8)
    source.readinto(data.data)
    return _finish(data, dtype, shape, state["order"], name)


def array_from_buffer(buffer: Any, record: Any, shape: Any, order: Any) -> np.ndarray:
    """The array that numpy pickles with protocol 5."""
    dtype, shape = _checked(record, shape, "in the pickle")
    if type(buffer) not in (bytes, bytearray) or order not in ("C", "F"):
        raise UnpicklingError("an array has a malformed buffer")
    return _finish(_copied(buffer, dtype, shape), dtype, shape, order, "in the pickle")


def set_array_state(array: np.ndarray, state: Any) -> None:
    """Fills, in place, the empty array that numpy's `_reconstruct` made.

    Args:
        array: an empty array.
        state: (version, shape, dtype, Fortran order, bytes); a bytes value written
            by Python 2 arrives as Latin-1 text. Very old files lack the version.
    """
    if type(state) is not tuple or len(state) not in (4, 5):
        raise UnpicklingError("an array has a malformed state")
    shape, record, is_fortran, buffer = state[-4:]
    dtype, shape = _checked(record, shape, "in the pickle")
    if type(buffer) is str:
        buffer = buffer.encode("latin1")
    if type(buffer) not in (bytes, bytearray):
        raise UnpicklingError("an array has a malformed buffer")
    # Bytes keep their order in memory here: the state says how it is meant.
    value = _finish(_copied(buffer, dtype, shape), dtype, (-1,), "C", "in the pickle")
    array.__setstate__((1, shape, value.dtype, bool(is_fortran), value.tobytes()))


def make_scalar(record: Any, buffer: Any) -> Any:
    """A numpy scalar from its dtype and bytes."""
    dtype, shape = _checked(record, (), "of one number")
    if type(buffer) is str:
        buffer = buffer.encode("latin1")
    if type(buffer) is not bytes:
        raise UnpicklingError("a numpy scalar has a malformed buffer")
    data = _copied(buffer, dtype, shape)
    return _finish(data, dtype, shape, "C", "of one number")[()]


def _checked(record: Any, shape: Any, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    if type(record) is not DtypeRecord:
        raise UnpicklingError(f"the array {name} has no dtype")
    if type(shape) is not tuple or len(shape) > _MAX_DIMENSIONS:
        raise UnpicklingError(f"the array {name} has a malformed shape")
    if not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise UnpicklingError(f"the array {name} has a malformed shape")
    return record.dtype, shape


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
        raise UnpicklingError(f"the array {name} holds text that is no Unicode")
    return array.reshape(shape, order=order)  # type: ignore[call-overload]

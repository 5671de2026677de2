"""The elements of Procgen's state bytes: integers, strings, generators, grids."""

import dataclasses
import struct

import numpy as np

from lucid_rl.errors import FileFormatError

INT = struct.Struct("<i")
END_MARKER = 0xCAFECAFE
_MAX_GRID_SIDE = 4096


@dataclasses.dataclass(frozen=True)
class RandomGenerator:
    """One of the engine's random generators, kept as the engine wrote it.

    Attributes:
        is_seeded: the engine's flag, 0 or 1.
        text: the mt19937 state as C++ prints it; empty when not seeded.
    """

    is_seeded: int
    text: bytes


class StateReader:
    """Takes fields off the front of a state's bytes, checking that they are there."""

    def __init__(self, data: bytes):
        if not isinstance(data, bytes | bytearray | memoryview):
            raise FileFormatError(
                f"a game state is bytes, got {type(data).__name__}; pass one entry of "
                "get_states()"
            )
        self._data = bytes(data)
        self._position = 0

    def _take(self, n_bytes: int, what: str) -> int:
        start = self._position
        if n_bytes < 0 or start + n_bytes > len(self._data):
            raise FileFormatError(
                f"game state is cut short or damaged: its {what} should take "
                f"{n_bytes} bytes at offset {start}, of {len(self._data)} in all"
            )
        self._position = start + n_bytes
        return start

    def integer(self, what: str) -> int:
        """Takes an int32; `what` names it in errors, here and below."""
        return INT.unpack_from(self._data, self._take(4, what))[0]

    def string(self, what: str) -> bytes:
        """Takes a length and as many bytes."""
        length = self.integer(f"length of the {what}")
        start = self._take(length, what)
        return self._data[start : self._position]

    def generator(self, what: str) -> RandomGenerator:
        """Takes a random generator."""
        return RandomGenerator(self.integer(what), self.string(what))

    def records(self, dtype: np.dtype, count: int, what: str) -> np.ndarray:
        """Takes an array; the result is a copy that may be changed."""
        start = self._take(count * dtype.itemsize, what)
        # A bytearray makes the array writable and its own, and is the fastest copy.
        return np.frombuffer(bytearray(self._data[start : self._position]), dtype)

    def grid(self) -> np.ndarray:
        """Takes a grid with its width and height, int32 [h, w]."""
        width = self.integer("grid width")
        height = self.integer("grid height")
        count = self.integer("number of grid cells")
        sides = (width, height)
        if not all(0 < side <= _MAX_GRID_SIDE for side in sides) or (
            count != width * height
        ):
            raise FileFormatError(
                f"game state's grid is damaged: {width} by {height} with {count} cells"
            )
        return self.records(np.dtype("<i4"), count, "grid").reshape(height, width)

    def end(self) -> None:
        """Takes the end marker, after which nothing may come."""
        marker = struct.unpack_from("<I", self._data, self._take(4, "end marker"))[0]
        if marker != END_MARKER:
            raise FileFormatError(
                f"game state ends in {marker:#x}, expected {END_MARKER:#x}: it is "
                "damaged or of another release of Procgen"
            )
        if self._position != len(self._data):
            raise FileFormatError(
                f"game state continues for {len(self._data) - self._position} bytes "
                "after its end marker"
            )


def string_bytes(text: bytes) -> bytes:
    """Writes a string: its length and its bytes."""
    return INT.pack(len(text)) + text


def generator_bytes(generator: RandomGenerator) -> bytes:
    """Writes a random generator as it was read."""
    return INT.pack(generator.is_seeded) + string_bytes(generator.text)

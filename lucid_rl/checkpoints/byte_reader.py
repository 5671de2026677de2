"""Bounded reading of files whose stated lengths may be false."""

import contextlib
import io
import os
from collections.abc import Iterator
from pickle import UnpicklingError
from typing import IO, Any

from lucid_rl.bounded import MAX_EXPANSION, Inflater, output_limit
from lucid_rl.files import open_input

EXPORT = "Load it with the library that wrote it and export it to ONNX"
"""Advice for files of other libraries."""

OTHER_FORMATS = {
    b"\x89HDF": f"an HDF5 file, as of Keras. {EXPORT}",
    b"Rar!": "a RAR archive. Expand it first",
    b"7z\xbc": "a 7z archive. Expand it first",
    b"BZ": "compressed with bz2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x5d\x00": "compressed with lzma",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"ZF": "in joblib's format of before 0.10",
    b"\x93NUMPY": "a .npy file; expected all arrays of a network, by name",
}
"""Other formats by the first bytes of their files."""


class ByteReader:
    """A binary stream of known length that never reads past its end.

    `shortage` is the reason given in errors where it ends too early.
    """

    def __init__(
        self,
        stream: IO[bytes],
        size: int,
        shortage: str = "it is truncated or damaged",
    ) -> None:
        self._stream = stream
        self.remaining = size
        self.shortage = shortage

    def read(self, size: int) -> bytes:
        """Reads exactly `size` bytes; UnpicklingError where there are fewer."""
        self._take(size)
        return self._checked(self._stream.read(size), size)

    def readline(self) -> bytes:
        """Reads up to and including the next newline."""
        line = self._stream.readline(self.remaining)
        self.remaining -= len(line)
        if not line.endswith(b"\n"):
            raise UnpicklingError("it ends too early; it is truncated")
        return line

    def readinto(self, buffer: memoryview) -> None:
        """Fills `buffer`; UnpicklingError where there are too few bytes."""
        self._take(len(buffer))
        n_read = self._stream.readinto(buffer)  # type: ignore[attr-defined]
        self._checked(buffer[:n_read], len(buffer))

    def _take(self, size: int) -> None:
        if size > self.remaining:
            raise UnpicklingError(
                f"it ends too early: {size} more bytes are needed, {self.remaining} "
                f"are left; {self.shortage}"
            )
        self.remaining -= size

    @staticmethod
    def _checked(data: Any, size: int) -> Any:
        if len(data) != size:
            raise UnpicklingError("it ends too early; it is truncated or damaged")
        return data


def refuse_other_formats(start: bytes) -> None:
    """Raises UnpicklingError where a file's first bytes are of another format."""
    for magic, description in OTHER_FORMATS.items():
        if start.startswith(magic):
            raise UnpicklingError(f"it is {description}")


@contextlib.contextmanager
def open_bounded(path: str | os.PathLike) -> Iterator[ByteReader]:
    """Opens a file for bounded reading; one that zlib or gzip made is expanded.

    Raises:
        UnpicklingError: the file is of another format, or expands too far.
        OSError: it cannot be opened.
    """
    with open_input(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(6)
        stream.seek(0)
        refuse_other_formats(start)
        if start.startswith(b"PK"):
            raise UnpicklingError(
                "it is a zip archive, as of numpy or of PyTorch; agents of PyTorch are "
                "converted by `lucid-rl import-torch`"
            )
        if start.startswith((b"\x1f\x8b", b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")):
            limit = output_limit(size)
            # What it expands to ends at the limit, if not before.
            shortage = f"it expands to more than {MAX_EXPANSION} times its size"
            inflated = io.BufferedReader(Inflater(stream, limit))
            yield ByteReader(inflated, limit, shortage)
        else:
            yield ByteReader(stream, size)

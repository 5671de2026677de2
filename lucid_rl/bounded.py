"""Compressed data, zip archives and JSON from untrusted files, within limits.

A compressed file of n bytes may expand to `output_limit(n)` bytes in all. Whatever is
damaged, too large or of another format is a `FileFormatError`.
"""

import contextlib
import io
import json
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

from lucid_rl.errors import FileFormatError
from lucid_rl.files import open_input, read_input

MAX_EXPANSION = 16
"""Bytes of output allowed for each byte of compressed input."""

FREE_BYTES = 2**25
"""Bytes of output allowed besides: small files may be almost all zeros."""

_CHUNK_BYTES = 2**18
_MAX_MEMBERS = 100_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NPY_HEADER = re.compile(
    r"\{'descr': '([<>|=]?(?:b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{0,8}))', "
    r"'fortran_order': (True|False), 'shape': \(([\d, ]*)\),? ?\}\s*"
)


def output_limit(n_bytes: int) -> int:
    """Most bytes that `n_bytes` of compressed data may expand to."""
    return MAX_EXPANSION * n_bytes + FREE_BYTES


class Inflater(io.RawIOBase):
    """A stream of what zlib or gzip compressed, expanded while it is read, to a limit.

    Raises:
        FileFormatError: while reading, where the data are damaged, end early or expand
            beyond the limit.
    """

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        self._left = limit

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills at most the whole buffer; 0 at the end."""
        data = b""
        while not data and len(buffer) and not self._inflate.eof:
            chunk = self._inflate.unconsumed_tail or self._stream.read(_CHUNK_BYTES)
            try:
                data = self._inflate.decompress(chunk, len(buffer))
            except zlib.error as error:
                raise FileFormatError(
                    f"the compressed data are damaged ({error})"
                ) from error
            if not (chunk or data):
                raise FileFormatError("the compressed data end early: truncated")
        self._left -= len(data)
        if self._left < 0:
            raise FileFormatError(
                f"the data expand to more than {MAX_EXPANSION} times their size and "
                f"{FREE_BYTES >> 20} MB"
            )
        buffer[: len(data)] = data
        return len(data)


def decompress(data: bytes, limit: int | None = None) -> bytes:
    """Expands bytes that zlib or gzip compressed, by default to `output_limit` at most.

    Raises:
        FileFormatError: the data are damaged, truncated or expand too far.
    """
    limit = output_limit(len(data)) if limit is None else limit
    return b"".join(iter(_chunks(Inflater(io.BytesIO(data), limit)), b""))


def _chunks(stream: Inflater) -> Callable[[], bytes]:
    return lambda: stream.read(_CHUNK_BYTES)


class ZipReader:
    """The members of a zip archive; together they stay within `output_limit`.

    Attributes:
        names: of the members.
        left: bytes of output that may still be read.

    Raises:
        FileFormatError: it is not a zip archive.
    """

    def __init__(self, stream: IO[bytes], limit: int | None = None) -> None:
        size = stream.seek(0, os.SEEK_END)
        self.left = output_limit(size) if limit is None else limit
        with _zip_errors():
            self._archive = zipfile.ZipFile(stream)
            self._members = {m.filename: m for m in self._archive.infolist()}
        if len(self._members) > _MAX_MEMBERS:
            raise FileFormatError(f"the archive has more than {_MAX_MEMBERS} members")
        self.names = tuple(self._members)

    def read(self, name: str) -> bytes:
        """A member's bytes.

        Raises:
            FileFormatError: there is none, or it is damaged, encrypted, compressed
                otherwise than by deflate, or too large.
        """
        if name not in self._members:
            raise FileFormatError(f"the archive has no member {name!r:.200}")
        member = self._members[name]
        if member.compress_type not in _METHODS or member.flag_bits & 1:
            raise FileFormatError(
                f"the member {name!r:.200} is encrypted, or not compressed by deflate"
            )
        self.left -= member.file_size
        if self.left < 0:
            raise FileFormatError(
                f"the archive expands to more than {MAX_EXPANSION} times its size and "
                f"{FREE_BYTES >> 20} MB"
            )
        with _zip_errors(), self._archive.open(member) as stream:
            data = stream.read(member.file_size)
            if len(data) != member.file_size or stream.read(1):
                raise FileFormatError(f"the member {name!r:.200} has another length")
        return data


@contextlib.contextmanager
def _zip_errors() -> Iterator[None]:
    try:
        yield
    except (
        *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError),
        *(NotImplementedError, RuntimeError, OverflowError, KeyError),
    ) as error:
        raise FileFormatError(f"the zip archive is damaged ({error!s:.200})") from error


def read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads a `.npz` file of numbers, booleans and fixed-width text: arrays by name.

    Raises:
        FileFormatError: the file is missing, damaged, too large or of another format.
    """
    with _array_file(path, ".npz") as stream:
        archive = ZipReader(stream)
        return {
            name.removesuffix(".npy"): _npy(archive.read(name), name)
            for name in archive.names
        }


def read_npy(path: str | os.PathLike) -> np.ndarray:
    """Reads a `.npy` file of numbers, booleans or fixed-width text.

    Raises:
        FileFormatError: the file is missing, damaged or of another format.
    """
    with _array_file(path, ".npy") as stream:
        return _npy(stream.read(), os.path.basename(path))


@contextlib.contextmanager
def _array_file(path: str | os.PathLike, kind: str) -> Iterator[IO[bytes]]:
    """Opens a file; what goes wrong with it names the file and its kind."""
    try:
        with open_input(path) as stream:
            yield stream
    except OSError as error:
        raise FileFormatError(
            f"cannot read {path}: {error.strerror or error}"
        ) from error
    except FileFormatError as error:
        raise FileFormatError(f"{path} is not a valid {kind} file: {error}.") from error


def _npy(data: bytes, name: str) -> np.ndarray:
    """An array from the content of a `.npy` file."""
    start = {b"\x01\x00": 10, b"\x02\x00": 12}.get(data[6:8])
    if data[:6] != b"\x93NUMPY" or start is None:
        raise FileFormatError(f"{name!r:.200} is not a .npy file")
    end = start + int.from_bytes(data[8:start], "little")
    header = _NPY_HEADER.fullmatch(data[start : min(end, 10_000)].decode("latin1"))
    if header is None:
        raise FileFormatError(
            f"the array {name!r:.200} is not of numbers, booleans or fixed-width text"
        )
    dtype = np.dtype(header[1])
    lengths = header[3].replace(",", " ").split()
    if len(lengths) > 32 or any(len(length) > 18 for length in lengths):
        raise FileFormatError(f"the array {name!r:.200} has an absurd shape")
    shape = tuple(map(int, lengths))
    if math.prod(shape) * dtype.itemsize != len(data) - end:
        raise FileFormatError(f"the array {name!r:.200} has another length")
    order: Any = "F" if header[2] == "True" else "C"
    if 0 in shape:
        return np.empty([min(n, 2**31) for n in shape], dtype)
    array = np.frombuffer(data, dtype, offset=end).reshape(shape, order=order)
    return array.astype(dtype.newbyteorder("="), order="K", copy=True)


def parse_json(text: str | bytes, where: Any) -> Any:
    """The value of a JSON text; errors call its file `where`.

    Raises:
        FileFormatError: it is damaged, or nested too deep.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise FileFormatError(f"{where}: its JSON is nested too deep.") from error
    except ValueError as error:
        raise FileFormatError(
            f"{where}: its JSON is damaged ({str(error)[:200]})."
        ) from error


def read_json(path: str | os.PathLike, schema: Any = object) -> Any:
    """The value of a JSON file that fits a schema (`check_schema`).

    Raises:
        FileFormatError: it is missing, damaged, nested too deep, or something else.
    """
    try:
        value = parse_json(read_input(path), path)
        check_schema(value, schema, str(path))
        return value
    except OSError as error:
        raise FileFormatError(
            f"cannot read {path}: {error.strerror or error}"
        ) from error


def check_schema(value: Any, schema: Any, where: str) -> None:
    """Checks that plain values fit a schema.

    Args:
        value: dictionaries, lists, text, numbers, truth values and None.
        schema: a type; a tuple of schemas, one of which must fit; a list of one schema,
            that of all items of a list; or a dictionary of schemas by key, the keys
            that must be there ("name") or may ("name?"); {str: schema} is that of
            all items of a dictionary. `float` is any finite number, `int` a whole
            one of 64 bits, `object` anything.
        where: what to call the value in an error.

    Raises:
        FileFormatError: it is not.

    Example:
        >>> check_schema(found, {"names": [str], "url?": (str, None)}, path)
    """
    if not _fits(value, schema, where):
        found = f"{value!r:.60}" if not isinstance(value, dict | list) else ""
        raise FileFormatError(
            f"{where}: expected {_words(schema)}, found {type(value).__name__} {found}"
        )


def _fits(value: Any, schema: Any, where: str) -> bool:
    if schema is float:
        return type(value) in (int, float) and abs(value) < math.inf
    if schema is int:
        return type(value) is int and abs(value) < 2**63
    if schema is None or isinstance(schema, type):
        return value is None if schema is None else isinstance(value, schema)
    if isinstance(schema, tuple):
        return any(_is(value, choice, where) for choice in schema)
    if not isinstance(value, type(schema)):
        return False
    if isinstance(schema, list):
        for i, item in enumerate(value):
            check_schema(item, schema[0], f"{where}, number {i}")
        return True
    for key, inner in schema.items():
        if key is str:
            for name, item in value.items():
                check_schema(item, inner, f"{where}, {name!r:.60}")
            continue
        name = key.removesuffix("?")
        if name in value:
            check_schema(value[name], inner, f"{where}, {name!r}")
        elif name == key:
            raise FileFormatError(f"{where}: {name!r} is missing")
    return True


def _is(value: Any, schema: Any, where: str) -> bool:
    try:
        check_schema(value, schema, where)
    except FileFormatError:
        return False
    return True


_TYPE_WORDS: dict[Any, str] = {
    bool: "true or false",
    dict: "a dictionary",
    float: "a number",
    int: "a whole number",
    list: "a list",
    None: "nothing",
    str: "text",
}


def _words(schema: Any) -> str:
    if isinstance(schema, tuple):
        return " or ".join(map(_words, schema))
    kind = type(schema) if isinstance(schema, dict | list) else schema
    return _TYPE_WORDS.get(kind) or str(getattr(kind, "__name__", "something"))

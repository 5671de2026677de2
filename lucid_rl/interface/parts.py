"""A part of a bundle: named arrays and what describes them, as one checked whole.

A part is encoded once into a header and its bytes. These stand in a stage's
file, in a script for the page, or inside the page itself; each form carries the
same header under the same checksum and reads back into the same part.
"""

import contextlib
import dataclasses
import json
import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from lucid_rl.errors import BundleError, InputError
from lucid_rl.files import PathLike, atomic_open, read_input
from lucid_rl.interface import encoding

VERSION = 3
_CALL = "lucidRL.deliver("
_MAGIC = b"lucid_rl part\n"


@dataclasses.dataclass(frozen=True)
class Layout:
    """How one array is written.

    Attributes:
        codec: see `encoding.encode_array`.
        axis: the axis along which the array is split into entries.
        lengths: the entries' lengths along it; None for a single entry.
    """

    codec: str = "gzip"
    axis: int = 0
    lengths: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Part:
    """An encoded part.

    Attributes:
        name: "manifest", "frames", "model/2b", ….
        meta: what describes the arrays; plain JSON values.
        entries: the arrays' descriptions (name, dtype, shape, codec, offset,
            length in bytes, perhaps columns, sheets and axis).
        data: the entries' bytes, one after the other.
    """

    name: str
    meta: dict[str, Any]
    entries: tuple[dict[str, Any], ...]
    data: bytes

    @classmethod
    def encode(
        cls,
        name: str,
        meta: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        layouts: Mapping[str, Layout] | None = None,
    ) -> "Part":
        """Encodes arrays.

        Args:
            name: the part's name.
            meta: plain JSON values.
            arrays: by name; names hold no "#".
            layouts: how to write them, by name; gzip in one entry by default.

        Raises:
            InputError: a value that JSON cannot hold, an array that no codec takes.
        """
        entries: list[dict[str, Any]] = []
        blobs: list[bytes] = []
        offset = 0
        for key, array in arrays.items():
            layout = (layouts or {}).get(key, Layout())
            for suffix, piece in _split(key, array, layout):
                entry, blob = encoding.encode_array(piece, layout.codec)
                entry = {"name": key + suffix, **entry}
                if suffix:
                    entry["axis"] = layout.axis
                entries.append(entry | {"offset": offset, "length": len(blob)})
                blobs.append(blob)
                offset += len(blob)
        try:
            plain = json.loads(encoding.to_json(dict(meta)))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"part {name!r}: meta is not plain JSON: {error}"
            ) from None
        return cls(name, plain, tuple(entries), b"".join(blobs))

    @property
    def names(self) -> tuple[str, ...]:
        """The arrays' names, without the numbers of split ones."""
        return tuple(dict.fromkeys(e["name"].split("#")[0] for e in self.entries))

    def array(
        self,
        name: str,
        start: int | None = None,
        stop: int | None = None,
        memory: int = encoding.DECODING,
    ) -> np.ndarray:
        """Decodes an array, or a stretch of it.

        Args:
            name: its name.
            start: first index along the axis that the array is split along (0 for an
                array in one entry); None: the beginning. Only the entries that hold
                the stretch are decoded.
            stop: one after the last index; None: the end.
            memory: bytes needed for each byte of the array, with what the caller makes
                of it; see `encoding.check_size`.

        Raises:
            BundleError: it is not there, too short, too large or damaged.
        """
        found = [e for e in self.entries if e["name"].split("#")[0] == name]
        if not found:
            raise BundleError(
                f"part {self.name!r} holds no array {name!r}; it holds {self.names}"
            )
        axis = found[0].get("axis", 0)
        try:
            lengths = (
                [entry["shape"][axis] for entry in found] if start is not None else []
            )
        except IndexError:
            raise BundleError(f"array {name!r} has no axis {axis}") from None
        first = start or 0
        last = sum(lengths) if stop is None else stop
        if start is not None and not 0 <= first <= last <= sum(lengths):
            raise BundleError(
                f"part {self.name!r}: {name!r} has {sum(lengths)} entries along axis "
                f"{axis}; asked for {first} to {last}"
            )
        chosen: list[dict[str, Any]] = []
        skipped = begin = 0
        for i, entry in enumerate(found):
            if start is not None:
                end = begin + lengths[i]
                if end <= first and i < len(found) - 1:
                    skipped = begin = end
                    continue
                if begin >= last and chosen:
                    break
                begin = end
            chosen.append(entry)
        try:
            encoding.check_size(chosen, memory)
            pieces = [
                encoding.decode_array(
                    e, self.data[e["offset"] : e["offset"] + e["length"]]
                )
                for e in chosen
            ]
            whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis)
        except ValueError as error:
            raise BundleError(
                f"part {self.name!r}: the entries of {name!r} do not join: {error}"
            ) from None
        if start is None:
            return whole
        index = (slice(None),) * axis + (slice(first - skipped, last - skipped),)
        return whole[index]

    def pick(self, name: str, arrays: Collection[str]) -> "Part":
        """A part of another name that holds some of the arrays, as they are encoded."""
        entries: list[dict[str, Any]] = []
        blobs: list[bytes] = []
        offset = 0
        for entry in self.entries:
            if entry["name"].split("#")[0] in arrays:
                start, length = entry["offset"], entry["length"]
                blobs.append(self.data[start : start + length])
                entries.append(entry | {"offset": offset})
                offset += length
        return Part(name, self.meta, tuple(entries), b"".join(blobs))

    def head(self) -> str:
        """The name, meta and entries as JSON, which stands under the checksum."""
        return encoding.to_json(
            {"part": self.name, "meta": self.meta, "arrays": list(self.entries)}
        )

    def envelope(self, head: str, encoding_name: str) -> str:
        """The JSON object that says how to read and check what follows it."""
        checksum = zlib.crc32(self.data, zlib.crc32(head.encode("ascii")))
        return encoding.to_json(
            {
                "version": VERSION,
                "encoding": encoding_name,
                "bytes": len(self.data),
                "checksum": checksum,
            }
        )

    def to_script(self, encoding_name: str = "windows-1252") -> bytes:
        """The part as a script file."""
        head = self.head()
        quoted = encoding.to_json(head)
        payload = encoding.encode_text(self.data, encoding_name)
        envelope = self.envelope(head, encoding_name)
        return f'{_CALL}{envelope}, {quoted}, "{payload}");\n'.encode("latin-1")

    @classmethod
    def from_script(cls, script: bytes) -> "Part":
        """Reads what `to_script` wrote; BundleError where that fails."""
        if script.startswith(b"\xff\xfe"):
            raise _other_version("the file", 1)
        text = script.decode("latin-1")
        if not text.startswith(_CALL):
            raise BundleError(f"the file does not begin with {_CALL!r}")
        with _damage():
            envelope, end = json.JSONDecoder().raw_decode(text, len(_CALL))
            _check_version(envelope)
            if not text.startswith(", ", end):
                raise ValueError("the header is missing")
            head, end = json.JSONDecoder().raw_decode(text, end + 2)
            if not text.startswith(', "', end) or not text.endswith('");\n'):
                raise ValueError("the payload or its end is missing")
            return cls._from_text(envelope, head, text[end + 3 : -len('");\n')])

    def to_element(self) -> str:
        """The part as text for an element of the page itself."""
        head = self.head()
        payload = encoding.encode_text(self.data, "base64")
        return f"{self.envelope(head, 'base64')}\n{head}\n{payload}\n"

    @classmethod
    def from_element(cls, text: str) -> "Part":
        """Reads what `to_element` wrote; BundleError where that fails."""
        with _damage():
            lines = text.strip("\n").split("\n", 2)
            envelope = json.loads(lines[0])
            _check_version(envelope)
            if len(lines) < 2 or not text.endswith("\n"):
                raise ValueError("the payload or its end is missing")
            return cls._from_text(envelope, lines[1], "".join(lines[2:]).strip("\n"))

    def save(self, path: PathLike) -> None:
        """Writes the part's bytes as they are, atomically."""
        head = self.head()
        with atomic_open(path) as stream:
            stream.write(_MAGIC)
            stream.write(f"{self.envelope(head, 'none')}\n{head}\n".encode("ascii"))
            stream.write(self.data)

    @classmethod
    def load(cls, path: PathLike) -> "Part":
        """Reads what `save` wrote; BundleError where that fails."""
        try:
            content = read_input(path)
        except OSError as error:
            raise BundleError(f"cannot read {path}: {error.strerror}") from None
        lines = content.removeprefix(_MAGIC).split(b"\n", 2)
        if not content.startswith(_MAGIC) or len(lines) != 3:
            raise BundleError(f"{path} is not a part of a bundle, or is cut short")
        try:
            with _damage():
                envelope = json.loads(lines[0])
                _check_version(envelope)
                return cls._checked(envelope, lines[1].decode("ascii"), lines[2])
        except BundleError as error:
            raise BundleError(f"{path}: {error}") from None

    @classmethod
    def _from_text(cls, envelope: dict[str, Any], head: Any, payload: str) -> "Part":
        if not isinstance(head, str):
            raise ValueError("the header is not text")
        data = encoding.decode_text(payload, envelope["encoding"], envelope["bytes"])
        return cls._checked(envelope, head, data)

    @classmethod
    def _checked(cls, envelope: dict[str, Any], head: str, data: bytes) -> "Part":
        checksum = zlib.crc32(data, zlib.crc32(head.encode("ascii")))
        if len(data) != envelope["bytes"] or checksum != envelope["checksum"]:
            raise BundleError(
                "the part is damaged: its checksum differs. Make it again."
            )
        header = json.loads(head)
        if not isinstance(header, dict) or not isinstance(header.get("part"), str):
            raise ValueError("the header names no part")
        if not isinstance(header.get("meta"), dict):
            raise ValueError("meta is not an object")
        if not isinstance(header.get("arrays"), list):
            raise ValueError("arrays is not a list")
        for entry in header["arrays"]:
            encoding.check_entry(entry, len(data))
        return cls(header["part"], header["meta"], tuple(header["arrays"]), data)


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Reports what a text that is no part makes parsers raise as BundleError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise BundleError(f"the part is damaged or cut short: {error}") from None


def _check_version(envelope: Any) -> None:
    if not isinstance(envelope, dict):
        raise ValueError("the envelope is not an object")
    if envelope["version"] != VERSION:
        raise _other_version("the part", envelope["version"])


def _other_version(what: str, version: Any) -> BundleError:
    return BundleError(
        f"{what} is of format version {version}; this package reads version {VERSION}. "
        "Make the interface again."
    )


def _split(key: str, array: np.ndarray, layout: Layout) -> list[tuple[str, np.ndarray]]:
    if layout.lengths is None:
        return [("", array)]
    if sum(layout.lengths) != array.shape[layout.axis]:
        raise InputError(
            f"{key!r}: entries of {layout.lengths} do not make up axis {layout.axis} "
            f"of {array.shape}"
        )
    slices = encoding.slices(list(layout.lengths))
    before = (slice(None),) * layout.axis
    return [(f"#{i}", array[(*before, piece)]) for i, piece in enumerate(slices)]

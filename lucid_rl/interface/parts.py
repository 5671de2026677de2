"""A part of a bundle: named arrays and what describes them, as one checked whole.

A part is encoded once into a header and its bytes. These stand in a stage's
file, in a script for the page, or inside the page itself; each form carries the
same checksum and reads back into the same part.
"""

import dataclasses
import json
import pathlib
import zlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from lucid_rl.errors import BundleError, InputError, LucidRLError
from lucid_rl.files import PathLike, atomic_open
from lucid_rl.interface import encoding

VERSION = 2
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

    def array(self, name: str, piece: int | None = None) -> np.ndarray:
        """Decodes one array, or one entry of a split array.

        Args:
            name: its name.
            piece: number of the entry; None joins all of them.

        Raises:
            BundleError: it is not there or damaged.
        """
        wanted = {name} if piece is None else {f"{name}#{piece}"}
        found = [
            entry
            for entry in self.entries
            if entry["name"] in wanted
            or (piece is None and entry["name"].split("#")[0] == name)
        ]
        if not found:
            raise BundleError(
                f"part {self.name!r} holds no array {name!r}; it holds {self.names}"
            )
        pieces = [
            encoding.decode_array(
                entry, self.data[entry["offset"] : entry["offset"] + entry["length"]]
            )
            for entry in found
        ]
        if len(pieces) == 1:
            return pieces[0]
        try:
            return np.concatenate(pieces, axis=found[0]["axis"])
        except (KeyError, ValueError) as error:
            raise BundleError(
                f"part {self.name!r}: the entries of {name!r} do not join: {error}"
            ) from None

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

    def header(self, encoding_name: str) -> dict[str, Any]:
        """The JSON object that goes before the payload."""
        return {
            "part": self.name,
            "version": VERSION,
            "encoding": encoding_name,
            "bytes": len(self.data),
            "checksum": zlib.crc32(self.data),
            "meta": self.meta,
            "arrays": list(self.entries),
        }

    def to_script(self, encoding_name: str = "windows-1252") -> bytes:
        """The part as a script file."""
        header = encoding.to_json(self.header(encoding_name))
        payload = encoding.encode_text(self.data, encoding_name)
        return f'{_CALL}{header}, "{payload}");\n'.encode("latin-1")

    @classmethod
    def from_script(cls, script: bytes) -> "Part":
        """Reads what `to_script` wrote; BundleError where that fails."""
        if script.startswith(b"\xff\xfe"):
            raise _other_version("the file", 1)
        text = script.decode("latin-1")
        if not text.startswith(_CALL):
            raise BundleError(f"the file does not begin with {_CALL!r}")
        return cls._from_text(text[len(_CALL) :], ', "', '");\n')

    def to_element(self) -> str:
        """The part as text for an element of the page itself."""
        header = encoding.to_json(self.header("base64"))
        return f"{header}\n{encoding.encode_text(self.data, 'base64')}\n"

    @classmethod
    def from_element(cls, text: str) -> "Part":
        """Reads what `to_element` wrote; BundleError where that fails."""
        return cls._from_text(text.strip() + "\n", "\n", "\n")

    def save(self, path: PathLike) -> None:
        """Writes the part's bytes as they are, atomically."""
        with atomic_open(path) as stream:
            stream.write(_MAGIC)
            stream.write(encoding.to_json(self.header("none")).encode("utf-8") + b"\n")
            stream.write(self.data)

    @classmethod
    def load(cls, path: PathLike) -> "Part":
        """Reads what `save` wrote; BundleError where that fails."""
        try:
            content = pathlib.Path(path).read_bytes()
        except OSError as error:
            raise BundleError(f"cannot read {path}: {error.strerror}") from None
        head, newline, data = content.removeprefix(_MAGIC).partition(b"\n")
        if not content.startswith(_MAGIC) or not newline:
            raise BundleError(f"{path} is not a part of a bundle, or is cut short")
        try:
            return cls._from_header(json.loads(head), data)
        except (LucidRLError, ValueError) as error:
            raise BundleError(f"{path}: {error}") from None

    @classmethod
    def _from_text(cls, text: str, before: str, after: str) -> "Part":
        try:
            header, end = json.JSONDecoder().raw_decode(text)
            if not text.startswith(before, end) or not text.endswith(after):
                raise ValueError("the payload or its end is missing")
            payload = text[end + len(before) : len(text) - len(after)]
            data = encoding.decode_text(payload, header["encoding"], header["bytes"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BundleError(f"the part is damaged or cut short: {error}") from None
        return cls._from_header(header, data)

    @classmethod
    def _from_header(cls, header: dict[str, Any], data: bytes) -> "Part":
        try:
            name, version = header["part"], header["version"]
            if version != VERSION:
                raise _other_version(f"part {name!r}", version)
            if len(data) != header["bytes"] or zlib.crc32(data) != header["checksum"]:
                raise BundleError(
                    f"part {name!r} is damaged: its checksum differs. Make it again."
                )
            for entry in header["arrays"]:
                if not isinstance(entry["name"], str) or not (
                    0 <= entry["offset"] <= entry["offset"] + entry["length"]
                    and entry["offset"] + entry["length"] <= len(data)
                ):
                    raise ValueError(f"entry {entry['name']!r} lies outside the data")
            if not isinstance(name, str) or not isinstance(header["meta"], dict):
                raise ValueError("a name or meta of another type")
            return cls(name, header["meta"], tuple(header["arrays"]), data)
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"a part's header is damaged: {error}") from None


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

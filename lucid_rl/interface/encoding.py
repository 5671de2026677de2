"""Arrays as bytes and bytes as text, for a page that reads both.

Pages opened from disk cannot fetch files, but they can load scripts, so data
travel as text. docs/bundle_format.md describes the format.
"""

import base64
import binascii
import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from lucid_rl.errors import BundleError, InputError

DTYPES: dict[str, np.dtype] = {
    "u8": np.dtype("u1"),
    "i8": np.dtype("i1"),
    "u16": np.dtype("<u2"),
    "i16": np.dtype("<i2"),
    "i32": np.dtype("<i4"),
    "f32": np.dtype("<f4"),
}
CODECS = ("none", "gzip", "webp", "png", "webp_lossy")
ENCODINGS = ("windows-1252", "base64")
SHEET_SIDE = 16_383
"""Largest width or height of a WebP picture, in pixels."""

# What cannot stand in a JavaScript string as it is; the backslash goes first.
_ESCAPES = {b"\\": b"\\\\", b'"': b'\\"', b"\n": b"\\n", b"\r": b"\\r"}
_BYTES = {escape: byte for byte, escape in _ESCAPES.items()}
_ESCAPED = re.compile(rb"\\.?", re.S)
_LOSSY_QUALITY = 85
# WebP's search for a lossless code. Observations of games repeat whole sprites: without
# prediction of pixels (method 0) they are coded five times as fast and take up to 40 %
# less; at worst they take 10 % more. Maps are smooth: methods above 1 save nothing.
_SPRITES = {"method": 0, "quality": 75}
_MAPS = {"method": 1, "quality": 50}
# What is made of an array takes at most so many bytes for each of its own, and so many
# besides; so do the pixels of a sheet, which take ten bytes each on the way. A small
# file cannot fill memory.
_EXPANSION = 96
_ALLOWANCE = 256 * 2**20
DECODING = 4
"""Bytes of memory that decoding takes for each byte of an array."""
_PIXELS = 8
_ALLOWED_PIXELS = 12 * 2**20


def encode_text(data: bytes, encoding: str) -> str:
    """Writes bytes as text for a script or, as base64, for markup.

    Args:
        data: the bytes.
        encoding: "windows-1252" (the inside of a JavaScript string in a file of that
            character set, which has a character for every byte) or "base64".

    Returns:
        One character for each byte of the file, U+0000 to U+00FF.
    """
    if encoding == "base64":
        return base64.b64encode(data).decode("ascii")
    if encoding != "windows-1252":
        raise InputError(f"encoding is one of {ENCODINGS}, not {encoding!r}")
    for byte, escape in _ESCAPES.items():
        data = data.replace(byte, escape)
    return data.decode("latin-1")


def decode_text(text: str, encoding: str, n_bytes: int) -> bytes:
    """Reads what `encode_text` wrote.

    Args:
        text: the payload, one character for each byte of the file.
        encoding: "windows-1252" or "base64".
        n_bytes: how many bytes it holds.

    Raises:
        BundleError: characters outside the alphabet, or another length.
    """
    try:
        if encoding == "base64":
            data = base64.b64decode(text.encode("ascii"), validate=True)
        elif encoding == "windows-1252":
            data = _ESCAPED.sub(lambda m: _BYTES[m[0]], text.encode("latin-1"))
        else:
            raise BundleError(f"unknown encoding {encoding!r}; known are {ENCODINGS}")
    except (binascii.Error, UnicodeEncodeError, KeyError) as error:
        raise BundleError(f"the data are not {encoding}: {error}") from None
    if len(data) != n_bytes:
        raise BundleError(f"expected {n_bytes} bytes of data, found {len(data)}")
    return data


def encode_array(array: np.ndarray, codec: str) -> tuple[dict[str, Any], bytes]:
    """Writes one array.

    Args:
        array: of a type in `DTYPES`; for the codecs of pictures uint8 [N, H, W, C]
            (see `n_pictures`), or for "webp" and "png" int8 [M, N, H, W], M maps of N
            frames, each map a picture file of its own.
        codec: "gzip", "none", "webp", "png" (lossless) or "webp_lossy".

    Returns:
        The entry's description (dtype, shape, codec, perhaps columns and sheets) and
        its bytes.

    Raises:
        InputError: another type, codec or shape.
    """
    native = array.dtype.newbyteorder("=")
    dtype = next((code for code, kind in DTYPES.items() if kind == native), None)
    if dtype is None:
        raise InputError(
            f"arrays in a bundle are of {tuple(DTYPES)}, not {array.dtype}; convert it"
        )
    entry: dict[str, Any] = {"dtype": dtype, "shape": list(array.shape), "codec": codec}
    if codec == "none":
        return entry, array.astype(DTYPES[dtype]).tobytes()
    if codec == "gzip":
        raw = array.astype(DTYPES[dtype]).tobytes()
        return entry, gzip.compress(raw, 9, mtime=0)
    if codec not in CODECS:
        raise InputError(f"codec is one of {CODECS}, not {codec!r}")
    entry["codec"] = codec.removesuffix("_lossy")
    if dtype != "i8":
        sheet, columns = _to_sheet(_observations_to_pictures(array))
        return entry | {"columns": columns}, _picture_file(sheet, codec, **_SPRITES)
    made = [_to_sheet(pictures) for pictures in _maps_to_pictures(array)]
    files = [_picture_file(sheet, codec, **_MAPS) for sheet, _ in made]
    sheets = {"columns": made[0][1], "sheets": [len(file) for file in files]}
    return entry | sheets, b"".join(files)


def check_entry(entry: Any, n_bytes: int) -> None:
    """Checks the description of an array, of a part with `n_bytes` of data.

    Raises:
        ValueError: a key is missing, of another type or outside what can be.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ValueError("an array without a name")
    name = entry["name"]
    if entry.get("dtype") not in DTYPES or entry.get("codec") not in CODECS:
        raise ValueError(f"array {name!r} of an unknown type or codec")
    for key in ("shape", "sheets"):
        sizes = entry.get(key, [])
        if not isinstance(sizes, list) or not all(map(_is_size, sizes)):
            raise ValueError(f"array {name!r}: {key} is {sizes!r}, not a list of sizes")
    for key, least in (("offset", 0), ("length", 0), ("columns", 1), ("axis", 0)):
        number = entry.get(key, least)
        if not _is_size(number) or number < least:
            raise ValueError(f"array {name!r}: {key} is {number!r}")
    if "shape" not in entry or entry.get("axis", 0) > len(entry["shape"]):
        raise ValueError(f"array {name!r}: no shape, or an axis beyond it")
    if entry["offset"] + entry["length"] > n_bytes:
        raise ValueError(f"array {name!r} lies outside the data")


def check_size(entries: Sequence[dict[str, Any]], memory: int = DECODING) -> None:
    """Bounds the memory of arrays by the bytes that they are made of.

    Args:
        entries: the arrays' descriptions.
        memory: bytes that are needed for each byte of an array.

    Raises:
        ValueError: they ask for more than 96 times their bytes and 256 MiB in all.
    """
    stored = sum(entry["length"] for entry in entries)
    made = sum(math.prod(e["shape"]) * DTYPES[e["dtype"]].itemsize for e in entries)
    if memory * made > _EXPANSION * stored + _ALLOWANCE:
        raise ValueError(f"{stored} bytes do not fill shape {entries[0]['shape']}")


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def decode_array(entry: dict[str, Any], data: bytes) -> np.ndarray:
    """Reads one array.

    Raises:
        BundleError: the description makes no sense, the bytes do not fit it, or it
            decodes to more than 24 times their memory and 64 MiB.
    """
    name = entry.get("name", "array") if isinstance(entry, dict) else "array"
    try:
        own = {"name": name, "offset": 0, "length": len(data)}
        check_entry(entry | own, len(data))
        dtype = DTYPES[entry["dtype"]]
        shape = tuple(entry["shape"])
        codec = entry["codec"]
        expected = math.prod(shape) * dtype.itemsize
        check_size([entry | own])
        if codec in ("none", "gzip"):
            raw = data if codec == "none" else _gunzip(data, expected)
            if len(raw) != expected:
                raise ValueError(f"{len(raw)} bytes do not fill shape {shape}")
            return np.frombuffer(raw, dtype).reshape(shape)
        if codec in ("webp", "png"):
            columns = entry["columns"]
            if entry["dtype"] != "i8":
                return _read_observations(data, codec, shape, columns)
            return _read_maps(data, codec, shape, columns, entry["sheets"])
        raise ValueError(f"unknown codec {codec!r}")
    except (
        *(KeyError, TypeError, ValueError, OSError, EOFError, zlib.error),
        *(SyntaxError, OverflowError, Image.DecompressionBombError),
    ) as error:
        raise BundleError(
            f"array {name!r} is damaged or not of this format: {error}"
        ) from None


def to_json(value: Any) -> str:
    """JSON of ASCII alone that cannot close a script element and holds no NaN."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def largest_sheet(height: int, width: int) -> int:
    """How many pictures fit into one sheet."""
    return (SHEET_SIDE // height) * (SHEET_SIDE // width)


def _gunzip(data: bytes, expected: int) -> bytes:
    """Decompresses no more than is expected: a small file cannot fill memory."""
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        return stream.read(expected + 1)


def _picture_file(sheet: np.ndarray, codec: str, **effort: int) -> bytes:
    """A sheet as a file of an image format, for "webp" with a given effort."""
    stream = io.BytesIO()
    image = Image.fromarray(sheet)
    if codec == "png":
        image.save(stream, "png", optimize=True)
    elif codec == "webp":
        image.save(stream, "webp", lossless=True, exact=True, **effort)
    else:
        image.save(stream, "webp", quality=_LOSSY_QUALITY, method=4)
    return stream.getvalue()


def _read_sheet(
    data: bytes, codec: str, shape: tuple[int, ...], columns: int
) -> np.ndarray:
    """Pictures of a given shape from a file of an image format."""
    n, height, width, channels = shape
    size = (columns * width, math.ceil(n / columns) * height)
    if channels != 3 or 0 in shape or max(size) > SHEET_SIDE:
        raise ValueError(f"no sheet holds {shape}")
    if math.prod(size) > _PIXELS * len(data) + _ALLOWED_PIXELS:
        raise ValueError(f"{len(data)} bytes do not fill a sheet of {size} px")
    with Image.open(io.BytesIO(data), formats=[codec.upper()]) as image:
        if image.size != size:
            raise ValueError(f"a sheet of {image.size} px cannot hold {shape}")
        if image.mode != "RGB":
            raise ValueError(f"a sheet of mode {image.mode!r}, not RGB")
        return _from_sheet(image, shape, columns)


def n_pictures(channels: int) -> int:
    """Pictures of an observation: its RGB frames, or a grey one for each channel."""
    return channels // 3 if channels % 3 == 0 else channels


def _observations_to_pictures(array: np.ndarray) -> np.ndarray:
    """Observations uint8 [N, H, W, C] as pictures [N * P, H, W, 3], P each."""
    if array.ndim != 4 or array.shape[-1] in (0, 3):
        return array
    n, height, width, channels = array.shape
    count = n_pictures(channels)
    frames = array.reshape(n, height, width, count, channels // count)
    pictures = np.moveaxis(frames, 3, 1).reshape(n * count, height, width, -1)
    return np.broadcast_to(pictures, (*pictures.shape[:3], 3))


def _read_observations(
    data: bytes, codec: str, shape: tuple[int, ...], columns: int
) -> np.ndarray:
    """Reads the file of what `_observations_to_pictures` made."""
    n, height, width, channels = shape
    if not channels:
        raise ValueError(f"no channels in {shape}")
    count = n_pictures(channels)
    pictures = _read_sheet(data, codec, (n * count, height, width, 3), columns)
    depth = channels // count
    frames = pictures[..., :depth].reshape(n, count, height, width, depth)
    return np.moveaxis(frames, 1, 3).reshape(shape)


def _maps_to_pictures(maps: np.ndarray) -> np.ndarray:
    """Maps int8 [M, N, H, W] as pictures [M, N / 3, H, W, 3], 128 added.

    The colours of a picture are three frames that follow each other. Picture codecs
    predict a number from its neighbours and one colour from another, and every
    browser has a fast decoder for them.
    """
    if maps.ndim != 4 or not maps.size:
        raise InputError(f"maps as pictures are int8 [M, N, H, W], not {maps.shape}")
    n_maps, n_frames, height, width = maps.shape
    n_pictures = math.ceil(n_frames / 3)
    colours = np.full((n_maps, 3 * n_pictures, height, width), 128, np.uint8)
    colours[:, :n_frames] = maps.view(np.uint8) ^ 128
    return np.moveaxis(colours.reshape(n_maps, n_pictures, 3, height, width), 2, -1)


def _read_maps(
    data: bytes, codec: str, shape: tuple[int, ...], columns: int, lengths: list[int]
) -> np.ndarray:
    """Reads the files of what `_maps_to_pictures` made."""
    n_maps, n_frames, height, width = shape
    if len(lengths) != n_maps or sum(lengths) != len(data):
        raise ValueError(f"sheets of {lengths} bytes are not {n_maps} in {len(data)}")
    pictures = (math.ceil(n_frames / 3), height, width, 3)
    maps = np.empty(shape, np.int8)
    for values, place in zip(maps, slices(lengths), strict=True):
        found = _read_sheet(data[place], codec, pictures, columns)
        frames = np.moveaxis(found, -1, 1).reshape(-1, height, width)[:n_frames]
        values[:] = (frames ^ 128).view(np.int8)
    return maps


def _to_sheet(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Places pictures side by side, row-major, in a nearly square sheet."""
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3:
        raise InputError(
            f"pictures are uint8 [N, H, W, 3], not {array.dtype} {array.shape}"
        )
    n, height, width, _ = array.shape
    if n == 0 or n > largest_sheet(height, width):
        raise InputError(
            f"{n} pictures of {height}x{width} do not fit one sheet: it holds 1 to "
            f"{largest_sheet(height, width)}"
        )
    columns = min(math.ceil(math.sqrt(n * height / width)), SHEET_SIDE // width)
    columns = max(columns, math.ceil(n / (SHEET_SIDE // height)))
    rows = math.ceil(n / columns)
    cells = np.zeros((rows * columns, height, width, 3), np.uint8)
    cells[:n] = array
    sheet = cells.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return sheet.reshape(rows * height, columns * width, 3), columns


def _from_sheet(image: Image.Image, shape: tuple[int, ...], columns: int) -> np.ndarray:
    n, height, width, _ = shape
    rows = math.ceil(n / columns)
    sheet = np.asarray(image).reshape(rows, height, columns, width, 3)
    return sheet.swapaxes(1, 2).reshape(-1, height, width, 3)[:n].copy()


def slices(lengths: list[int]) -> Iterator[slice]:
    """Consecutive slices of the given lengths."""
    start = 0
    for length in lengths:
        yield slice(start, start + length)
        start += length

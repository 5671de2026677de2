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
import zlib
from collections.abc import Iterator
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
ENCODINGS = ("utf16", "base64")
SHEET_SIDE = 16_383
"""Largest width or height of a WebP picture, in pixels."""

_BITS = 15  # of data in each UTF-16 character
_FIRST = 0x4000  # so codes end at 0xbfff, below the surrogates
_LOSSY_QUALITY = 85
_BLOCK = _BITS << 16  # bytes; a multiple of 15 fills whole characters


def encode_text(data: bytes, encoding: str) -> str:
    """Writes bytes as text that needs no escaping in a script or in markup.

    Args:
        data: the bytes.
        encoding: "utf16" (15 bits a character, for UTF-16 files) or "base64".
    """
    if encoding == "base64":
        return base64.b64encode(data).decode("ascii")
    if encoding != "utf16":
        raise InputError(f"encoding is one of {ENCODINGS}, not {encoding!r}")
    blocks = []
    for start in range(0, len(data), _BLOCK):
        bits = np.unpackbits(np.frombuffer(data[start : start + _BLOCK], np.uint8))
        groups = np.zeros((math.ceil(bits.size / _BITS), 16), np.uint8)
        padded = np.zeros(len(groups) * _BITS, np.uint8)
        padded[: bits.size] = bits
        groups[:, 1:] = padded.reshape(-1, _BITS)
        codes = np.packbits(groups).view(">u2").astype("<u2") + np.uint16(_FIRST)
        blocks.append(codes.tobytes().decode("utf-16-le"))
    return "".join(blocks)


def decode_text(text: str, encoding: str, n_bytes: int) -> bytes:
    """Reads what `encode_text` wrote.

    Args:
        text: the payload.
        encoding: "utf16" or "base64".
        n_bytes: how many bytes it holds.

    Raises:
        BundleError: characters outside the alphabet, or another length.
    """
    if encoding == "base64":
        try:
            data = base64.b64decode(text.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError) as error:
            raise BundleError(f"the data are not base64: {error}") from None
    elif encoding == "utf16":
        codes = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")
        if codes.size and (codes.min() < _FIRST or codes.max() >= _FIRST + 2**_BITS):
            raise BundleError("the data hold characters outside their alphabet")
        if codes.size != math.ceil(8 * n_bytes / _BITS):
            raise BundleError(
                f"{codes.size} characters cannot hold exactly {n_bytes} bytes"
            )
        blocks = []
        for start in range(0, codes.size, 8 << 16):  # 8 characters are 15 bytes
            block = (codes[start : start + (8 << 16)] - _FIRST).astype(">u2")
            bits = np.unpackbits(block.view(np.uint8)).reshape(-1, 16)[:, 1:]
            blocks.append(np.packbits(bits).tobytes())
        data = b"".join(blocks)[:n_bytes]
    else:
        raise BundleError(f"unknown encoding {encoding!r}; known are {ENCODINGS}")
    if len(data) != n_bytes:
        raise BundleError(f"expected {n_bytes} bytes of data, found {len(data)}")
    return data


def encode_array(array: np.ndarray, codec: str) -> tuple[dict[str, Any], bytes]:
    """Writes one array.

    Args:
        array: of a type in `DTYPES`; for the codecs of pictures uint8 [N, H, W, 3],
            or for "webp" and "png" int8 [M, N, H, W], M maps of N frames.
        codec: "gzip", "none", "webp", "png" (lossless) or "webp_lossy".

    Returns:
        The entry's description (dtype, shape, codec, perhaps columns) and its bytes.

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
    sheet, columns = _to_sheet(_maps_to_pictures(array) if dtype == "i8" else array)
    stream = io.BytesIO()
    image = Image.fromarray(sheet)
    if codec == "png":
        image.save(stream, "png", optimize=True)
    elif codec == "webp":
        image.save(stream, "webp", lossless=True, method=4, quality=50, exact=True)
    else:
        image.save(stream, "webp", quality=_LOSSY_QUALITY, method=4)
    entry["codec"] = codec.removesuffix("_lossy")
    return entry | {"columns": columns}, stream.getvalue()


def decode_array(entry: dict[str, Any], data: bytes) -> np.ndarray:
    """Reads one array.

    Args:
        entry: its description, from a part's header.
        data: its bytes.

    Raises:
        BundleError: the description makes no sense or the bytes do not fit it.
    """
    name = entry.get("name", "array")
    try:
        dtype = DTYPES[entry["dtype"]]
        shape = tuple(int(size) for size in entry["shape"])
        codec = entry["codec"]
        expected = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0:
            raise ValueError(f"negative size in {shape}")
        if codec in ("none", "gzip"):
            raw = data if codec == "none" else _gunzip(data, expected)
            if len(raw) != expected:
                raise ValueError(f"{len(raw)} bytes do not fill shape {shape}")
            return np.frombuffer(raw, dtype).reshape(shape)
        if codec in ("webp", "png"):
            maps = entry["dtype"] == "i8"
            with Image.open(io.BytesIO(data), formats=[codec.upper()]) as image:
                pictures = _pictures_shape(shape) if maps else shape
                array = _from_sheet(image, pictures, int(entry["columns"]))
            return _pictures_to_maps(array, shape) if maps else array
        raise ValueError(f"unknown codec {codec!r}")
    except (KeyError, TypeError, ValueError, OSError, EOFError, zlib.error) as error:
        raise BundleError(
            f"array {name!r} is damaged or not of this format: {error}"
        ) from None


def to_json(value: Any) -> str:
    """JSON that cannot close a script element and holds no NaN."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Line separators end a line in old JavaScript strings.
    return (
        text.replace("<", "\\u003c")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def largest_sheet(height: int, width: int) -> int:
    """How many pictures fit into one sheet."""
    return (SHEET_SIDE // height) * (SHEET_SIDE // width)


def _gunzip(data: bytes, expected: int) -> bytes:
    """Decompresses no more than is expected: a small file cannot fill memory."""
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        return stream.read(expected + 1)


def _pictures_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of the pictures that hold maps of shape [M, N, H, W], three to a picture."""
    n_maps, n_frames, height, width = shape
    return (math.ceil(n_maps / 3) * n_frames, height, width, 3)


def _maps_to_pictures(maps: np.ndarray) -> np.ndarray:
    """Maps int8 [M, N, H, W] as colours: three of them to a picture, 128 added.

    Neighbouring numbers are alike, which picture codecs make use of, and every
    browser has a fast decoder for them.
    """
    if maps.ndim != 4:
        raise InputError(f"maps as pictures are int8 [M, N, H, W], not {maps.shape}")
    shape = _pictures_shape(maps.shape)
    colours = np.full((math.ceil(len(maps) / 3) * 3, *maps.shape[1:]), 128, np.uint8)
    colours[: len(maps)] = maps.view(np.uint8) ^ 128
    groups = colours.reshape(-1, 3, *maps.shape[1:])
    return np.moveaxis(groups, 1, -1).reshape(shape)


def _pictures_to_maps(pictures: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Reads what `_maps_to_pictures` made."""
    groups = pictures.reshape(-1, *shape[1:], 3)
    colours = np.moveaxis(groups, -1, 1).reshape(-1, *shape[1:])[: shape[0]]
    return (colours ^ 128).view(np.int8)


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
    n, height, width, channels = shape
    rows = math.ceil(n / columns)
    if channels != 3 or image.size != (columns * width, rows * height):
        raise ValueError(f"a sheet of {image.size} px cannot hold {shape}")
    sheet = np.asarray(image.convert("RGB")).reshape(rows, height, columns, width, 3)
    return sheet.swapaxes(1, 2).reshape(-1, height, width, 3)[:n].copy()


def slices(lengths: list[int]) -> Iterator[slice]:
    """Consecutive slices of the given lengths."""
    start = 0
    for length in lengths:
        yield slice(start, start + length)
        start += length

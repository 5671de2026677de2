"""Arrays to bytes to text and back, and what happens to damaged ones."""

import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lucid_rl.errors import BundleError, InputError
from lucid_rl.interface import encoding


@settings(max_examples=150)
@given(st.binary(max_size=200), st.sampled_from(encoding.ENCODINGS))
def test_text_reads_back(data, name):
    text = encoding.encode_text(data, name)
    assert encoding.decode_text(text, name, len(data)) == data


def test_text_is_what_the_format_says():
    text = encoding.encode_text(b'a\\"\n\r\0\x80\xff', "windows-1252")
    assert text.encode("latin-1") == b'a\\\\\\"\\n\\r\0\x80\xff'


def test_a_string_of_a_script_takes_any_bytes():
    data = np.random.default_rng(0).bytes(1 << 20) + bytes(range(256))
    text = encoding.encode_text(data, "windows-1252").encode("latin-1")
    assert len(text) < 1.02 * len(data)
    unescaped = re.sub(rb'\\[\\"nr]', b"", text)
    assert not re.search(rb'[\\"\n\r]', unescaped)


@pytest.mark.parametrize("name", encoding.ENCODINGS)
def test_text_of_another_length_or_alphabet_is_refused(name):
    text = encoding.encode_text(b"fifteen bytes!!" * 4, name)
    for damaged in (text[:-4], text + text[:4], "\u0142" + text[1:], "\\" + text[1:]):
        with pytest.raises(BundleError):
            encoding.decode_text(damaged, name, 60)


@pytest.mark.parametrize("codec", ["none", "gzip"])
@pytest.mark.parametrize("dtype", sorted(encoding.DTYPES))
def test_numbers_read_back(codec, dtype):
    array = np.arange(-12, 12).reshape(2, 3, 4).astype(encoding.DTYPES[dtype])
    entry, data = encoding.encode_array(array[:, ::-1], codec)
    result = encoding.decode_array(entry, data)
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, array[:, ::-1])


def test_big_endian_arrays_are_written_little_endian():
    entry, data = encoding.encode_array(np.array([1, 258], ">i4"), "none")
    assert (entry["dtype"], data) == ("i32", b"\x01\0\0\0\x02\x01\0\0")


@pytest.mark.parametrize("codec", ["webp", "png"])
@pytest.mark.parametrize("shape", [(1, 4, 6, 3), (7, 5, 3, 3), (300, 64, 64, 3)])
def test_pictures_read_back_without_loss(codec, shape):
    rng = np.random.default_rng(1)
    array = rng.integers(0, 256, shape, dtype=np.uint8)
    array[:, ::2] //= 32
    entry, data = encoding.encode_array(array, codec)
    assert entry["codec"] == codec
    np.testing.assert_array_equal(encoding.decode_array(entry, data), array)


@pytest.mark.parametrize("channels", [1, 2, 4, 6, 9, 12])
def test_observations_of_any_channels_read_back(channels):
    rng = np.random.default_rng(1)
    array = rng.integers(0, 256, (5, 7, 4, channels), dtype=np.uint8)
    entry, data = encoding.encode_array(array, "webp")
    assert entry["shape"] == [5, 7, 4, channels]
    np.testing.assert_array_equal(encoding.decode_array(entry, data), array)


@pytest.mark.parametrize("codec", ["webp", "png"])
@pytest.mark.parametrize("shape", [(1, 4, 6, 5), (3, 7, 5, 3), (9, 40, 16, 16)])
def test_maps_read_back_from_pictures(codec, shape):
    rng = np.random.default_rng(1)
    maps = rng.integers(-128, 128, shape).astype(np.int8)
    entry, data = encoding.encode_array(maps, codec)
    assert (entry["dtype"], entry["shape"]) == ("i8", list(shape))
    np.testing.assert_array_equal(encoding.decode_array(entry, data), maps)


def test_three_frames_are_the_colours_of_a_picture():
    maps = np.arange(-12, 12, dtype=np.int8).reshape(2, 4, 1, 3)
    shifted = 128 + maps.astype(int)
    entry, data = encoding.encode_array(maps, "png")
    assert entry["columns"] == 1
    first, second = entry["sheets"]
    assert first + second == len(data)
    for file, expected in zip((data[:first], data[first:]), shifted, strict=True):
        sheet = np.asarray(Image.open(io.BytesIO(file)))
        pictures = np.full((2, 3, 3), 128)
        pictures[0] = expected[:3, 0].T
        pictures[1, :, 0] = expected[3, 0]
        np.testing.assert_array_equal(sheet, pictures)


@pytest.mark.parametrize("sheets", [None, [], [5], [3, 10**9], [-1, 1]])
def test_sheets_that_do_not_fit_are_an_error(sheets):
    entry, data = encoding.encode_array(np.zeros((2, 4, 3, 3), np.int8), "webp")
    with pytest.raises(BundleError, match="damaged"):
        encoding.decode_array(entry | {"sheets": sheets}, data)


def test_sheets_stay_within_what_browsers_draw():
    entry, _ = encoding.encode_array(np.zeros((40, 4096, 8, 3), np.uint8), "png")
    rows = -(-40 // entry["columns"])
    assert rows * 4096 <= encoding.SHEET_SIDE
    with pytest.raises(InputError, match="do not fit"):
        encoding.encode_array(np.zeros((2, 9000, 16383, 3), np.uint8), "png")


def test_lossy_pictures_are_close():
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    array = np.broadcast_to(ramp[:, None, None], (4, 64, 64, 3))
    entry, data = encoding.encode_array(array, "webp_lossy")
    result = encoding.decode_array(entry, data)
    assert entry["codec"] == "webp"
    assert np.abs(result.astype(int) - array).mean() < 3


@pytest.mark.parametrize(
    "array, codec, message",
    [
        (np.zeros(3, np.int64), "gzip", "convert it"),
        (np.zeros(3, np.uint8), "zip", "codec is one of"),
        (np.zeros((2, 3), np.uint8), "webp", "pictures are uint8"),
        (np.zeros((0, 2, 2, 3), np.uint8), "png", "do not fit"),
        (np.zeros((2, 3), np.int8), "webp", "maps as pictures"),
    ],
)
def test_what_cannot_be_written_is_refused(array, codec, message):
    with pytest.raises(InputError, match=message):
        encoding.encode_array(array, codec)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "f64"},
        {"shape": [4, 5]},
        {"shape": [-1, -20]},
        {"shape": None},
        {"codec": "zip"},
        {"codec": "png"},
    ],
)
def test_a_description_that_does_not_fit_is_an_error(change):
    entry, data = encoding.encode_array(np.zeros((4, 4), np.float32), "gzip")
    with pytest.raises(BundleError):
        encoding.decode_array(entry | change, data)


def test_a_small_file_cannot_fill_memory():
    entry, data = encoding.encode_array(np.zeros(50_000_000, np.uint8), "gzip")
    with pytest.raises(BundleError, match="do not fill"):
        encoding.decode_array(entry | {"shape": [10]}, data)


def test_json_cannot_close_a_script_and_holds_no_nan():
    text = encoding.to_json({"name": "</script><!--\u2028"})
    assert "<" not in text
    assert "\u2028" not in text
    with pytest.raises(ValueError):
        encoding.to_json([float("nan")])

import gzip
import io
import os
import pickle
import pickletools
import stat
import zlib

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from lucid_rl.checkpoints.jd_format import read_jd, write_jd
from lucid_rl.errors import FileFormatError, InputError, SaveError
from tests.checkpoints.jd_values import (
    FILES_OF_OTHER_AGES,
    GOLDEN_CHECKPOINT,
    assert_same,
    value_of_other_ages,
)
from tests.programs import run_python

_METADATA = GOLDEN_CHECKPOINT.with_name("checkpoint_A.metadata.jd")

_keys = st.one_of(
    st.text(max_size=8),
    st.binary(max_size=8),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False),
    st.none(),
)
_arrays = st_numpy.arrays(
    dtype=st.one_of(
        st_numpy.boolean_dtypes(),
        st_numpy.integer_dtypes(),
        st_numpy.unsigned_integer_dtypes(),
        st_numpy.floating_dtypes(sizes=(16, 32, 64)),
        st_numpy.complex_number_dtypes(sizes=(64, 128)),
        st_numpy.unicode_string_dtypes(max_len=4),
        st_numpy.byte_string_dtypes(max_len=4),
    ),
    shape=st_numpy.array_shapes(min_dims=0, min_side=0, max_side=4),
)
_leaves = st.one_of(
    _keys,
    st.booleans(),
    st.integers(-(2**200), 2**200),
    st.complex_numbers(allow_nan=False),
    st.binary(max_size=20).map(bytearray),
    st.sets(_keys, max_size=3),
    st.frozensets(_keys, max_size=3),
    _arrays,
)
plain_values = st.recursive(
    _leaves,
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.lists(children, max_size=4).map(tuple),
        st.dictionaries(_keys, children, max_size=4),
    ),
    max_leaves=12,
)


def _native(value):
    """The value with arrays in native byte order, as they are read."""
    if isinstance(value, np.ndarray):
        return value.astype(value.dtype.newbyteorder("="), order="K")
    if isinstance(value, dict):
        return {key: _native(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_native, value))
    return value


@pytest.mark.parametrize("path", [GOLDEN_CHECKPOINT, _METADATA], ids=lambda p: p.name)
def test_the_articles_own_files_read_as_joblib_reads_them(path):
    assert_same(read_jd(path), joblib.load(path))


@pytest.mark.parametrize("path", FILES_OF_OTHER_AGES, ids=lambda path: path.stem)
def test_files_of_any_joblib_and_numpy_are_read(path):
    assert len(FILES_OF_OTHER_AGES) == 5
    assert_same(read_jd(path), value_of_other_ages())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_scalars_of_plain_pickle_are_read(tmp_path, protocol):
    expected = value_of_other_ages()
    expected |= {"bytes_object": b"\x00\xff", "text": np.array(["ab", "ü"]), "": b""}
    path = tmp_path / "plain.jd"
    path.write_bytes(pickle.dumps(expected, protocol=protocol))
    assert_same(read_jd(path), expected)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3)])
def test_joblib_files_of_every_protocol_are_read(tmp_path, protocol, compress):
    path = tmp_path / "joblib.jd"
    joblib.dump(value_of_other_ages(), path, compress=compress, protocol=protocol)
    assert_same(read_jd(path), value_of_other_ages())


@settings(max_examples=150)
@given(value=plain_values)
def test_what_is_written_reads_the_same_here_and_with_plain_joblib(
    tmp_path_factory, value
):
    path = tmp_path_factory.getbasetemp() / "round_trip.jd"
    write_jd(value, path)
    assert_same(read_jd(path), _native(value))
    assert_same(joblib.load(path), _native(value))


def test_memory_maps_and_views_are_written_as_plain_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "raw", np.float32, "w+", shape=(3, 4))
    mapped[:] = np.arange(12).reshape(3, 4)
    write_jd({"mapped": mapped, "view": mapped[:, ::2]}, tmp_path / "value.jd")
    found = read_jd(tmp_path / "value.jd")
    np.testing.assert_array_equal(found["mapped"], mapped)
    np.testing.assert_array_equal(found["view"], mapped[:, ::2])
    assert b"memmap" not in (tmp_path / "value.jd").read_bytes()


def test_what_is_written_suits_the_articles_own_python_and_joblib(tmp_path):
    """Protocol 3, names that numpy 1.18 has, and no padding before array bytes.

    joblib before 1.2 would take the padding for numbers.
    """
    path = tmp_path / "value.jd"
    array = np.arange(7, dtype=np.float32)
    write_jd({"array": array, "scalar": np.float64(2.0)}, path)
    data = path.read_bytes()
    start = data.index(array.tobytes())
    names = {"joblib.numpy_pickle NumpyArrayWrapper", "numpy ndarray", "numpy dtype"}
    found = set()
    # The array's bytes follow its description, which BUILD ends.
    assert data[start - 1 : start] == pickle.BUILD
    pickled = data[:start] + data[start + array.nbytes :]
    for operation, argument, _ in pickletools.genops(io.BytesIO(pickled)):
        assert operation.proto <= 3
        if operation.name == "GLOBAL":
            found.add(argument)
    assert found == names | {"numpy.core.multiarray scalar"}


@pytest.mark.parametrize(
    "value",
    [
        {"a": object()},
        {"a": np.array([None])},
        {"a": np.zeros(2, [("x", "f4")])},
        {"a": np.array(["2020-01-01"], "M8[D]")},
        {"a": np.ma.zeros(2)},
        {("tuple", 1): 2},
        {"a": len},
        [range(3)],
        {2**61},
    ],
    # Not the values' own text: it holds addresses, which differ between test processes.
    ids=range(9),
)
def test_what_is_no_plain_value_is_not_written(tmp_path, value):
    path = tmp_path / "value.jd"
    with pytest.raises(InputError, match=r"value\.jd: the value"):
        write_jd(value, path)
    assert not path.exists()


def test_errors_of_writing_say_where_the_value_is(tmp_path):
    with pytest.raises(InputError, match=r"value\['args'\]\['env'\]\[1\] is of type"):
        write_jd({"args": {"env": [1, object()]}}, tmp_path / "value.jd")


def test_a_failed_write_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "value.jd"
    write_jd({"a": 1}, path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SaveError, match="No space left"):
        write_jd({"a": 2}, path)
    assert read_jd(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["value.jd"]


@pytest.mark.parametrize("n_bytes", [0, 1, 5, 700, 900, 1000, 40_000, 1_455_305])
def test_truncated_files_are_refused(tmp_path, n_bytes):
    path = tmp_path / "truncated.jd"
    path.write_bytes(GOLDEN_CHECKPOINT.read_bytes()[:n_bytes])
    with pytest.raises(FileFormatError, match=r"\.jd.*(too early|truncated)"):
        read_jd(path)


def test_a_file_truncated_inside_an_array_names_it_and_what_it_needs(tmp_path):
    path = tmp_path / "truncated.jd"
    path.write_bytes(GOLDEN_CHECKPOINT.read_bytes()[:5000])
    with pytest.raises(
        FileFormatError,
        match=r"'ppo2_model/pi/1a/conv2d/kernel:0': float32 of shape \(7, 7, 3, 16\)",
    ):
        read_jd(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match="No such file"):
        read_jd(tmp_path / "missing.jd")
    with pytest.raises(FileFormatError, match="not a file"):
        read_jd(tmp_path)
    fifo = tmp_path / "pipe.jd"
    os.mkfifo(fifo)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    with pytest.raises(FileFormatError, match="not a file"):
        read_jd(fifo)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04 a zip", "zip"),
        (b"BZh91AY", "bz2"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"ZF0x12", "before 0.10"),
        (b"\x93NUMPY\x01", "npy"),
        (b"hello, world\n", "not a valid .jd file"),
        (gzip.compress(b"hello, world", mtime=0), "not a valid .jd file"),
        (zlib.compress(bytes(10))[:-5], "truncated|damaged"),
        (zlib.compress(bytes(10))[:4] + b"\xff" * 9, "truncated|damaged"),
    ],
)
def test_files_of_other_formats_are_refused_by_name(tmp_path, data, what):
    path = tmp_path / "other.jd"
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match=what):
        read_jd(path)


def test_reading_imports_neither_tensorflow_nor_joblib():
    program = (
        "import sys, lucid_rl\n"
        f"lucid_rl.load_checkpoint({str(GOLDEN_CHECKPOINT)!r})\n"
        "print([m for m in ('tensorflow', 'joblib', 'sklearn') if m in sys.modules])"
    )
    output = run_python("-c", program, check=True)
    assert output.stdout.strip() == "[]"
    assert output.stderr == ""

"""Files that are meant to run code, to take all memory, or never to end."""

import collections
import os
import pickle
import struct
import tracemalloc
import zlib

import joblib
import numpy as np
import pytest

from lucid_rl.checkpoints.jd_format import read_jd
from lucid_rl.errors import FileFormatError


class _Call:
    """Pickles as a call of a function, or as an object with a state."""

    def __init__(self, function, *arguments, state=None):
        self._reduced = (function, arguments, state)

    def __reduce__(self):
        return self._reduced


def _named(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def _text(text):
    return pickle.BINUNICODE + struct.pack("<I", len(text)) + text.encode()


def _refused(tmp_path, data, watched, match=None):
    path = tmp_path / "stranger.jd"
    path.write_bytes(data)
    with watched(), pytest.raises(FileFormatError, match=match) as caught:
        read_jd(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000


_COMMAND = "touch executed"


@pytest.mark.parametrize(
    ("dump", "protocol"),
    [
        *(("pickle", protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
        *(("joblib", protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)),
        ("compressed", 3),
    ],
)
@pytest.mark.parametrize(
    "payload",
    [
        _Call(os.system, _COMMAND),
        _Call(eval, "__import__('os').system('touch executed')"),
        _Call(exec, "open('executed', 'w')"),
        _Call(getattr, _Call(__import__, "os"), "system"),
        _Call(map, os.system, [_COMMAND]),
        _Call(open, "executed", "w"),
        _Call(np.load, "executed.npy", None, True),
        _Call(joblib.load, "executed.jd"),
        _Call(collections.OrderedDict, [("a", _Call(os.system, _COMMAND))]),
        _Call(set, [_Call(os.system, _COMMAND)]),
        _Call(np.memmap, "executed", "u1", "w+", 0, (4,)),
    ],
    ids=lambda payload: payload._reduced[0].__name__,
)
def test_calls_are_refused_and_never_made(
    tmp_path, monkeypatch, watched, payload, dump, protocol
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "stranger.jd"
    value = {"params": {"a": np.zeros(3), "b": payload}, "args": {}}
    if dump == "joblib":
        joblib.dump(value, path, protocol=protocol)
        data = path.read_bytes()
    else:
        data = pickle.dumps(value, protocol=protocol)
        data = zlib.compress(data) if dump == "compressed" else data
    _refused(tmp_path, data, watched, "more than plain data")
    assert not (tmp_path / "executed").exists()


def test_plain_joblib_would_have_run_the_command(tmp_path, monkeypatch):
    """The payloads above are real: this is what they are refused for."""
    monkeypatch.chdir(tmp_path)
    joblib.dump({"b": _Call(os.system, _COMMAND)}, "stranger.jd")
    joblib.load("stranger.jd")
    assert (tmp_path / "executed").exists()


_ARGUMENT = _text(_COMMAND)
_PROTO4 = pickle.PROTO + b"\x04"


@pytest.mark.parametrize(
    "data",
    {
        "GLOBAL": _named("os", "system") + _ARGUMENT + b"\x85R.",
        "STACK_GLOBAL": _PROTO4 + _text("os") + _text("system") + b"\x93.",
        "dotted name": _PROTO4 + _text("numpy") + _text("ndarray.tofile") + b"\x93.",
        "method of an admitted name": _named("numpy", "ndarray.__setstate__") + b".",
        "INST": b"(" + _ARGUMENT + b"ios\nsystem\n.",
        "OBJ": b"(" + _named("os", "system") + _ARGUMENT + b"o.",
        "NEWOBJ": _named("numpy", "ndarray") + b")\x81.",
        "NEWOBJ_EX": _named("numpy", "ndarray") + b")}\x92.",
        "EXT1": b"\x82\x01.",
        "EXT2": b"\x83\x01\x00.",
        "EXT4": b"\x84\x01\x00\x00\x00.",
        "PERSID": b"Pidentity\n.",
        "BINPERSID": _ARGUMENT + b"Q.",
        "NEXT_BUFFER": b"\x97.",
        "READONLY_BUFFER": b"C\x01a\x98.",
        "LONG4": b"\x8b\x01\x00\x00\x00\x05.",
        "copyreg": _named("copyreg", "_reconstructor") + b"(" + _ARGUMENT + b"tR.",
        "copy_reg": _named("copy_reg", "_reconstructor") + b"(" + _ARGUMENT + b"tR.",
        "getattr": _named("builtins", "getattr") + b"(" + _ARGUMENT * 2 + b"tR.",
        "class itself": _named("builtins", "set") + b".",
        "dtype itself": _named("numpy", "dtype") + _text("f4") + b"\x85R.",
        "description": _named("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81.",
        "calling text": _text("os.system") + _ARGUMENT + b"\x85R.",
        "calling an array class": _named("numpy", "ndarray") + b"K\x05\x85\x85R.",
        "calling with a list": _named("builtins", "set") + b"]R.",
        "bytearray of a number": _named("builtins", "bytearray") + b"J\xff\xff\xff\x7f"
        b"\x85R.",
        "bytes of a number": _named("__builtin__", "bytes") + b"J\xff\xff\xff\x7f"
        b"\x85R.",
        "another codec": _named("_codecs", "encode") + _text("a") + _text("rot13")
        + b"\x86R.",
        "setting a class's state": _named("numpy", "ndarray") + b"}b.",
        "setting a list's items": b"]K\x00Ns.",
        "appending to a dict": b"}Na.",
        "setting an item of text": _ARGUMENT + b"K\x00Ns.",
        "adding to a list": b"](N\x90.",
        "class as a key": b"}" + _named("numpy", "ndarray") + b"Ns.",
        "tuple as a key": b"}K\x01\x85Ns.",
        "tuple in a set": b"\x8f(K\x01\x85\x90.",
        "tuple in a frozenset": b"(K\x01\x85\x91.",
        "complex key": b"}" + _named("builtins", "complex")
        + b"G" + bytes(8) + b"G" + bytes(8) + b"\x86RNs.",
        "colliding integer key": b"}\x8a\x09" + (2**61 - 1).to_bytes(9, "little")
        + b"Ns.",
        "odd dictionary": b"(Nd.",
        "unknown protocol": b"\x80\x63N.",
        "joblib's file of another file": _named(
            "joblib.numpy_pickle_compat", "NDArrayWrapper"
        ) + b")\x81.",
        "joblib's Z-file": _named("joblib.numpy_pickle", "ZNDArrayWrapper")
        + b")\x81.",
        "joblib's memory map": _named("joblib.backports", "make_memmap")
        + b"(" + _text("/etc/passwd") + b"tR.",
        "joblib's memory reducer": _named(
            "joblib._memmapping_reducer", "_strided_from_memmap"
        ) + b"(" + _text("/etc/passwd") + b"tR.",
        "numpy.memmap": _named("numpy", "memmap") + _text("/etc/passwd") + b"\x85R.",
        "joblib's plain load": _named("joblib", "load") + _ARGUMENT + b"\x85R.",
        "stack underflow": b"R.",
        "mark underflow": b"t.",
        "missing memo": b"h\x07.",
        "no stop": b"N",
        "stop at once": b".",
        "frame beyond the end": _PROTO4 + b"\x95" + b"\xff" * 8 + b"N.",
        "long frame": _PROTO4 + b"\x95" + struct.pack("<Q", 2**40) + b"N.",
        "long text": b"X\xff\xff\xff\xffab.",
        "very long text": b"\x8d" + struct.pack("<Q", 2**40) + b"ab.",
        "very long bytes": b"\x8e" + struct.pack("<Q", 2**40) + b"ab.",
        "very long bytearray": b"\x96" + struct.pack("<Q", 2**40) + b"ab.",
        "negative string": b"T\xff\xff\xff\xffab.",
        "digits without end": b"I" + b"9" * 100_000 + b"\n.",
        "long digits": b"L" + b"9" * 100_000 + b"L\n.",
        "memo of many digits": b"Np" + b"9" * 100_000 + b"\n.",
    }.items(),
    ids=lambda item: item[0],
)  # fmt: skip
def test_operations_that_could_do_more_than_hold_data_are_refused(
    tmp_path, watched, data
):
    _refused(tmp_path, data[1], watched)


def test_what_a_stranger_wrote_cannot_control_the_terminal(tmp_path):
    escape = "\x1b[31m"
    path = tmp_path / "stranger.jd"
    for data in (
        _named("os" + escape, "system") + b".",
        _dtype("f4" + escape),
        b"}" + _text(escape) + _described(),
        b"}" + _text(escape) + b"}K\x01\x85Nss.",
        b"}" + _text(escape) + _named("numpy", "ndarray") + b"s.",
    ):
        path.write_bytes(data)
        with pytest.raises(FileFormatError) as caught:
            read_jd(path)
        assert escape not in str(caught.value)


def _dtype(code, state=None):
    data = _named("numpy", "dtype") + _text(code) + b"\x85R"
    return data + (state or b"")


_STATE = b"(K\x03" + _text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def _described(dtype=None, shape=b"K\x02\x85", order="C", subclass="ndarray", raw=b""):
    """joblib's description of an array, with raw bytes behind it."""
    items = {
        "subclass": _named("numpy", subclass),
        "shape": shape,
        "order": _text(order),
        "dtype": dtype or _dtype("f4", _STATE),
    }
    state = b"}(" + b"".join(_text(key) + item for key, item in items.items()) + b"u"
    wrapper = _named("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81"
    return wrapper + state + b"b" + raw + b"."


def _reconstructed(state, core="core"):
    empty = _named("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
    return _named(f"numpy.{core}.multiarray", "_reconstruct") + empty + state + b"b."


def _array_state(dtype, shape, data):
    return b"(K\x01" + shape + dtype + b"\x89" + data + b"t"


def test_the_handmade_arrays_below_are_sound_but_for_what_each_is_about(tmp_path):
    path = tmp_path / "own.jd"
    raw = np.array([1, 2], "<f4").tobytes()
    path.write_bytes(_described(raw=raw))
    np.testing.assert_array_equal(read_jd(path), np.array([1, 2], np.float32))
    path.write_bytes(_described(raw=raw, subclass="memmap"))
    assert type(read_jd(path)) is np.ndarray
    state = _array_state(_dtype("f4", _STATE), b"K\x02\x85", b"C\x08" + raw)
    for core in ("core", "_core"):
        path.write_bytes(_reconstructed(state, core))
        np.testing.assert_array_equal(read_jd(path), np.array([1, 2], np.float32))


_HUGE = b"\x8a\x08" + (2**62).to_bytes(8, "little") + b"\x85"


@pytest.mark.parametrize(
    ("data", "match"),
    {
        "objects": (_described(_dtype("O8"), raw=pickle.dumps(1)), "plain data"),
        "objects in numpy's way": (
            _reconstructed(_array_state(_dtype("O8"), b"K\x01\x85", b"](Ne")),
            "plain data",
        ),
        "records": (_described(_dtype("V8"), raw=bytes(16)), "plain data"),
        "dates": (_described(_dtype("M8"), raw=bytes(16)), "plain data"),
        "long doubles": (_described(_dtype("f16"), raw=bytes(32)), "plain data"),
        "a list of types": (_described(_dtype("f4,O"), raw=bytes(32)), "malformed"),
        "empty text": (_described(_dtype("U0"), _HUGE), "plain data"),
        "fields in the state": (
            _described(_dtype("f4", b"(K\x03" + _text("<") + b"N(Xa\x00\x00\x00t}tb")),
            None,
        ),
        "a subarray in the state": (
            _described(_dtype("f4", b"(K\x03" + _text("<") + b"]NNtb")), "records"
        ),
        "another subclass": (_described(subclass="matrix", raw=bytes(8)), "plain data"),
        "too many numbers": (_described(shape=b"J\x00\x00\x00\x40\x85"), "truncated"),
        "absurdly many": (_described(shape=_HUGE), "truncated"),
        "a negative shape": (_described(shape=b"J\xff\xff\xff\xff\x85"), "shape"),
        "a huge empty shape": (
            _described(shape=b"(K\x00" + _HUGE[:-1] * 3 + b"t", raw=b""), None
        ),
        "many dimensions": (_described(shape=b"(" + b"K\x01" * 99 + b"t"), "shape"),
        "text for a shape": (_described(shape=_text("23")), "shape"),
        "another order": (_described(order="K", raw=bytes(8)), "order"),
        "bad booleans": (_described(_dtype("b1"), raw=b"\x01\x02"), "booleans"),
        "no Unicode": (_described(_dtype("U1", _STATE), raw=b"\xff" * 8), "Unicode"),
        "another length": (
            _reconstructed(
                _array_state(_dtype("f4", _STATE), b"K\x02\x85", b"C\x03abc")
            ),
            "takes 8 bytes",
        ),
        "a huge state": (
            _reconstructed(_array_state(_dtype("f4", _STATE), _HUGE, b"C\x01a")),
            "the file gives 1",
        ),
        "a huge scalar": (
            _named("numpy.core.multiarray", "scalar") + _dtype("S999999999")
            + b"C\x01a\x86R.",
            "the file gives 1",
        ),
    }.values(),
)  # fmt: skip
def test_arrays_that_are_not_what_they_claim_take_no_memory(
    tmp_path, watched, data, match
):
    tracemalloc.start()
    try:
        _refused(tmp_path, data, watched, match)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_object_arrays_of_joblib_are_refused(tmp_path, monkeypatch, watched):
    monkeypatch.chdir(tmp_path)
    hidden = np.array([_Call(os.system, _COMMAND), 1], dtype=object)
    joblib.dump({"params": hidden}, "stranger.jd")
    data = (tmp_path / "stranger.jd").read_bytes()
    _refused(tmp_path, data, watched, "numpy.ndarray of numpy.dtype of O8")
    assert not (tmp_path / "executed").exists()


def _doubled(n_times):
    """A pair of twice the pair of twice the pair ..., by reference."""
    data = b"N\x85q\x00"
    for _ in range(n_times):
        data += b"0h\x00h\x00\x86q\x00"
    return data


@pytest.mark.parametrize(
    "data",
    {
        "shared pairs": _doubled(100) + b".",
        "shared pairs as a key": b"}" + _doubled(100) + b"Ns.",
        "shared pairs in a set": b"\x8f(" + _doubled(100) + b"\x90.",
        "shared pairs as a dtype": _named("numpy", "dtype")
        + _doubled(100) + b"\x85R.",
        "shared pairs as a shape": _described(shape=_doubled(100)),
        "shared pairs as an order": _described(shape=b"K\x02" + _doubled(99) + b"\x86"),
        "lists nested deeply": b"]" * 50_000 + b"a" * 49_999 + b".",
        "tuples nested deeply": b")" + b"\x85" * 100_000 + b".",
        "tuples nested deeply as a key": b"})" + b"\x85" * 100_000 + b"Ns.",
        "a list in itself": b"]q\x00h\x00a.",
        "a dict in itself": b"}q\x00Nh\x00s.",
        "marks nested deeply": b"(" * 100_000 + b"t" * 99_999 + b".",
        "bytes copied without end": _named("_codecs", "encode") + b"q\x00"
        + _text("a" * 100_000) + _text("latin1") + b"\x86q\x01"
        + b"(" + b"h\x00h\x01R" * 50_000 + b"t.",
        "sets copied without end": _named("builtins", "set") + b"q\x00"
        + b"](" + b"K\x01" * 10_000 + b"e\x85q\x01"
        + b"(" + b"h\x00h\x01R" * 50_000 + b"t.",
        "arguments without end": _dtype("f4") + b"0" + _named("numpy", "dtype")
        + b"q\x00(" + _text("f4") + b"K\x01" * 10_000 + b"tq\x01"
        + b"(" + b"h\x00h\x01R" * 50_000 + b"t.",
    }.items(),
    ids=lambda item: item[0],
)  # fmt: skip
def test_files_that_never_end_or_grow_are_refused(tmp_path, watched, data):
    tracemalloc.start()
    try:
        _refused(tmp_path, data[1], watched)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**28


def test_operations_without_end_are_refused(tmp_path, watched):
    _refused(tmp_path, b"\x8f0" * 500_001 + b"N.", watched, "1000000 operations")


def test_compressed_files_may_not_grow_without_bound(tmp_path, watched):
    array = np.zeros(2**27, np.uint8)
    path = tmp_path / "bomb.jd"
    joblib.dump({"a": array}, path, compress=("zlib", 9))
    assert path.stat().st_size < 2**18
    tracemalloc.start()
    with watched(), pytest.raises(FileFormatError, match="16 times its size"):
        read_jd(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**25


def test_reading_takes_little_more_memory_than_the_file(tmp_path):
    path = tmp_path / "large.jd"
    joblib.dump({"a": np.ones(2**22, np.float32)}, path)
    tracemalloc.start()
    read_jd(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * path.stat().st_size

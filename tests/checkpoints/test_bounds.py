"""A file of n bytes costs at most 100 n + 256 MB of memory and 20 s.

Each is read in a process whose memory is limited to that.
"""

import gzip
import io
import json
import pathlib
import pickle
import struct
import tempfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from lucid_rl.interface.bundle import part_element
from lucid_rl.interface.parts import Layout, Part
from tests.memory_limit import attempt, check
from tests.programs import run_python

_PROGRAM = """
import sys
import PIL.Image, lucid_rl.interface.bundle
import lucid_rl.checkpoints.from_torch, lucid_rl.checkpoints.checkpoint
PIL.Image.init()
from tests.checkpoints.test_bounds import read_all
read_all(sys.argv[1:])
"""


def _readers():
    from lucid_rl import bounded
    from lucid_rl.checkpoints.checkpoint import load_checkpoint
    from lucid_rl.checkpoints.from_torch import import_torch
    from lucid_rl.interface.bundle import read_bundle
    from lucid_rl.interface.parts import Part

    return {
        ".jd": load_checkpoint,
        ".pt": import_torch,
        ".npz": bounded.read_npz,
        ".json": bounded.read_json,
        ".part": lambda path: Part.load(path).array("a"),
        ".html": lambda path: read_bundle(path).attribution("2b", 0),
        ".zz": lambda path: bounded.decompress(open(path, "rb").read()),
    }


def read_all(paths):
    """Reads files, each within its limits; prints what comes of each."""
    import warnings

    warnings.simplefilter("ignore")
    readers = _readers()
    for path in map(pathlib.Path, paths):
        attempt(path.name, readers[path.suffix], path)


def _text(text):
    data = text.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def _named(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


_STORAGE = _named("torch", "FloatStorage")
_DOUBLED = b"N\x85q\x00" + b"0h\x00h\x00\x86q\x00" * 60


def _persistent(key, n_items=b"K\x04"):
    return b"(" + _text("storage") + _STORAGE + key + _text("cpu") + n_items + b"tQ"


def _tensor(key, shape=b"K\x04\x85", strides=b"K\x01\x85"):
    rest = b"K\x00" + shape + strides + b"\x89N"
    function = _named("torch._utils", "_rebuild_tensor_v2")
    return function + b"(" + _persistent(key) + rest + b"tR"


def _archive(described, storages=(), compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("it/data.pkl", described)
        for name, data in dict(storages).items():
            archive.writestr(f"it/data/{name}", data)
    return stream.getvalue()


def _legacy(described):
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    return magic + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + described


def _overlapping(n_members, n_bytes):
    """An archive whose members all have the same bytes."""
    data = _archive(b"N.", {"0": bytes(n_bytes)})
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream) as archive:
        offset = archive.getinfo("it/data/0").header_offset
    crc = zlib.crc32(bytes(n_bytes))
    central = b""
    names = ["it/data.pkl", *(f"it/data/{i}" for i in range(n_members))]
    pieces = (
        b"}("
        + b"".join(_text(str(i)) + _tensor(_text(str(i))) for i in range(n_members))
        + b"u."
    )
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("it/data.pkl", pieces)
        archive.writestr("it/data/0", bytes(n_bytes))
        first = archive.getinfo("it/data.pkl")
        offset = archive.getinfo("it/data/0").header_offset
    whole = body.getvalue()
    end = whole.index(b"PK\x01\x02")
    for name in names:
        is_first = name == "it/data.pkl"
        size = first.file_size if is_first else n_bytes
        check = first.CRC if is_first else crc
        central += struct.pack(
            "<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, check, size, size,
            len(name), 0, 0, 0, 0, 0, 0 if is_first else offset,
        ) + name.encode()  # fmt: skip
    tail = struct.pack(
        "<4s4H2IH", b"PK\x05\x06", 0, 0, len(names), len(names), len(central), end, 0
    )
    return whole[:end] + central + tail


def _shared_dictionaries():
    value = {str(i): None for i in range(60)}
    for _ in range(8):
        value = {str(i): value for i in range(60)}
    return pickle.dumps(value, 2)


def _small_tensors(n):
    shape = b"(K\x02K\x02K\x01K\x01t"
    items = b"".join(
        _text(f"{i}.weight") + _tensor(_text("0"), shape, shape) for i in range(n)
    )
    return _archive(b"}(" + items + b"u.", {"0": bytes(32)})


def _keys(numbers):
    items = b"".join(
        b"\x8a\x08" + n.to_bytes(8, "little", signed=True) + b"N" for n in numbers
    )
    return b"}(" + items + b"u."


def _jd_compressed(value, level=9):
    return zlib.compress(pickle.dumps(value, 3), level)


def _npz(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _npy(header, data=b""):
    text = header.encode().ljust(118)
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def _part(*entries):
    """A part of a page whose arrays are (description, data)."""
    names = ["a"] if len(entries) == 1 else [f"a#{i}" for i in range(len(entries))]
    data, headers = b"", []
    for name, (entry, piece) in zip(names, entries, strict=True):
        place = {"name": name, "offset": len(data), "length": len(piece)}
        headers.append(place | entry)
        data += piece
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "part")
        Part("x", {}, tuple(headers), data).save(path)
        return path.read_bytes()


def _white(width, height, shape, columns=1):
    """A description of pictures, and a sheet of one colour for it."""
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "png")
    entry = {"dtype": "u8", "shape": shape, "codec": "png", "columns": columns}
    return entry, stream.getvalue()


def _page(n_frames):
    """A page of one file whose attributions are all 0."""
    manifest = {"models": [], "trajectories": [{"length": n_frames}]}
    arrays = {
        "attribution": np.zeros([1, n_frames, 256, 256], np.int8),
        "frame_scale": np.zeros(n_frames, np.float32),
    }
    layouts = {"attribution": Layout(axis=1, lengths=(n_frames,))}
    layer = Part.encode("model/2b", {}, arrays, layouts)
    return (
        part_element(Part.encode("manifest", manifest, {})) + part_element(layer)
    ).encode()


_AGAIN = {"shape": [2**25], "offset": 0, "length": 30_000}


def _zeros(n):
    return {"dtype": "u8", "shape": [n], "codec": "gzip"}, gzip.compress(bytes(n))


BOMBS = {
    "memo.pt": lambda: _archive(b"Nr" + struct.pack("<I", 200_000_000) + b"."),
    "memo_of_old_format.pt": lambda: _legacy(
        b"Nr" + struct.pack("<I", 200_000_000) + b"."
    ),
    "tuple_as_key.pt": lambda: _archive(b"}" + _DOUBLED + b"Ns."),
    "tuple_as_persistent_id.pt": lambda: _archive(_DOUBLED + b"Q."),
    "tuple_as_storage_key.pt": lambda: _archive(_persistent(_DOUBLED) + b"."),
    "colliding_keys.pt": lambda: _archive(_keys(i << 40 for i in range(100_000))),
    "overlapping.pt": lambda: _overlapping(1000, 3_400_000),
    "shared_dictionaries.pt": lambda: _archive(_shared_dictionaries()),
    "small_tensors.pt": lambda: _small_tensors(30_000),
    "deflated.pt": lambda: _archive(
        _tensor(_text("0")) + b".", {"0": bytes(2**29)}, zipfile.ZIP_DEFLATED
    ),
    "huge_view.pt": lambda: _archive(
        _tensor(_text("0"), b"J\x00\x00\x00\x40K\x04\x86", b"K\x00K\x00\x86") + b".",
        {"0": bytes(16)},
    ),
    "wide_dtype.pt": lambda: _archive(
        _tensor(_text("0"), b"\x8a\x09" + bytes(8) + b"\x01\x85") + b".", {"0": b""}
    ),
    "sets.jd": lambda: b"(" + b"\x8f" * 999_000 + b"t.",
    "dictionaries.jd": lambda: b"(" + b"}" * 999_000 + b"t.",
    "ordered.jd": lambda: _named("collections", "OrderedDict")
    + b"q\x00(" + b"h\x00)R" * 330_000 + b"t.",
    "placeholders.jd": lambda: _named("os", "system")
    + b"q\x00(" + b"h\x00)R" * 330_000 + b"t.",
    "memo.jd": lambda: b"N" + b"\x94" * 999_000 + b".",
    "texts.jd": lambda: b"(" + (_text("a" * 10_000 + "\U0001f600")) * 300 + b"t.",
    "colliding_keys.jd": lambda: _keys(i << 40 for i in range(100_000)),
    "colliding_set.jd": lambda: b"\x8f(" + b"".join(
        b"\x8a\x08" + (i << 40).to_bytes(8, "little") for i in range(100_000)
    ) + b"\x90.",
    "zeros.jd": lambda: _jd_compressed(bytes(2**29), 9),
    "zeros_to_the_limit.jd": lambda: _jd_compressed(bytes(2**25 - 200), 9),
    "text_to_the_limit.jd": lambda: _jd_compressed(
        "a" * (2**25 - 2000) + "\U0001f600"
    ),
    "nested_pickles.jd": lambda: (
        _named("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}("
        + _text("subclass") + _named("numpy", "ndarray") + _text("shape") + b"K\x01\x85"
        + _text("dtype") + _named("numpy", "dtype") + _text("O8") + b"\x85R" + b"ub"
    ) * 5000 + b".",
    "args_of_shared_lists.jd": lambda: b"}(" + _text("params") + b"}"
    + _text("args") + b"}" + _text("a") + _DOUBLED + b"su.",
    "zeros.npz": lambda: _npz({"a.npy": bytes(2**29)}),
    "claims.npz": lambda: _npz({"a.npy": _npy(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }\n"
    )}),
    "claims_of_nothing.npz": lambda: _npz({"a.npy": _npy(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 9999999999999999999), }"
    )}),
    "text.npz": lambda: _npz({"a.npy": _npy(
        "{'descr': '<U999999999', 'fortran_order': False, 'shape': (1,), }"
    )}),
    "digits.npz": lambda: _npz({"a.npy": _npy(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1" * 60 + "x), }"
    )}),
    "brackets.npz": lambda: _npz({"a.npy": _npy("(" * 110)}),
    "not.npz": lambda: b"PK\x03\x04 and so on",
    "brackets.json": lambda: b"[" * 100_000 + b"]" * 100_000,
    "digits.json": lambda: b"9" * 1_000_000,
    "lists.json": lambda: b"[" + b"[],{}," * 1_000_000 + b"0]",
    "sheet.part": lambda: _part(_white(6000, 6000, [1, 6000, 6000, 3])),
    "grey_sheet.part": lambda: _part(_white(6000, 6000, [1, 6000, 6000, 1])),
    "empty_columns.part": lambda: _part(_white(9000, 9000, [1, 9000, 1, 3], 9000)),
    "sheets.part": lambda: _part(*[_white(2000, 2000, [1, 2000, 2000, 3])] * 50),
    "zeros.part": lambda: _part(_zeros(2**29)),
    "same_zeros.part": lambda: _part(
        _zeros(2**25), *[({**_zeros(1)[0], **_AGAIN}, b"")] * 50
    ),
    "attributions.html": lambda: _page(2**10),
    "zeros.zz": lambda: zlib.compress(bytes(2**29), 9),
    "cut.zz": lambda: zlib.compress(bytes(2**20), 9)[:-10],
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bombs")
    for name, make in BOMBS.items():
        (folder / name).write_bytes(make())
    done = run_python("-c", _PROGRAM, *(folder / name for name in BOMBS))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(BOMBS), done.stderr[-2000:]
    return {name: (result, took) for name, result, took in lines}


@pytest.mark.parametrize("name", BOMBS)
def test_what_small_files_cost(results, name):
    result, took = results[name]
    check(name, result, took)
    assert "Memory" not in result and "Foreign" not in result

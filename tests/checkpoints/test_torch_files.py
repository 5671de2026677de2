"""Files of PyTorch, read without it: real ones, made ones, and those that are none."""

import contextlib
import io
import math
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest

from lucid_rl.checkpoints.plain_values import Placeholder
from lucid_rl.checkpoints.torch_files import read_torch
from lucid_rl.errors import FileFormatError
from tests.checkpoints.jd_values import DATA

TORCH_FILES = DATA / "torch_files"
NAMES = [f"body.{i}.{part}" for i in range(3) for part in ("weight", "bias")]


def _small():
    """The small network's parameters, as make_files.py draws them."""
    rng = np.random.default_rng(0)
    drawn = {}
    for name in NAMES:
        shape = (2, 2, 1, 1) if name.endswith("weight") else (2,)
        size = 1.0 if len(shape) > 1 else 0.1
        drawn[name] = (size * rng.normal(size=shape)).astype(np.float32)
    return drawn


def _assert_small(found):
    assert list(found) == NAMES
    for name, array in _small().items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.float32


@pytest.mark.parametrize(
    "name", ["state_dict.pt", "legacy.pt", "stable_baselines3.zip"]
)
def test_state_dictionaries_that_pytorch_wrote(name):
    _assert_small(read_torch(TORCH_FILES / name))


def test_a_module_is_what_it_keeps(no_torch):
    module = read_torch(TORCH_FILES / "module.pt")
    assert isinstance(module, Placeholder)
    body = module.state["_modules"]["body"]
    kernels = [
        body.state["_modules"][str(i)].state["_parameters"]["weight"] for i in range(3)
    ]
    for i, kernel in enumerate(kernels):
        np.testing.assert_array_equal(kernel, _small()[f"body.{i}.weight"])


def test_all_that_a_training_program_saves():
    found = read_torch(TORCH_FILES / "training.pt")
    _assert_small(found["agent"]["weights"])
    assert found["step"] == 7
    moments = found["optimizer"]["state"][0]
    assert moments["step"] == 1 and moments["exp_avg"].shape == (2, 2, 1, 1)
    numbers, turned, part, path, size = found["others"]
    for kind, array in numbers.items():
        expected = [[0, 1], [1, 1]] if kind == "torch.bool" else [[0, 1], [3, -2]]
        np.testing.assert_array_equal(array, expected, kind)
    kinds = {kind.removeprefix("torch."): a.dtype.name for kind, a in numbers.items()}
    assert kinds.pop("bfloat16") == "float32"
    assert all(theirs == ours for theirs, ours in kinds.items())
    np.testing.assert_array_equal(turned, [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(part, [[1, 4], [2, 5]])
    assert isinstance(path, Placeholder) and isinstance(size, Placeholder)


class _Described:
    """An array as PyTorch pickles it."""

    def __init__(self, key, offset, shape, strides, type_name="FloatStorage"):
        self.storage = ("storage", type_name, str(key))
        self.rest = (offset, shape, strides)

    def __reduce__(self):
        return _rebuild, (_Storage(self.storage), *self.rest)


class _Storage:
    def __init__(self, pid):
        self.pid = pid


def _rebuild(*arguments):
    raise AssertionError("it is not called")


_rebuild.__module__, _rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"


class _FloatStorage:
    pass


_FloatStorage.__module__, _FloatStorage.__qualname__ = "torch", "FloatStorage"


class _Pickler(pickle.Pickler):
    """Pickles storages, and float32 arrays as tensors, as PyTorch does."""

    def __init__(self, stream):
        super().__init__(stream, 2)
        self.arrays = []

    def persistent_id(self, value):
        if isinstance(value, _Storage):
            kind, _, key = value.pid
            return kind, _FloatStorage, key, "cpu", 0, None
        return None

    def reducer_override(self, value):
        if not isinstance(value, np.ndarray):
            return NotImplemented
        self.arrays.append(value)
        return _rows(len(self.arrays) - 1, value).__reduce__()


def _rows(key, array):
    """An array described row by row."""
    strides = tuple(math.prod(array.shape[j + 1 :]) for j in range(array.ndim))
    return _Described(key, 0, array.shape, strides)


@contextlib.contextmanager
def _names_of_torch():
    """Pickling looks for the modules that it names."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch._utils, utils._rebuild_tensor_v2 = utils, _rebuild
    torch.FloatStorage = _FloatStorage
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        yield
    finally:
        del sys.modules["torch"], sys.modules["torch._utils"]


def _write(path, arrays, described=None):
    """Writes flat arrays as storages of the old format, described row by row."""
    described = described or {
        name: _rows(i, array) for i, (name, array) in enumerate(arrays.items())
    }
    stream = io.BytesIO()
    keys = [str(i) for i in range(len(arrays))]
    with _names_of_torch():
        for value in (0x1950A86A20F9469CFC6C, 1001, {}, described, keys):
            _Pickler(stream).dump(value)
    for array in arrays.values():
        stream.write(array.size.to_bytes(8, "little") + array.astype("<f4").tobytes())
    path.write_bytes(stream.getvalue())


def write_archive(path, value):
    """Writes a value with float32 arrays in it in the format of today."""
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    with _names_of_torch():
        pickler.dump(value)
    storages = {f"it/data/{i}": a.tobytes() for i, a in enumerate(pickler.arrays)}
    _archive(path, {"it/data.pkl": stream.getvalue(), **storages})


@pytest.fixture
def no_torch(monkeypatch):
    for name in ("torch", "torch._utils"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_arrays_come_back(tmp_path, no_torch):
    rng = np.random.default_rng(0)
    arrays = {"a": rng.random((2, 3), np.float32), "b": rng.random((4,), np.float32)}
    _write(tmp_path / "it.pth", arrays)
    found = read_torch(tmp_path / "it.pth")
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    described = {
        "turned": _Described(0, 0, (3, 2), (1, 3)),
        "part": _Described(1, 1, (2,), (2,)),
        "number": _Described(1, 3, (), ()),
    }
    _write(tmp_path / "it.pth", arrays, described)
    found = read_torch(tmp_path / "it.pth")
    np.testing.assert_array_equal(found["turned"], arrays["a"].T)
    np.testing.assert_array_equal(found["part"], arrays["b"][1::2])
    assert found["number"] == arrays["b"][3]


@pytest.mark.parametrize(
    "arguments",
    [
        (0, 0, (7,), (1,)),
        (0, 5, (2,), (1,)),
        (0, -1, (2,), (1,)),
        (0, 3, (2,), (-1,)),
        (0, 0, (100_000, 100_000), (0, 0)),
        (0, 0, (2, 2), (1,)),
        (9, 0, (2,), (1,)),
    ],
)
def test_arrays_that_reach_beyond_the_file(tmp_path, no_torch, arguments):
    described = {"a": _Described(*arguments)}
    _write(tmp_path / "it.pth", {"a": np.zeros(6)}, described)
    with pytest.raises(FileFormatError, match=r"it\.pth holds no weights"):
        read_torch(tmp_path / "it.pth")


def test_files_that_are_none(tmp_path, no_torch):
    path = tmp_path / "it.pth"
    with pytest.raises(FileFormatError, match="cannot read"):
        read_torch(path)
    _write(path, {"a": np.zeros(6)})
    whole = path.read_bytes()
    ran = tmp_path / "ran"
    evil = f"cos\nsystem\n(S'touch {ran}'\ntR.".encode()
    for content in (b"", b"PK\3\4 cut", pickle.dumps(3), evil, whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="no weights that can be read"):
            read_torch(path)
    assert not ran.exists()


def _archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_archives_that_are_none(tmp_path, no_torch):
    path = tmp_path / "it.pt"
    members = _members(TORCH_FILES / "state_dict.pt")
    storage = next(name for name in members if name.endswith("data/0"))
    ran = tmp_path / "ran"
    evil = f"cos\nsystem\n(S'touch {ran}'\ntR.".encode()
    order = next(name for name in members if name.endswith("byteorder"))
    cases = {
        "0 files data.pkl": {"a.txt": b"x"},
        "2 files data.pkl": {**members, "other/data.pkl": b"N."},
        "no member": {k: v for k, v in members.items() if k != storage},
        "beyond its numbers": {**members, storage: b"1234"},
        "little-endian": {**members, order: b"big"},
    }
    for message, content in cases.items():
        _archive(path, content)
        with pytest.raises(FileFormatError, match=message):
            read_torch(path)
    _archive(path, members, zipfile.ZIP_DEFLATED)
    _assert_small(read_torch(path))
    _archive(path, {**members, storage: bytes(2**26)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(FileFormatError, match="expands to more than"):
        read_torch(path)
    _archive(path, members, zipfile.ZIP_BZIP2)
    with pytest.raises(FileFormatError, match="not compressed by deflate"):
        read_torch(path)
    _archive(path, {"archive/data.pkl": evil})
    assert isinstance(
        read_torch(path), Placeholder
    )  # the command is a name like others
    assert not ran.exists()


@pytest.mark.parametrize("name", ["state_dict.pt", "legacy.pt", "training.pt"])
def test_damaged_files_are_refused_or_read(tmp_path, name):
    """Whatever a byte is changed to, there is a value or this package's error."""
    whole = (TORCH_FILES / name).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "it.pt"
    refused = 0
    for _ in range(400):
        content = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(len(whole) // 2, len(whole) + 1)])
        try:
            read_torch(path)
        except FileFormatError:
            refused += 1
    assert refused > 100


def test_many_views_of_the_same_numbers_are_refused(tmp_path, no_torch):
    path = tmp_path / "it.pth"
    array = np.arange(100_000, dtype=np.float32)
    for n_views in (3, 200):
        views = {str(i): _Described(0, 0, (100_000,), (1,)) for i in range(n_views)}
        _write(path, {"a": array}, views)
        if n_views == 3:
            found = read_torch(path)
            assert all(np.array_equal(view, array) for view in found.values())
    with pytest.raises(FileFormatError, match="again and again"):
        read_torch(path)


def test_what_names_itself_again_and_again_stays_small(tmp_path):
    value = []
    for _ in range(60):  # 2 ** 60, if what is shared were copied
        value = [value, value]
    _archive(tmp_path / "it.pt", {"it/data.pkl": pickle.dumps(value, 2)})
    found = read_torch(tmp_path / "it.pt")
    assert found[0] is found[1]
    value.append(value)
    _archive(tmp_path / "it.pt", {"it/data.pkl": pickle.dumps(value, 2)})
    found = read_torch(tmp_path / "it.pt")
    assert found[2] is found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"it/data.pkl": b"N.", "it/constants.pkl": b"N."}, "TorchScript.* ONNX"),
        ({"config.json": b"{}", "model.weights.h5": b""}, "Keras model.* ONNX"),
        ({"data": b"{}", "parameters": b"", "parameter_list": b"[]"}, "Baselines 2"),
        ({"a.npy": b"", "b.npy": b""}, r"numpy's \.npz.* torch\.save"),
        (b"\x89HDF\r\n\x1a\n", "HDF5 file.* ONNX"),
        (b"\x93NUMPY\x01\x00", r"a \.npy file"),
        (pickle.dumps({"w": np.zeros(3)}), "a pickle of another library .of a dict"),
        (pickle.dumps(_small), "a pickle of another library .of a 'tests"),
        (b"hello", "no weights that can be read"),
    ],
)
def test_files_of_other_libraries_are_told_by_name(tmp_path, content, message):
    path = tmp_path / "it.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        _archive(path, content)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_torch(path)
    for word in ("run code", "Placeholder", "Foreign"):
        assert word not in str(caught.value)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(FileFormatError, match="folder, as TensorFlow's SavedModel"):
        read_torch(tmp_path)

"""Thousands of damaged files: none may run, hang, or raise anything of its own."""

import pathlib
import pickle
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lucid_rl.checkpoints.architectures import parameter_shapes
from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.checkpoints.jd_format import read_jd
from lucid_rl.checkpoints.plain_values import check_plain
from lucid_rl.errors import FileFormatError
from tests.checkpoints.jd_values import FILES_OF_OTHER_AGES, GOLDEN_CHECKPOINT

_FILES = [
    GOLDEN_CHECKPOINT.with_name("checkpoint_A.metadata.jd"),
    *FILES_OF_OTHER_AGES,
]

# Bytes that mean something to a pickle: every operation, and a few whole calls.
_OPERATIONS = [
    value
    for name, value in vars(pickle).items()
    if re.fullmatch("[A-Z][A-Z0-9_]+", name)
    and isinstance(value, bytes)
    and len(value) == 1
]
_PIECES = [
    b"cos\nsystem\nX\x0e\x00\x00\x00touch executed\x85R",
    b"cbuiltins\neval\n",
    b"cnumpy\nndarray\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81",
    b"\x8c\x02os\x8c\x06system\x93",
    b"\xff\xff\xff\xff",
    bytes(8),
]
_mutations = st.lists(
    st.tuples(
        st.sampled_from(["replace", "insert", "delete", "repeat", "move", "cut"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 12),
        st.one_of(
            st.sampled_from(_OPERATIONS),
            st.binary(min_size=1, max_size=4),
            st.sampled_from(_PIECES),
        ),
    ),
    min_size=1,
    max_size=6,
)


def _mutated(data, mutations, places=None):
    """`data` after edits at fractions of its length, or of a list of `places`."""
    for kind, fraction, length, piece in mutations:
        n_places = len(data) if places is None else len(places)
        at = int(fraction * n_places)
        at = min(at if places is None else places[at], len(data))
        part = data[at : at + length]
        if kind == "replace":
            data = data[:at] + piece + data[at + len(piece) :]
        elif kind == "insert":
            data = data[:at] + piece + data[at:]
        elif kind == "delete":
            data = data[:at] + data[at + length :]
        elif kind == "repeat":
            data = data[:at] + part * 3 + data[at + length :]
        elif kind == "move":
            data = data[:at] + data[at + length :] + part
        elif at > len(data) // 2:
            data = data[:at]
    return data


def _survives(path, data, watched, read):
    """What a mutated file holds, if it is still a sound one."""
    path.write_bytes(data)
    with watched():
        try:
            return read(path)
        except FileFormatError as error:
            assert str(path) in str(error)
            assert len(str(error)) < 5000
            return None


def _check_small_file(file, mutations, folder, watched):
    data = _mutated(file.read_bytes(), mutations)
    value = _survives(folder / "mutated.jd", data, watched, read_jd)
    check_plain(value)
    assert not pathlib.Path("executed").exists()


def _places_outside_arrays(data):
    """Where the checkpoint's pickle lies, between the raw bytes of its arrays."""
    starts = [match.start() for match in re.finditer(b"ppo2_model/", data)]
    places = set(range(700)) | set(range(len(data) - 40, len(data)))
    for start in starts:
        places |= set(range(max(0, start - 12), start + 160))
    return sorted(places)


_GOLDEN = GOLDEN_CHECKPOINT.read_bytes()
_PLACES = _places_outside_arrays(_GOLDEN)


def _check_checkpoint(mutations, folder, watched):
    data = _mutated(_GOLDEN, mutations, _PLACES)
    checkpoint = _survives(folder / "mutated.jd", data, watched, load_checkpoint)
    if checkpoint is not None:
        shapes = parameter_shapes(checkpoint.architecture, checkpoint.n_actions)
        found = {name: array.shape for name, array in checkpoint.params.items()}
        assert found == shapes
        assert all(np.isfinite(array).all() for array in checkpoint.params.values())


_quick = settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
_long = settings(
    max_examples=4000,
    derandomize=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@_quick
@given(file=st.sampled_from(_FILES), mutations=_mutations)
def test_small_files_after_hundreds_of_mutations(tmp_path, watched, file, mutations):
    _check_small_file(file, mutations, tmp_path, watched)


@_quick
@given(mutations=_mutations)
def test_a_real_checkpoint_after_hundreds_of_mutations(tmp_path, watched, mutations):
    _check_checkpoint(mutations, tmp_path, watched)


@pytest.mark.slow  # 4,000 files each
@_long
@given(file=st.sampled_from(_FILES), mutations=_mutations)
def test_small_files_after_thousands_of_mutations(tmp_path, watched, file, mutations):
    _check_small_file(file, mutations, tmp_path, watched)


@pytest.mark.slow
@_long
@given(mutations=_mutations)
def test_a_real_checkpoint_after_thousands_of_mutations(tmp_path, watched, mutations):
    _check_checkpoint(mutations, tmp_path, watched)


@settings(max_examples=300)
@given(data=st.binary(max_size=300))
def test_random_bytes(tmp_path_factory, watched, data):
    _survives(tmp_path_factory.getbasetemp() / "random.jd", data, watched, read_jd)

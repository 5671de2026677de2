"""Thousands of damaged or forged files of each kind raise only the package's errors."""

import copy
import json
import os
import random
import zlib

import numpy as np
import pytest

from lucid_rl.errors import FileFormatError, LucidRLError
from lucid_rl.evaluation.episodes import Episode, read_episodes, write_episodes
from lucid_rl.interface import encoding
from lucid_rl.interface.bundle import part_element, part_file, read_bundle
from lucid_rl.interface.names import read_names
from lucid_rl.interface.parts import VERSION, Layout, Part
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.loading import load
from lucid_rl.training.curve import write_curve
from lucid_rl.training.logs import read_log
from lucid_rl.training.saves import check_state, read_save, write_save

_VALUES = (
    *(None, True, -1, 0, 1, 2.5, 1e308, 2**31, 2**63, 10**30, -(2**63), "", "x"),
    *([], {}, [1], {"a": 1}, float("nan"), "\ud800"),
)


_NAMES = {
    "lucid_rl_feature_names": 1,
    "names": {"2b": {"0": "buzzsaw", "1": "coin"}, "4a": {"3": "x"}},
}
_RECORD = {"steps": 10, "episodes": 3, "success_rate": 0.5, "entropy": 1.0}
_STATE = {
    "config": {"seed": 0},
    "n_steps_done": 7,
    "rng": dict(np.random.default_rng(0).bit_generator.state),
    "learner": {"parameters": {"a/w:0": np.ones((2, 3), np.float32)}},
    "groups": [{"games": [b"state of a game" * 20] * 2, "ages": np.zeros(2, "i8")}],
}


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(8)
        if what < 3 and at < len(data):
            data[at] = rng.randrange(256)
        elif what < 5:
            del data[at : at + rng.randrange(1, 20)]
        elif what < 7:
            data[at:at] = rng.randbytes(rng.randrange(1, 5))
        elif rng.random() < 0.3:
            del data[at:]
    return bytes(data)


def _places(value):
    """Where values lie in plain containers: (container, key)."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def changed_values(value, rng: random.Random):
    """Plain values with some of them replaced, left out or moved."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 2)):
        places = list(_places(value))
        if not places or rng.random() < 0.02:
            return rng.choice(_VALUES)
        holder, key = rng.choice(places)
        what = rng.randrange(3)
        if what == 0:
            holder[key] = copy.deepcopy(rng.choice(_VALUES))
        elif what == 1:
            del holder[key]
        else:
            other, other_key = rng.choice(places)
            holder[key] = copy.deepcopy(other[other_key])
    return value


def changed_arrays(arrays, rng: random.Random):
    """Arrays by name with some of another dtype, shape or content."""
    arrays = dict(arrays)
    name = rng.choice(sorted(arrays))
    array = arrays[name]
    what = rng.randrange(6)
    if what == 0:
        del arrays[name]
    elif what == 1:
        kind = rng.choice(["f4", "f8", "i8", "u1", "?", "U3"])
        arrays[name] = np.zeros(array.shape, kind)
    elif what == 2:
        arrays[name] = array.reshape(-1)[:-1]
    elif what == 3:
        arrays[name] = array[None]
    elif array.dtype.kind == "U":
        text = changed_values(json.loads(str(array)), rng) if array.ndim == 0 else ""
        arrays[name] = np.array(json.dumps(text))
    else:
        low, high = (-np.inf, np.nan) if array.dtype.kind == "f" else (-(2**62), 2**62)
        array = array.copy()
        if array.dtype.itemsize < 4:
            low, high = 0, 1
        array.reshape(-1)[: rng.randint(1, 4)] = rng.choice([low, high])
        arrays[name] = array
    return arrays


class Kind:
    """Files of one kind: `forge` writes a bad one, `read` reads it."""

    def __init__(self, folder):
        self.path = folder / "file"


class Names(Kind):
    def forge(self, rng):
        if rng.random() < 0.5:
            self.path.write_text(json.dumps(changed_values(_NAMES, rng)))
        else:
            data = json.dumps(_NAMES).encode()
            self.path.write_bytes(changed_bytes(data, rng))

    def read(self):
        read_names(self.path)


class _Arrays(Kind):
    def forge(self, rng):
        if rng.random() < 0.6:
            with open(self.path, "wb") as stream:
                np.savez(stream, **changed_arrays(self.arrays, rng))
        else:
            self.path.write_bytes(changed_bytes(self.data, rng))

    def keep(self):
        self.data = self.path.read_bytes()
        with np.load(self.path) as arrays:
            self.arrays = dict(arrays)


class Factorizations(_Arrays):
    def __init__(self, folder):
        super().__init__(folder)
        nmf = NMF.from_directions(np.eye(3, 5), layer="2b", model="m")
        nmf.explained, nmf.feature_fractions = 0.5, np.ones(3, np.float32)
        nmf.save(self.path)
        self.keep()

    def read(self):
        nmf = NMF.load(self.path)
        nmf.transform(np.ones((2, nmf.directions.shape[1]), np.float32))


class Episodes(_Arrays):
    def __init__(self, folder):
        super().__init__(folder)
        header = {
            "model": {"name": "m", "sha256": "ab"},
            "settings": {"n_episodes": 5, "game": {"name": "coinrun"}},
        }
        episodes = [
            Episode(i, 7 * i, np.arange(5, dtype=np.uint8), 1.0, "buzzsaw")
            for i in range(5)
        ]
        write_episodes(episodes, header, self.path)
        self.keep()

    def read(self):
        for episode in read_episodes(self.path)[0]:
            assert isinstance(episode.outcome, str)
            assert np.isfinite(episode.reward)


class Logs(Kind):
    def __init__(self, folder):
        self.path = folder / "log.jsonl"

    def forge(self, rng):
        records = [_RECORD | {"steps": 10 * i} for i in range(4)]
        if rng.random() < 0.5:
            records[2] = changed_values(records[2], rng)
        data = "".join(json.dumps(r) + "\n" for r in records).encode()
        self.path.write_bytes(data if records[2] is None else changed_bytes(data, rng))

    def read(self):
        write_curve(self.path.parent, self.path.with_name("curve.csv"))


class Saves(Kind):
    def __init__(self, folder):
        self.path = folder / "save.jd"

    def forge(self, rng):
        if rng.random() < 0.5:
            write_save(_STATE, self.path.parent)
            self.path.write_bytes(changed_bytes(self.path.read_bytes(), rng))
        else:
            write_save(changed_values(_STATE, rng), self.path.parent)

    def read(self):
        saved = read_save(self.path.parent)
        check_state(saved, _STATE, "the save")
        assert saved["learner"]["parameters"]["a/w:0"].shape == (2, 3)


class Pages(Kind):
    """Bundles in a folder, in a single page, and as files of their stages."""

    def __init__(self, folder):
        self.path = folder
        (folder / "data").mkdir()
        rng = np.random.default_rng(0)
        manifest = {
            "models": [{"id": "model", "layers": [{"id": "2b"}]}],
            "trajectories": [{"length": 3}, {"length": 3}],
        }
        pictures = rng.integers(0, 255, (6, 8, 8, 3), dtype=np.uint8)
        maps = rng.integers(-127, 127, (3, 6, 4, 4)).astype(np.int8)
        ones = np.ones(6, np.float32)
        self.parts = [
            Part.encode("manifest", manifest, {"model/values": ones}),
            Part.encode("frames", {}, {"observations": pictures},
                        {"observations": Layout("png", 0, (3, 3))}),
            Part.encode("model/2b", {"code_levels": 255},
                        {"attribution": maps, "frame_scale": ones},
                        {"attribution": Layout("webp", 1, (3, 3))}),
        ]  # fmt: skip

    def _forged(self, part, rng, coding):
        """A part's envelope, header and data, with the checksum of what they say."""
        head = json.dumps(changed_values(json.loads(part.head()), rng))
        data = part.data if rng.random() < 0.7 else changed_bytes(part.data, rng)
        checksum = zlib.crc32(data, zlib.crc32(head.encode()))
        envelope = {"version": VERSION, "encoding": coding, "bytes": len(data)}
        envelope["checksum"] = checksum
        if rng.random() < 0.2:
            envelope = changed_values(envelope, rng)
        return json.dumps(envelope), head, data

    def forge(self, rng):
        self.form = rng.choice(["folder", "page", "stage"])
        bad = rng.choice(self.parts)
        getattr(self, f"_forge_{self.form}")(bad, rng)

    def _forge_folder(self, bad, rng):
        for part in self.parts:
            script = part.to_script()
            if part is bad and rng.random() < 0.5:
                script = changed_bytes(script, rng)
            elif part is bad:
                envelope, head, data = self._forged(part, rng, "windows-1252")
                text = encoding.encode_text(data, "windows-1252")
                call = f'lucidRL.deliver({envelope}, {json.dumps(head)}, "{text}");\n'
                script = call.encode("latin-1")
            (self.path / part_file(part.name)).write_bytes(script)

    def _forge_page(self, bad, rng):
        envelope, head, data = self._forged(bad, rng, "base64")
        opening, _, _ = part_element(bad).partition(">")
        text = encoding.encode_text(data, "base64")
        element = f"{opening}>{envelope}\n{head}\n{text}\n</script>\n"
        elements = [part_element(p) for p in self.parts if p is not bad]
        page = "".join([*elements, element]).encode()
        if rng.random() < 0.5:
            page = changed_bytes(page, rng)
        (self.path / "one.html").write_bytes(page)

    def _forge_stage(self, bad, rng):
        path = self.path / "stage"
        bad.save(path)
        magic = path.read_bytes().split(b"\n")[0]
        if rng.random() < 0.5:
            path.write_bytes(changed_bytes(path.read_bytes(), rng))
        else:
            envelope, head, data = self._forged(bad, rng, "none")
            path.write_bytes(magic + f"\n{envelope}\n{head}\n".encode() + data)

    def read(self):
        if self.form == "stage":
            part = Part.load(self.path / "stage")
            for name in part.names:
                part.array(name)
            return
        bundle = read_bundle(
            self.path if self.form == "folder" else self.path / "one.html"
        )
        assert all(isinstance(name, str) for name in bundle.models)
        bundle.observations(0)
        bundle.observations(1)
        bundle.values()
        bundle.attribution("2b", 1)


_KINDS = (Names, Factorizations, Episodes, Logs, Saves, Pages)


def survives(kind, folder, n, seed):
    rng = random.Random(seed)
    files = kind(folder)
    refused = 0
    for i in range(n):
        try:
            files.forge(rng)
        except (ValueError, TypeError, OverflowError, LucidRLError):
            continue  # JSON and NumPy cannot write everything
        try:
            files.read()
        except LucidRLError as error:
            refused += 1
            assert len(str(error)) < 4000
        except Exception as error:
            raise AssertionError(f"file {i} of seed {seed}: {error!r}") from error
    return refused


@pytest.mark.parametrize("kind", _KINDS)
def test_hundreds_of_damaged_files(kind, tmp_path):
    assert survives(kind, tmp_path, 300, seed=0) > 100


@pytest.mark.slow
@pytest.mark.parametrize("kind", _KINDS)
def test_thousands_of_damaged_files(kind, tmp_path):
    survives(kind, tmp_path, 4000, seed=1)


_READERS = {
    **{f"model{suffix}": load for suffix in (".jd", ".pb", ".onnx", ".pt", "")},
    "page.html": read_bundle,
    "stage": Part.load,
    "names.json": read_names,
    "episodes.npz": read_episodes,
    "nmf.npz": NMF.load,
    "log.jsonl": read_log,
}


@pytest.mark.parametrize("name", _READERS)
def test_pipes_are_refused(name, tmp_path):
    path = tmp_path / name
    os.mkfifo(path)
    # With somebody at its other end, who never writes, opening it would not wait.
    other_end = os.open(path, os.O_RDWR)
    try:
        os.write(other_end, b"x" * 100)
        with pytest.raises(LucidRLError, match=r"pipe|there is no"):
            _READERS[name](path)
    finally:
        os.close(other_end)


@pytest.mark.parametrize("name", _READERS)
@pytest.mark.parametrize("where", ["n" * 5000, "a\0b", "\ud800"])
def test_names_that_no_file_has(name, where, tmp_path):
    with pytest.raises(LucidRLError):
        if _READERS[name](tmp_path / where / name) == []:  # of a log that is not there
            raise FileFormatError

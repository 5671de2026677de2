"""Stages are reused when nothing changed, and never trusted half-written."""

import dataclasses

import numpy as np
import pytest

from lucid_rl.interface.parts import Part
from lucid_rl.interface.stages import StageCache, digest


@dataclasses.dataclass(frozen=True)
class _Settings:
    size: int = 3
    rate: float = 0.5


class _Maker:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        arrays = {"x": np.arange(9, dtype="f4")}
        return Part.encode("stage", {"call": self.calls}, arrays)


_INPUTS = {"settings": _Settings(), "model": "abc", "lengths": [3, 5]}


def test_a_stage_is_made_once(tmp_path):
    make = _Maker()
    made = StageCache(tmp_path).get("a/b", _INPUTS, make)
    cache = StageCache(tmp_path)
    again = cache.get("a/b", dict(reversed(_INPUTS.items())), make)
    assert make.calls == 1
    assert again == made
    assert (cache.reused, cache.made) == (["a/b"], [])


@pytest.mark.parametrize(
    "change",
    [
        {"settings": _Settings(size=4)},
        {"settings": _Settings(rate=0.25)},
        {"model": "abd"},
        {"lengths": [5, 3]},
        {"more": None},
    ],
)
def test_any_changed_input_makes_it_again(tmp_path, change):
    make = _Maker()
    cache = StageCache(tmp_path)
    cache.get("stage", _INPUTS, make)
    cache.get("stage", _INPUTS | change, make)
    assert make.calls == 2
    cache.get("stage", _INPUTS, make)
    assert make.calls == 2


def test_stages_of_other_names_are_other_stages(tmp_path):
    make = _Maker()
    cache = StageCache(tmp_path)
    cache.get("one", _INPUTS, make)
    cache.get("two", _INPUTS, make)
    assert make.calls == 2


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_stage_is_made_again(tmp_path, damage):
    make = _Maker()
    StageCache(tmp_path).get("stage", _INPUTS, make)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-5] ^= 4
    path.write_bytes(
        {"cut": content[:-7], "flip": content, "empty": b"", "other": b"{}\n"}[damage]
    )
    assert StageCache(tmp_path).get("stage", _INPUTS, make).meta == {"call": 2}
    assert StageCache(tmp_path).get("stage", _INPUTS, make).meta == {"call": 2}


def test_an_interrupted_stage_leaves_nothing(tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StageCache(tmp_path).get("stage", _INPUTS, interrupted)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_nothing_to_trust(tmp_path, monkeypatch):
    def cut_short(self, path):
        (tmp_path / ".stage.partial").write_bytes(b"half")
        raise KeyboardInterrupt

    make = _Maker()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Part, "save", cut_short)
        StageCache(tmp_path).get("stage", _INPUTS, make)
    assert StageCache(tmp_path).get("stage", _INPUTS, make).meta == {"call": 2}


def test_pruning_keeps_what_the_run_used_and_what_is_not_a_stage(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    StageCache(tmp_path).get("stage", _INPUTS | {"model": "old"}, _Maker())
    cache = StageCache(tmp_path)
    cache.get("stage", _INPUTS, _Maker())
    cache.prune()
    assert len(list(tmp_path.iterdir())) == 2
    make = _Maker()
    cache.get("stage", _INPUTS, make)
    assert make.calls == 0


def test_digests_tell_contents_types_and_shapes_apart():
    base = np.arange(6, dtype=np.int32)
    others = [base[::-1], base.astype(np.int64), base.reshape(2, 3), base[:5]]
    digests = {digest(array) for array in [base, *others]}
    assert len(digests) == 5
    assert digest(base) == digest(base.copy())
    assert digest(np.arange(12, dtype=np.int32)[::2][:6]) != digest(base)


def test_inputs_without_a_plain_form_are_refused(tmp_path):
    with pytest.raises(TypeError, match="no plain form"):
        StageCache(tmp_path).get("stage", {"x": object()}, _Maker())

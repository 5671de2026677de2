"""Files are written whole or not at all, and only over files."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from lucid_rl.errors import InputError, SaveError
from lucid_rl.files import (
    atomic_open,
    check_output,
    check_output_folder,
    expand_user,
    write_json,
    write_text,
)


def _write(path, text="new"):
    with atomic_open(path, "w") as stream:
        stream.write(text)


def test_a_file_is_replaced_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    for text in ("first", "second"):
        _write(path, text)
        assert path.read_text() == text
    assert os.listdir(path.parent) == ["file.txt"]


def test_what_goes_wrong_in_the_block_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "file.txt"
    _write(path, "old")
    with pytest.raises(ZeroDivisionError), atomic_open(path, "w") as stream:
        stream.write("new")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    path = tmp_path / "there" / "file.txt"
    _write(path, "old")
    link = tmp_path / "link.txt"
    link.symlink_to(path)
    _write(link)
    assert link.is_symlink() and path.read_text() == "new"


def _cases(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "file").write_text("a file")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    return {
        "/dev/full": "a device or a pipe",
        "/dev/null": "a device or a pipe",
        pipe: "a device or a pipe",
        tmp_path: "it is a folder",
        tmp_path / "a\0b": "cannot hold NUL",
        tmp_path / ("n" * 300): "too long",
        tmp_path / "file" / "inside": "Not a directory",
        loop: "symbolic links",
    }


def test_what_is_no_file_is_refused_at_the_start(tmp_path):
    for path, message in _cases(tmp_path).items():
        for attempt in (check_output, lambda path: atomic_open(path).__enter__()):
            with pytest.raises(SaveError, match=message):
                attempt(path)
    assert not pathlib.Path("/dev/full").is_file()
    assert (tmp_path / "file").read_text() == "a file"


def test_names_of_the_greatest_length(tmp_path):
    path = tmp_path / ("\U0001f600" * 60 + "n" * 15)
    _write(path)
    assert path.read_text() == "new"


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for folder, message in (
        (tmp_path / "file", "a file is where a folder is meant"),
        (tmp_path / "file" / "inside", "a file is where a folder is meant"),
        (tmp_path / "a\0b", "cannot hold NUL"),
        (tmp_path / ("n" * 300), "too long"),
        ("/dev/full", "a file is where a folder is meant"),
        ("/proc/none", "cannot write to /proc/none"),
    ):
        with pytest.raises(SaveError, match=message):
            check_output_folder(folder)
    check_output_folder(tmp_path / "new" / "folder")
    check_output(tmp_path / "new" / "file")
    assert not (tmp_path / "new").exists()


_WRITE = """
import os, signal, sys
from lucid_rl.files import atomic_open
with atomic_open(sys.argv[1]) as stream:
    stream.write(b"half")
    stream.flush()
    if "killed" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def _write_elsewhere(path, *words):
    """Writes a file in a process of its own; gives its exit code."""
    return subprocess.run([sys.executable, "-c", _WRITE, path, *words]).returncode


def test_what_a_killed_run_leaves_the_next_one_removes(tmp_path):
    path = tmp_path / "file.txt"
    assert _write_elsewhere(path, "killed") == -signal.SIGKILL
    (left,) = os.listdir(tmp_path)
    assert left.endswith(".partial")
    (tmp_path / ".another.partial").write_text("of another program")
    with atomic_open(path) as stream:
        stream.write(b"whole")
        stream.flush()
        # What is being written is not taken for what was left behind.
        assert _write_elsewhere(tmp_path / "other.txt") == 0
    assert path.read_bytes() == b"whole"
    assert sorted(os.listdir(tmp_path)) == [".another.partial", "file.txt", "other.txt"]


def test_names_that_are_no_text_in_a_text(tmp_path):
    write_text(tmp_path / "file.txt", os.fsdecode(b"a\xff"))
    assert (tmp_path / "file.txt").read_text() == "a\\udcff"


def test_home_folders(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert expand_user("~/x") == pathlib.Path("/home/ada/x")
    with pytest.raises(InputError, match="whole path"):
        expand_user("~nobody_at_all/x")


def test_json_has_no_numbers_that_are_not_finite(tmp_path):
    write_json(tmp_path / "a.json", {"a": float("nan"), "b": np.array([1.5, np.inf])})
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "a": None,
        "b": [1.5, None],
    }

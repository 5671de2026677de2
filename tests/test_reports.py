"""Reports of results."""

import os
import subprocess
import sys

import pytest

from tests.programs import ROOT


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (["-m", "made"], "python -m made"),
        (["made.py"], "made.py"),
        (["lucid-rl made"], "lucid-rl made"),
    ],
)
def test_the_command_can_be_typed_again(how, words, tmp_path):
    program = tmp_path / how[-1]
    program = tmp_path / ("made.py" if how[0] == "-m" else how[0])
    program.write_text("from lucid_rl.reports import command_line as c; print(c())")
    done = subprocess.run(
        [sys.executable, *how, "--name=a b"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == f"{words} '--name=a b'\n"

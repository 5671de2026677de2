"""scripts/edit.py as a user runs it: a file in, a file out, clear errors."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.editing.edit import EDITS_ARG
from lucid_rl.interpret.factorization import Factorization, save_factorization

_ROOT = pathlib.Path(__file__).parents[2]
_MODEL = _ROOT / "tests" / "data" / "golden_A" / "checkpoint_A.jd"


def _run(*flags):
    return subprocess.run(
        [sys.executable, "-m", "scripts.edit", f"--model={_MODEL}", *flags],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def factorization(tmp_path):
    directions = np.random.default_rng(0).random((4, 32)).astype(np.float32)
    save_factorization(Factorization(directions, layer="2b"), tmp_path / "nmf.npz")
    return tmp_path / "nmf.npz"


def test_features_of_a_file_are_removed(factorization, tmp_path):
    output = tmp_path / "edited.jd"
    done = _run(
        f"--factorization={factorization}", "--features=1,3", f"--output={output}"
    )
    assert done.returncode == 0, done.stderr
    assert str(output) in done.stdout
    [record] = load_checkpoint(output).args[EDITS_ARG]
    assert record["features"] == [1, 3] and np.shape(record["basis"]) == (2, 32)


def test_the_feature_of_an_object_is_removed(tmp_path):
    output = tmp_path / "blind.jd"
    done = _run("--object=wall_edge", "--n_observations=32", f"--output={output}")
    assert done.returncode == 0, done.stderr
    assert "responds to wall_edge: average precision" in done.stdout
    [record] = load_checkpoint(output).args[EDITS_ARG]
    assert record["object"] == "wall_edge" and len(record["features"]) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--features=0"], "give --output"),
        (["--output=x.jd"], "give --features or --object"),
        (["--output=x.jd", "--features=zero"], "expected whole numbers"),
    ],
)
def test_wrong_input_is_one_clear_line(flags, message):
    done = _run(*flags)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr

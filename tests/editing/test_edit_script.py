"""scripts/edit.py as a user runs it: a file in, a file out, clear errors."""

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.model import EDITS_ARG
from tests.programs import ROOT, run_script
from tests.script_errors import errors_of

_MODEL = ROOT / "tests" / "data" / "golden_A" / "checkpoint_A.jd"


def _run(*flags):
    return run_script("edit", f"--model={_MODEL}", *flags)


@pytest.fixture
def factorization(tmp_path):
    directions = np.random.default_rng(0).random((4, 32)).astype(np.float32)
    NMF.from_directions(directions, layer="2b").save(tmp_path / "nmf.npz")
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
    done = _run(
        *("--object=wall_edge", "--choose=features", "--n_observations=32"),
        f"--output={output}",
    )
    assert done.returncode == 0, done.stderr
    assert "responds to wall_edge: average precision" in done.stdout
    [record] = load_checkpoint(output).args[EDITS_ARG]
    assert record["object"] == "wall_edge"
    assert 1 <= len(record["features"]) == len(record["average_precisions"]) <= 3


def test_wrong_input_is_one_clear_line(factorization, tmp_path):
    output = f"--output={tmp_path / 'x.jd'}"
    file = f"--factorization={factorization}"
    narrow = tmp_path / "narrow.npz"
    directions = np.ones((4, 31), np.float32)
    NMF.from_directions(directions, layer="2b").save(narrow)
    cases = {
        "give --output": ["--features=0"],
        "give --features or --object": [output],
        "expected whole numbers": [output, "--features=zero"],
        "there is no feature 4": [output, file, "--features=4"],
        "fitted at layer '2b'": [output, file, "--features=0", "--layer=3a"],
        "the channels of layer '2b'": [
            *(output, f"--factorization={narrow}", "--features=0")
        ],
        "--object='moon': expected one of": [output, "--object=moon"],
        "no layer or output '9z'": [output, "--features=0", "--layer=9z"],
        "--strength=2.0: expected between 0 and 1": [
            output,
            file,
            "--features=0",
            "--strength=2",
        ],
        "nowhere.npz": [output, "--features=0", "--factorization=nowhere.npz"],
        "nowhere.jd": [output, "--features=0", "--model=nowhere.jd"],
        "--n_observations=0: expected": [output, "--features=0", "--n_observations=0"],
    }
    model = f"--model={_MODEL}"
    said = errors_of("edit", [[model, *flags] for flags in cases.values()])
    for words, line in zip(cases, said, strict=True):
        assert line is not None and words in line, (words, line)
    assert not (tmp_path / "x.jd").exists()

"""The script as a user runs it, on the bundled model and real games."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "scripts.visualize_features", *arguments],
        capture_output=True,
        text=True,
    )


def test_from_flags_to_files(tmp_path):
    result = _run(
        f"--output_dir={tmp_path / 'out'}",
        f"--report={tmp_path / 'report.md'}",
        "--presets=layers,spatial",
        "--n_observations=40",
        "--n_features=3",
        "--steps=2",
        "--objective=direction",
        "--targets=2,0",
        "--position=3,4",
        "--parametrization=maco",
        "--game_statistics",
        "--penalty=0.1",
    )
    assert result.returncode == 0, result.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(results["figures"]) == ["layers", "spatial", "own"]
    (own,) = results["figures"]["own"]["rows"]
    assert own["labels"] == ["feature 2", "feature 0"]
    assert own["settings"]["position"] == "(3, 4)"
    assert own["settings"]["penalty"] == "0.1 at 1a"
    assert results["about"]["observations"] == "40"
    lines = result.stdout.strip().splitlines()
    assert lines[-2:] == [
        str(tmp_path / "out" / "index.html"),
        str(tmp_path / "report.md"),
    ]
    assert "extremal" in lines[0]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--presets=clouds", "no preset 'clouds'"),
        ("--presets=", "nothing to do"),
        ("--steps=0", "steps=0: expected at least 1"),
        ("--model=nothing.jd", "nothing.jd"),
    ],
)
def test_bad_input_is_one_line(tmp_path, flag, message):
    result = _run(f"--output_dir={tmp_path}", flag)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())

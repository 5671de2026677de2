"""Wrong flags of every script end in one line, before any work and without a trace."""

import os
import pathlib
import re

import pytest

from scripts.cli import commands
from tests.script_errors import errors_of, errors_of_every_flag

_SCRIPTS = sorted(set(commands().values()))

# Beside what is wrong for all scripts.
_OWN = {
    "blind_scoring": ["--models=none.jd", "--models=", "--grades=none.json"],
    "compare_companions": ["--model=none.jd", "--companions=nothing"],
    "compare_diversity": ["--model=none.jd", "--model="],
    "compare_to_article": ["--model=none.jd", "--remove=a", "--game=none"],
    "edit": [
        "--model=none.jd",
        "--features=-1",
        "--features=x",
        "--n_features=-3",
        "--strength=nan",
        "--factorization=none.npz",
        "--object=buzzsaw",  # and no --output
    ],
    "evaluate": [
        "--model=none.jd",
        "--model=none.pb",
        "--n_workers=0",
        "--n_workers=-1",
        "--n_episodes=-1",
        "--n_episodes=1.5",
        "--game=none",
        "--n_envs=0",
        "--replay=-1",
        "--replay=x",
        "--replay_format=avi",
        "--greedy=perhaps",
    ],
    "find_moments": ["--episodes=none", "--model=none.jd", "--n_episodes=-1"],
    "imagenet_model": ["--weights=none.pth"],
    "import_torch": [
        "--weights=none.pt",
        "--weights=none.pt --game=none",
        "--weights=none.pt --game=coinrun --image_size=0",
        "--gamma=nan",
        "--activation=none",
    ],
    "make_interface": [
        "--model=none.jd",
        "--model=none.onnx",
        "--layers=none",
        "--n_features=0",
        "--n_features=-2",
        "--names=none.json",
        "--compare_to=none.jd",
        "--gamma=inf",
        "--code_levels=2",
    ],
    "picture_interface": ["--page=none.html", "--width=1", "--theme=none"],
    "released_models": ["--fetch=../x"],
    "run_notebook": ["--notebook=none.ipynb", "--set=x"],
    "score_interpretability": [
        "--models=none.jd",
        "--models=",
        "--n_features=99999999999",
    ],
    "train": [
        "--max_minutes=-1",
        "--max_minutes=nan",
        "--clip_range=nan",
        "--clip_range=-0.1",
        "--learning_rate=0",
        "--learning_rate=nan",
        "--gamma=1.5",
        "--n_envs=0",
        "--n_total_steps=-1",
        "--game=none",
        "--architecture=none",
        "--teacher=none.jd",
        "--engine=torch",
    ],
    "training_curve": ["--run=none", "--smooth=0"],
    "visualize_features": ["--model=none.jd", "--presets=none", "--objective=none"],
}


# Of the wrong type, outside all bounds, no names, other things than files.
_HOSTILE = ["", "x", "-1", "-0.5", "nan", "inf", "1e999", "9" * 5000, "9" * 20, "1.5"]
_HOSTILE += ["a\0b", "\udcff", "\n", "y" * 10_000, "[" * 3000, ",", "a=b,a=b", "0,0"]
_HOSTILE += ["/", "/dev/zero", "/proc/none/x", "~nobody_at_all/x", "released:../x"]


def _wrong_outputs(folder, flag):
    (folder / "file").write_text("a file")
    paths = [folder / ("n" * 300), "/dev/full", "/proc/none/x", "a\0b"]
    paths += [folder / "file" / "inside", folder / "file"][: 2 if "dir" in flag else 1]
    return [[f"--{flag}={path}"] for path in paths]


def _flags_of(script):
    scripts = pathlib.Path(__file__).parents[1] / "scripts"
    text = (scripts / f"{script}.py").read_text()
    flags = ("output", "output_dir", "cache_dir")
    return [f for f in flags if re.search(rf'"{f}"|^_{f} = |^    {f}: ', text, re.M)]


@pytest.fixture
def elsewhere(tmp_path):
    """An empty folder that scripts' default folders lie in."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("script", _SCRIPTS)
def test_one_line_and_no_trace(script, tmp_path, elsewhere):
    cases = [["--no_such_flag=1"], ["stray"], ["--", "x"], ["--flagfile=/"]]
    (tmp_path / "large").write_bytes(bytes(2**20 + 1))
    os.mkfifo(tmp_path / "pipe")
    cases += [["--flagfile", f"{tmp_path}/{name}"] for name in ("large", "pipe")]
    cases += [["--flagfile=/dev/zero"], ["--flagfile"], ["--flagfile=a\0b"]]
    cases += [["--stderrthreshold=9"], ["two\nlines\x1b[31m"], ["x" * 10_000]]
    for flag in _flags_of(script):
        cases += _wrong_outputs(tmp_path, flag)
    cases += [case.split() for case in _OWN.get(script, [])]
    said = errors_of(script, cases, folder=elsewhere)
    for case, line in zip(cases, said, strict=True):
        assert line is not None, f"{case} was taken"
        assert line.startswith("error: ") and line.strip().isprintable(), (case, line)
        assert len(line) < 1200, case
    assert os.listdir(elsewhere) == []
    assert (tmp_path / "file").read_text() == "a file" if _flags_of(script) else True


@pytest.mark.parametrize("script", _SCRIPTS)
def test_every_flag_with_hostile_values(script, elsewhere):
    for case, line, left in errors_of_every_flag(script, _HOSTILE, elsewhere):
        if line is not None:
            assert line.startswith("error: ") and line.strip().isprintable(), case[:80]
            assert len(line) < 1200, case[:80]
            assert left == [], case[:80]

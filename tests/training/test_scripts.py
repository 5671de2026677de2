"""The training programs, run as a user runs them."""

import csv
import subprocess
import sys

import pytest

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.training.logs import LOG_NAME, read_log
from tests.programs import run_python, run_script

TINY = (
    "--n_envs=4",
    "--n_steps=8",
    "--n_minibatches=2",
    "--n_epochs=1",
    "--n_total_steps=64",
    "--n_threads=1",
)


def test_a_run_and_its_curve(tmp_path):
    options = ("--learning_rate=1e-4", "--noise_correlated_std=0.1")
    trained = run_script("train", f"--output_dir={tmp_path}", *TINY, *options)
    assert trained.returncode == 0, trained.stderr
    assert "64 steps" in trained.stdout
    args = load_checkpoint(tmp_path / "model.jd").args
    assert args["learning_rate"] == 1e-4 and args["num_steps"] == 8
    assert args["lucid_rl"]["noise"]["correlated_std"] == 0.1
    drawn = run_script(
        "training_curve", f"--run={tmp_path}", f"--output={tmp_path / 'curve'}"
    )
    assert drawn.returncode == 0, drawn.stderr
    with open(tmp_path / "curve.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    logged = read_log(tmp_path / LOG_NAME)
    assert [int(row["steps"]) for row in rows] == [r["steps"] for r in logged]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_defaults_of_the_flags_are_the_settings():
    program = (
        "from absl import flags; from scripts import train; flags.FLAGS(['train'])\n"
        "from lucid_rl.training.config import TrainConfig\n"
        "assert train.settings() == TrainConfig(), train.settings()"
    )
    checked = run_python("-c", program)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", *TINY, "--n_groups=3"), "error: --n_groups=3 does not divide"),
        (("train", "--game=tetris"), "unknown game 'tetris'"),
        (("training_curve", "--run=nothing"), "has no records"),
        (("training_curve", "run"), "unexpected argument 'run'"),
    ],
)
def test_mistakes_end_in_a_line_that_says_which(tmp_path, arguments, message):
    name, *options = arguments
    if name == "train":
        options.append(f"--output_dir={tmp_path}")
    failed = run_script(name, *options)
    assert failed.returncode != 0
    assert message in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.slow
def test_jax_trains_where_there_is_no_tensorflow(tmp_path):
    pytest.importorskip("jax", reason="an optional extra")
    program = (
        "import runpy, sys; sys.modules['tensorflow'] = None\n"
        "runpy.run_module('scripts.train', run_name='__main__', alter_sys=True)"
    )
    options = [
        f"--output_dir={tmp_path}",
        "--engine=jax",
        "--bfloat16",
        "--n_envs=4",
        "--n_steps=4",
        "--n_minibatches=2",
        "--n_epochs=1",
        "--n_total_steps=16",
    ]
    subprocess.run([sys.executable, "-c", program, *options], check=True)
    assert load_checkpoint(tmp_path / "model.jd").args["steps_done"] == 16

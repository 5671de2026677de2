"""The training scripts, run as a user runs them."""

import csv
import subprocess
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.training.logs import LOG_NAME, read_log
from scripts import train, training_curve

if not flags.FLAGS.is_parsed():
    flags.FLAGS(["test"])


def tiny_flags(folder, **changes):
    return flagsaver.flagsaver(
        output_dir=str(folder),
        num_envs=4,
        num_steps=8,
        num_minibatches=2,
        epochs=1,
        steps=64,
        threads=1,
        **changes,
    )


def test_a_run_and_its_curve(tmp_path, capsys):
    with tiny_flags(tmp_path, learning_rate=1e-4, correlated_noise=0.1):
        train.main([])
    assert "64 steps" in capsys.readouterr().out
    args = load_checkpoint(tmp_path / "model.jd").args
    assert args["learning_rate"] == 1e-4 and args["num_steps"] == 8
    assert args["lucid_rl"]["noise"]["correlated_deviation"] == 0.1
    with flagsaver.flagsaver(run=str(tmp_path), output=str(tmp_path / "curve")):
        training_curve.main([])
    with open(tmp_path / "curve.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    logged = read_log(tmp_path / LOG_NAME)
    assert [int(row["steps"]) for row in rows] == [r["steps"] for r in logged]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_defaults_of_the_flags_are_the_settings(tmp_path):
    from lucid_rl.training.settings import TrainSettings

    assert train._settings() == TrainSettings()


def test_mistakes_end_in_one_line(tmp_path):
    with tiny_flags(tmp_path, num_groups=3), pytest.raises(SystemExit) as stop:
        train.main([])
    assert str(stop.value).startswith("error: n_groups=3 does not divide")
    with (
        flagsaver.flagsaver(run=str(tmp_path / "nothing")),
        pytest.raises(SystemExit) as stop,
    ):
        training_curve.main([])
    assert "has no records" in str(stop.value)


@pytest.mark.slow
def test_jax_trains_where_there_is_no_tensorflow(tmp_path):
    pytest.importorskip("jax", reason="an optional extra")
    program = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from absl import app; from scripts import train; app.run(train.main)"
    )
    options = [
        f"--output_dir={tmp_path}",
        "--engine=jax",
        "--bfloat16",
        "--num_envs=4",
        "--num_steps=4",
        "--num_minibatches=2",
        "--epochs=1",
        "--steps=16",
    ]
    subprocess.run([sys.executable, "-c", program, *options], check=True)
    assert load_checkpoint(tmp_path / "model.jd").args["steps_done"] == 16

"""Runs of PPO: resumed, killed, refused and logged."""

import dataclasses
import os
import signal
import time

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lucid_rl.errors import CheckpointError, SaveError, SettingsError, TrainingError
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training import saves
from lucid_rl.training.config import DistillationConfig, TrainConfig
from lucid_rl.training.initialization import initial_parameters
from lucid_rl.training.logs import BOARD_FOLDER, LOG_NAME, TrainingLog, read_log
from lucid_rl.training.noise import NoiseSettings
from lucid_rl.training.ppo import Trainer
from lucid_rl.training.run import first_parameters, stop_on_signal, train
from tests.programs import run_forked
from tests.training import OPTIMIZER

TINY = TrainConfig(
    game=GameSettings(n_envs=4, seed=3),
    n_total_steps=96,
    n_steps=8,
    n_minibatches=2,
    n_epochs=1,
    noise=NoiseSettings(pixel_std=0.02),
    # One thread: sums in another order would round differently.
    n_threads=1,
)
# Every deviation from the article that a run's state depends on.
KICKSTARTED = {
    "teacher": "bundled",
    "distillation": DistillationConfig(n_updates=0, kickstart_steps=64),
    "optimizer": OPTIMIZER,
    "averaged_updates": 5,
    "learning_rate_schedule": "linear",
}


def tiny(folder, **changes):
    return dataclasses.replace(TINY, output_dir=str(folder), **changes)


def train_apart(folder, max_seconds=None, **changes):
    """Trains in a process of its own.

    TensorFlow's threads are the process's: the first session there decides on their
    number, whatever later ones ask for.
    """
    done = run_forked(train, tiny(folder, **changes), max_seconds)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    train_apart(folder)
    return folder


def assert_same_run(folder, other, steps=(32, 64, 96)):
    ours, theirs = (load_checkpoint(f / saves.MODEL_NAME) for f in (folder, other))
    for name, value in ours.params.items():
        np.testing.assert_array_equal(value, theirs.params[name], err_msg=name)
    ours, theirs = (read_log(f / LOG_NAME) for f in (folder, other))
    for run in (ours, theirs):
        assert [r["steps"] for r in run] == list(steps)
    for a, b in zip(ours, theirs, strict=True):
        for name in ("episodes", "policy_loss", "value_loss", "entropy"):
            assert a[name] == b[name]


def test_a_resumed_run_equals_an_uninterrupted_one(uninterrupted, tmp_path):
    train_apart(tmp_path, n_total_steps=32)
    train_apart(tmp_path)
    assert_same_run(uninterrupted, tmp_path)


def test_so_does_one_with_a_teacher(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_apart(whole, **KICKSTARTED)
    train_apart(parts, max_seconds=0.0, **KICKSTARTED)
    train_apart(parts, **KICKSTARTED)
    assert_same_run(whole, parts)
    log = read_log(whole / LOG_NAME)
    assert [("teacher_kl" in record) for record in log] == [True, True, False]


@pytest.mark.parametrize("change", ["learning_rate", "value_coefficient"])
def test_a_run_that_diverges_stops_and_can_be_resumed(tmp_path, change):
    train(tiny(tmp_path, n_total_steps=32))
    words = r"diverged: after 64 steps, .*smaller learning_rate"
    with pytest.raises(TrainingError, match=words):
        train(tiny(tmp_path, **{change: 1e38}))
    assert saves.read_save(tmp_path)["n_steps_done"] == 32
    train(tiny(tmp_path, n_total_steps=64))
    assert [record["steps"] for record in read_log(tmp_path / LOG_NAME)] == [32, 64]


def test_a_log_holds_no_numbers_that_json_lacks(tmp_path):
    log = TrainingLog(tmp_path / LOG_NAME, "steps", 9, 0)
    speeds = {"steps_per_second": 1.0, "learner_frames_per_second": 1.0}
    record = {"steps": 1, "success_rate": None, "approximate_kl": np.inf, **speeds}
    log.write({**record, "student_kl": float("nan")})
    log.close()
    (kept,) = read_log(tmp_path / LOG_NAME)
    assert kept["approximate_kl"] is None and kept["student_kl"] is None


def train_until_killed(folder, number):
    config = tiny(folder, save_interval=1e-9)
    trainer = Trainer(config, first_parameters(config))
    whole_update = trainer.update

    def update():
        if trainer.n_steps_done == 64:
            # In the middle of the third update, when the second has been saved.
            trainer.groups[1].observe = lambda: os.kill(os.getpid(), number)
        return whole_update()

    trainer.update = update
    with stop_on_signal():
        trainer.run()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_goes_on_as_if_nothing_had_been(uninterrupted, tmp_path, number):
    process = run_forked(train_until_killed, tmp_path, number)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL, process.stderr
    else:
        assert "KeyboardInterrupt" in process.stderr
    assert saves.read_save(tmp_path)["n_steps_done"] == 64
    train_apart(tmp_path)
    assert_same_run(uninterrupted, tmp_path)


def test_the_log_and_the_model_say_what_happened(uninterrupted):
    record = read_log(uninterrupted / LOG_NAME)[-1]
    for name in (
        "success_rate",
        "episode_length",
        "entropy",
        "policy_loss",
        "value_loss",
        "explained_variance",
        "approximate_kl",
        "clip_fraction",
        "learning_rate",
        "steps_per_second",
        "learner_frames_per_second",
    ):
        assert name in record
    shares = [value for name, value in record.items() if name.startswith("share_")]
    assert sum(shares) == pytest.approx(1, abs=0.01)
    assert list((uninterrupted / BOARD_FOLDER).iterdir())
    args = load_checkpoint(uninterrupted / saves.MODEL_NAME).args
    assert args["num_envs"] == 4 and args["paint_vel_info"] is True
    assert args["steps_done"] == 96
    assert args["lucid_rl"]["noise"]["pixel_std"] == 0.02


def test_tensorboard_reads_the_scalars(uninterrupted):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(uninterrupted / BOARD_FOLDER))
    board.Reload()
    events = board.Scalars("entropy")
    assert [event.step for event in events] == [32, 64, 96]
    logged = [record["entropy"] for record in read_log(uninterrupted / LOG_NAME)]
    np.testing.assert_allclose([event.value for event in events], logged, rtol=1e-6)


def test_a_failed_save_leaves_the_earlier_one(tmp_path, monkeypatch):
    config = tiny(tmp_path)
    trainer = Trainer(config, first_parameters(config))
    trainer.save()
    before = (tmp_path / saves.SAVE_NAME).read_bytes()

    def full_disk(_):
        raise OSError(28, "No space left on device")

    trainer.update()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(SaveError, match="No space left"):
            trainer.save()
    assert (tmp_path / saves.SAVE_NAME).read_bytes() == before
    assert saves.read_save(tmp_path)["n_steps_done"] == 0
    assert not list(tmp_path.glob("*.partial")) and not list(tmp_path.glob(".*"))
    trainer.close()


def test_bad_input_is_refused_before_any_work(uninterrupted, tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match="n_minibatches=7 does not divide"):
        tiny(tmp_path, n_minibatches=7)
    with pytest.raises(SettingsError, match="does not divide the 4 environments"):
        tiny(tmp_path, n_groups=3)
    with pytest.raises(SettingsError, match="unknown game 'pong'"):
        train(tiny(tmp_path, game=GameSettings(name="pong", n_envs=4)))
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="cannot write"):
        train(tiny(tmp_path / "file" / "folder"))
    other = tmp_path / "impala.jd"
    parameters = initial_parameters("impala", 15, "glorot", np.random.default_rng(0))
    save_checkpoint(Checkpoint(parameters, {"cnn": "impala"}), other)
    with pytest.raises(CheckpointError, match="expected clear with 15"):
        train(tiny(tmp_path, initial_model=str(other)))
    seven = tmp_path / "seven.jd"
    parameters = initial_parameters("clear", 7, "glorot", np.random.default_rng(0))
    save_checkpoint(Checkpoint(parameters, {"cnn": "clear"}), seven)
    with pytest.raises(CheckpointError, match="7 actions"):
        train(tiny(tmp_path, initial_model=str(seven)))
    with pytest.raises(SettingsError, match="holds a run with architecture = clear"):
        train(tiny(uninterrupted, architecture="impala"))


def test_a_time_limit_stops_the_run_and_saves(tmp_path):
    start = time.monotonic()
    model = train(tiny(tmp_path, n_total_steps=10**9), max_seconds=0.0)
    assert model.args["steps_done"] == 32
    assert saves.read_save(tmp_path)["n_steps_done"] == 32
    assert time.monotonic() > start


def test_the_model_may_have_averaged_parameters(tmp_path):
    config = tiny(tmp_path, averaged_updates=100)
    trainer = Trainer(config, first_parameters(config))
    trainer.update()
    average = trainer.learner.get_parameters(averaged=True)
    last = trainer.learner.get_parameters()
    for name, value in trainer.checkpoint().params.items():
        np.testing.assert_array_equal(value, average[name])
    assert not np.array_equal(average["ppo2_model/pi/w:0"], last["ppo2_model/pi/w:0"])
    trainer.close()


def test_learning_rate_falls_to_nothing_when_linear(tmp_path):
    settings = tiny(tmp_path, learning_rate_schedule="linear", learning_rate=1.0)
    rates = [settings.learning_rate_at(n) for n in (0, 48, 96, 200)]
    assert rates == [1.0, 0.5, 0.0, 0.0]


def test_other_games_and_architectures_train(tmp_path):
    game = GameSettings(name="bigfish", n_envs=2, distribution_mode="easy")
    model = train(
        tiny(tmp_path, game=game, architecture="nature", n_total_steps=16, n_groups=1)
    )
    assert model.architecture == "nature" and model.args["paint_vel_info"] is False

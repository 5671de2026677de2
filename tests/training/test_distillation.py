"""Policy distillation: what the student learns, and resumed runs."""

import dataclasses
import os
import signal

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lucid_rl.errors import CheckpointError, SettingsError, TrainingError
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training import distillation
from lucid_rl.training.config import DistillationConfig, TrainConfig
from lucid_rl.training.distillation import (
    LOG_NAME,
    SAVE_NAME,
    Distillation,
    ReplayBuffer,
    Teacher,
)
from lucid_rl.training.initialization import initial_parameters
from lucid_rl.training.logs import read_log
from lucid_rl.training.run import first_parameters, train
from lucid_rl.training.saves import MODEL_NAME, read_save
from tests.programs import run_forked
from tests.training import OPTIMIZER

TINY = TrainConfig(
    game=GameSettings(n_envs=8, seed=3),
    teacher="bundled",
    n_total_steps=0,
    optimizer=OPTIMIZER,
    initialization="he",
    n_threads=1,
    distillation=DistillationConfig(
        n_updates=60, minibatch_size=8, learning_rate=2e-3, buffer_size=256
    ),
)


def tiny(folder, **changes):
    return dataclasses.replace(TINY, output_dir=str(folder), **changes)


def kl_on(observations, teacher, student):
    """Mean KL(teacher || student), and the mean absolute gap of the values."""
    (a, a_values), (b, b_values) = (p.act(observations) for p in (teacher, student))
    a, b = (x - np.log(np.exp(x).sum(1, keepdims=True)) for x in (a, b))
    return (np.exp(a) * (a - b)).sum(1).mean(), np.abs(a_values - b_values).mean()


def test_the_student_comes_to_act_as_its_teacher(tmp_path):
    config = tiny(tmp_path, averaged_updates=20)
    distillation = Distillation(config, first_parameters(config))
    observations = distillation.environments.observe()[0]
    before, _ = kl_on(observations, distillation.teacher, distillation.student)
    record = distillation.learn(60)
    after, gap = kl_on(observations, distillation.teacher, distillation.student)
    assert after < 0.8 * before
    assert gap < 0.3  # of values between 0 and 1
    assert record["updates"] == 60 and record["frames"] >= 60 * 8 / 2
    assert record["student_kl"] > 0 and record["teacher_kl"] > 0
    args = distillation.checkpoint().args
    assert args["distillation_updates"] == 60
    assert args["lucid_rl"]["teacher"] == "bundled"
    distillation.close()


def test_a_stopped_run_resumes_where_it_was(tmp_path):
    config = tiny(tmp_path)
    train(config, max_seconds=0.0)
    save = read_save(tmp_path, SAVE_NAME)
    assert save["n_updates_done"] == 60  # the log's records are longer
    longer = dataclasses.replace(config.distillation, n_updates=300)
    train(dataclasses.replace(config, distillation=longer), max_seconds=0.0)
    log = read_log(tmp_path / LOG_NAME)
    assert [record["updates"] for record in log] == [60, 300]
    # Frames and updates keep their ratio, whatever filled the buffer again.
    for record in log:
        assert record["frames"] == pytest.approx(record["updates"] * 8 / 2, abs=8)


def test_a_run_that_diverges_stops_and_keeps_its_save(tmp_path):
    train(tiny(tmp_path))
    wild = dataclasses.replace(TINY.distillation, n_updates=80, learning_rate=1e38)
    with pytest.raises(TrainingError, match="diverged: after 80 updates"):
        train(tiny(tmp_path, distillation=wild))
    assert read_save(tmp_path, SAVE_NAME)["n_updates_done"] == 60
    longer = dataclasses.replace(wild, learning_rate=1e-3)
    assert train(tiny(tmp_path, distillation=longer)).args["distillation_updates"] == 80


def train_until_killed(folder, number):
    """To be run in a process of its own."""
    whole = Distillation.learn

    def learn(self, n_updates):
        if self.n_updates_done == 20:
            os.kill(os.getpid(), number)
        return whole(self, n_updates)

    distillation._RECORD_INTERVAL = 10
    Distillation.learn = learn
    train(tiny(folder, save_interval=1e-9))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_can_be_resumed(tmp_path, number):
    killed = run_forked(train_until_killed, tmp_path, number)
    assert killed.returncode != 0
    save = read_save(tmp_path, SAVE_NAME)
    assert save["n_updates_done"] == 20
    config = tiny(tmp_path)
    resumed = Distillation(config, first_parameters(config))
    for name, value in save["student"]["parameters"].items():
        np.testing.assert_array_equal(resumed.student.get_parameters()[name], value)
    resumed.run()
    resumed.close()
    updates = [record["updates"] for record in read_log(tmp_path / LOG_NAME)]
    assert updates == [10, 20, 60]
    assert load_checkpoint(tmp_path / MODEL_NAME).args["distillation_updates"] == 60
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".partial")]


def test_ppo_goes_on_from_the_student(tmp_path):
    settings = dataclasses.replace(TINY.distillation, n_updates=5, kickstart_steps=64)
    config = tiny(
        tmp_path,
        distillation=settings,
        n_total_steps=64,
        n_steps=8,
        n_minibatches=2,
        n_epochs=1,
        learning_rate=1e-9,
    )
    model = train(config)
    student = read_save(tmp_path, SAVE_NAME)["student"]["average"]
    for name, value in model.params.items():
        np.testing.assert_allclose(value, student[name], atol=1e-6)
    assert model.args["steps_done"] == 64


def test_values_are_in_the_students_scale(tmp_path):
    scales = []
    for scale in (0.1, 1.0):
        teacher = Teacher(tiny(tmp_path, reward_scale=scale))
        observations = np.zeros((2, 64, 64, 3), np.uint8)
        scales.append(teacher.act(observations)[1])
    # The bundled model was trained with rewards times 0.1.
    np.testing.assert_allclose(scales[1], 10 * scales[0], rtol=1e-5)


def test_a_temperature_below_1_sharpens_the_teachers_policy(tmp_path):
    observations = np.zeros((2, 64, 64, 3), np.uint8)
    config = tiny(tmp_path)
    distillation = dataclasses.replace(config.distillation, temperature=0.5)
    logits, values = Teacher(config).act(observations)
    sharp = dataclasses.replace(config, distillation=distillation)
    sharper = Teacher(sharp).act(observations)
    np.testing.assert_array_equal(sharper[0], 2 * logits)
    np.testing.assert_array_equal(sharper[1], values)


def test_a_buffer_holds_the_latest():
    buffer = ReplayBuffer(4)
    for k in range(3):
        buffer.add(number=np.arange(3 * k, 3 * k + 3))
    assert len(buffer) == 4 and buffer.n_added == 9
    drawn = buffer.draw(200, np.random.default_rng(0))["number"]
    assert set(drawn) == {5, 6, 7, 8}


def test_what_does_not_fit_is_refused(tmp_path):
    seven = tmp_path / "seven.jd"
    parameters = initial_parameters("clear", 7, "glorot", np.random.default_rng(0))
    save_checkpoint(Checkpoint(parameters, {"cnn": "clear"}), seven)
    with pytest.raises(CheckpointError, match="7 actions, but coinrun has 15"):
        train(tiny(tmp_path / "run", teacher=str(seven)))
    maze = dataclasses.replace(TINY.game, name="maze")
    with pytest.raises(
        SettingsError, match=r"name = coinrun, .* has maze.*--game=coin"
    ):
        Teacher(tiny(tmp_path / "run", game=maze))
    with pytest.raises(SettingsError, match=r"paint_vel_info = False.*--nopaint_vel"):
        Teacher(tiny(tmp_path / "run", teacher="bundled:distilled"))
    unpainted = dataclasses.replace(TINY.game, paint_vel_info=False)
    Teacher(tiny(tmp_path / "run", teacher="bundled:distilled", game=unpainted))
    with pytest.raises(SettingsError, match=r"student_fraction=1\.5"):
        DistillationConfig(student_fraction=1.5)
    with pytest.raises(SettingsError, match="n_total_steps=0"):
        TrainConfig(n_total_steps=0)

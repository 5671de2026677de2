"""Data-parallel training on local Ray workers."""

import dataclasses
import os
import signal

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.training.logs import LOG_NAME, read_log
from lucid_rl.training.run import first_parameters, train
from lucid_rl.training.saves import MODEL_NAME
from tests.training.test_ppo import tiny

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray", reason="an optional extra")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one_process")
    train(tiny(folder))
    return folder


def assert_close_run(folder, one_process):
    # The same draws, so the same play, until rounding decides otherwise.
    ours, theirs = (read_log(f / LOG_NAME) for f in (folder, one_process))
    assert [r["steps"] for r in ours] == [r["steps"] for r in theirs]
    for a, b in zip(ours, theirs, strict=True):
        for name in ("policy_loss", "value_loss", "entropy", "gradient_norm"):
            assert a[name] == pytest.approx(b[name], rel=1e-3, abs=1e-5)
    ours, theirs = (load_checkpoint(f / MODEL_NAME) for f in (folder, one_process))
    for name, value in theirs.params.items():
        # Adam divides by the gradient's size, so its smallest entries are noisy.
        gap = np.abs(value - ours.params[name])
        assert np.mean(gap) < 2e-5 and np.max(gap) < 3e-3, name


def test_two_workers_equal_one_process(one_process, tmp_path):
    train(dataclasses.replace(tiny(tmp_path), distributed=True))
    assert_close_run(tmp_path, one_process)


def test_a_lost_worker_is_replaced(one_process, tmp_path):
    from lucid_rl.training.ray_trainer import RayTrainer

    config = dataclasses.replace(tiny(tmp_path), distributed=True)
    trainer = RayTrainer(config, first_parameters(config))
    whole_update = trainer.update

    def update():
        if trainer.n_steps_done == 32:
            pid = ray.get(
                trainer._workers[1].__ray_call__.remote(lambda worker: os.getpid())
            )
            os.kill(pid, signal.SIGKILL)
        return whole_update()

    trainer.update = update
    trainer.run()
    trainer.close()
    assert_close_run(tmp_path, one_process)

"""Work that is killed at random instants ends, when repeated, as if it had not been."""

import dataclasses
import json
import os
import pathlib
import pickle
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.evaluation.episodes import read_episodes
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.experiments.comparison_settings import ComparisonSettings
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interface import read_bundle
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.logs import read_log
from tests.interface.conftest import own_samples, small_settings  # noqa: F401

_N_KILLS = 20
_PATIENCE_S = 60

EVALUATION = EvaluationSettings(24, GameSettings(n_envs=4, distribution_mode="easy"))
COMPARISON = ComparisonSettings(
    n_levels=8,
    rows=("original_invisible_buzzsaws", "original_invisible_enemies"),
    layers=("3a",),
    nmf=NMFSettings(n_features=2),
    n_observations=64,
    game=GameSettings(n_envs=4, distribution_mode="easy"),
)
TRAINING = TrainConfig(
    game=GameSettings(n_envs=4, seed=3, distribution_mode="easy"),
    n_total_steps=480,
    n_steps=8,
    n_minibatches=2,
    n_epochs=1,
    n_threads=1,
    save_interval=1e-9,
)


def work(name: str, folder: str) -> None:
    """What is killed; runs in a process of its own."""
    import tensorflow  # noqa: F401 - not to be most of what is killed

    import lucid_rl.evaluation.evaluation as evaluation
    from lucid_rl.experiments.article_experiments import repeat_experiments
    from lucid_rl.interface import make_interface
    from lucid_rl.training.run import train

    print("ready", flush=True)
    evaluation._SAVE_EVERY_S = 0
    path = pathlib.Path(folder)
    if name == "evaluation":
        evaluation.evaluate(
            "bundled", settings=EVALUATION, path=path / "episodes.npz", n_workers=2
        )
    elif name == "comparison":
        repeat_experiments("bundled", COMPARISON, path)
    elif name == "training":
        train(dataclasses.replace(TRAINING, output_dir=folder))
    else:
        settings = pickle.loads((path / "settings").read_bytes())
        make_interface(settings)


class _Run:
    """`work` in a process group of its own."""

    def __init__(self, name, folder):
        code = "import sys; from tests.test_kills import work; work(*sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, name, str(folder)],
            cwd=pathlib.Path(__file__).parents[1],
            env={**os.environ, "LUCID_RL_KILL_TEST": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"
        self.start = time.monotonic()

    def seconds(self):
        """Waits for the end; how long it took."""
        self.process.communicate()
        assert self.process.returncode == 0
        return time.monotonic() - self.start

    def kill_after(self, seconds):
        """Whether it was still at work."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.communicate()
        return self.process.returncode == -signal.SIGKILL


def _processes_of(folder):
    """Processes that were started for the work in a folder."""
    mark = f"LUCID_RL_KILL_TEST={folder}".encode()
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def assert_no_process(folder):
    for _ in range(10 * _PATIENCE_S):
        if not _processes_of(folder):
            return
        time.sleep(0.1)
    raise AssertionError(f"still running: {_processes_of(folder)}")


def _prepare(name, folder, page_settings):
    folder.mkdir()
    if name == "page":
        settings = dataclasses.replace(
            page_settings, output_dir=folder / "page", title="a page", cache_dir=None
        )
        (folder / "settings").write_bytes(pickle.dumps(settings))


def _results(name, folder):
    """What must not depend on kills."""
    if name == "evaluation":
        episodes, header = read_episodes(folder / "episodes.npz")
        return header, [{**vars(e), "actions": e.actions.tolist()} for e in episodes]
    if name == "comparison":
        return json.loads((folder / "comparison.json").read_text())
    if name == "page":
        bundle = read_bundle(folder / "page")
        part = bundle.part("model/4a")
        manifest = {**bundle.manifest, "created_with": None}
        return manifest, part.meta, part.entries, part.data
    checkpoint = load_checkpoint(folder / "model.jd")
    log = read_log(folder / "log.jsonl")
    kept = ("steps", "episodes", "policy_loss", "value_loss", "entropy")
    return (
        {name: array.tobytes() for name, array in checkpoint.params.items()},
        [{key: record[key] for key in kept} for record in log],
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["evaluation", "comparison", "page", "training"])
def test_kills_at_random_instants(name, tmp_path, small_settings):  # noqa: F811
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        _prepare(name, folder, small_settings)
    seconds = _Run(name, whole).seconds()
    rng = random.Random(0)
    n_killed = 0
    for _ in range(_N_KILLS):
        # Work goes on where it was: half of the time is enough to end it soon.
        n_killed += _Run(name, killed).kill_after(rng.uniform(0, seconds / 4))
        assert_no_process(killed)
    assert n_killed > _N_KILLS / 4
    _Run(name, killed).seconds()
    assert_no_process(killed)
    np.testing.assert_equal(_results(name, killed), _results(name, whole))
    left = [p for p in killed.rglob("*") if p.name.endswith(".partial")]
    assert left == []

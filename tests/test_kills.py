"""Work that is killed at random instants ends, when repeated, as if it had not been."""

import contextlib
import dataclasses
import json
import os
import pathlib
import pickle
import random
import select
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from lucid_rl.evaluation import evaluation
from lucid_rl.evaluation.episodes import read_episodes
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.experiments.article_experiments import repeat_experiments
from lucid_rl.experiments.comparison_settings import ComparisonSettings
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interface import make_interface, read_bundle
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.logs import read_log
from lucid_rl.training.run import train
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


def _work(name: str, path: pathlib.Path) -> None:
    """What is killed."""
    evaluation._SAVE_EVERY_S = 0
    if name == "evaluation":
        evaluation.evaluate(
            "bundled", settings=EVALUATION, path=path / "episodes.npz", n_workers=2
        )
    elif name == "comparison":
        repeat_experiments("bundled", COMPARISON, path)
    elif name == "training":
        train(dataclasses.replace(TRAINING, output_dir=str(path)))
    else:
        make_interface(pickle.loads((path / "settings").read_bytes()))


def serve() -> None:
    """Starts work in forks of this process, which has imported all that it needs.

    Reads a kind of work and its folder from each line; writes the fork's process
    number and, when it ends, its exit code.
    """
    import tensorflow  # noqa: F401 - imported once, not in each fork

    print("ready", flush=True)
    for line in sys.stdin:
        name, folder = line.rstrip("\n").split(" ", 1)
        pid = os.fork()
        if not pid:
            os.setsid()
            os.dup2(2, 1)
            code = 1
            try:
                _work(name, pathlib.Path(folder))
                code = 0
            finally:
                os._exit(code)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


@pytest.fixture(scope="module")
def server():
    """A process that runs `serve`."""
    code = "from tests.test_kills import serve; serve()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=pathlib.Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,  # `select` sees what is not read yet
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.stdin.close()


class _Run:
    """Work in a session of its own."""

    def __init__(self, server, name, folder):
        server.stdin.write(f"{name} {folder}\n".encode())
        self.pid = int(server.stdout.readline())
        self._server = server
        self._start = time.monotonic()

    def seconds(self):
        """Waits for the end; how long it took."""
        assert self._exit_code() == 0
        return time.monotonic() - self._start

    def kill_after(self, seconds):
        """Whether it was still at work."""
        if not select.select([self._server.stdout], [], [], seconds)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        return self._exit_code() == -signal.SIGKILL

    def assert_no_process(self):
        """Waits until nothing that the work started is running."""
        for _ in range(10 * _PATIENCE_S):
            if not _session(self.pid):
                return
            time.sleep(0.1)
        raise AssertionError(f"still running: {_session(self.pid)}")

    def _exit_code(self):
        return int(self._server.stdout.readline())


def _session(leader):
    """Processes of a session."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
    return found


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
def test_kills_at_random_instants(name, server, tmp_path, small_settings):  # noqa: F811
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        _prepare(name, folder, small_settings)
    seconds = _Run(server, name, whole).seconds()
    rng = random.Random(0)
    n_killed = 0
    for _ in range(_N_KILLS):
        # Work goes on where it was: a part of the time is enough to end it soon.
        run = _Run(server, name, killed)
        n_killed += run.kill_after(rng.uniform(0, seconds / 4))
        run.assert_no_process()
    assert n_killed > _N_KILLS / 4
    run = _Run(server, name, killed)
    run.seconds()
    run.assert_no_process()
    np.testing.assert_equal(_results(name, killed), _results(name, whole))
    left = [p for p in killed.rglob("*") if p.name.endswith(".partial")]
    assert left == []

"""Names that no file can have end in the package's errors, from Python as well."""

import ast
import os
import pathlib

import numpy as np
import pytest

import lucid_rl
import scripts
from lucid_rl.checkpoints.released import fetch_released
from lucid_rl.errors import LucidRLError
from lucid_rl.evaluation.evaluation import evaluate, read_evaluation
from lucid_rl.evaluation.many import film_episodes
from lucid_rl.evaluation.replay import write_film
from lucid_rl.evaluation.what_if_page import add_to_page
from lucid_rl.experiments.article_experiments import repeat_experiments
from lucid_rl.experiments.blind_scoring import make_blind_page, read_key
from lucid_rl.experiments.comparison_settings import ComparisonSettings
from lucid_rl.experiments.sweep import SweepSettings, sweep
from lucid_rl.files import write_json
from lucid_rl.games.coinrun_original_files import engine_files, use_engine_files
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interface import InterfaceSettings, make_interface
from lucid_rl.interface.make_page import make_page
from lucid_rl.interface.page import write_page
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.loading import load
from lucid_rl.sampling.recorded import load_samples
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.curve import write_curve
from lucid_rl.training.run import train

# pathlib's raise for what os.path's call absent: names too long, links that loop.
_RAISING = {"exists", "is_file", "is_dir", "is_symlink", "stat", "lstat", "resolve"}


def test_questions_about_paths_are_asked_of_os_path():
    found = []
    for package in (lucid_rl, scripts):
        for path in pathlib.Path(package.__path__[0]).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(func=ast.Attribute(value=owner, attr=name)) if (
                        name in _RAISING and ast.unparse(owner) not in ("os", "os.path")
                    ):
                        found.append(f"{path}:{node.lineno}: .{name}()")
    assert found == []


def _engine(path):
    use_engine_files(path, path)
    engine_files()


_READERS = {
    "load": load,
    "load_samples": load_samples,
    "NMF.load": NMF.load,
    "read_evaluation": read_evaluation,
    "film_episodes": lambda path: list(film_episodes(path, [0])),
    "add_to_page": lambda path: add_to_page(path, []),
    "read_key": read_key,
    "write_curve": lambda path: write_curve(path, "curve.csv"),
    "names": lambda path: make_interface(InterfaceSettings(names=path)),
    "initial_model": lambda path: train(TrainConfig(initial_model=path)),
    "teacher": lambda path: train(TrainConfig(teacher=path)),
    "engine_files": _engine,
    "cache_dir": lambda path: fetch_released("procgen/coinrun", cache_dir=path),
}
_WRITERS = {
    "Model.save": lambda model, path: model.save(path),
    "NMF.save": lambda model, path: NMF.from_directions(np.eye(2)).save(path),
    "write_json": lambda model, path: write_json(path, []),
    "write_film": lambda model, path: write_film([np.zeros((9, 9, 3), "u1")], path),
    "write_page": lambda model, path: write_page([], path),
    "make_page": make_page,
    "cache_dir": lambda model, path: make_interface(
        InterfaceSettings(cache_dir=path), model=model
    ),
    "evaluate": lambda model, path: evaluate(
        model, 1, game=GameSettings(), path=pathlib.Path(path, "episodes.npz")
    ),
    "comparison": lambda model, path: repeat_experiments(
        model, ComparisonSettings(), path
    ),
    "blind page": lambda model, path: make_blind_page({"a": model}, path),
    "sweep": lambda model, path: sweep(SweepSettings(), path),
    "train": lambda model, path: train(TrainConfig(output_dir=path)),
}
_BAD = ["n" * 300, "n" * 300 + "/x", "d/" * 3000, "a\0b", "\ud800", "loop/x", "file/x"]


@pytest.fixture(params=_BAD, ids=lambda name: ascii(name)[:12])
def bad(request, tmp_path, monkeypatch):
    """A name that no file can have, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LUCID_RL_CACHE", raising=False)
    (tmp_path / "file").write_text("a file")
    (tmp_path / "loop").symlink_to("loop")
    return request.param if "\0" in request.param else str(tmp_path / request.param)


@pytest.mark.parametrize("name", _READERS)
def test_readers_refuse_them(name, bad, tmp_path, monkeypatch):
    for variable in ("LUCID_RL_COINRUN_LIBRARY", "LUCID_RL_COINRUN_ASSETS"):
        monkeypatch.setenv(variable, "none")
    monkeypatch.setenv("LUCID_RL_RELEASED_URL", "http://127.0.0.1:9")
    with pytest.raises(LucidRLError):
        _READERS[name](bad)
    assert sorted(os.listdir(tmp_path)) == ["file", "loop"]


@pytest.mark.parametrize("name", _WRITERS)
def test_writers_refuse_them_before_any_work(name, bad, tmp_path, model_a):
    with pytest.raises(LucidRLError):
        _WRITERS[name](model_a, bad)
    assert sorted(os.listdir(tmp_path)) == ["file", "loop"]

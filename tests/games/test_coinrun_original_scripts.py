"""The programs on the test's own engine, as they are used on Procgen."""

import pathlib
import re

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from lucid_rl.checkpoints.jd_format import write_jd
from lucid_rl.evaluation.evaluation import read_evaluation
from lucid_rl.interface import read_bundle
from lucid_rl.model.loading import load
from lucid_rl.training.initialization import initial_parameters
from tests.games.original_engine import compile_engine, make_assets
from tests.programs import run_script

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """The flags that name the engine."""
    folder = tmp_path_factory.mktemp("engine")
    pictures = make_assets(folder / "assets")
    return [
        f"--coinrun_library={compile_engine(folder)}",
        f"--coinrun_assets={pictures}",
    ]


@pytest.fixture(scope="module")
def nine(tmp_path_factory):
    """A checkpoint as the article's: nine logits, made for the original game."""
    path = tmp_path_factory.mktemp("model") / "nine.jd"
    params = initial_parameters("clear", 9, "glorot", np.random.default_rng(0))
    save_checkpoint(Checkpoint(params, {"env_name": "coinrun_old"}), path)
    return path


def run(script, *arguments):
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = run_script(script, *arguments, environment=quiet)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_is_evaluated_and_its_episodes_are_filmed(engine, nine, tmp_path):
    output = f"--output_dir={tmp_path}"
    sizes = ["--n_episodes=12", "--n_envs=4", "--invisible=buzzsaw"]
    printed = run("evaluate", f"--model={nine}", output, *sizes, *engine)
    assert "plays coinrun_original" in printed and "12 " in printed
    assert re.search(r"^causes +not known on this engine$", printed, re.MULTILINE)
    evaluation = read_evaluation(tmp_path / "episodes.npz")
    assert evaluation.settings.game.name == "coinrun_original"
    assert evaluation.settings.game.n_actions == 9
    assert len({episode.level_seed for episode in evaluation.episodes}) == 12
    # The first and a later episode of an environment are played again exactly.
    printed = run("evaluate", output, "--replay=0,4,8", *engine)
    assert printed.count("replays/episode_") == 3


def test_a_page_is_made(engine, nine, tmp_path):
    page = tmp_path / "page"
    sizes = ["--quick", "--layers=2b", f"--output_dir={page}"]
    run("make_interface", f"--model={nine}", *sizes, *engine)
    manifest = read_bundle(page).manifest
    assert manifest["environment"]["name"] == "coinrun_original"


def test_moments_are_found(engine, nine, tmp_path):
    sizes = ["--n_episodes=8", "--n_observations=32", "--n_features=2", "--layers=2b"]
    printed = run(
        "find_moments", f"--model={nine}", f"--output_dir={tmp_path}", *sizes, *engine
    )
    page = pathlib.Path(printed.splitlines()[-1])
    assert page.is_file()
    manifest = read_bundle(page.parent).manifest
    assert manifest["environment"]["name"] == "coinrun_original"


def test_companions_are_compared(engine, nine, tmp_path):
    original = load_checkpoint(nine)
    blind = tmp_path / "blind.jd"
    load(original).without(np.eye(32)[5], "2b").save(blind)
    frames = np.random.default_rng(1).integers(0, 256, (8, 64, 64, 3), np.uint8)
    beside = nine.parent / "rl-clarity" / "nine.observations.jd"
    beside.parent.mkdir(exist_ok=True)
    write_jd({"observations": frames}, beside)
    output = tmp_path / "out"
    models = [f"--model={nine}", f"--companions=buzzsaw_blind={blind}"]
    sizes = ["--n_levels=4", f"--output_dir={output}"]
    printed = run("compare_companions", *models, *sizes, *engine)
    assert "closest to channel 5 (cosine 1.000)" in printed
    assert "| **buzzsaw blind** | 4 |" in printed
    assert "not known on this engine" in (output / "companions.md").read_text()


def test_the_articles_experiments_are_repeated(engine, nine, tmp_path):
    sizes = [f"--output_dir={tmp_path}", "--n_observations=128", "--n_features=2"]
    few = [f"--model={nine}", "--layers=2b", *sizes, *engine]
    printed = run("compare_to_article", *few, "--features_only")
    assert printed.splitlines()[-1] == str(tmp_path / "features_2b.html")
    rows = ["--rows=buzzsaw_blind,original_invisible_buzzsaws"]
    removed = "--remove=buzzsaw_blind=2b/1"
    printed = run("compare_to_article", *few, *rows, removed, "--n_levels=4")
    assert "feature 1 given by hand for buzzsaw" in printed
    assert "not known on this engine" in (tmp_path / "comparison.md").read_text()


def test_a_model_is_trained(engine, tmp_path):
    sizes = ["--n_envs=4", "--n_steps=8", "--n_minibatches=2", "--n_total_steps=64"]
    names = ["--game=coinrun_original", f"--output_dir={tmp_path}"]
    run("train", *names, *sizes, "--n_epochs=1", *engine)
    model = load_checkpoint(tmp_path / "model.jd")
    assert model.n_actions == 7 and model.args["env_name"] == "coinrun_original"
    # It goes on from its save, although the game's state cannot be saved.
    run("train", *names, *sizes[:-1], "--n_total_steps=96", "--n_epochs=1", *engine)
    assert load_checkpoint(tmp_path / "model.jd").args["steps_done"] == 96

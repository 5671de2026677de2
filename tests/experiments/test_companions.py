import json

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import save_checkpoint
from lucid_rl.checkpoints.jd_format import write_jd
from lucid_rl.experiments.companions import CompanionSettings, compare_companions
from lucid_rl.games.coinrun_original_files import ASSETS_VARIABLE, LIBRARY_VARIABLE
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.model.loading import load
from tests.games.original_engine import compile_engine, make_assets, use_engine

_SETTINGS = CompanionSettings(n_levels=6, n_observations=8, nmf=NMFSettings(3))


@pytest.fixture
def models(checkpoint_a, golden, tmp_path):
    """A model with nine actions in the article's layout, and two edited versions."""
    heads = {
        name: checkpoint_a.params[name][..., :9]
        for name in ("ppo2_model/pi/w:0", "ppo2_model/pi/b:0")
    }
    params = {**checkpoint_a.params, **heads}
    original = checkpoint_a.__class__(params, {"env_name": "coinrun_old"})
    paths = {"original": tmp_path / "coinrun.jd"}
    save_checkpoint(original, paths["original"])
    beside = tmp_path / "rl-clarity" / "coinrun.observations.jd"
    beside.parent.mkdir()
    write_jd({"observations": golden["obs_u8"][:8]}, beside)
    for name, channel in (("buzzsaw_blind", 4), ("enemy_moving_left_blind", 11)):
        paths[name] = tmp_path / f"{name}.jd"
        load(original).without(np.eye(32)[channel], "2b").save(paths[name])
    return paths


def _compare(models, folder):
    companions = {name: path for name, path in models.items() if name != "original"}
    return compare_companions(models["original"], companions, _SETTINGS, folder)


def test_weights_are_compared_without_any_game(models, tmp_path, monkeypatch):
    monkeypatch.delenv(LIBRARY_VARIABLE, raising=False)
    monkeypatch.delenv(ASSETS_VARIABLE, raising=False)
    results = _compare(models, tmp_path / "out")
    assert results.found["buzzsaw_blind"].channel == 4
    assert results.found["enemy_moving_left_blind"].channel == 11
    assert len(results.matched["buzzsaw_blind"].cosines) == 3
    text = (tmp_path / "out" / "companions.md").read_text()
    assert "closest to channel 11 (cosine 1.000)" in text
    assert "No levels were played: coinrun_original needs the engine's library" in text


def test_all_play_the_original_game_where_it_is_there(models, tmp_path, monkeypatch):
    use_engine(monkeypatch, compile_engine(tmp_path), make_assets(tmp_path / "assets"))
    game = GameSettings(name="coinrun_original", n_actions=9, n_envs=3)
    folder = tmp_path / "out"
    results = compare_companions(
        models["original"],
        {"buzzsaw_blind": models["buzzsaw_blind"]},
        _SETTINGS,
        folder,
        game,
    )
    assert list(results.evaluations) == [
        "original",
        "buzzsaw_blind",
        "original_invisible_buzzsaws",
    ]
    assert len(results.evaluations["buzzsaw_blind"].episodes) == 6
    kept = json.loads((folder / "companions.json").read_text())
    played = kept["played"]["original"]
    assert played["causes"] == "not known on this engine"
    assert played["engine"].startswith("coinrun_original ")
    table = results.markdown().splitlines()
    rows = [line for line in table if line.startswith("| ")]
    assert rows[1].endswith("| not known on this engine |")
    # 0.37 + 0.16 + 0.12 + 0.08 percent of 10,000 levels.
    assert rows[2].startswith("| the article's | 10,000 | 0.73%")

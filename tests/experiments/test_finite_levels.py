import json

import numpy as np
import pytest
from PIL import Image

from lucid_rl.checkpoints.checkpoint import save_checkpoint
from lucid_rl.checkpoints.jd_format import write_jd
from lucid_rl.errors import DownloadError, SettingsError
from lucid_rl.experiments import finite_levels
from lucid_rl.experiments.finite_levels import (
    FiniteLevelsSettings,
    ModelMeasures,
    measure_finite_levels,
    report,
)
from lucid_rl.interpret.nmf import NMFSettings
from tests.checkpoints.released_server import serving

_SETTINGS = FiniteLevelsSettings(
    n_train_levels=(100, 100_000),
    n_observations=12,
    n_sparsity=4,
    nmf=NMFSettings(n_features=3),
)


@pytest.fixture
def server(checkpoint_a, golden, monkeypatch, tmp_path):
    """A server with made-up models: different heads, the same observations."""
    contents = {}
    for run, n in _SETTINGS.models:
        head = checkpoint_a.params["ppo2_model/vf/w:0"]
        changed = head * np.random.default_rng([run, n]).normal(size=head.shape)
        path = tmp_path / "made_up.jd"
        save_checkpoint(
            checkpoint_a.replace_params({"ppo2_model/vf/w:0": changed}), path
        )
        folder = f"finite_levels/run_{run}"
        contents[f"{folder}/coinrun_{n}.jd"] = path.read_bytes()
        write_jd({"observations": golden["obs_u8"][:16]}, path)
        name = f"{folder}/rl-clarity/coinrun_{n}.observations.jd"
        contents[name] = path.read_bytes()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("LUCID_RL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lucid_rl.checkpoints.downloads._WAIT_SECONDS", 0)
    with serving(contents) as running:
        monkeypatch.setenv("LUCID_RL_RELEASED_URL", running.url)
        yield running


def test_models_are_fetched_measured_and_drawn(server, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    rows = measure_finite_levels(_SETTINGS, folder)
    assert [(row.run, row.n_train_levels) for row in rows] == [
        (1, 100),
        (2, 100),
        (1, 100_000),
        (2, 100_000),
    ]
    # The article's 52.5 and 8.75; 91.25 and 70.
    assert [row.interpretable for row in rows[::2]] == [30.625, 80.625]
    for row in rows:
        for measure in finite_levels.MEASURES:
            assert 0 < getattr(row, measure) <= 1
    # Different models, different figures.
    assert len({row.sparsity for row in rows}) == 4
    kept = json.loads((folder / "finite_levels.json").read_text())
    assert len(kept["models"]) == 4 and kept["settings"]["n_observations"] == 12
    assert "| 100,000 | 2 |" in (folder / "finite_levels.md").read_text()
    assert Image.open(folder / "finite_levels.png").width == 1430
    # Nothing is measured twice, but for other settings.
    monkeypatch.setattr(finite_levels, "measure_model", None)
    assert measure_finite_levels(_SETTINGS, folder) == rows
    with pytest.raises(TypeError):
        other = FiniteLevelsSettings(n_train_levels=(100,), n_observations=10)
        measure_finite_levels(other, folder)


def test_a_model_that_is_missing_keeps_those_before_it(server, tmp_path):
    del server.contents["finite_levels/run_2/coinrun_100.jd"]
    with pytest.raises(DownloadError, match="run_2/coinrun_100"):
        measure_finite_levels(_SETTINGS, tmp_path)
    kept = json.loads((tmp_path / "finite_levels_parts.json").read_text())
    assert list(kept) == ["finite_levels/run_1/coinrun_100"]
    assert "| 100 | 1 |" in (tmp_path / "finite_levels.md").read_text()
    assert (tmp_path / "finite_levels.png").is_file()


def test_the_report_says_how_figures_go_with_the_articles():
    rows = [
        ModelMeasures(
            *(1, n),
            consistency=n,
            background=n,
            sparsity=-n,
            one_hotness=1 / n,
            interpretable=n,
        )
        for n in (100, 300, 1000)
    ]
    text = report(rows)
    assert "missing" in text  # the parts of the score that need states
    assert "- consistency: 1.00" in text and "- sparsity: -1.00" in text


@pytest.mark.parametrize(
    "changes",
    [{"runs": (3,)}, {"n_train_levels": (5,)}, {"n_observations": 1}, {"runs": ()}],
    ids=str,
)
def test_settings_that_name_no_models(changes):
    with pytest.raises(SettingsError, match=next(iter(changes))):
        FiniteLevelsSettings(**changes)

"""The whole comparison, very small, on the bundled model: interrupted, it goes on."""

import json

import pytest

from lucid_rl import bundled_checkpoint_path, load_checkpoint
from lucid_rl.editing.edit import EDITS_ARG
from lucid_rl.errors import ModelError, SettingsError
from lucid_rl.evaluation import article_experiments, comparison, feature_search
from lucid_rl.evaluation.article_experiments import repeat_experiments
from lucid_rl.evaluation.comparison_settings import ComparisonSettings
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.sampling.observations import ObservationSettings

TINY = ComparisonSettings(
    n_levels=3,
    rows=("buzzsaw_blind", "original_invisible_buzzsaws"),
    layers=("3a",),
    nmf=NMFSettings(n_features=2),
    sampling=ObservationSettings(n_envs=16, n_per_env=2, interval=8),
    game=GameSettings(n_envs=4),
)


def test_an_interrupted_comparison_goes_on(tmp_path, monkeypatch):
    model = load_checkpoint(bundled_checkpoint_path())
    evaluate = article_experiments.evaluate

    def interrupted(agent, settings, path):
        if path.stem == "original_invisible_buzzsaws":
            raise KeyboardInterrupt
        return evaluate(agent, settings, path)

    monkeypatch.setattr(article_experiments, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        repeat_experiments(model, TINY, tmp_path)
    assert not (tmp_path / "comparison.json").exists()
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def again(*_, **__):
        raise AssertionError("features are sought again")

    monkeypatch.setattr(article_experiments, "evaluate", evaluate)
    monkeypatch.setattr(feature_search, "sample_labelled_observations", again)
    results = repeat_experiments(model, TINY, tmp_path)
    for name, content in kept.items():
        if name.endswith(".npz"):
            assert (tmp_path / name).read_bytes() == content, name

    [record] = load_checkpoint(tmp_path / "buzzsaw_blind.jd").args[EDITS_ARG]
    chosen = results.search.removed["buzzsaw_blind"].choice
    assert record["object"] == "buzzsaw" and record["layer"] == "3a"
    assert record["features"] == list(chosen.features)
    seeds = {
        row: [episode.level_seed for episode in evaluation.episodes]
        for row, evaluation in results.evaluations.items()
    }
    assert seeds["original"] == seeds["buzzsaw_blind"]
    assert seeds["original"] == seeds["original_invisible_buzzsaws"]
    written = json.loads((tmp_path / "comparison.json").read_text())
    assert written == json.loads(json.dumps(results.as_dict()))
    report = (tmp_path / "comparison.md").read_text()
    assert report == comparison.report(written)
    assert "enemy moving left blind" not in report

    # Other features are sought anew.
    with pytest.raises(AssertionError, match="sought again"):
        other = ComparisonSettings(**{**vars(TINY), "nmf": NMFSettings(n_features=3)})
        repeat_experiments(model, other, tmp_path)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"n_levels": 0}, "n_levels=0"),
        ({"rows": ("moon_blind",)}, "unknown row 'moon_blind'"),
        ({"layers": ()}, "no layers given"),
        ({"game": GameSettings(name="maze")}, "on coinrun; got the game 'maze'"),
    ],
)
def test_bad_settings(changes, words):
    with pytest.raises(SettingsError, match=words):
        ComparisonSettings(**changes)


def test_an_unknown_layer_shows_before_anything_is_played(
    tmp_path, checkpoint_a, monkeypatch
):
    monkeypatch.setattr(feature_search, "sample_labelled_observations", None)
    with pytest.raises(ModelError, match="9z"):
        repeat_experiments(checkpoint_a, ComparisonSettings(layers=("9z",)), tmp_path)

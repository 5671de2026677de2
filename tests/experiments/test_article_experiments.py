"""The whole comparison, very small: on the bundled model, and on the original game."""

import dataclasses
import json

import numpy as np
import pytest

from lucid_rl import bundled_checkpoint_path, load_checkpoint
from lucid_rl.checkpoints.checkpoint import Checkpoint
from lucid_rl.errors import ModelError, SettingsError
from lucid_rl.evaluation.settings import NOT_KNOWN
from lucid_rl.experiments import article_experiments, comparison, feature_search
from lucid_rl.experiments.article_experiments import repeat_experiments
from lucid_rl.experiments.comparison_settings import ComparisonSettings, GivenFeatures
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import EDITS_ARG
from lucid_rl.training.initialization import initial_parameters
from tests.games.original_engine import compile_engine, make_assets, use_engine

TINY = ComparisonSettings(
    n_levels=3,
    rows=("buzzsaw_blind", "original_invisible_buzzsaws"),
    layers=("3a",),
    nmf=NMFSettings(n_features=2),
    n_observations=64,
    game=GameSettings(n_envs=4),
)


def test_an_interrupted_comparison_goes_on(tmp_path, monkeypatch):
    model = load_checkpoint(bundled_checkpoint_path())
    evaluate = article_experiments.evaluate

    def interrupted(agent, settings, path):
        if path.stem == "original_invisible_buzzsaws":
            raise KeyboardInterrupt
        return evaluate(agent, settings=settings, path=path)

    monkeypatch.setattr(article_experiments, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        repeat_experiments(model, TINY, tmp_path)
    assert not (tmp_path / "comparison.json").exists()
    kept = {p.name: p.read_bytes() for p in (tmp_path / "episodes").glob("*.npz")}

    def again(*_, **__):
        raise AssertionError("features are sought again")

    monkeypatch.setattr(article_experiments, "evaluate", evaluate)
    monkeypatch.setattr(feature_search, "sample_labelled_observations", again)
    results = repeat_experiments(model, TINY, tmp_path)
    for name, content in kept.items():
        assert (tmp_path / "episodes" / name).read_bytes() == content, name

    [record] = load_checkpoint(tmp_path / "buzzsaw_blind.jd").args[EDITS_ARG]
    chosen = results.search.removed["buzzsaw_blind"]
    assert record["object"] == "buzzsaw" and record["layer"] == "3a"
    assert record["features"] == list(chosen.features)
    seeds = {
        row: [episode.level_seed for episode in evaluation.episodes]
        for row, evaluation in results.evaluations.items()
    }
    assert seeds["original"] == seeds["buzzsaw_blind"]
    assert seeds["original"] == seeds["original_invisible_buzzsaws"]
    written = json.loads((tmp_path / "comparison.json").read_text())
    assert written.pop("command")
    assert written == json.loads(json.dumps(results.as_dict()))
    report = (tmp_path / "comparison.md").read_text()
    assert report.endswith(f"`\n\n{comparison.report(written)}")
    assert "enemy moving left blind" not in report

    # Other features are sought anew.
    with pytest.raises(AssertionError, match="sought again"):
        other = ComparisonSettings(**{**vars(TINY), "nmf": NMFSettings(n_features=3)})
        repeat_experiments(model, other, tmp_path)


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """The test's own engine in the place of the original one; its log of calls."""
    use_engine(monkeypatch, compile_engine(tmp_path), make_assets(tmp_path / "assets"))
    log = tmp_path / "calls.txt"
    monkeypatch.setenv("FAKE_COINRUN_LOG", str(log))
    return log


@pytest.fixture
def nine():
    """A model as the article's: nine logits."""
    params = initial_parameters("clear", 9, "glorot", np.random.default_rng(0))
    return Checkpoint(params, {"env_name": "coinrun_old"})


ORIGINAL = dataclasses.replace(
    TINY,
    n_levels=4,
    rows=("buzzsaw_blind", "original_invisible_buzzsaws"),
    remove={"buzzsaw_blind": GivenFeatures("3a", (1, 0))},
    game=GameSettings(name="coinrun_original", n_actions=9),
)


def test_features_given_by_hand_on_the_original_game(
    engine, nine, tmp_path, monkeypatch
):
    folder = tmp_path / "out"
    # First the features alone, to look at.
    looked = dataclasses.replace(ORIGINAL, rows=(), remove={})
    results = ResultsFolder(folder, "comparison")
    assert feature_search.search_features(load(nine), looked, results).removed == {}
    page = (folder / "features_3a.html").read_text()
    assert "feature 0" in page and "feature 1" in page and "data:image/png" in page
    assert not (folder / "feature_objects_3a.md").exists()

    # Their numbers go on to mean what they meant.
    def again(*_, **__):
        raise AssertionError("features are sought again")

    monkeypatch.setattr(feature_search, "fit_features", again)
    results = repeat_experiments(nine, ORIGINAL, folder)
    [record] = load_checkpoint(folder / "buzzsaw_blind.jd").args[EDITS_ARG]
    assert (record["layer"], record["features"]) == ("3a", [1, 0])
    assert record["object"] == "buzzsaw"
    directions = NMF.load(folder / "features_3a.npz").directions
    basis = np.array(record["basis"])
    assert np.allclose(directions @ basis.T @ basis, directions, atol=1e-5)

    rows = results.evaluations
    assert list(rows) == ["original", "buzzsaw_blind", "original_invisible_buzzsaws"]
    seeds = [[e.level_seed for e in rows[row].episodes] for row in rows]
    assert seeds[0] == seeds[1] == seeds[2] and len(set(seeds[0])) == 4
    assert rows["original_invisible_buzzsaws"].settings.game.invisible == ("buzzsaw",)

    written = json.loads((folder / "comparison.json").read_text())
    assert written.pop("command")
    assert written == json.loads(json.dumps(results.as_dict()))
    assert list(written["rows"]["original"]["failed"]) == ["failed"]
    verdict = written["verdicts"]["buzzsaw_blind"]
    assert verdict["success"] is None and verdict["target"] == "failed"
    report = (folder / "comparison.md").read_text()
    assert report.endswith(f"`\n\n{comparison.report(written)}")
    [line] = [x for x in report.splitlines() if x.startswith("| **original** |")]
    assert line.count(NOT_KNOWN) == 4
    assert "features 1, 0 given by hand for buzzsaw" in report
    assert "no edit is judged to be successful" in report


def test_features_given_by_hand_take_the_place_of_those_found(tmp_path):
    model = load_checkpoint(bundled_checkpoint_path())
    settings = dataclasses.replace(
        TINY,
        rows=("buzzsaw_blind", "enemy_moving_left_blind"),
        remove={"enemy_moving_left_blind": GivenFeatures("3a", (1,))},
    )
    # No enemy is among the few observations, so that it could not be found.
    folder = ResultsFolder(tmp_path, "comparison")
    removed = feature_search.search_features(load(model), settings, folder).removed
    assert removed["enemy_moving_left_blind"].features == (1,)
    assert "by hand" in removed["enemy_moving_left_blind"].text
    assert "predicted blindness" in removed["buzzsaw_blind"].text
    again = feature_search.search_features(load(model), settings, folder).removed
    assert {row: r.as_dict() for row, r in again.items()} == {
        row: r.as_dict() for row, r in removed.items()
    }


@pytest.mark.parametrize(
    "text", ["2b", "2b/", "/4", "2b/a", "2b/4,5", "2b/-1", "2b/4+"]
)
def test_features_of_another_form(text):
    with pytest.raises(SettingsError, match="as in 2b/4 or"):
        GivenFeatures.parse(text)


def test_features_are_read():
    assert GivenFeatures.parse("2b/4+17") == GivenFeatures("2b", (4, 17))
    assert GivenFeatures.parse("a/b/Relu/0") == GivenFeatures("a/b/Relu", (0,))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"n_levels": 0}, "n_levels=0"),
        ({"rows": ("moon_blind",)}, "unknown row 'moon_blind'"),
        ({"layers": ()}, "no layers given"),
        ({"game": GameSettings(name="maze")}, "coinrun_original; got the game 'maze'"),
        ({"remove": {"original": GivenFeatures("2b", (1,))}}, "for 'original': expect"),
        ({"remove": {"buzzsaw_blind": GivenFeatures("4a", (1,))}}, "are fitted at 2b"),
        ({"remove": {"buzzsaw_blind": GivenFeatures("2b", (8,))}}, "from 0 to 7"),
        (
            {"game": GameSettings(name="coinrun_original")},
            "buzzsaw_blind and enemy_moving_left_blind must be named: .*features_only",
        ),
        (
            {
                "game": GameSettings(name="coinrun_original"),
                "remove": {"buzzsaw_blind": GivenFeatures("2b", (1,))},
            },
            "enemy_moving_left_blind must be named.*--remove=enemy_moving_left_blind=",
        ),
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

"""The diversity sweep: training, resuming, and the test of the article's claim."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from lucid_rl.errors import SettingsError
from lucid_rl.experiments import sweep as sweep_module
from lucid_rl.experiments.interpretability import InterpretabilitySettings
from lucid_rl.experiments.sweep import (
    SweepPoint,
    SweepSettings,
    draw,
    rank_correlation,
    report,
    sweep,
)
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training.config import TrainConfig

_TINY = SweepSettings(
    n_levels=(0, 2),
    seeds=(0,),
    train=TrainConfig(
        game=GameSettings(n_envs=4, distribution_mode="easy"),
        n_total_steps=32,
        n_steps=8,
        n_minibatches=2,
        n_epochs=1,
        n_groups=1,
    ),
    n_episodes=2,
    score=InterpretabilitySettings(
        n_features=2, n_observations=16, n_steps=1, n_bootstrap=10
    ),
)


def _points(tests, scores):
    return [
        SweepPoint(10 ** (i + 2), 0, 1.0, test, score, score, score, [], 1 - score)
        for i, (test, score) in enumerate(zip(tests, scores, strict=True))
    ]


def test_rank_correlation_with_an_exact_p_value():
    points = _points([0.6, 0.7, 0.9, 0.8], [0.0, 0.2, 0.8, 0.4])
    correlation, p_value = rank_correlation(points)
    assert correlation == pytest.approx(1)
    assert p_value == pytest.approx(1 / 24)  # one order of four
    correlation, p_value = rank_correlation(_points([1, 2, 3, 4], [4, 3, 2, 1]))
    assert correlation == pytest.approx(-1) and p_value == pytest.approx(1)
    assert rank_correlation(points, "concentration")[0] == pytest.approx(-1)


def test_p_values_are_even_where_there_is_nothing():
    rng = np.random.default_rng(0)
    found = [
        rank_correlation(_points(rng.random(8), rng.random(8)), n_permutations=200)[1]
        for _ in range(60)
    ]
    assert 0.35 < np.mean(found) < 0.65


def test_nothing_to_correlate():
    for points in ([], _points([1, 2], [1, 2]), _points([1, 2, 3], [0, 0, 0])):
        assert all(np.isnan(rank_correlation(points)))
    assert "Rank correlation" not in report(_points([1, 2, 3], [0, 0, 0]))


def test_report_and_figure(tmp_path):
    points = [*_points([0.6, 0.7, 0.9], [0.0, 0.25, 0.5])]
    points[1] = dataclasses.replace(points[1], interpretable=["coin", "agent"])
    points.append(dataclasses.replace(points[2], n_levels=0))
    text = report(points)
    assert (
        "| 1,000 | 0 | 100.0% | 70.0% | 0.250 | 0.250 to 0.250 | coin, agent | 0.750 |"
        in text
    )
    assert "| unlimited | 0 |" in text and "permutation p =" in text
    draw(points, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    draw([], tmp_path / "empty.png")


def test_level_sets_of_seeds_do_not_overlap(tmp_path):
    settings = SweepSettings(seeds=(0, 1, 2))
    games = [
        settings.config(n, seed, tmp_path).game
        for n, seed in itertools.product((100, 100_000), settings.seeds)
    ]
    for one, other in itertools.combinations(games, 2):
        if one.seed != other.seed:
            first, second = sorted((one, other), key=lambda game: game.start_level)
            assert first.start_level + first.n_levels <= second.start_level
    assert settings.config(0, 2, tmp_path).game.start_level == 0


def test_wrong_settings_are_refused(tmp_path):
    for wrong in ({"n_levels": ()}, {"n_levels": (5, 5)}, {"seeds": (-1,)}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            SweepSettings(**wrong)
    maze = dataclasses.replace(_TINY.train, game=GameSettings("maze", n_envs=4))
    with pytest.raises(SettingsError, match="coinrun only"):
        sweep(dataclasses.replace(_TINY, train=maze), tmp_path)


@pytest.mark.slow
def test_a_sweep_resumes_and_repeats_nothing(tmp_path, monkeypatch):
    points = sweep(_TINY, tmp_path)
    assert [point.n_levels for point in points] == [2, 0]
    results = json.loads((tmp_path / "sweep.json").read_text())
    assert results["points"] == [dataclasses.asdict(point) for point in points]
    assert (tmp_path / "sweep.md").read_text().endswith(report(points))
    games = [
        json.loads(json.dumps(sweep_module.load_checkpoint(path).args["lucid_rl"]))
        for path in sorted(tmp_path.glob("runs/*/model.jd"))
    ]
    assert sorted(game["game"]["n_levels"] for game in games) == [0, 2]
    # All that differs is the levels.
    for game in games:
        del game["game"]["n_levels"]
    assert games[0] == games[1]

    def fail(*arguments, **options):
        raise AssertionError("measured again")

    with monkeypatch.context() as patched:
        patched.setattr(sweep_module, "_measure", fail)
        assert sweep(_TINY, tmp_path) == points
        # More training makes another model, which is measured anew.
        longer = dataclasses.replace(_TINY.train, n_total_steps=64)
        with pytest.raises(AssertionError, match="measured again"):
            sweep(dataclasses.replace(_TINY, train=longer), tmp_path)
    assert (
        sweep_module.load_checkpoint(
            tmp_path / "runs" / "2_levels_seed_0" / "model.jd"
        ).args["steps_done"]
        == 64
    )

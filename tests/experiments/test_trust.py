"""Attribution methods against whole games: the measures, and a small run."""

import json
import pathlib

import numpy as np
import pytest

from lucid_rl.experiments.trust import (
    Agreement,
    Outcomes,
    TrustSettings,
    _agreement,
    compare_attributions,
    draw,
    report,
    roc_area,
)


def test_roc_area_by_hand():
    positive = np.array([True, False, True, False])
    # Pairs of a positive and a negative: 4 > 3, 4 > 1, 2 < 3, 2 > 1.
    assert roc_area(np.array([4.0, 3, 2, 1]), positive) == 3 / 4
    assert roc_area(np.array([1.0, 1, 1, 1]), positive) == 1 / 2
    assert np.isnan(roc_area(np.ones(3), np.ones(3, bool)))


def test_a_perfect_predictor_and_one_of_chance():
    rng = np.random.default_rng(0)
    # Features that cost more and more levels, and games that differ in danger.
    danger = rng.random((400, 6)) * np.linspace(0.2, 1, 6)
    lost = danger > 0.5
    settings = TrustSettings(n_features=6, n_bootstrap=100)
    perfect = _agreement("perfect", danger, lost, settings)
    assert perfect.within == perfect.pooled == (1, 1, 1)
    assert perfect.rank[0] > 0.9
    chance = _agreement("chance", rng.random((400, 6)), lost, settings)
    assert chance.pooled[1] < 0.5 < chance.pooled[2]
    assert chance.within[1] < 0.5 < chance.within[2]


def test_nothing_lost_is_nothing_to_compare(tmp_path):
    settings = TrustSettings(n_features=3, n_bootstrap=5)
    with pytest.warns(RuntimeWarning, match="All-NaN"):
        found = _agreement("any", np.ones((5, 3)), np.zeros((5, 3), bool), settings)
    assert np.isnan([found.rank[0], found.within[0], found.pooled[0]]).all()


def test_report_and_figure(tmp_path):
    one = Agreement("occlusion", (0.5, 0.1, 0.8), (0.6, 0.5, 0.7), (0.9, 0.8, 1.0))
    lost = np.array([[True, False], [False, False]])
    outcomes = Outcomes(lost, np.array([0.5, 0.0]), 0.25, None)
    text = report([one], outcomes)
    assert "| occlusion | 0.90 (0.80 to 1.00) | 0.60 (0.50 to 0.70) | 0.50 (" in text
    assert "fails 25.0% of the levels" in text and "0: 50.0%, 1: 0.0%" in text
    draw([one], tmp_path / "trust.png")
    assert (tmp_path / "trust.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_small_run_resumes(tmp_path):
    settings = TrustSettings(
        n_features=2, n_levels=4, n_frames=2, n_fit=32, n_orders=2, n_bootstrap=5
    )
    found, outcomes = compare_attributions("bundled", settings, tmp_path)
    assert len(found) == 12 and outcomes.lost.shape[1] == 2
    assert outcomes.failed.shape == (2,)
    episodes = {path: path.stat().st_mtime_ns for path in tmp_path.glob("episodes/*")}
    assert len(episodes) == 3
    results = (tmp_path / "trust.json").read_text()
    compare_attributions("bundled", settings, tmp_path)
    assert (tmp_path / "trust.json").read_text() == results
    assert json.loads(results)["n_completed"] == len(outcomes.lost)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("episodes/*")} == episodes


def test_the_document_and_the_table_show_the_committed_result():
    root = pathlib.Path(__file__).parents[2]
    document = (root / "docs/trust.md").read_text()
    text = (root / "benchmarks/results/trust.md").read_text()
    result = json.loads((root / "benchmarks/results/trust.json").read_text())
    best = max(result["methods"], key=lambda one: one["pooled"][0])
    assert f"{best['method']} ({best['pooled'][0]:.2f})" in document
    for one in result["methods"]:
        areas = [
            f"{value:.2f} ({low:.2f} to {high:.2f})"
            for value, low, high in (one["pooled"], one["within"], one["rank"])
        ]
        assert f"| {one['method']} | {' | '.join(areas)} |" in text

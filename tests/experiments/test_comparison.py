"""The failure table and its verdicts, on evaluations made up for the purpose."""

import json
import pathlib

import numpy as np
import pytest

from lucid_rl.errors import InputError
from lucid_rl.evaluation.episodes import COMPLETED, Episode
from lucid_rl.evaluation.evaluation import Evaluation
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.experiments import comparison, verdicts
from lucid_rl.experiments.article import article_numbers, published_failures
from lucid_rl.games.vector_game import GameSettings


def _evaluation(n=10_000, **counts):
    outcomes = [name for name, count in counts.items() for _ in range(count)]
    outcomes += [COMPLETED] * (n - len(outcomes))
    no_actions = np.zeros(0, np.uint8)
    episodes = [Episode(i, i, no_actions, 0.0, o) for i, o in enumerate(outcomes)]
    header = {
        "model": {"name": "small", "sha256": "00"},
        "settings": EvaluationSettings(game=GameSettings()).as_dict(),
        "engine": "procgen 0",
    }
    return Evaluation(header, episodes)


def _joint(*outcomes):
    """Three evaluations of the same levels; for each, how many of which outcomes."""
    names = {"s": "buzzsaw", ".": COMPLETED, "l": "lava"}
    rows = np.array([list(text) for text, n in outcomes for _ in range(n)]).T
    no_actions = np.zeros(0, np.uint8)
    return [
        Evaluation(
            {}, [Episode(i, i, no_actions, 0, names[o]) for i, o in enumerate(r)]
        )
        for r in rows
    ]


def _original():
    return _evaluation(buzzsaw=37, enemy_moving_left=16, enemy_moving_right=12, lava=8)


def test_the_articles_numbers_are_as_published():
    rows = published_failures()
    assert rows["buzzsaw_blind"].percent["buzzsaw"] == 12.76
    assert rows["buzzsaw_blind"].count("buzzsaw") == 1276
    assert rows["original_invisible_buzzsaws"].count("multiple_or_other") == 5
    levels = article_numbers()["finite_levels"]
    n = len(levels["n_train_levels"])
    for group in ("completed_train", "completed_test", "features_interpretable"):
        assert all(len(values) == n for values in levels[group].values())


def test_other_causes_are_added_up():
    shares = verdicts.failure_rates(
        _evaluation(100, lava=3, timeout=2, multiple=1, buzzsaw=4)
    )
    counts = {cause: p.count for cause, p in shares.items()}
    assert counts == {
        "buzzsaw": 4,
        "enemy_moving_left": 0,
        "enemy_moving_right": 0,
        "multiple_or_other": 6,
    }


def test_the_articles_own_buzzsaw_edit_counts_as_a_success():
    edited = _evaluation(
        buzzsaw=1276, enemy_moving_left=16, enemy_moving_right=8, lava=5
    )
    verdict = verdicts.judge("buzzsaw_blind", _original(), edited)
    assert verdict.success and not verdict.side_effects
    assert verdict.target_effect.ratio == pytest.approx(1276 / 37)
    assert "successful" in str(verdict) and "NOT" not in str(verdict)


def test_the_articles_enemy_edit_is_not_targeted_by_this_strict_rule():
    edited = _evaluation(
        buzzsaw=36, enemy_moving_left=469, enemy_moving_right=97, lava=7
    )
    verdict = verdicts.judge("enemy_moving_left_blind", _original(), edited)
    assert [e.cause for e in verdict.side_effects] == ["enemy_moving_right"]
    assert not verdict.success and "NOT successful" in str(verdict)


@pytest.mark.parametrize("n_saws", [37, 60, 369])
def test_less_than_tenfold_is_no_success(n_saws):
    edited = _evaluation(
        buzzsaw=n_saws, enemy_moving_left=16, enemy_moving_right=12, lava=8
    )
    assert not verdicts.judge("buzzsaw_blind", _original(), edited).success


def test_a_rise_from_nothing_is_judged_by_its_significance():
    nothing = _evaluation(1000)
    few = verdicts.judge("buzzsaw_blind", nothing, _evaluation(1000, buzzsaw=2))
    many = verdicts.judge("buzzsaw_blind", nothing, _evaluation(1000, buzzsaw=90))
    assert few.target_effect.ratio == float("inf") and not few.success
    assert many.success


def test_blindness_worked_out_by_hand():
    # Original 1 of 10 levels, edited 3, with invisible saws 5: (3 - 1) / (5 - 1).
    before, after, invisible = _joint(("sss", 1), (".ss", 2), ("..s", 2), ("...", 5))
    found = verdicts.measure_blindness("buzzsaw", before, after, invisible)
    assert found.fraction == 0.5
    assert 0 <= found.low < 0.5 < found.high <= 1


def test_blindness_of_the_article():
    before, after, invisible = _joint(
        ("sss", 37), (".ss", 1239), ("..s", 1944), ("...", 6780)
    )
    found = verdicts.measure_blindness("buzzsaw", before, after, invisible)
    assert found.fraction == pytest.approx(1239 / 3183)
    # Two standard errors of 1239 out of 3183 either way.
    assert found.low == pytest.approx(found.fraction - 0.017, abs=0.002)
    assert found.high == pytest.approx(found.fraction + 0.017, abs=0.002)


def test_no_blindness_where_invisible_objects_change_nothing():
    same = _joint(("sss", 3), ("...", 7))
    assert verdicts.measure_blindness("buzzsaw", *same) is None


def test_levels_without_the_hazard_are_judged_apart():
    before, after, _ = _joint(("lll", 2), (".l.", 6), (".s.", 30), ("...", 62))
    # The first 50 levels hold a saw, the others none.
    hazards = {"buzzsaw": np.arange(100) < 50}
    found = verdicts.judge(
        "buzzsaw_blind", before, after, hazards=hazards
    ).without_hazard
    assert (found.before.count, found.after.count) == (0, 0)
    hazards = {"buzzsaw": np.arange(100) >= 50}
    verdict = verdicts.judge("buzzsaw_blind", before, after, hazards=hazards)
    assert (verdict.without_hazard.before.count, verdict.without_hazard.before.n) == (
        2,
        50,
    )
    assert verdict.without_hazard.after.count == 8 + 30 + 0 + 0
    assert "of 50 levels without buzzsaw: failed 4.00% to 76.00%" in str(verdict)
    nowhere = {"buzzsaw": np.ones(100, bool)}
    assert (
        verdicts.judge("buzzsaw_blind", before, after, hazards=nowhere).without_hazard
        is None
    )


def _results():
    rows = {
        "original": _original(),
        "buzzsaw_blind": _evaluation(buzzsaw=500),
        "original_invisible_buzzsaws": _evaluation(buzzsaw=900),
    }
    found = comparison.failures_dict(rows, verdicts.verdicts_of(rows))
    return {
        **found,
        "features_removed": {"buzzsaw_blind": {"layer": "2b", "text": "feature 4"}},
        "layer": "2b",
        "sparsity": {"n_top": 10, "n": 3, "mean": 0.5, "above_80_percent": 0.1},
        "one_hotness": [0.99, 0.5],
    }


def test_the_table_stands_beside_the_articles():
    table = comparison.failure_table(_results()["rows"]).splitlines()
    assert len(table) == 2 + 3 * 2
    assert "5.00% (4.59% to 5.44%)" in table[4]
    assert "12.76%" in table[5]


def test_differences_stand_beside_the_articles():
    table = comparison.difference_table(_results()["rows"]).splitlines()
    assert len(table) == 2 + 2 * 2
    # 500 less 37 of 10,000, and the article's 12.76 less 0.37 %.
    assert "| +4.63% (p < 1e-09) " in table[2] and "| +12.39% (p < " in table[3]
    # Its enemies moving left were as many as before.
    assert "| +0.00% (p = 1) |" in table[3]


def test_who_does_not_see_cannot_be_blinded():
    row = "original_invisible_enemies"
    same = verdicts.judge(row, _original(), _original())
    assert "nothing for an edit to blind" in str(same)
    changed = verdicts.judge(row, _original(), _evaluation(enemy_moving_left=90))
    assert "nothing for an edit to blind" not in str(changed)


def test_tenfold_may_be_out_of_reach():
    often = _evaluation(100, buzzsaw=11)
    verdict = verdicts.judge("buzzsaw_blind", often, _evaluation(100, buzzsaw=99))
    assert not verdict.success and "10 times is out of reach" in str(verdict)
    rare = verdicts.judge("buzzsaw_blind", _original(), _evaluation(buzzsaw=1276))
    assert "out of reach" not in str(rare)


def test_the_report_is_written_from_what_json_holds():
    results = json.loads(json.dumps(_results(), allow_nan=False))
    assert results["verdicts"]["buzzsaw_blind"]["target"] == "buzzsaw"
    assert results["verdicts"]["original_invisible_buzzsaws"]["success"] is None
    assert results["rows"]["original"]["evaluation"]["model"]["name"] == "small"
    text = comparison.report(results)
    assert text == comparison.report(_results())
    for words in ("99.27%", "NOT successful", "54% (50% to 57%)", "0.99, 0.50"):
        assert words in text, words


def test_committed_reports_are_those_of_the_committed_results():
    folder = pathlib.Path(__file__).parents[2] / "benchmarks/results"
    reports = sorted(folder.glob("comparison_*.md"))
    assert reports
    for path in reports:
        results = json.loads(path.with_suffix(".json").read_text())
        report = f"`{results['command']}`\n\n{comparison.report(results)}"
        assert report == path.read_text(), path


def test_an_evaluation_without_causes_is_refused():
    with pytest.raises(InputError, match="did not find the causes"):
        verdicts.failure_rates(_evaluation(10, failed=2))


def test_where_causes_are_not_known_failures_of_any_are_compared():
    header = {"settings": {"game": {"name": "coinrun_original"}}, "model": {}}
    rows = {
        row: Evaluation(header, evaluation.episodes)
        for row, evaluation in {
            "original": _evaluation(1000),
            "buzzsaw_blind": _evaluation(1000, failed=150),
            "original_invisible_buzzsaws": _evaluation(1000, failed=300),
        }.items()
    }
    assert verdicts.failure_rates(rows["original"])["failed"].count == 0
    verdict = verdicts.verdicts_of(rows)["buzzsaw_blind"]
    assert verdict.target == "failed" and verdict.blindness.fraction == 0.5
    assert "failures of any cause went from 0.00% to 15.00%" in str(verdict)
    assert "successful" not in str(verdict)
    values = comparison.failures_dict(rows, {})["rows"]
    ours, theirs = comparison.failure_table(values).splitlines()[4:6]
    assert "| 15.00% (12.92% to 17.35%) | not known on this engine |" in ours
    # 12.76 + 0.16 + 0.08 + 0.05 percent of 10,000 levels.
    assert "| the article's | 10,000 | 13.05%" in theirs and "| 12.76%" in theirs
    ours, theirs = comparison.difference_table(values).splitlines()[2:4]
    assert ours.count("not known on this engine") == 4 and "+15.00% (p < 1e-09)" in ours
    assert theirs.count("not known") == 0

"""The failure table and its verdicts, on evaluations made up for the purpose."""

import numpy as np
import pytest

from lucid_rl.errors import InputError
from lucid_rl.evaluation import comparison
from lucid_rl.evaluation.article import article_numbers, published_failures
from lucid_rl.evaluation.episodes import COMPLETED, Episode
from lucid_rl.evaluation.evaluation import Evaluation


def _evaluation(n=10_000, **counts):
    outcomes = [name for name, count in counts.items() for _ in range(count)]
    outcomes += [COMPLETED] * (n - len(outcomes))
    no_actions = np.zeros(0, np.uint8)
    episodes = [Episode(i, i, no_actions, 0.0, o) for i, o in enumerate(outcomes)]
    return Evaluation({"model": {}}, episodes)


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
    shares = comparison.failure_shares(
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
    verdict = comparison.judge("buzzsaw_blind", _original(), edited)
    assert verdict.success and not verdict.side_effects
    assert verdict.target_effect.ratio == pytest.approx(1276 / 37)
    assert "successful" in str(verdict) and "NOT" not in str(verdict)


def test_the_articles_enemy_edit_is_not_targeted_by_this_strict_rule():
    edited = _evaluation(
        buzzsaw=36, enemy_moving_left=469, enemy_moving_right=97, lava=7
    )
    verdict = comparison.judge("enemy_moving_left_blind", _original(), edited)
    assert [e.cause for e in verdict.side_effects] == ["enemy_moving_right"]
    assert not verdict.success and "NOT successful" in str(verdict)


@pytest.mark.parametrize("n_saws", [37, 60, 369])
def test_less_than_tenfold_is_no_success(n_saws):
    edited = _evaluation(
        buzzsaw=n_saws, enemy_moving_left=16, enemy_moving_right=12, lava=8
    )
    assert not comparison.judge("buzzsaw_blind", _original(), edited).success


def test_a_rise_from_nothing_is_judged_by_its_significance():
    nothing = _evaluation(1000)
    few = comparison.judge("buzzsaw_blind", nothing, _evaluation(1000, buzzsaw=2))
    many = comparison.judge("buzzsaw_blind", nothing, _evaluation(1000, buzzsaw=90))
    assert few.target_effect.ratio == float("inf") and not few.success
    assert many.success


def test_the_table_stands_beside_the_articles():
    rows = {"original": _original(), "buzzsaw_blind": _evaluation(buzzsaw=500)}
    table = comparison.failure_table(rows).splitlines()
    assert len(table) == 2 + 2 * 2
    assert "5.00% (4.59% to 5.44%)" in table[4]
    assert "12.76%" in table[5]
    values = comparison.comparison_dict(rows)
    assert values["verdicts"]["buzzsaw_blind"]["target"] == "buzzsaw"
    assert values["rows"]["original"]["article_percent"]["buzzsaw"] == 0.37


def test_an_evaluation_without_causes_is_refused():
    with pytest.raises(InputError, match="did not look into the causes"):
        comparison.failure_shares(_evaluation(10, failed=2))

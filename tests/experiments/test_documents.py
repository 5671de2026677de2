"""Figures in documents are those of the committed results."""

import json
import pathlib

_ROOT = pathlib.Path(__file__).parents[2]


def _result(name):
    return json.loads((_ROOT / f"benchmarks/results/{name}.json").read_text())


def test_the_speed_of_evaluations():
    text = (_ROOT / "docs/games.md").read_text()
    result = _result("evaluation")
    rows = [result["evaluation"][f"{k}, 2 processes"] for k in ("float32", "bfloat16")]
    n_levels = rows[0]["n_levels"]
    wall = [f"{row['minutes_for_10000_levels']:.1f}" for row in rows]
    cpu = [f"{row['cpu_minutes_for_10000_levels']:.1f}" for row in rows]
    for words in (
        f"{n_levels} hard levels",
        " and ".join(wall) + " minutes for 10,000 levels",
        f"{cpu[0]} and",
        f"{cpu[1]} minutes",
        result["command"],
    ):
        assert words in text, words


def test_the_two_rules_on_failures():
    text = (_ROOT / "docs/coinrun_state.md").read_text()
    causes = _result("failure_causes")
    assert causes["failures"] == causes["rules_agree"]
    assert f"agree on all {causes['failures']} failures" in text

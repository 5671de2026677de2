"""The score of interpretability: its arithmetic, and that it can fail."""

import json
import pathlib

import numpy as np
import pytest

from lucid_rl.errors import InputError, SettingsError
from lucid_rl.experiments.interpretability import (
    InterpretabilitySettings,
    as_dict,
    concentration,
    from_dict,
    plot_scores,
    report,
    score_interpretability,
)
from lucid_rl.games.procgen_state import parse_state
from lucid_rl.sampling.model_samples import sample_observations

_ROOT = pathlib.Path(__file__).parents[2]
SMALL = InterpretabilitySettings(n_observations=32, n_bootstrap=50)


def test_concentration_is_1_near_objects_and_0_where_spread_evenly():
    area = np.array([0.1, 0.4])
    within = np.array([[5.0, 5.0], [0.5, 2.0], [0.0, 0.0]])
    found = concentration(within, np.array([5.0, 5.0, 5.0]), area)
    np.testing.assert_allclose(found[0], [1, 1])
    np.testing.assert_allclose(found[1], [0, 0], atol=1e-12)
    np.testing.assert_allclose(found[2], -area / (1 - area))


@pytest.fixture(scope="module")
def scores():
    return score_interpretability("bundled", SMALL)


def test_controls_of_random_numbers_score_0(scores):
    by_name = {score.name: score for score in scores}
    for control in ("random weights", "shuffled weights", "random directions"):
        assert by_name[control].score == 0
        assert by_name[control].interval[1] <= 0.25


def test_a_feature_is_interpretable_if_it_passes_every_threshold(scores):
    for score in scores:
        passing = [
            f.response >= 0.5
            and f.attribution >= 0.5
            and f.consistency >= 0.7
            and f.background <= 0.4
            for f in score.features
        ]
        assert passing == [f.interpretable for f in score.features]
        assert score.score == np.mean(passing)
        assert score.interval[0] <= score.interval[1]


def test_the_same_seed_gives_the_same_scores(scores):
    again = score_interpretability("bundled", SMALL, controls=("random directions",))
    assert again[0] == scores[0]
    assert again[1] == next(s for s in scores if s.name == "random directions")


def test_the_report_has_a_row_for_each_model(scores):
    assert from_dict(as_dict({"it": scores}, SMALL)) == {"it": scores}
    header, _, row = report({"it": scores}).splitlines()
    assert header.endswith("| single channels | principal components |")
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["it", f"**{scores[0].score:.3f}**"]
    assert cells[4:] == [f"{score.score:.3f}" for score in scores[1:]]


def test_the_figure(scores, tmp_path):
    plot_scores({"one": scores, "other": scores[:1]}, tmp_path / "scores.png")
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")


def test_the_document_shows_the_committed_result():
    text = (_ROOT / "docs/interpretability.md").read_text()
    path = _ROOT / "benchmarks/results/interpretability.json"
    assert report(from_dict(json.loads(path.read_text()))) in text


def test_wrong_input_is_refused(checkpoint_a):
    with pytest.raises(SettingsError, match="min_response"):
        InterpretabilitySettings(min_response=2)
    with pytest.raises(InputError, match="no control 'magic'"):
        score_interpretability("bundled", SMALL, controls=("magic",))
    maze = checkpoint_a.replace_params({}, args={"env_name": "maze"})
    with pytest.raises(InputError, match="plays maze"):
        score_interpretability(maze, SMALL)


def test_another_background_changes_nothing_else():
    sampled = sample_observations("bundled", 2, interval=4, states=True)
    first, second = map(parse_state, sampled.states)
    drawn = first.with_background_of(second)
    assert drawn.view["background_index"] == second.view["background_index"]
    assert (drawn.entities == first.entities).all()
    assert (drawn.grid == first.grid).all()

"""Diverse and narrow training: which levels are played, and what is reported."""

import dataclasses
import json

import pytest

from lucid_rl.checkpoints.checkpoint import (
    bundled_checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)
from lucid_rl.errors import InputError
from lucid_rl.evaluation.episodes import read_episodes
from lucid_rl.experiments.diversity import (
    DiversityMeasures,
    DiversitySettings,
    compare_diversity,
    report,
)
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.statistics import Proportion

SETTINGS = DiversitySettings(
    n_episodes=12,
    n_observations=48,
    interval=20,
    n_sparsity=4,
    objects=("buzzsaw", "wall_edge"),
    nmf=NMFSettings(n_features=3),
)


@pytest.fixture(scope="module")
def diverse():
    return load_checkpoint(bundled_checkpoint_path())


def with_args(checkpoint, **args):
    return dataclasses.replace(checkpoint, args={**checkpoint.args, **args})


def test_each_plays_its_own_levels_and_unseen_ones(diverse, tmp_path):
    paths = {"diverse": tmp_path / "diverse.jd", "narrow": tmp_path / "narrow.jd"}
    narrow = with_args(diverse, num_levels=3, start_level=50)
    for path, checkpoint in zip(paths.values(), (diverse, narrow), strict=True):
        save_checkpoint(checkpoint, path)
    found = compare_diversity(paths, SETTINGS, tmp_path / "out")
    assert found["diverse"].own is None and found["diverse"].n_train_levels == 0
    assert found["narrow"].own.n == 12 and found["narrow"].n_train_levels == 3
    own, _ = read_episodes(tmp_path / "out" / "episodes" / "narrow" / "own.npz")
    assert {episode.level_seed for episode in own} == {50, 51, 52}
    # The same network on the same unseen levels: nothing else may differ.
    assert found["diverse"].unseen == found["narrow"].unseen
    assert found["diverse"].measures == found["narrow"].measures
    assert found["diverse"].precisions == found["narrow"].precisions
    assert all(0 < p <= 1 for p in found["narrow"].precisions.values())
    written = json.loads((tmp_path / "out" / "diversity.json").read_text())
    assert written["models"] == {n: m.as_dict() for n, m in found.items()}
    assert (tmp_path / "out" / "diversity.md").read_text().endswith(report(found))


def test_the_report_has_a_column_for_each_model():
    measures = {"consistency": 0.5, "sparsity": 0.25, "one_hotness": 1.0}
    text = report(
        {
            "wide": DiversityMeasures(
                0, None, Proportion(90, 100), measures, {"buzzsaw": 0.8}
            ),
            "few": DiversityMeasures(
                100, Proportion(99, 100), Proportion(50, 100), measures, {"buzzsaw": 0}
            ),
        }
    )
    rows = [
        [c.strip() for c in line.strip("|").split("|")] for line in text.split("\n")
    ]
    assert rows[0] == ["", "wide", "few"]
    table = {row[0]: row[1:] for row in rows[2:] if len(row) == 3}
    assert table["levels trained on"] == ["unlimited", "100"]
    assert table["success rate on these"][0] == ""
    assert table["success rate on these"][1].startswith("99.00%")
    assert table["success rate on unseen levels"][1].startswith("50.00%")
    precision = "average precision of the best feature for buzzsaw"
    assert table[precision] == ["0.80", "0.00"]
    assert table["cosine of features fitted to two halves"] == ["0.500", "0.500"]


def test_another_game_is_refused_before_any_work(diverse, tmp_path):
    path = tmp_path / "maze.jd"
    save_checkpoint(with_args(diverse, env_name="maze"), path)
    with pytest.raises(InputError, match=r"maze: objects are known for .* coinrun"):
        compare_diversity({"maze": path}, SETTINGS, tmp_path / "out")
    assert not (tmp_path / "out").exists()

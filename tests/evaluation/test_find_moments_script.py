"""scripts/find_moments.py: from episodes to a table, a file and a page."""

import json
import pathlib

import pytest

from lucid_rl import bundled_checkpoint_path
from lucid_rl.evaluation.evaluation import evaluate
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interface.bundle import read_bundle
from tests.programs import run_script
from tests.script_errors import errors_of

_GOLDEN = pathlib.Path(__file__).parents[1] / "data" / "golden_A"
_TINY = ("--n_episodes=6", "--n_of_each=1", "--n_observations=40", "--n_features=3")


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Episodes of the bundled model, and the folder that holds them."""
    folder = tmp_path_factory.mktemp("played")
    settings = EvaluationSettings(n_episodes=6, game=GameSettings(n_envs=6), seed=3)
    path = folder / "episodes.npz"
    return evaluate(
        bundled_checkpoint_path(), settings=settings, path=path
    ).episodes, folder


def test_moments_of_an_evaluation(played, tmp_path):
    episodes, folder = played
    done = run_script(
        *("find_moments", *_TINY, f"--episodes={folder}", f"--output_dir={tmp_path}"),
        *("--counterfactual=bundled:100_levels", "--n_samples=2", "--n_before=5"),
    )
    assert done.returncode == 0, done.stderr
    page = tmp_path / "page" / "index.html"
    assert str(page) in done.stdout and page.stat().st_size > 10_000
    assert (tmp_path / "moments.md").read_text() in done.stdout
    results = json.loads((tmp_path / "moments.json").read_text())
    assert results["layer"] == "2b" and len(results["directions"]) == 3
    moments = {moment["kind"]: moment for moment in results["moments"]}
    # No two of a kind were asked for, and every episode has steps that went better
    # and steps that went worse than expected.
    assert len(moments) == len(results["moments"])
    assert {"advantage_low", "advantage_high"} <= set(moments)
    failed = [episode for episode in episodes if not episode.completed]
    assert ("failure" in moments) == bool(failed)
    if failed:
        [ended] = [e for e in failed if e.index == moments["failure"]["episode"]]
        assert moments["failure"]["step"] == len(ended.actions) - 1
        assert ended.outcome.replace("_", " ") in moments["failure"]["text"]
    bundle = read_bundle(tmp_path / "page")
    shown = {moment["kind"]: moment for moment in bundle.manifest["moments"]}
    assert set(shown) == set(moments)
    for kind, moment in moments.items():
        [episode] = [e for e in episodes if e.index == moment["episode"]]
        clip = bundle.manifest["trajectories"][shown[kind]["trajectory"]]
        assert f"Level {episode.level_seed}" in clip["title"]
        # A clip goes on to its episode's end.
        to_the_end = len(episode.actions) - moment["step"]
        assert clip["length"] - shown[kind]["frame"] == to_the_end
        frame = bundle.frames(shown[kind]["trajectory"]).start + shown[kind]["frame"]
        assert bundle.values()[frame] == pytest.approx(moment["value"], abs=0.01)
        assert {f["feature"] for f in moment["features"]} == {0, 1, 2}
    # Every moment is played on from, 5 steps before it.
    films = bundle.part("what_if").meta["moments"]
    assert {(film["trajectory"], film["frame"]) for film in films} == {
        (moment["trajectory"], max(0, moment["frame"] - 5)) for moment in shown.values()
    }
    assert all(film["changed"]["failed"]["n"] == 2 for film in films)
    assert (tmp_path / "what_if.md").read_text() in done.stdout


def test_bad_input_is_one_clear_line(played, tmp_path):
    _, folder = played
    names = tmp_path / "names.json"
    names.write_text("[")
    cases = {
        "give --counterfactual": ["--moment=page#trajectory=1&frame=1"],
        "names no moment": ["--moment=page", "--counterfactual=buzzsaw"],
        "did not play these episodes": [
            f"--model={_GOLDEN / 'checkpoint_A.jd'}",
            f"--episodes={folder}",
        ],
        "has no layer '9z'": ["--layers=9z"],
        "has no layer '9y'": ["--layers=2b,9y"],
        "nobody.jd": ["--counterfactual=nobody.jd"],
        "Or one of the objects buzzsaw": ["--counterfactual=saw"],
        "n_samples=0": ["--counterfactual=buzzsaw", "--n_samples=0"],
        "spike_height=0.0": ["--spike_height=0"],
        "nowhere.jd": ["--model=nowhere.jd"],
        "episodes.npz": [f"--episodes={tmp_path / 'nowhere'}"],
        "names.json": [f"--names={names}"],
        "--n_episodes=-1: expected": ["--n_episodes=-1"],
    }
    flags = [[f"--output_dir={tmp_path}", *case] for case in cases.values()]
    for words, line in zip(cases, errors_of("find_moments", flags), strict=True):
        assert line is not None and words in line, (words, line)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["names.json"]

import json

import pytest
from PIL import Image

from lucid_rl.evaluation.evaluation import read_evaluation
from tests.programs import run_script
from tests.script_errors import errors_of


def run(*arguments):
    return run_script("evaluate", *arguments)


@pytest.mark.slow
def test_a_model_is_evaluated_and_filmed(tmp_path):
    tiny = [
        f"--output_dir={tmp_path}",
        *("--n_episodes=5", "--n_envs=5", "--n_levels=3", "--start_level=20"),
        *("--seed=4", "--invisible=coin", "--distribution_mode=easy"),
    ]
    first = run(*tiny)
    assert first.returncode == 0, first.stderr
    assert "5 episodes" in first.stdout and "completed" in first.stdout
    results = json.loads((tmp_path / "evaluation.json").read_text())
    # Easy levels are of these kinds; every level is of one at least.
    kinds = results["completed_by_kind"]
    assert set(kinds) <= {"no hazard", "buzzsaws only", "with enemies", "with lava"}
    assert sum(kind["of"] for kind in kinds.values()) >= 5
    assert all(f"{kind} (" in first.stdout for kind in kinds)
    game = results["settings"]["game"]
    assert (game["n_levels"], game["invisible"]) == (3, ["coin"])
    assert (game["distribution_mode"], results["settings"]["seed"]) == ("easy", 4)
    # The checkpoint says what game it is for.
    assert game["paint_vel_info"] is True
    episodes = read_evaluation(tmp_path / "episodes.npz").episodes
    assert {e.level_seed for e in episodes} == {20, 21, 22}

    again = run(*tiny)
    assert again.returncode == 0 and again.stdout == first.stdout

    shortest = min(episodes, key=lambda e: len(e.actions))
    film = run(f"--output_dir={tmp_path}", f"--replay={shortest.index}")
    assert film.returncode == 0, film.stderr
    path = tmp_path / "replays" / f"episode_{shortest.index}.gif"
    assert str(path) in film.stdout
    with Image.open(path) as picture:
        assert picture.size == (256, 256)


def test_bad_input_is_one_clear_line(tmp_path):
    cases = {
        "unknown game 'pong'": ["--game=pong"],
        "coinrun_original has 7": ["--game=coinrun_original"],
        "cannot make 'moon' invisible": ["--invisible=moon"],
        "nowhere.jd": ["--model=nowhere.jd"],
        "give n_levels too": ["--start_level=5"],
        "episodes.npz": ["--replay=3"],
    }
    flags = [[f"--output_dir={tmp_path}", *case] for case in cases.values()]
    for words, line in zip(cases, errors_of("evaluate", flags), strict=True):
        assert line is not None and line.startswith("error: ") and words in line
        assert len(line.splitlines()) == 1

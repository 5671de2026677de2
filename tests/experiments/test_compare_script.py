"""scripts/compare_to_article.py: wrong input shows before anything is played."""

import dataclasses

import pytest

from lucid_rl.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from lucid_rl.games.coinrun_original_files import LIBRARY_VARIABLE
from tests.script_errors import errors_of


@pytest.fixture
def nine_actions(golden_folder, tmp_path):
    """A model of nine actions, as the article's, which Procgen's games are not for."""
    checkpoint = load_checkpoint(golden_folder / "checkpoint_A.jd")
    params = {
        name: value[..., :9] if value.shape[-1:] == (15,) else value
        for name, value in checkpoint.params.items()
    }
    path = tmp_path / "nine.jd"
    save_checkpoint(dataclasses.replace(checkpoint, params=params), path)
    assert load_checkpoint(path).n_actions == 9
    return path


def test_bad_input_is_one_clear_line(nine_actions, tmp_path, monkeypatch):
    monkeypatch.delenv(LIBRARY_VARIABLE, raising=False)
    output = tmp_path / "output"
    cases = {
        "nowhere.jd": ["--model=nowhere.jd"],
        "no layer or output '9z'": ["--layers=2b,9z"],
        "no layers given": ["--layers="],
        "unknown row 'moon_blind'": ["--rows=moon_blind"],
        "--n_levels=0: expected": ["--n_levels=0"],
        "among 9 actions, but coinrun has 15": [f"--model={nine_actions}"],
        "unexpected argument 'bundled'": ["bundled"],
        "expected a layer and numbers": ["--remove=buzzsaw_blind=4"],
        "for 'saw_blind': expected": ["--remove=saw_blind=2b/4"],
        "names buzzsaw_blind twice": ["--remove=buzzsaw_blind=2b/4,buzzsaw_blind=2b/5"],
        "must be named: fit and draw them with --features_only": [
            "--game=coinrun_original",
            f"--model={nine_actions}",
        ],
        "needs the engine's library": [
            "--game=coinrun_original",
            "--rows=original",
            f"--model={nine_actions}",
        ],
    }
    flags = [[f"--output_dir={output}", *case] for case in cases.values()]
    for words, line in zip(cases, errors_of("compare_to_article", flags), strict=True):
        assert line is not None and words in line, (words, line)
    assert not output.exists()


def test_a_model_of_other_actions_evaluates_nothing(nine_actions, tmp_path):
    cases = [[f"--model={nine_actions}", f"--output_dir={tmp_path}", "--n_episodes=2"]]
    [line] = errors_of("evaluate", cases)
    assert line is not None
    assert "9 actions, but coinrun has 15" in line

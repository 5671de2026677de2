"""docs/from_your_framework.md, as a user follows it: from a file to a page."""

import re

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from lucid_rl.interface import read_bundle
from scripts import make_interface
from tests.checkpoints.test_from_torch import (
    REAL_AGENTS,
    archive_of_stable_baselines3,
    impala_weights,
)
from tests.checkpoints.test_torch_files import write_archive
from tests.conftest import PATIENCE
from tests.interface.test_recorded_page import NAMES, agent_weights, recording
from tests.script_errors import errors_of

_TINY = {
    "n_trajectories": 2,
    "n_steps": 16,
    "n_observations": 16,
    "observation_interval": 4,
    "n_features": 3,
    "attribution_steps": 1,
    "input_gradients": False,
    "early_page": False,
}


def _page(folder, **changes):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["make_interface"])
    with flagsaver.flagsaver(output_dir=str(folder / "page"), **_TINY | changes):
        make_interface.main()
    return folder / "page" / "index.html"


@pytest.fixture
def breakout_zip(tmp_path):
    """What `model.save` of Stable-Baselines3 writes of an agent of Breakout."""
    data = {
        "gamma": 0.98,
        "observation_space": {"_shape": [4, 84, 84]},
        "policy_class": {"__module__": "stable_baselines3.common.policies"},
    }
    path = tmp_path / "ppo_breakout.zip"
    return archive_of_stable_baselines3(path, agent_weights(4, 49), **data)


@pytest.mark.slow
@pytest.mark.browser
def test_an_archive_of_stable_baselines3_to_a_page_of_breakout(
    breakout_zip, tmp_path, chromium, capsys
):
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    path = _page(
        tmp_path,
        model=str(breakout_zip),
        game="gymnasium:ALE/Breakout-v5",
        wrappers="atari",
        layers=["c2"],
    )
    said = capsys.readouterr().out
    assert "plays gymnasium:ALE/Breakout-v5" in said and "stack of 4 frames" in said
    manifest = read_bundle(path).manifest
    assert manifest["title"] == "ppo_breakout" and manifest["gamma"] == 0.98
    assert manifest["action_names"] == ["no-op", "FIRE", "→", "←"]
    assert manifest["environment"]["wrappers"] == "atari"
    assert not {"distribution_mode", "n_levels"} & set(manifest["environment"])
    assert manifest["trajectories"][0]["episodes"][0]["level_seed"] is None
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(path.as_uri())
    # The last frame of the stack is shown, and the others can be.
    stack = page.get_by_test_id("stack")
    stack.wait_for()
    assert stack.locator("option").count() == 5
    page.close()


def _synthetic(folder):
    write_archive(folder / "agent.pt", impala_weights())
    return folder / "agent.pt"


def _real(_):
    path = REAL_AGENTS / "cleanrl_ppo_procgen_starpilot_easy.pt"
    if not path.is_file():
        pytest.skip("no folder of real agents (LUCID_RL_REAL_AGENTS)")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("file", [_synthetic, _real])
def test_an_agent_of_cleanrl_to_a_page_of_starpilot(file, tmp_path, capsys):
    path = _page(
        tmp_path,
        model=str(file(tmp_path)),
        game="starpilot",
        distribution_mode="easy",
        layers=["layer_9"],
    )
    said = capsys.readouterr().out
    assert "Assumed: observations of 64 by 64 pixels." in said
    assert "plays starpilot (Procgen), easy" in said
    bundle = read_bundle(path)
    assert len(bundle.manifest["action_names"]) == 15
    assert np.abs(bundle.attribution("layer_9", 0)).max() > 0


@pytest.mark.slow
def test_recorded_frames_to_a_page(tmp_path):
    rng = np.random.default_rng(0)
    write_archive(tmp_path / "agent.pt", agent_weights(4, 49))
    recording(
        tmp_path / "my.npz",
        *(84, 4),
        n=40,
        actions=rng.integers(0, 4, 40),
        rewards=rng.random(40),
        ends=np.arange(40) % 9 == 8,
        action_names=NAMES,
    )
    path = _page(
        tmp_path, model=str(tmp_path / "agent.pt"), samples=str(tmp_path / "my.npz")
    )
    bundle = read_bundle(path)
    assert bundle.layers() == ("c1", "c2", "c3")
    assert bundle.manifest["action_names"] == NAMES
    assert [t["length"] for t in bundle.manifest["trajectories"]] == [16, 16]


@pytest.mark.parametrize(
    ("script", "flags_given"),
    [
        ("make_interface", ["--output_dir={folder}/page"]),
        ("evaluate", ["--output_dir={folder}/evaluation"]),
        ("visualize_features", ["--output_dir={folder}/features"]),
        ("edit", ["--layer=c2", "--features=0", "--output={folder}/edited.jd"]),
    ],
)
def test_every_script_refuses_a_model_of_another_game(
    script, flags_given, breakout_zip, tmp_path
):
    given = [f"--model={breakout_zip}", *flags_given]
    given = [flag.format(folder=tmp_path) for flag in given]
    cases = {
        "--game=starpilot": "chooses among 4 actions, but starpilot has 15",
        "--game=coinrum": "unknown game 'coinrum'",
        "--distribution_mode=hard": "does not say which game it plays",
        "--input_range=0,255": "divide their pixels by 255",
    }
    if script == "edit":
        cases.pop("--distribution_mode=hard")
    for said, expected in zip(
        errors_of(script, [[*given, flag] for flag in cases]),
        cases.values(),
        strict=True,
    ):
        assert said and "\n" not in said and re.search(expected, said), (script, said)

"""scripts.import_torch on a file in PyTorch's format, and on wrong ones."""

import re
import zipfile

import numpy as np

from lucid_rl.checkpoints.checkpoint import load_checkpoint
from tests.checkpoints.test_from_torch import impala_weights
from tests.checkpoints.test_torch_files import TORCH_FILES, write_archive
from tests.programs import run_script
from tests.script_errors import errors_of


def test_an_agent_becomes_a_checkpoint(tmp_path):
    weights = impala_weights()
    write_archive(tmp_path / "agent.pt", {"agent": weights, "step": 3})
    done = run_script(
        *("import_torch", f"--weights={tmp_path / 'agent.pt'}"),
        *("--game=maze", "--distribution_mode=easy", "--gamma=0.99"),
        check=True,
    )
    path = tmp_path / "agent.jd"
    assert done.stdout.splitlines()[-1] == str(path)
    assert "impala_torch, 15 actions" in done.stdout
    found = load_checkpoint(path)
    np.testing.assert_array_equal(
        found.params["ppo2_model/pi/w:0"], weights["actor.weight"].T
    )
    wanted = {"env_name": "maze", "distribution_mode": "easy", "gamma": 0.99}
    assert wanted.items() <= found.args.items()
    # PyTorch is neither needed nor loaded.
    assert "torch" not in done.stderr
    said = "plays maze (Procgen), easy, unlimited levels, velocity not painted\n"
    assert said + "assumed: observations of 64 by 64 pixels" in done.stdout


def test_what_is_wrong_is_one_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    small = f"--weights={TORCH_FILES / 'state_dict.pt'}"
    game = "--game=coinrun"
    nature = f"--weights={TORCH_FILES / 'dqn.pt'}"
    cases = {
        (): "weights",
        (f"--weights={tmp_path / 'none.pt'}", game): "cannot read",
        (f"--weights={tmp_path / 'empty.zip'}", game): "no weights that can be read",
        (small, game, f"--output={tmp_path / 'it.jd'}"): "error: .*3 convolutions",
        (small, game, "--state_dict=agent"): "no state dictionary 'agent'",
        (nature, game): r"the model chooses among \d+ actions, but coinrun has 15",
        (small,): "which game the agent was trained on: give --game=",
        (small, "--game=coinrum"): "unknown game 'coinrum': did you mean coinrun",
        (small, game, "--image_size=84"): "--image_size takes height and width",
    }
    for said, expected in zip(
        errors_of("import_torch", list(cases)), cases.values(), strict=True
    ):
        assert said and re.search(expected, said), (expected, said)
    assert list(tmp_path.iterdir()) == [tmp_path / "empty.zip"]

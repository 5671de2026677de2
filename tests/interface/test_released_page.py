"""From a released model's name to its page, with no game."""

import pytest

from lucid_rl.interface import read_bundle
from tests.checkpoints.released_server import released_files, serving
from tests.programs import run_script


@pytest.mark.slow
def test_one_command_makes_the_page_of_a_released_model(tmp_path):
    contents = released_files(tmp_path)
    folder = tmp_path / "page"
    with serving(contents) as server:
        environment = {
            "LUCID_RL_CACHE": str(tmp_path / "cache"),
            "LUCID_RL_RELEASED_URL": server.url,
            "NO_PROXY": "127.0.0.1",
        }
        done = run_script(
            *("make_interface", "--quick", "--model=released:procgen/maze"),
            *("--layers=2b", f"--output_dir={folder}"),
            environment=environment,
        )
        asked_for = sorted(server.gets)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("index.html")
    assert asked_for == sorted(
        [
            "procgen/maze.jd",
            *(
                f"procgen/rl-clarity/maze.{kind}"
                for kind in ("observations.jd", "trajectories.jd")
            ),
        ]
    )
    manifest = read_bundle(folder).manifest
    assert any("come with the model" in note for note in manifest["notes"])

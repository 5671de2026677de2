import pytest

from tests.checkpoints.jd_values import DATA
from tests.programs import run_script
from tests.script_errors import errors_of

_ROOT = DATA.parent.parent


def _run(*arguments):
    """Runs the program in a process of its own: flags are global to one."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return run_script("released_models", *arguments, environment=quiet)


def test_it_lists_names_and_refreshes_them(server):
    listed = _run()
    assert listed.returncode == 0
    assert len(listed.stdout.splitlines()) == 31
    refreshed = _run("--refresh")
    assert "edit/one_of_the_servers" in refreshed.stdout.splitlines()
    assert _run().stdout == refreshed.stdout


def test_it_fetches_models_with_all_their_files(server, tmp_path):
    done = _run("--fetch=coinrun,procgen/maze", f"--cache_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert f"procgen/maze: {tmp_path}/released/procgen/maze.jd" in done.stdout
    assert (tmp_path / "released/procgen/rl-clarity/maze.trajectories.jd").is_file()


def test_without_a_server_it_says_so_in_one_line():
    done = _run("--refresh", "--base_url=http://127.0.0.1:9")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: cannot fetch http://127.0.0.1:9/index.html")
    assert done.stdout == ""


def test_bad_input_is_one_clear_line(server):
    cases = {
        "error: --check needs --fetch=<name> or --all": ["--check"],
        "unexpected argument 'coinrun'": ["coinrun"],
    }
    lines = errors_of("released_models", list(cases.values()))
    for words, line in zip(cases, lines, strict=True):
        assert line is not None and words in line, (words, line)
    done = _run("--fetch=coinrun,moon")
    assert done.returncode == 1
    assert "error: moon: http" in done.stderr
    assert "1 of 2 models are sound.\n  not sound: moon\n" in done.stdout


@pytest.mark.slow  # imports TensorFlow in a process of its own
def test_it_checks_every_model_and_counts_those_that_are_sound(server):
    server.contents["index.html"] = b"<li>coinrun</li><li>procgen/maze</li>"
    address = "procgen/rl-clarity/maze.model.pb"
    server.contents[address] = server.contents[address][:-9]
    done = _run("--refresh", "--all", "--check")
    assert done.returncode == 1
    assert "same outputs as the checkpoint on 8 observations" in done.stdout
    assert "1 of 2 models are sound.\n  not sound: procgen/maze\n" in done.stdout
    assert f"{address} was fetched whole but is not" in done.stderr

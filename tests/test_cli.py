"""The command `lucid-rl`: every script, and one line for every mistake."""

import pathlib
import subprocess
import sys

import pytest

import lucid_rl
from scripts import cli
from scripts.cli import commands
from tests.programs import run_python


def run(*arguments):
    # As the installed command does: the program is no module's __main__.
    return run_python("-c", "from scripts.cli import main; main()", *arguments)


def test_every_script_is_a_command():
    done = run()
    assert done.returncode == 0
    listed = set(done.stdout.split())
    assert set(commands()) - listed == {"make-interface"}  # listed as make-page
    assert {"train", "edit", "evaluate", "released-models"} <= set(commands())


def test_the_version():
    assert run("--version").stdout == f"lucid-rl {lucid_rl.__version__}\n"


def test_every_command_has_what_runs_it():
    # Two scripts have flags of one name, so that they are read, not imported.
    for module in set(commands().values()):
        text = (pathlib.Path(cli.__file__).parent / f"{module}.py").read_text()
        assert "\ndef main() -> None:" in text, module


def test_a_command_shows_its_own_flags():
    done = run("released-models", "--help")
    flags = done.stdout.partition("flags:")[2]
    assert "--fetch" in flags and "lucid-rl released-models --fetch" in done.stdout


def test_the_list_says_what_each_command_does():
    lines = run().stdout.splitlines()[2:]
    assert len(lines) == len(commands()) - 1
    assert all(line.split(maxsplit=1)[1].endswith(".") for line in lines)


@pytest.mark.parametrize(
    "arguments",
    [
        ("pack",),
        ("released-models", "--fetsh=coinrun"),
        ("released-models", "coinrun"),
        ("released-models", "--check=perhaps"),
    ],
)
def test_mistakes_are_one_line(arguments):
    done = run(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_output_may_be_cut_off():
    command = f"{sys.executable} -u -m scripts.released_models --help | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.count("\n") == 1 and done.stderr == ""


@pytest.mark.parametrize("arguments", ["", "--help"])
def test_output_on_a_full_disk(arguments):
    command = f"{sys.executable} -m scripts.released_models {arguments} > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(
    "mark, words", [("", "stopped"), ("@program.resumable", "stopped; run the same co")]
)
def test_an_interruption_is_one_line_and_ends_what_runs(name, mark, words):
    code = (
        "import os, signal\nfrom scripts import program\n"
        # Where tests run in a shell's background, it is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"{mark}\ndef work():\n    try:\n"
        f"        os.kill(os.getpid(), signal.{name})\n"
        "        signal.sigtimedwait([], 60)\n"
        "    finally:\n        print('saved')\nprogram.run(work)"
    )
    done = run_python("-c", code)
    assert (done.returncode, done.stdout) == (1, "saved\n")
    assert done.stderr.startswith(words) and done.stderr.count("\n") == 1

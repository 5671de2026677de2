"""What a script says to wrong flags, case by case, in one process of its own.

Starting a process for each case would mostly measure TensorFlow's import. Flags of two
scripts may share a name, so that a test's own process cannot import them.
"""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence

_ROOT = pathlib.Path(__file__).parents[1]
_RUN = """
import contextlib, importlib, importlib.abc, io, json, os, shutil, sys, time
from absl import flags
from scripts import program
script = importlib.import_module(sys.argv[1])

def run(case):
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    sys.argv[1:] = case
    output, line = io.StringIO(), None
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            program.run(script.main)
    except SystemExit as exit:
        if exit.code:
            # absl itself prints what is wrong with a flag, and the usage.
            line = exit.code if isinstance(exit.code, str) else output.getvalue()
    return line
"""
_CASES = f"""{_RUN}
print(json.dumps([run(case) for case in json.load(sys.stdin)]))
"""
_EVERY_FLAG = f"""{_RUN}
class Heavy(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras", "procgen", "numba", "nbformat", "ray"):
            sys.exit()

sys.meta_path.insert(0, Heavy())
time.sleep = lambda seconds: None  # before a download is tried again
modules = flags.FLAGS.flags_by_module_dict()
names = [f.name for m in modules if not m.startswith("absl") for f in modules[m]]
found = []
for value in json.load(sys.stdin):
    for name in names:
        case = f"--{{name}}={{value}}"
        line = run([case])
        found.append((case, line, os.listdir() if line else []))
        for path in os.listdir():
            shutil.rmtree(path)
print(json.dumps(found))
"""


def errors_of(
    script: str, cases: Sequence[Sequence[str]], folder: pathlib.Path | None = None
) -> list[str | None]:
    """What each case's flags end a script with; None where it succeeds.

    Scripts run in `folder`, by default the package's root.

    Raises:
        AssertionError: a case ended in an exception.
    """
    return _answers(_CASES, script, cases, folder or _ROOT)


def errors_of_every_flag(
    script: str, values: Sequence[str], folder: pathlib.Path
) -> list[tuple[str, str | None, list[str]]]:
    """Gives each of a script's flags each value, up to the first heavy import.

    Returns:
        For each pair the argument, the error (None where the value is taken), and
        what an error left behind in `folder`, which is emptied.

    Raises:
        AssertionError: a case ended in an exception.
    """
    return _answers(_EVERY_FLAG, script, values, folder)


def _answers(program, script, questions, folder):
    done = subprocess.run(
        [sys.executable, "-c", program, f"scripts.{script}"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(_ROOT),
            "LUCID_RL_RELEASED_URL": "http://127.0.0.1:9",
        },
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])

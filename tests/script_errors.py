"""What a script says to wrong flags, case by case, in one process of its own.

Flags of two scripts may share a name, so that a test's own process cannot import them.
"""

import contextlib
import importlib
import importlib.abc
import io
import json
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Sequence

from absl import flags

from tests.programs import ROOT, run_forked, run_python

_HEAVY = ("tensorflow", "keras", "procgen", "numba", "nbformat", "ray")
_EVERY_FLAG = """
import json, sys
from tests.script_errors import print_errors_of_every_flag
print_errors_of_every_flag(sys.argv[1], json.load(sys.stdin))
"""
_OPTIONS = {
    "environment": {
        "PYTHONPATH": str(ROOT),
        "LUCID_RL_RELEASED_URL": "http://127.0.0.1:9",
    },
    "timeout": 900,
}


def errors_of(
    script: str, cases: Sequence[Sequence[str]], folder: pathlib.Path = ROOT
) -> list[str | None]:
    """What each case's flags end a script with; None where it succeeds.

    Scripts run in `folder`, by default the package's root.

    Raises:
        AssertionError: a case ended in an exception.
    """
    return _printed(run_forked(_print_errors, script, cases, folder=folder, **_OPTIONS))


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
    given = json.dumps(values)
    return _printed(
        run_python("-c", _EVERY_FLAG, script, input=given, folder=folder, **_OPTIONS)
    )


def _printed(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _print_errors(script, cases):
    main = importlib.import_module(f"scripts.{script}").main
    print(json.dumps([_error(main, case) for case in cases]))


def print_errors_of_every_flag(script, values):
    """The other process's part of `errors_of_every_flag`."""
    main = importlib.import_module(f"scripts.{script}").main
    sys.meta_path.insert(0, _Heavy())
    time.sleep = lambda seconds: None  # before a download is tried again
    modules = flags.FLAGS.flags_by_module_dict()
    names = [f.name for m in modules if not m.startswith("absl") for f in modules[m]]
    found = []
    for value in values:
        for name in names:
            case = f"--{name}={value}"
            line = _error(main, [case])
            found.append((case, line, os.listdir() if line else []))
            for path in os.listdir():
                shutil.rmtree(path)
    print(json.dumps(found))


class _Heavy(importlib.abc.MetaPathFinder):
    """Ends a script that got as far as to import what takes long."""

    def find_spec(self, name, path=None, target=None):
        if name in _HEAVY:
            sys.exit()


def _error(main, case):
    from scripts import program

    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    sys.argv[1:] = case
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            program.run(main)
    except SystemExit as exit:
        if exit.code:
            # absl itself prints what is wrong with a flag, and the usage.
            return exit.code if isinstance(exit.code, str) else output.getvalue()
    return None

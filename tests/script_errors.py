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
_CASES = """
import contextlib, importlib, io, json, sys
from absl import flags
from scripts import program
script = importlib.import_module(sys.argv[1])
said = []
for case in json.load(sys.stdin):
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    sys.argv[1:] = case
    output, line = io.StringIO(), None
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            program.run(script.main)
    except SystemExit as exit:
        # absl itself prints what is wrong with a flag, and the usage.
        line = exit.code if isinstance(exit.code, str) else output.getvalue()
    said.append(line or None)
print(json.dumps(said))
"""


def errors_of(
    script: str, cases: Sequence[Sequence[str]], folder: pathlib.Path | None = None
) -> list[str | None]:
    """What each case's flags end a script with; None where it succeeds.

    Scripts run in `folder`, by default the package's root.

    Raises:
        AssertionError: a case ended in an exception.
    """
    done = subprocess.run(
        [sys.executable, "-c", _CASES, f"scripts.{script}"],
        cwd=folder or _ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])

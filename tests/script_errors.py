"""What a script says to wrong flags, case by case, in one process of its own.

Starting a process for each case would mostly measure TensorFlow's import. Flags of two
scripts may share a name, so that a test's own process cannot import them.
"""

import json
import subprocess
import sys
from collections.abc import Sequence

_CASES = """
import importlib, json, sys
from absl import flags
script = importlib.import_module(sys.argv[1])
said = []
for case in json.load(sys.stdin):
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    try:
        flags.FLAGS([sys.argv[1], *case])
        script.main([])
        said.append(None)
    except SystemExit as exit:
        said.append(str(exit.code))
    except flags.Error as error:
        said.append(f"error: {error}")
print(json.dumps(said))
"""


def errors_of(script: str, cases: Sequence[Sequence[str]]) -> list[str | None]:
    """The line that each case's flags end a script with; None where it succeeds.

    Raises:
        AssertionError: a case ended in anything but one clear line.
    """
    done = subprocess.run(
        [sys.executable, "-c", _CASES, f"scripts.{script}"],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])

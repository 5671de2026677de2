"""What a program shows of a TensorFlow that writes while it is imported."""

import os
import subprocess
import sys

import pytest

NOTICES = """
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795475993.027813   11596 port.cc:153] oneDNN custom operations are on.
W0000 00:00:1795475993.027813   11596 some.cc:1] a warning
"""
ERROR = "E0000 00:00:1795475993.033144   11596 some.cc:2] cannot go on"


def run(folder, module, program, **environment):
    """Runs a program for which `tensorflow` is the given source."""
    (folder / "tensorflow.py").write_text(module)
    kept = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:0] = [{str(folder)!r}]\n{program}",
        ],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def writes(text):
    return f"import os\nos.write(2, {text.strip() + chr(10)!r}.encode())\n"


PROGRAM = """
import scripts, tensorflow, os
assert tensorflow.x == 1
os.write(2, b"I0000 written later\\n")
"""


def test_notices_are_left_out_and_errors_shown(tmp_path):
    done = run(tmp_path, writes(NOTICES + ERROR) + "x = 1", PROGRAM)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [ERROR, "I0000 written later"]


@pytest.mark.parametrize(
    ("ending", "last_words"),
    [("os.abort()", ERROR), ("raise ImportError('broken')", "ImportError: broken")],
)
def test_last_words_come_through(tmp_path, ending, last_words):
    done = run(tmp_path, writes(NOTICES + ERROR) + ending, PROGRAM)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == ERROR
    assert done.stderr.splitlines()[-1] == last_words


def test_children_are_quiet_too(tmp_path):
    module = writes(NOTICES + ERROR) + "x = 1"
    done = run(tmp_path, module, PROGRAM, TF_CPP_MIN_LOG_LEVEL="3")
    assert done.stderr.splitlines()[0] == ERROR


def test_who_sets_a_log_level_gets_it(tmp_path):
    module = writes(NOTICES) + "x = 1"
    done = run(tmp_path, module, PROGRAM, TF_CPP_MIN_LOG_LEVEL="0")
    assert done.stderr.startswith(NOTICES.strip())


def test_a_program_without_standard_error(tmp_path):
    program = "import os; os.close(2); import scripts, tensorflow; print(tensorflow.x)"
    done = run(tmp_path, "x = 1", program)
    assert done.stdout == "1\n"


def test_the_library_changes_nothing(tmp_path):
    program = "import lucid_rl, os\n"
    program += "import tensorflow; assert 'TF_CPP_MIN_LOG_LEVEL' not in os.environ"
    done = run(tmp_path, writes(NOTICES), program)
    assert done.stderr.strip() == NOTICES.strip()

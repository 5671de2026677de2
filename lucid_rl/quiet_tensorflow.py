"""Suppression of TensorFlow's notices on standard error.

While it is imported, TensorFlow's C++ part announces oneDNN, missing GPU drivers and
the like before it reads any log level. Programs call `hide_notices` first; nothing
else in the package does, so that importing lucid_rl alone keeps TensorFlow's log.
"""

import contextlib
import importlib.abc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# All but lines like "I0000 00:00:1795475993.0 11596 port.cc:153] oneDNN custom ..."
_FILTER = r"""
import re, sys
notice = re.compile(rb"[IW]\d{4} |WARNING: All log messages before absl::Init")
for line in sys.stdin.buffer:
    if not notice.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


def hide_notices() -> None:
    """Has TensorFlow, when it is imported later, log fatal errors only.

    Errors reach Python as exceptions all the same. Does nothing where the environment
    variable TF_CPP_MIN_LOG_LEVEL asks for more.
    """
    level = os.environ.setdefault(_LEVEL, "3")
    if level == "3" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow once, to be loaded without its notices."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_quietly(module):
                with _without_notices():
                    load(module)

            # mypy does not know that a loader's methods may be replaced.
            setattr(spec.loader, "exec_module", load_quietly)  # noqa: B010
        return spec


@contextlib.contextmanager
def _without_notices() -> Iterator[None]:
    """Passes standard error through a filter.

    The filter is a process of its own: what is written just before a crash comes
    through, too.
    """
    try:
        shown = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _FILTER],
        stdin=subprocess.PIPE,
        start_new_session=True,  # an interrupt is for the program alone
    ) as process:
        assert process.stdin is not None
        os.dup2(process.stdin.fileno(), 2)
        process.stdin.close()
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)

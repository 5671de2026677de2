"""Programs in processes of their own, as users start them."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def run_python(*arguments, environment=None, **options):
    """Runs Python with arguments; gives its exit code and what it wrote."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        **options,
    )


def run_script(name, *flags, **options):
    """Runs one of the scripts; the rest is as in `run_python`."""
    return run_python("-m", f"scripts.{name}", *flags, **options)

"""Programs in processes of their own, as users start them."""

import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]

# Importing TensorFlow takes longer than most of what tests do with it.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tensorflow"])


def run_python(*arguments, folder=ROOT, environment=None, **options):
    """Runs Python with arguments; gives its exit code and what it wrote."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        **options,
    )


def run_script(name, *flags, **options):
    """Runs one of the scripts; the rest is as in `run_python`."""
    return run_python("-m", f"scripts.{name}", *flags, **options)


def run_forked(function, *arguments, folder=ROOT, environment=None, timeout=None):
    """Calls a function in a fork of a process that has imported TensorFlow.

    The function can be imported by name; the rest is as in `run_python`.
    """
    environment = {**os.environ, **(environment or {})}
    with tempfile.TemporaryDirectory() as outputs:
        paths = [pathlib.Path(outputs, name) for name in ("stdout", "stderr")]
        process = _FORKS.Process(
            target=_call, args=(function, arguments, folder, environment, paths)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{function.__name__} of {arguments} does not end")
        written = [path.read_text(errors="backslashreplace") for path in paths]
    return subprocess.CompletedProcess(arguments, process.exitcode, *written)


def _call(function, arguments, folder, environment, outputs):
    for stream, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    function(*arguments)

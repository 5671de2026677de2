"""Runs a script's main function; reports every error as one line on stderr."""

import errno
import io
import math
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags

from lucid_rl.errors import InputError, LucidRLError
from lucid_rl.files import check_output, check_output_folder, open_input
from lucid_rl.signals import stop_on_signal

_LONGEST_LINE = 1000
_LARGEST_FLAGFILE = 2**20

MODEL_HELP = (
    "A .jd, .onnx, .model.pb, a file of PyTorch's or Stable-Baselines3's, "
    "'released:<name>' or 'bundled'."
)
MODELS_HELP = f"One or several, separated by commas: {MODEL_HELP}"

# Flags belong to the script that asks for them.
flags.disclaim_key_flags()


def output_dir(default: str) -> Callable[[], pathlib.Path]:
    """Defines --output_dir; returns a function that reads it."""
    holder = flags.DEFINE_string("output_dir", default, "Where everything is written.")
    return lambda: pathlib.Path(holder.value)


def resumable(work: Callable[[], None]) -> Callable[[], None]:
    """Marks a program that keeps what is done: `run` says so if it is interrupted."""
    work.resumable = True  # type: ignore[attr-defined]
    return work


def run(work: Callable[[], None]) -> None:
    """Parses the flags, runs the function, and ends the process.

    A wrong flag, an error of this package and an interruption, by Ctrl-C or SIGTERM,
    end the process with one line on standard error and exit status 1.

    Args:
        work: what the program does, once flags have their values.
    """

    def main(argv: list[str]) -> None:
        try:
            check_outputs()
            with stop_on_signal():
                work()
            print(end="", flush=True)  # not as Python ends, when no one can catch
        except LucidRLError as error:
            fail(error)
        except MemoryError as error:
            fail(f"not enough memory ({error}): ask for less")
        except KeyboardInterrupt:
            resumes = "; run the same command again to resume"
            sys.exit(f"stopped{resumes if hasattr(work, 'resumable') else ''}")

    # What is printed may name files, whose names need not be text of the terminal's.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app.run(main, flags_parser=_parse)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        # The disk is full, or the reader has closed, as in `--help | head`: drop what
        # is still buffered.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.ENOSPC:
            fail(f"cannot write the output: {error.strerror}")
        sys.exit(1)


def check_outputs() -> None:
    """Checks that what the flags name can be written, before any work.

    Raises:
        SaveError: it cannot.
        InputError: a name is empty.
    """
    checks = {
        check_output: ("output", "save_factorization", "report", "results_file"),
        check_output_folder: ("output_dir", "cache_dir"),
    }
    for check, names in checks.items():
        for name in names:
            path = flags.FLAGS[name].value if name in flags.FLAGS else None
            if path == "":
                raise InputError(f"--{name} names nothing: give it a path")
            if path is not None:
                check(path)


def _parse(argv: list[str]) -> list[str]:
    try:
        _check_flagfiles(argv)
        rest = flags.FLAGS(argv)
    # Some of absl's own flags raise ValueError.
    except (flags.Error, ValueError) as error:
        fail(f"{error} (--help lists the flags)")
    for name in flags.FLAGS:
        value = flags.FLAGS[name].value
        if isinstance(value, float) and not math.isfinite(value):
            fail(f"--{name}={value}: expected a finite number")
    if len(rest) > 1:
        fail(
            f"unexpected argument {rest[1]!r}: every setting is a --flag=value "
            "(--help lists the flags)"
        )
    return rest


def _check_flagfiles(argv: list[str]) -> None:
    """Refuses devices and pipes, which absl would read without end, and huge files."""
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, path = argument.partition("=")
        if name not in ("-flagfile", "--flagfile"):
            continue
        try:
            path = os.path.expanduser((path if equals else following).strip())
            with open_input(path) as stream:
                if len(stream.read(_LARGEST_FLAGFILE + 1)) > _LARGEST_FLAGFILE:
                    fail(f"--flagfile={path}: it is larger than 1 MiB")
        except OSError as error:
            fail(f"--flagfile={path}: {error.strerror}")


def fail(problem: object) -> NoReturn:
    """Ends the process with a problem as one line, whatever names it quotes."""
    sys.exit(f"error: {one_line(problem)}")


def one_line(problem: object) -> str:
    """A problem as one line of printable characters, of bounded length."""
    line = " ".join(str(problem).splitlines())
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE - 300]} ... {line[-290:]}"
    return line


def pairs(flag: str, texts: Sequence[str]) -> dict[str, str]:
    """Reads a flag's values of the form name=value; `InputError` for any other."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"--{flag}={text}: expected name=value")
        if name in found:
            raise InputError(f"--{flag} names {name} twice")
        found[name] = value
    return found


def some_models(specs: Sequence[str]) -> Sequence[str]:
    """The models that a flag names; `InputError` where it names none."""
    if not specs:
        raise InputError("no model is given")
    return specs


def model_names(specs: Sequence[str]) -> dict[str, str]:
    """Names for folders of what models make, all different.

    Args:
        specs: paths of models, released:<name>, bundled.

    Returns:
        Each spec by its name.

    Raises:
        InputError: there is none.
    """
    some_models(specs)
    names: dict[str, str] = {}
    for spec in specs:
        stem = spec.removeprefix("released:").removesuffix(".jd")
        stem = stem.replace("/", "-").replace(":", "-").strip("-")
        name, number = stem, 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names[name] = spec
    return names

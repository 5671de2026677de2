"""The package's exceptions.

Each message says what was given, what was expected and what to do about it.
Everything that lucid_rl raises on bad input derives from `LucidRLError`, so
that a script can turn it into one clear line.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

_MAX_NAMED = 5


def some_of(values: Iterable[Any]) -> str:
    """Formats the first few items for a message, and how many more there are."""
    texts = [str(value) for value in values]
    more = len(texts) - _MAX_NAMED
    return ", ".join(texts[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


class LucidRLError(Exception):
    """Base of every error that lucid_rl raises on purpose."""


class FileFormatError(LucidRLError):
    """A file is unreadable, truncated, corrupt, unsafe or of another format."""


class CheckpointError(FileFormatError):
    """A checkpoint's parameters do not make a supported model."""


class DownloadError(LucidRLError):
    """A released file could not be fetched or is not what it should be."""


class ModelError(LucidRLError):
    """A layer, output or graph asked for does not exist or does not fit."""


class InputError(LucidRLError, ValueError):
    """An argument has the wrong type, shape, range or content."""


class SettingsError(LucidRLError, ValueError):
    """Settings contradict each other or lie outside what is possible."""


class GameError(LucidRLError):
    """A game cannot be made, stepped or read."""


class ProcessError(LucidRLError):
    """A process that does part of the work failed or ended unexpectedly."""


class TrainingError(LucidRLError):
    """Training has diverged: parameters are no longer finite."""


class BundleError(FileFormatError):
    """An interface's data bundle is missing, damaged or of another version."""


class SaveError(LucidRLError):
    """Results or training state could not be written; earlier ones are unchanged."""


@contextlib.contextmanager
def reading(path: object) -> Iterator[None]:
    """Names the file that is read in the errors raised inside.

    Those of the system become `FileFormatError`.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise FileFormatError(f"cannot read {path}: {reason}") from error
    except LucidRLError as error:
        raise type(error)(f"{path}: {error}") from error

"""Writing files: a reader sees the old one or the new one, never a part."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from lucid_rl.errors import SaveError

PathLike = str | os.PathLike


@contextlib.contextmanager
def atomic_open(path: PathLike, mode: str = "wb") -> Iterator[IO[Any]]:
    """Opens a temporary file that replaces `path` when the block succeeds.

    Args:
        path: file to write; missing parent folders are made.
        mode: "wb" or "w" (UTF-8).

    Yields:
        The open temporary file, in the same folder as `path`.

    Raises:
        SaveError: the folder or file cannot be written, or the disk is full;
            an earlier file at `path` is left as it was.
    """
    target = pathlib.Path(path)
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=".partial"
        )
        # mkstemp makes private files; results get the usual permissions.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(handle, mode, encoding=encoding) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise SaveError(
            f"cannot write {target}: {error.strerror or error}. Check that the "
            "folder is writable and the disk has room; an earlier file is unchanged."
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def check_writable(folder: PathLike) -> None:
    """Makes the folder and writes a file in it, to find out before any work.

    Raises:
        SaveError: it cannot be made or written.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(bytes(2**16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SaveError(
            f"cannot write to {folder}: {error.strerror or error}. Choose an output "
            "folder that is writable and has room."
        ) from error

"""Locks of folders of results, so that two runs never write into one."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from lucid_rl.errors import SaveError
from lucid_rl.files import PathLike

LOCK_NAME = ".lock"


@contextlib.contextmanager
def folder_lock(folder: PathLike, work: str) -> Iterator[None]:
    """Holds the lock of a folder, made if missing, while the block runs.

    The operating system releases the lock when the process ends, however it ends.
    `work` is what runs, for the other's message: "training".

    Raises:
        SaveError: another process holds the lock, or the folder cannot be written.
    """
    path = pathlib.Path(folder) / LOCK_NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise SaveError(f"cannot write to {folder}: {error.strerror}.") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            raise SaveError(
                f"{folder} is in use by {stream.read(200).strip() or 'another run'}. "
                "Wait for it to end, or choose another folder."
            ) from error
        # A full disk has no room for the name; whether for results, their files say.
        with contextlib.suppress(OSError):
            os.ftruncate(stream.fileno(), 0)
            os.write(stream.fileno(), f"{work} (process {os.getpid()})".encode())
        yield

"""Locks of folders of results, so that two runs never write into one."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from lucid_rl.errors import SaveError
from lucid_rl.files import PathLike

LOCK_NAME = ".lock"
# A link may lead anywhere, and a pipe may never open.
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK


@contextlib.contextmanager
def folder_lock(folder: PathLike, work: str) -> Iterator[None]:
    """Holds the lock of a folder, made if missing, while the block runs.

    The operating system releases the lock when the process ends, however it ends. The
    lock's file is removed after the block, and folders that were made for it, if
    nothing else is in them. `work` is what runs, for the other's message: "training".

    Raises:
        SaveError: another process holds the lock, or the folder cannot be written.
    """
    path = pathlib.Path(folder).absolute() / LOCK_NAME
    made = [parent for parent in path.parents if not os.path.lexists(parent)]
    handle = _hold(path)
    try:
        # A full disk has no room for the name; whether for results, their files say.
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            os.write(handle, f"{work} (process {os.getpid()})".encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
            for parent in made:
                parent.rmdir()
        os.close(handle)


def _hold(path: pathlib.Path) -> int:
    """Opens and locks a file; gives its descriptor."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, _FLAGS, 0o666)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise SaveError(f"cannot write to {path.parent}: {reason}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(handle, 200).decode(errors="replace").strip()
        os.close(handle)
        raise SaveError(
            f"{path.parent} is in use by {holder or 'another run'}. "
            "Wait for it to end, or choose another folder."
        ) from error
    except OSError:
        return handle  # Some network file systems have no locks.
    # The one who held it may have removed it in between.
    try:
        if os.path.samestat(os.fstat(handle), os.stat(path)):
            return handle
    except FileNotFoundError:
        pass
    os.close(handle)
    return _hold(path)

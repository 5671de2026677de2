"""Reading regular files, writing them atomically, and checks of output paths."""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import pathlib
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import IO, Any

from lucid_rl.errors import InputError, SaveError

PathLike = str | os.PathLike

_SUFFIX = ".lucid_rl.partial"
# A file that is this old and not locked was left behind, even if nothing is in it.
_OLD_SECONDS = 2.0
_MAX_NAME = 255
_MAX_PATH = 4000
_swept: set[pathlib.Path] = set()


def expand_user(path: PathLike) -> pathlib.Path:
    """A path whose "~" is replaced by the user's home folder.

    Raises:
        InputError: the user, or the home folder, is not known.
    """
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{os.fspath(path)}: {error} Set HOME, or give the folder's whole path."
        ) from error


def open_input(path: PathLike) -> IO[bytes]:
    """Opens a regular file for reading; a device or a pipe may never end.

    Raises:
        OSError: it is missing, unreadable, or no regular file.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(errno.EINVAL, "it is a folder, device or pipe, not a file")
        return open(path, "rb")
    except ValueError as error:
        raise OSError(errno.EINVAL, f"no file has such a name ({error})") from error


def read_input(path: PathLike) -> bytes:
    """Reads a regular file whole; raises as `open_input` does."""
    with open_input(path) as stream:
        return stream.read()


def read_text(path: PathLike) -> str:
    """Reads a regular file of UTF-8 text; line ends become those of Unix.

    Raises:
        OSError: as `open_input`, or it is no such text.
    """
    try:
        return read_input(path).decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise OSError(errno.EILSEQ, f"it is no UTF-8 text ({error})") from error


@contextlib.contextmanager
def atomic_open(path: PathLike, mode: str = "wb") -> Iterator[IO[Any]]:
    """Opens a temporary file that replaces `path` when the block succeeds.

    It lies in the same folder; missing folders are made. A link stays one. The first
    call in a folder removes temporary files that killed processes left there. The mode
    is "wb" or "w" (UTF-8).

    Raises:
        SaveError: the folder or file cannot be written, the disk is full, or `path` is
            no regular file; an earlier file at `path` is left as it was.
    """
    target = _regular(path)
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        handle, temporary = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name[:50]}.", suffix=_SUFFIX
        )
        os.close(handle)
        # Names of files in a text need not be text.
        encoding, errors = (
            (None, None) if "b" in mode else ("utf-8", "backslashreplace")
        )
        with open(temporary, mode, encoding=encoding, errors=errors) as stream:
            _lock(stream)
            # mkstemp makes private files; results get the usual permissions.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
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


def write_text(path: PathLike, text: str) -> None:
    """Writes a text file atomically; raises `SaveError` as `atomic_open`."""
    with atomic_open(path, "w") as stream:
        stream.write(text)


def write_json(path: PathLike, values: Any) -> None:
    """Writes a JSON file atomically; raises `SaveError` as `atomic_open`.

    Args:
        path: the file.
        values: plain values; arrays are written as lists, dataclasses as objects, and
            numbers that are not finite, which JSON lacks, as null.
    """
    text = json.dumps(values, default=_plain)
    finite = json.loads(text, parse_constant=lambda name: None)
    write_text(path, f"{json.dumps(finite, indent=1)}\n")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return value.tolist() if hasattr(value, "tolist") else os.fspath(value)


def check_output(path: PathLike) -> None:
    """Finds out whether a file can be written, before any work; makes nothing.

    Raises:
        SaveError: it cannot, or something other than a regular file is there.
    """
    target = _regular(path)
    check_output_folder(target.parent)
    _check_lengths(target.absolute(), [target.name])


def check_output_folder(folder: PathLike) -> None:
    """Finds out whether a folder can be made and written to; makes nothing.

    Raises:
        SaveError: it cannot, or something other than a folder is there.
    """
    wanted = _nameable(folder).absolute()
    there = wanted
    while not os.path.lexists(there):
        there = there.parent
    _check_lengths(wanted, wanted.parts[len(there.parts) :])
    try:
        with tempfile.NamedTemporaryFile(dir=there) as file:
            file.write(bytes(2**16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: PathLike, error: OSError) -> SaveError:
    reason = error.strerror or str(error)
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        reason = "a file is where a folder is meant"
    return SaveError(
        f"cannot write to {folder}: {reason}. Choose an output folder that is "
        "writable and has room."
    )


def _check_lengths(path: pathlib.Path, names: Sequence[str]) -> None:
    """Refuses names that file systems do not take."""
    too_long = [name for name in names if len(os.fsencode(name)) > _MAX_NAME]
    if too_long or len(os.fsencode(path)) > _MAX_PATH:
        raise SaveError(f"cannot write {str(path)[:200]}...: the name is too long.")


def _regular(path: PathLike) -> pathlib.Path:
    """The file that a path means; refuses folders, devices, pipes and sockets."""
    target = _nameable(path)
    try:
        if os.path.islink(target):
            target = pathlib.Path(os.path.realpath(target))
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return target
    except OSError as error:
        raise SaveError(f"cannot write {path}: {error.strerror or error}.") from error
    if not stat.S_ISREG(mode):
        found = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise SaveError(f"cannot write {path}: it is {found}. Give the name of a file.")
    return target


def _nameable(path: PathLike) -> pathlib.Path:
    if "\0" in os.fspath(path):
        raise SaveError(f"cannot write {os.fspath(path)!r}: a name cannot hold NUL.")
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise SaveError(f"cannot write {os.fspath(path)!r}: {error}.") from error
    return pathlib.Path(path)


def _lock(stream: IO[Any]) -> None:
    """Marks a temporary file as in use until it is closed."""
    # Some network file systems have no locks.
    with contextlib.suppress(OSError):
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _opener(path: str, flags: int) -> int:
    # A pipe would never open, and a link may lead anywhere.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _sweep(folder: pathlib.Path) -> None:
    """Removes temporary files in a folder whose processes have ended."""
    if folder in _swept:
        return
    _swept.add(folder)
    for path in folder.glob(f".*{_SUFFIX}"):
        with contextlib.suppress(OSError), open(path, "rb", opener=_opener) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(stream.fileno())
            # A new one may be about to be locked.
            if found.st_size or time.time() - found.st_mtime > _OLD_SECONDS:
                os.unlink(path)

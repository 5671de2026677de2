"""Fetching one file: kept, retried, bounded, and the same as the first time.

The server has no list of checksums, so that of the first complete and readable copy is
recorded: its SHA-256 is written beside the file, in the form that `sha256sum --check`
takes, and every later use is compared with it.
"""

import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pooch

from lucid_rl.errors import DownloadError, FileFormatError
from lucid_rl.files import atomic_open
from lucid_rl.folder_lock import folder_lock
from lucid_rl.progress import progress_bar

MAX_BYTES = 2**33
"""Longest file; the longest known ones have a few hundred megabytes."""

MAX_SECONDS = 3600.0
"""Longest transfer."""

MIN_BYTES_PER_SECOND = 1000.0
"""Slowest transfer, on average, once `GRACE_SECONDS` have passed."""

GRACE_SECONDS = 20.0

_N_ATTEMPTS = 3
_WAIT_SECONDS = 1.0
_TIMEOUT_SECONDS = 30
_CHUNK_BYTES = 2**18

# Compressed transfers would not have the length that the server announces.
_HEADERS = {"Accept-Encoding": "identity"}


class _BrokenTransferError(Exception):
    """A transfer that may succeed when it is tried again."""


def fetch_file(
    url: str,
    path: pathlib.Path,
    check: Callable[[pathlib.Path], Any] | None = None,
) -> None:
    """Makes sure that `path` holds what `url` offers, downloading it if needed.

    A broken transfer starts again, twice at most; an interrupted one leaves no file. A
    copy that is there is not fetched again, unless it changed since its checksum was
    recorded. A file that was put there by hand is taken as it is, after `check`, which
    raises FileFormatError where a file is not whole. One process at a time downloads
    into a folder.

    Raises:
        DownloadError: the file cannot be fetched, is too long or too slow, is not what
            it should be, or has changed on the server; says what to do.
        SaveError: the folder cannot be written, or another process downloads into it.
    """
    record = path.with_name(path.name + ".sha256")
    known = _recorded(record)
    if known is not None and path.is_file() and _digest(path) == known:
        return

    def accept(arrived: pathlib.Path) -> None:
        if known is not None and _digest(arrived) != known:
            raise DownloadError(
                f"{url} is not the file whose checksum {record} holds. If it was "
                "released anew, delete that record; if not, the file was changed."
            )
        try:
            if check is not None:
                check(arrived)
        except FileFormatError as error:
            raise DownloadError(
                f"{url} was fetched whole but is not what it should be: "
                f"{str(error).replace(str(arrived), path.name)}"
            ) from error

    with folder_lock(path.parent, "a download"):
        if known is None and path.is_file():
            _check_by_hand(path, check)
        else:
            _download(url, path, accept)
        with atomic_open(record, "w") as stream:
            stream.write(f"{_digest(path)}  {path.name}\n")


def fetch_text(url: str, limit: int = 2**20) -> str:
    """Fetches a short text, such as an index page, without keeping it.

    Raises:
        DownloadError: it cannot be fetched, is longer than `limit` bytes, or too slow.
    """
    try:
        content = b"".join(_pieces(url, limit, lambda n_bytes: None))
    except _BrokenTransferError as error:
        raise DownloadError(
            f"cannot fetch {url} ({error}). Check the network."
        ) from error
    return content.decode("utf-8", errors="replace")


def _download(
    url: str, path: pathlib.Path, accept: Callable[[pathlib.Path], None]
) -> None:
    """Downloads a file, trying again where the transfer breaks off."""
    for attempts_left in reversed(range(_N_ATTEMPTS)):
        try:
            with (
                atomic_open(path) as stream,
                progress_bar(path.name, unit="B", unit_scale=True, delay=0.5) as bar,
            ):
                for piece in _pieces(url, MAX_BYTES, bar.reset):
                    stream.write(piece)
                    bar.update(len(piece))
                stream.flush()
                accept(pathlib.Path(stream.name))
            return
        except _BrokenTransferError as error:
            if attempts_left:
                time.sleep(_WAIT_SECONDS)
                continue
            changed = (
                f" The copy at {path} is not what was fetched first."
                if path.exists()
                else ""
            )
            raise DownloadError(
                f"cannot fetch {url} ({error}).{changed} Check the network and run it "
                f"again, or fetch that address elsewhere and put the file at {path}."
            ) from error


def _pieces(
    url: str, limit: int, announce: Callable[[int | None], Any]
) -> Iterator[bytes]:
    """What a server answers, as it comes, within the limits."""
    import requests
    import urllib3

    begin = time.monotonic()
    n_bytes = 0
    try:
        with requests.get(
            url, headers=_HEADERS, timeout=_TIMEOUT_SECONDS, stream=True
        ) as response:
            if response.status_code in (404, 410):
                raise DownloadError(
                    f"{url} is not on the server (answer {response.status_code}). "
                    "Check the name against the server's own list."
                )
            response.raise_for_status()
            length = response.headers.get("Content-Length", "")
            expected = int(length) if length.isdigit() and len(length) < 20 else None
            announce(expected)
            # Not iter_content: it waits until a piece is full.
            while piece := response.raw.read1(_CHUNK_BYTES):
                n_bytes += len(piece)
                _check_limits(url, max(n_bytes, expected or 0), limit)
                _check_rate(url, n_bytes, time.monotonic() - begin)
                yield piece
    # Some of requests' errors are OSErrors, some ValueErrors.
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _BrokenTransferError(_reason(error)) from error
    if expected is not None and n_bytes != expected:
        raise _BrokenTransferError(
            f"the transfer broke off after {n_bytes} of {expected} bytes"
        )


def _check_limits(url: str, n_bytes: int, limit: int) -> None:
    if n_bytes > limit:
        raise DownloadError(
            f"{url} is longer than {limit} bytes: not what should be there."
        )


def _check_rate(url: str, n_bytes: int, seconds: float) -> None:
    is_slow = seconds > GRACE_SECONDS and n_bytes < MIN_BYTES_PER_SECOND * seconds
    if is_slow or seconds > MAX_SECONDS:
        raise DownloadError(
            f"{url} is sent too slowly: {n_bytes} bytes in {seconds:.0f} seconds. Try "
            "again later, or fetch it elsewhere."
        )


def _check_by_hand(
    path: pathlib.Path, check: Callable[[pathlib.Path], Any] | None
) -> None:
    try:
        if check is not None:
            check(path)
    except FileFormatError as error:
        raise DownloadError(f"{error} Delete it to have it fetched again.") from error


def _recorded(record: pathlib.Path) -> str | None:
    try:
        with open(record, encoding="utf-8", errors="replace") as stream:
            words = stream.read(10_000).split()
    except FileNotFoundError:
        return None
    if not words or len(words[0]) != 64:
        raise DownloadError(f"{record} holds no checksum. Delete it to make it anew.")
    return words[0]


def _digest(path: pathlib.Path) -> str:
    return pooch.file_hash(str(path))


def _reason(error: BaseException) -> str:
    """The innermost of a connection's nested errors, in its own words."""
    inner = getattr(error, "reason", None) or next(iter(error.args), None)
    if isinstance(inner, BaseException):
        return _reason(inner)
    # urllib3 puts the connection's repr before the words.
    return str(error).split("): ")[-1][:200] or type(error).__name__

"""Fetching one file: kept, retried, bounded, and the same as the first time.

The server has no list of checksums, so that of the first complete and readable copy is
recorded: its SHA-256 is written beside the file, in the form that `sha256sum --check`
takes, and every later use is compared with it.
"""

import contextlib
import os
import pathlib
import queue
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pooch

from lucid_rl.errors import DownloadError, FileFormatError
from lucid_rl.files import atomic_open, open_input, write_text
from lucid_rl.folder_lock import folder_lock
from lucid_rl.progress import progress_bar

MAX_BYTES = 2**33
"""Longest file; the longest known ones have a few hundred megabytes."""

MAX_SECONDS = 3600.0
"""Longest transfer."""

MIN_BYTES_PER_SECOND = 1000.0
"""Slowest transfer, on average, once `GRACE_SECONDS` have passed."""

GRACE_SECONDS = 20.0

ANSWER_SECONDS = 60.0
"""Longest wait for an answer, or for more of it."""

_N_ATTEMPTS = 3
_WAIT_SECONDS = 1.0
_TIMEOUT_SECONDS = 30
_MAX_REDIRECTIONS = 5
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
    if known is not None and os.path.isfile(path) and _digest(path) == known:
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
        if known is None and os.path.isfile(path):
            _check_by_hand(path, check)
        else:
            _download(url, path, accept)
        write_text(record, f"{_digest(path)}  {path.name}\n")


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
                if os.path.exists(path)
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
    # A server can keep a reader waiting where no timeout holds: it sends headers or
    # trailers byte by byte, or without end. So another thread waits.
    arrived: queue.Queue[Any] = queue.Queue(maxsize=4)
    left = threading.Event()
    threading.Thread(target=_receive, args=(url, arrived, left), daemon=True).start()
    begin = time.monotonic()
    n_bytes, expected = 0, None
    try:
        while (found := _next(arrived)) != b"":
            if isinstance(found, Exception):
                raise found
            if not isinstance(found, bytes):
                expected = found
                announce(expected)
                continue
            n_bytes += len(found)
            _check_limits(url, max(n_bytes, expected or 0), limit)
            _check_rate(url, n_bytes, time.monotonic() - begin)
            yield found
    finally:
        left.set()
    if expected is not None and n_bytes != expected:
        raise _BrokenTransferError(
            f"the transfer broke off after {n_bytes} of {expected} bytes"
        )


def _next(arrived: "queue.Queue[Any]") -> Any:
    try:
        return arrived.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        raise _BrokenTransferError(
            f"nothing came for {ANSWER_SECONDS:.0f} seconds"
        ) from None


def _receive(url: str, arrived: "queue.Queue[Any]", left: threading.Event) -> None:
    """Puts the body's length, its pieces, b"" and errors into a queue."""
    import requests
    import urllib3

    def give(item: Any) -> None:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                return arrived.put(item, timeout=0.5)

    try:
        with _answer(url) as response:
            length = response.headers.get("Content-Length", "")
            give(int(length) if length.isdecimal() and len(length) < 20 else None)
            # Not iter_content: it waits until a piece is full.
            while not left.is_set() and (piece := response.raw.read1(_CHUNK_BYTES)):
                give(piece)
        give(b"")
    except (DownloadError, _BrokenTransferError) as error:
        give(error)
    # Some of requests' errors are OSErrors; addresses that are none, ValueErrors.
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        give(_BrokenTransferError(_reason(error)))
    except (OSError, ValueError) as error:
        give(_BrokenTransferError(_reason(error)))


def _answer(url: str) -> Any:
    """The server's answer, with what an address has moved to."""
    import requests

    class Session(requests.Session):
        def get_redirect_target(self, resp: Any) -> None:
            """None: requests would read the bodies of redirections, however long."""

    session = Session()
    for _ in range(_MAX_REDIRECTIONS):
        response = session.get(
            url, headers=_HEADERS, timeout=_TIMEOUT_SECONDS, stream=True
        )
        if response.status_code not in (301, 302, 303, 307, 308):
            break
        response.close()
        url = urllib.parse.urljoin(url, response.headers.get("Location", ""))
    if response.status_code in (404, 410):
        raise DownloadError(
            f"{url} is not on the server (answer {response.status_code}). "
            "Check the name against the server's own list."
        )
    response.raise_for_status()
    if response.status_code != 200:
        raise _BrokenTransferError(f"the server answers {response.status_code}")
    return response


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
        with open_input(record) as stream:
            words = stream.read(10_000).decode(errors="replace").split()
    except OSError:
        return None  # whether the folder can be written shows when it is locked
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

"""Fetching one file: kept, retried, and the same as the first time.

What a server offers comes with no list of checksums, so the first complete and
readable copy sets it: its SHA-256 is written beside the file, in the form that
`sha256sum --check` takes, and every later use is held against it.
"""

import contextlib
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pooch
import tqdm

from lucid_rl.errors import DownloadError, FileFormatError
from lucid_rl.files import atomic_open

_N_RETRIES = 2
_TIMEOUT_SECONDS = 30

# Compressed transfers would not have the length that the server announces.
_HEADERS = {"Accept-Encoding": "identity"}


def fetch_file(
    url: str,
    path: pathlib.Path,
    check: Callable[[pathlib.Path], Any] | None = None,
) -> None:
    """Makes sure that `path` holds what `url` offers, downloading it if needed.

    A broken transfer starts again, twice at most; an interrupted one leaves no
    file. A file that was put at `path` by hand is taken as it is, after `check`.

    Args:
        url: where the file is.
        path: where it goes; a copy that is there already is not fetched again, but
            one that changed since its checksum was recorded is.
        check: reads the file and raises FileFormatError where it is not whole.

    Raises:
        DownloadError: the file cannot be fetched, is not what it should be, or has
            changed on the server; says what to do.
    """
    record = path.with_name(path.name + ".sha256")
    transfer = _Transfer(url, path, check)
    try:
        known = _recorded(record)
        files = pooch.create(
            path=path.parent,
            base_url=url.removesuffix(path.name),
            registry={path.name: known},
            retry_if_failed=_N_RETRIES,
        )
        with _quiet():
            files.fetch(path.name, downloader=transfer)
        if known is None:
            if not transfer.ran:
                _check_by_hand(path, check)
            with atomic_open(record, "w") as stream:
                stream.write(f"{pooch.file_hash(str(path))}  {path.name}\n")
    # First, because some of requests' OSErrors are ValueErrors as well.
    except OSError as error:
        changed = (
            f" The copy at {path} is not what was fetched first."
            if path.exists()
            else ""
        )
        raise DownloadError(
            f"cannot fetch {url} ({_reason(error)}).{changed} Check the network and "
            "run it again, or fetch that address elsewhere and put the file at "
            f"{path}."
        ) from error
    except ValueError as error:
        raise DownloadError(
            f"{url} is not the file whose checksum {record} holds. If it was released "
            "anew, delete that record; if not, somebody changed it."
        ) from error


def fetch_text(url: str, limit: int = 2**22) -> str:
    """Fetches a short text, such as an index page, without keeping it.

    Raises:
        DownloadError: it cannot be fetched or is longer than `limit` bytes.
    """
    import requests

    try:
        with requests.get(url, timeout=_TIMEOUT_SECONDS, stream=True) as response:
            response.raise_for_status()
            content = b"".join(_at_most(response.iter_content(2**16), limit, url))
    except OSError as error:
        raise DownloadError(
            f"cannot fetch {url} ({_reason(error)}). Check the network."
        ) from error
    return content.decode("utf-8", errors="replace")


class _Transfer:
    """pooch's way of downloading, with a check of what arrived."""

    def __init__(
        self,
        url: str,
        path: pathlib.Path,
        check: Callable[[pathlib.Path], Any] | None,
    ) -> None:
        self.url = url
        self._path = path
        self._check = check
        self.ran = False

    def __call__(self, url: str, output: str, _: Any, check_only: bool = False) -> None:
        import requests

        self.ran = True
        n_expected = _announced_length(url)
        terminal = sys.stderr.isatty()
        bar = tqdm.tqdm(
            # pooch sets it again, but asks for the truth of a bar before.
            total=n_expected or 1,
            desc=self._path.name,
            unit="B",
            unit_scale=True,
            delay=0.5,
            mininterval=0.2 if terminal else 30.0,
            dynamic_ncols=terminal,
            file=sys.stderr,
        )
        download = pooch.HTTPDownloader(
            progressbar=bar, headers=_HEADERS, timeout=_TIMEOUT_SECONDS
        )
        try:
            download(url, output, None)
        finally:
            bar.close()
        n_bytes = os.path.getsize(output)
        if n_expected is not None and n_bytes != n_expected:
            raise requests.ConnectionError(
                f"the transfer broke off after {n_bytes} of {n_expected} bytes"
            )
        if self._check is not None:
            try:
                self._check(pathlib.Path(output))
            except FileFormatError as error:
                raise DownloadError(
                    f"{url} was fetched whole but is not what it should be: "
                    f"{str(error).replace(str(output), self._path.name)}"
                ) from error


def _announced_length(url: str) -> int | None:
    import requests

    answer = requests.head(
        url, headers=_HEADERS, timeout=_TIMEOUT_SECONDS, allow_redirects=True
    )
    if answer.status_code in (404, 410):
        raise DownloadError(
            f"{url} is not on the server (answer {answer.status_code}). Check the name "
            "against the server's own list."
        )
    length = answer.headers.get("Content-Length", "") if answer.ok else ""
    return int(length) if length.isdigit() else None


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
        words = record.read_text(encoding="utf-8", errors="replace").split()
    except FileNotFoundError:
        return None
    if not words or len(words[0]) != 64:
        raise DownloadError(f"{record} holds no checksum. Delete it to make it anew.")
    return words[0]


def _at_most(chunks: Iterator[bytes], limit: int, url: str) -> Iterator[bytes]:
    n_bytes = 0
    for chunk in chunks:
        n_bytes += len(chunk)
        if n_bytes > limit:
            raise DownloadError(f"{url} is longer than {limit} bytes: no index page.")
        yield chunk


def _reason(error: BaseException) -> str:
    """The innermost of a connection's nested errors, in its own words."""
    inner = getattr(error, "reason", None) or next(iter(error.args), None)
    if isinstance(inner, BaseException):
        return _reason(inner)
    # urllib3 puts the connection's repr before the words.
    return str(error).split("): ")[-1][:200] or type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps pooch's own log lines out of the progress bar."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)

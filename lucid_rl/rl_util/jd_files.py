"""rl_util's `load_joblib` and `save_joblib`, for the article's `.jd` files, safely."""

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import joblib
import pooch

from lucid_rl.checkpoints.jd_format import read_jd, write_jd
from lucid_rl.errors import DownloadError, InputError


def load_joblib(url_or_handle: Any, *, cache: Any = None, **kwargs: Any) -> Any:
    """Reads plain containers and arrays of a `.jd` file without running what it holds.

    Args:
        url_or_handle: a path, an open binary file, or an address (http, https, ftp or
            gs).
        cache: for addresses: False fetches again and keeps nothing, "purge" fetches
            again and keeps it; by default a file once fetched is reused.
        **kwargs: joblib's `mmap_mode` may be None; nothing else is taken.

    Raises:
        FileFormatError: the file is missing, damaged, or holds more than plain data.
        DownloadError: the address cannot be fetched.
        InputError: other arguments.
    """
    if any(value is not None for value in kwargs.values()):
        raise InputError(
            f"load_joblib takes no {', '.join(kwargs)}: files are read safely, and "
            "not by joblib"
        )
    with local_file(url_or_handle, cache) as path:
        return read_jd(path)


def save_joblib(value: Any, url_or_handle: Any, **kwargs: Any) -> None:
    """Writes a `.jd` file that joblib and the article's code read.

    Args:
        value: plain containers, numbers, text and arrays.
        url_or_handle: a path (written atomically), or an open binary file.
        **kwargs: given any, `joblib.dump` writes with them (`compress`, ...).

    Raises:
        InputError: the value holds something else, or the target is an address.
        SaveError: the file cannot be written.
    """
    if "://" in str(url_or_handle) and not hasattr(url_or_handle, "write"):
        raise InputError(f"cannot write to {url_or_handle}: give a path or a file")
    if kwargs:
        joblib.dump(value, url_or_handle, **kwargs)
    elif hasattr(url_or_handle, "write"):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "file.jd")
            write_jd(value, path)
            with open(path, "rb") as copy:
                shutil.copyfileobj(copy, url_or_handle)
    else:
        write_jd(value, url_or_handle)


@contextlib.contextmanager
def local_file(url_or_handle: Any, cache: Any = None) -> Iterator[pathlib.Path]:
    """A path, within the block, to what a path, an address or an open file holds.

    Arguments are as in `load_joblib`.

    Raises:
        DownloadError: the address cannot be fetched.
    """
    with tempfile.TemporaryDirectory() as folder:
        if hasattr(url_or_handle, "read"):
            path = pathlib.Path(folder, "file")
            with open(path, "wb") as copy:
                shutil.copyfileobj(url_or_handle, copy)
        elif "://" in str(url_or_handle):
            keep_in = folder if cache is False else pooch.os_cache("lucid_rl")
            path = _fetch(str(url_or_handle), pathlib.Path(keep_in), cache == "purge")
        else:
            path = pathlib.Path(url_or_handle)
        yield path


def _fetch(url: str, folder: pathlib.Path, again: bool) -> pathlib.Path:
    address = url.replace("gs://", "https://storage.googleapis.com/", 1)
    name = pooch.utils.unique_file_name(address)
    if again:
        (folder / name).unlink(missing_ok=True)
    try:
        # None: what the file should hold is not known beforehand.
        return pathlib.Path(pooch.retrieve(address, None, fname=name, path=folder))
    except (OSError, ValueError) as error:
        raise DownloadError(f"cannot fetch {url}: {error}") from error

"""Names of the article's released models: a list in the package, or the server's.

The list that comes with the package holds every name that could be known without
the server; the two edited models (`edit/...`) and the ablations of the
architecture (`impala/...`) are named only in the server's own index.
"""

import html
import json
import os
import pathlib
import re
import urllib.parse

import pooch

from lucid_rl.bounded import read_json
from lucid_rl.checkpoints.downloads import fetch_text
from lucid_rl.errors import DownloadError, FileFormatError
from lucid_rl.files import expand_user, write_json

_DATA = json.loads(
    (pathlib.Path(__file__).parent / "data" / "released_models.json").read_text()
)

RELEASED_URL: str = _DATA["root"]
"""Where OpenAI keeps the models."""

SERVER_ONLY: tuple[str, ...] = tuple(_DATA["known_only_to_the_server"])
"""Groups whose names come only from the server's index."""

_INDEX_NAME = "index.json"
_NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_MAX_NAME = 200
_LISTING_TAGS = ("li", "a", "td")
# A tag with its attributes, or the text between tags. Linear in the page's length: no
# piece is looked at again.
_PIECES = re.compile(r"<(\w+)([^<>]*)>|>?([^<>]+)")
_LINK = re.compile(r"""\bhref ?= ?["']?([^"'\s>]+)""", re.IGNORECASE)


def released_url() -> str:
    """The server's address, LUCID_RL_RELEASED_URL where that is set."""
    url = os.environ.get("LUCID_RL_RELEASED_URL") or RELEASED_URL
    return url.rstrip("/") + "/"


def cache_folder(cache_dir: str | os.PathLike | None = None) -> pathlib.Path:
    """Where fetched files go.

    `cache_dir`, or else the folder in LUCID_RL_CACHE, or else "lucid_rl" in the user's
    cache folder; all with "released" added.

    Raises:
        InputError: it is in a home folder that is not known.
    """
    chosen = cache_dir or os.environ.get("LUCID_RL_CACHE") or pooch.os_cache("lucid_rl")
    return expand_user(chosen) / "released"


def is_released_name(name: str) -> bool:
    """Whether a text may be a model's name: short words between slashes, no way out."""
    return len(name) <= _MAX_NAME and _NAME.fullmatch(name) is not None


def released_names(
    refresh: bool = False,
    *,
    cache_dir: str | os.PathLike | None = None,
    base_url: str | None = None,
) -> list[str]:
    """Names of the last index read from the server, or else those in the package.

    With `refresh` the server's index is read and kept for later calls.

    Raises:
        DownloadError: the index was asked for and cannot be read.
    """
    kept = cache_folder(cache_dir) / _INDEX_NAME
    if refresh:
        url = (base_url or released_url()).rstrip("/") + "/index.html"
        names = parse_index(fetch_text(url))
        if not names:
            raise DownloadError(f"{url} names no models: it is not an index of them.")
        write_json(kept, {"url": url, "names": names})
        return names
    try:
        names = read_json(kept)["names"]
        return [name for name in names if _is_model(name)]
    except (FileFormatError, KeyError, TypeError):
        # Not refreshed yet, or of no use.
        return list(_DATA["names"])


def parse_index(page: str) -> list[str]:
    """The models' names in the server's index page, in its order.

    A name is the first word of a list item, table cell or link, or the address of a
    link to a `.jd` file. What surrounds the names, and how they are marked up, does
    not matter.
    """
    candidates = []
    at_start = False
    for tag, attributes, text in _PIECES.findall(page):
        at_start = at_start or tag.lower() in _LISTING_TAGS
        if link := _LINK.search(attributes):
            candidates.append(_name_in(html.unescape(link[1])))
        words = html.unescape(text).split(maxsplit=1)
        if at_start and words:
            candidates.append(words[0].removesuffix(".jd").rstrip(":,;"))
            at_start = False
    return list(dict.fromkeys(filter(_is_model, candidates)))


def _name_in(address: str) -> str:
    path = urllib.parse.unquote(address.split("?")[0].split("#")[0])
    for root in (RELEASED_URL, urllib.parse.urlsplit(RELEASED_URL).path, "./"):
        path = path.removeprefix(root)
    return path.removesuffix(".jd") if path.endswith(".jd") else ""


def _is_model(name: str) -> bool:
    return is_released_name(name) and (name.startswith("coinrun") or "/" in name)

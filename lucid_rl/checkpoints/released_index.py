"""Names of the article's released models: a list in the package, or the server's.

The list that comes with the package holds every name that could be known without
the server; the two edited models (`edit/...`) and the ablations of the
architecture (`impala/...`) are named only in the server's own index.
"""

import html.parser
import json
import os
import pathlib
import re
import urllib.parse

import pooch

from lucid_rl.checkpoints.downloads import fetch_text
from lucid_rl.errors import DownloadError
from lucid_rl.files import atomic_open

_DATA = json.loads(
    (pathlib.Path(__file__).parent / "data" / "released_models.json").read_text()
)

RELEASED_URL: str = _DATA["root"]
"""Where OpenAI keeps the models."""

SERVER_ONLY: tuple[str, ...] = tuple(_DATA["known_only_to_the_server"])
"""Groups whose names come only from the server's index."""

_INDEX_NAME = "index.json"
_NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_LISTING_TAGS = ("li", "a", "td")


def released_url() -> str:
    """The server's address, LUCID_RL_RELEASED_URL where that is set."""
    return os.environ.get("LUCID_RL_RELEASED_URL", RELEASED_URL).rstrip("/") + "/"


def cache_folder(cache_dir: str | os.PathLike | None = None) -> pathlib.Path:
    """Where fetched files go.

    Returns:
        `cache_dir`, or else what LUCID_RL_CACHE names, or else "lucid_rl" in the
        user's cache folder; all with "released" added.
    """
    chosen = cache_dir or os.environ.get("LUCID_RL_CACHE") or pooch.os_cache("lucid_rl")
    return pathlib.Path(chosen).expanduser() / "released"


def is_released_name(name: str) -> bool:
    """Whether a text may be a model's name: words between slashes, no way out."""
    return _NAME.fullmatch(name) is not None


def released_names(
    refresh: bool = False,
    *,
    cache_dir: str | os.PathLike | None = None,
    base_url: str | None = None,
) -> list[str]:
    """Names of the released models.

    Args:
        refresh: read the server's index, and keep it for later calls.
        cache_dir: see `cache_folder`.
        base_url: another server's address.

    Returns:
        The names of the last index read from the server, or else those that come
        with the package.

    Raises:
        DownloadError: the index was asked for and cannot be read.
    """
    kept = cache_folder(cache_dir) / _INDEX_NAME
    if refresh:
        url = (base_url or released_url()).rstrip("/") + "/index.html"
        names = parse_index(fetch_text(url))
        if not names:
            raise DownloadError(f"{url} names no models: it is no index of them.")
        with atomic_open(kept, "w") as stream:
            json.dump({"url": url, "names": names}, stream, indent=1)
        return names
    try:
        names = json.loads(kept.read_text(encoding="utf-8"))["names"]
        return [name for name in names if is_released_name(name)]
    except (OSError, ValueError, KeyError, TypeError):
        # Not refreshed yet, or of no use.
        return list(_DATA["names"])


def parse_index(page: str) -> list[str]:
    """The models' names in the server's index page, in its order.

    A name is the first word of a list item, table cell or link, or the address of a
    link to a `.jd` file. What surrounds the names, and how they are marked up, does
    not matter.
    """
    parser = _IndexParser()
    parser.feed(page)
    parser.close()
    return list(dict.fromkeys(filter(_is_model, parser.candidates)))


def _is_model(name: str) -> bool:
    return is_released_name(name) and (name.startswith("coinrun") or "/" in name)


class _IndexParser(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.candidates: list[str] = []
        self._at_start = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._at_start = self._at_start or tag in _LISTING_TAGS
        address = urllib.parse.urlsplit(dict(attrs).get("href") or "").path
        if address.endswith(".jd"):
            root = urllib.parse.urlsplit(RELEASED_URL).path
            name = urllib.parse.unquote(address).removeprefix(root)
            self.candidates.append(name.removeprefix("./").removesuffix(".jd"))

    def handle_data(self, data: str) -> None:
        words = data.split()
        if self._at_start and words:
            self.candidates.append(words[0].removesuffix(".jd").rstrip(":,;"))
            self._at_start = False

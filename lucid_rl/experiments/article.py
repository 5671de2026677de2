"""The article's published numbers, as data with their place in the article."""

import dataclasses
import functools
import json
import pathlib
from typing import Any

_DATA = pathlib.Path(__file__).parent / "data" / "article.json"


@dataclasses.dataclass(frozen=True)
class PublishedFailures:
    """One row of the article's failure table.

    Attributes:
        name: row, e.g. "buzzsaw_blind".
        n_levels: levels played.
        percent: cause -> percent of levels failed because of it. The causes are
            "buzzsaw", "enemy_moving_left", "enemy_moving_right" and
            "multiple_or_other".
    """

    name: str
    n_levels: int
    percent: dict[str, float]

    def count(self, cause: str) -> int:
        """Levels failed because of `cause`: the percentage as a whole number."""
        return round(self.percent[cause] * self.n_levels / 100)


@functools.cache
def article_numbers() -> dict[str, Any]:
    """All published numbers, as `data/article.json` holds them."""
    return json.loads(_DATA.read_text(encoding="utf-8"))


def published_failures() -> dict[str, PublishedFailures]:
    """The article's failure table by row name (section Model editing)."""
    table = article_numbers()["failures"]
    return {
        name: PublishedFailures(
            name=name,
            n_levels=table["n_levels"],
            percent=dict(zip(table["causes"], row, strict=True)),
        )
        for name, row in table["rows"].items()
    }

"""docs/attribution_results.md says what the committed results say."""

import pytest

from benchmarks.tables import DOCUMENT, TABLES, filled


def test_tables_are_those_of_the_results():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert filled(text) == text, "run `python -m benchmarks.tables`"


def test_each_table_needs_its_place():
    name = next(iter(TABLES))
    text = DOCUMENT.read_text(encoding="utf-8")
    for broken in (
        text.replace(f"<!-- begin {name} -->", ""),
        text + f"<!-- end {name} -->",
    ):
        with pytest.raises(ValueError, match=name):
            filled(broken)

"""benchmarks/results/attribution.md says what the results beside it say."""

from benchmarks.tables import DOCUMENT, document


def test_tables_are_those_of_the_results():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == document(), "run `python -m benchmarks.tables`"

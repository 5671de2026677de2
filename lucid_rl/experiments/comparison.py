"""Reports of the article's experiments on a model, beside the article's numbers.

Results are plain values, which a file holds; the report is written from them alone, so
that it can be written again, and checked, without playing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from lucid_rl.evaluation.episodes import FAILED
from lucid_rl.evaluation.evaluation import Evaluation
from lucid_rl.evaluation.settings import NOT_KNOWN
from lucid_rl.experiments.article import (
    PublishedFailures,
    article_numbers,
    published_failures,
)
from lucid_rl.experiments.verdicts import (
    COLUMNS,
    SIGNIFICANCE,
    WANTED_RATIO,
    Verdict,
    failure_rates,
)
from lucid_rl.reports import markdown_table
from lucid_rl.statistics import Proportion, compare

Rates = dict[str, Proportion]  # failure rates by cause

_PUBLISHED = "the article's"

_RULE = (
    f"An edit is successful if it raises its cause at least {WANTED_RATIO:.0f} times "
    "and changes no other significantly "
    f"(p < {SIGNIFICANCE / (len(COLUMNS) - 1):.3f})."
)
_NO_RULE = (
    "What ended a level, and which levels hold which hazard, is not known on this "
    "engine. So failures of any cause are compared, and no edit is judged to be "
    "successful or not: that would need its own cause, and its side effects."
)


def failures_dict(
    evaluations: Mapping[str, Evaluation], verdicts: Mapping[str, Verdict]
) -> dict[str, Any]:
    """The failure table and the verdicts as plain values."""
    return {
        "rows": {
            row: {
                "failed": {c: r.as_dict() for c, r in failure_rates(found).items()},
                "evaluation": found.as_dict(),
            }
            for row, found in evaluations.items()
        },
        "verdicts": {row: verdict.as_dict() for row, verdict in verdicts.items()},
    }


def failure_table(rows: Mapping[str, Any]) -> str:
    """Markdown: each row's failure rates with intervals, the article's row below it."""
    columns = _columns(rows)
    lines = [
        (title, f"{n:,}", *(rates.get(cause, NOT_KNOWN) for cause in columns))
        for title, n, rates in _beside_published(rows)
    ]
    return markdown_table(("", "levels", *map(_words, columns)), lines)


def difference_table(rows: Mapping[str, Any]) -> str:
    """Markdown: by how much each row differs from the original, the article's below."""
    columns = _columns(rows)
    ours, theirs, *others = _beside_published(rows)
    lines = []
    for title, _, rates in others:
        *_, original = theirs if title == _PUBLISHED else ours
        changes = {c: compare(rates[c], original[c]) for c in columns if c in rates}
        cells = (
            f"{changes[cause].difference:+.2%} ({changes[cause].p_text})"
            if cause in changes
            else NOT_KNOWN
            for cause in columns
        )
        lines.append((title, *cells))
    return markdown_table(("", *map(_words, columns)), lines)


def report(results: Mapping[str, Any]) -> str:
    """Markdown: table, verdicts, features removed, sparsity, one-hotness.

    Args:
        results: as `ComparisonResults.as_dict` gives them, or their file.
    """
    published = article_numbers()
    sparsity = results["sparsity"]
    hotness = ", ".join(f"{cosine:.2f}" for cosine in results["one_hotness"])
    original_row = results["rows"]["original"]
    original = original_row["evaluation"]
    completed = Proportion(original["completed"]["count"], original["n_episodes"])
    lines = [
        f"Model `{original['model']['name']}`, engine {original['engine']}, "
        f"{original['settings']['game']['distribution_mode']} levels, "
        f"{original['n_episodes']:,} for each row, actions sampled. The original model "
        f"completes {completed} of them (article: around "
        f"{100 - published['failure_rate']['percent']:.1f}%).",
        "",
        "### Levels failed, by cause",
        "",
        failure_table(results["rows"]),
        "",
        "In brackets: 95% Wilson intervals. All rows play the same levels.",
        "",
        "Against the original, in percentage points, with Fisher's exact test:",
        "",
        difference_table(results["rows"]),
        "",
        "### Verdicts",
        "",
        _RULE if FAILED not in original_row["failed"] else _NO_RULE,
        "",
        *(f"- {verdict['text']}" for verdict in results["verdicts"].values()),
        "",
        "### What was removed",
        "",
        *(
            f"- {row}: layer {removed['layer']}, {removed['text']}."
            for row, removed in results["features_removed"].items()
        ),
        "",
        "### Attribution",
        "",
        f"- Sparsity, layer {results['layer']}: the top {sparsity['n_top']} "
        f"position-channel pairs hold {sparsity['mean']:.0%} of the total absolute "
        f"attribution on average over {sparsity['n']} observations, and more than 80% "
        f"in {sparsity['above_80_percent']:.0%} of them (article: more than "
        f"{published['sparsity']['percent_more_than']:.0f}% in its one example).",
        f"- One-hotness, layer {results['layer']}: cosine of each feature's direction "
        f"with its nearest channel: {hotness} (article: close to one-hot).",
    ]
    return "\n".join(lines) + "\n"


def _words(name: str) -> str:
    return "any cause" if name == FAILED else name.replace("_", " ")


def _columns(rows: Mapping[str, Any]) -> tuple[str, ...]:
    """The article's causes; before them, where ours are not known, any cause."""
    unknown = FAILED in rows["original"]["failed"]
    return (FAILED, *COLUMNS) if unknown else COLUMNS


def _beside_published(rows: Mapping[str, Any]) -> Iterator[tuple[str, int, Rates]]:
    """Title, levels and failure rates of each row, the article's below it.

    The original comes first.
    """
    published = published_failures()
    for row in ("original", *(row for row in rows if row != "original")):
        n = rows[row]["evaluation"]["n_episodes"]
        yield f"**{_words(row)}**", n, _rates(rows[row])
        if row in published:
            theirs = published[row]
            yield _PUBLISHED, theirs.n_levels, _published_rates(theirs)


def _rates(row: Mapping[str, Any]) -> Rates:
    """A row's failure rates, as far as they are known."""
    n = row["evaluation"]["n_episodes"]
    return {cause: Proportion(one["count"], n) for cause, one in row["failed"].items()}


def _published_rates(row: PublishedFailures) -> Rates:
    counts = {cause: row.count(cause) for cause in COLUMNS}
    counts[FAILED] = sum(counts.values())
    return {cause: Proportion(n, row.n_levels) for cause, n in counts.items()}

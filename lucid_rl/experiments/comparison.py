"""Reports of the article's experiments on a model, beside the article's numbers.

Results are plain values, which a file holds; the report is written from them alone, so
that it can be written again, and checked, without playing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lucid_rl.evaluation.episodes import FAILED
from lucid_rl.evaluation.evaluation import Evaluation
from lucid_rl.evaluation.settings import NOT_KNOWN
from lucid_rl.evaluation.statistics import Proportion, compare
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
    failure_shares,
)

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
    rows = {}
    for row, evaluation in evaluations.items():
        shares = failure_shares(evaluation)
        rows[row] = {
            "failed": {cause: share.as_dict() for cause, share in shares.items()},
            "evaluation": evaluation.as_dict(),
        }
    return {
        "rows": rows,
        "verdicts": {row: verdict.as_dict() for row, verdict in verdicts.items()},
    }


def failure_table(rows: Mapping[str, Any]) -> str:
    """Markdown: each row's failure rates with intervals, the article's row below it.

    Args:
        rows: as in `failures_dict`.
    """
    published, columns = published_failures(), _columns(rows)
    lines = _heading("levels", *map(_words, columns))
    for row, values in rows.items():
        lines.append(_shares_line(f"**{_words(row)}**", _shares(values), columns))
        if row in published:
            theirs = _published_shares(published[row])
            lines.append(_shares_line("the article's", theirs, columns))
    return "\n".join(lines)


def difference_table(rows: Mapping[str, Any]) -> str:
    """Markdown: by how much each row differs from the original, the article's below.

    Args:
        rows: as in `failures_dict`.
    """
    published, columns = published_failures(), _columns(rows)
    lines = _heading(*map(_words, columns))
    before = _shares(rows["original"])
    for row, values in rows.items():
        if row == "original":
            continue
        title, ours = f"**{_words(row)}**", _shares(values)
        lines.append(_difference_line(title, ours, before, columns))
        if row in published:
            theirs = _published_shares(published[row])
            first = _published_shares(published["original"])
            lines.append(_difference_line("the article's", theirs, first, columns))
    return "\n".join(lines)


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
    command = [f"`{results['command']}`", ""] if "command" in results else []
    lines = [
        *command,
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


def _heading(*titles: str) -> list[str]:
    return [f"| | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]


def _columns(rows: Mapping[str, Any]) -> tuple[str, ...]:
    """The article's causes; before them, where ours are not known, any cause."""
    unknown = FAILED in rows["original"]["failed"]
    return (FAILED, *COLUMNS) if unknown else COLUMNS


def _shares(row: Mapping[str, Any]) -> dict[str, Proportion]:
    """A row's shares, as far as they are known."""
    n = row["evaluation"]["n_episodes"]
    return {
        cause: Proportion(share["count"], n) for cause, share in row["failed"].items()
    }


def _published_shares(row: PublishedFailures) -> dict[str, Proportion]:
    counts = {cause: row.count(cause) for cause in COLUMNS}
    counts[FAILED] = sum(counts.values())
    return {cause: Proportion(n, row.n_levels) for cause, n in counts.items()}


def _shares_line(
    title: str, shares: Mapping[str, Proportion], columns: Sequence[str]
) -> str:
    n = next(iter(shares.values())).n
    cells = [str(shares.get(cause, NOT_KNOWN)) for cause in columns]
    return f"| {title} | {n:,} | {' | '.join(cells)} |"


def _difference_line(
    title: str,
    after: Mapping[str, Proportion],
    before: Mapping[str, Proportion],
    columns: Sequence[str],
) -> str:
    cells = []
    for cause in columns:
        if cause in after:
            change = compare(after[cause], before[cause])
            cells.append(f"{change.difference:+.2%} ({change.p_text})")
        else:
            cells.append(NOT_KNOWN)
    return f"| {title} | {' | '.join(cells)} |"

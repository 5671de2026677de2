"""The article's experiments on our model, beside the article's numbers.

Results are plain values, which a file holds; the report is written from them alone, so
that it can be written again, and checked, without playing.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from lucid_rl.errors import InputError
from lucid_rl.evaluation.article import (
    PublishedFailures,
    article_numbers,
    published_failures,
)
from lucid_rl.evaluation.evaluation import Evaluation
from lucid_rl.evaluation.statistics import Proportion, compare
from lucid_rl.evaluation.verdicts import (
    COLUMNS,
    SIGNIFICANCE,
    WANTED_RATIO,
    Verdict,
    failure_shares,
)
from lucid_rl.files import PathLike, atomic_open

BEGIN, END = "<!-- begin results -->", "<!-- end results -->"
"""What stands around the report in a document."""


def failures_dict(
    evaluations: Mapping[str, Evaluation], verdicts: Mapping[str, Verdict]
) -> dict[str, Any]:
    """The failure table and the verdicts as plain values."""
    rows = {}
    for row, evaluation in evaluations.items():
        summary = evaluation.as_dict()
        # Where the model lay on this machine concerns nobody.
        path = pathlib.Path(str(summary["model"].get("path", ""))).name
        summary["model"] = {**summary["model"], "path": path}
        shares = failure_shares(evaluation)
        rows[row] = {
            "failed": {cause: share.as_dict() for cause, share in shares.items()},
            "evaluation": summary,
        }
    return {
        "rows": rows,
        "verdicts": {row: verdict.as_dict() for row, verdict in verdicts.items()},
    }


def failure_table(rows: Mapping[str, Any]) -> str:
    """Markdown: each row's shares with intervals, the article's row below it.

    Args:
        rows: as in `failures_dict`.
    """
    published = published_failures()
    lines = [
        "| | levels | " + " | ".join(_words(cause) for cause in COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 2) + "|",
    ]
    for row, values in rows.items():
        lines.append(_shares_line(f"**{_words(row)}**", _shares(values)))
        if row in published:
            lines.append(
                _shares_line("the article's", _published_shares(published[row]))
            )
    return "\n".join(lines)


def difference_table(rows: Mapping[str, Any]) -> str:
    """Markdown: by how much each row differs from the original, the article's below.

    Args:
        rows: as in `failures_dict`.
    """
    published = published_failures()
    lines = [
        "| | " + " | ".join(_words(cause) for cause in COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    before = _shares(rows["original"])
    for row, values in rows.items():
        if row == "original":
            continue
        lines.append(_difference_line(f"**{_words(row)}**", _shares(values), before))
        if row in published:
            theirs = _published_shares(published[row])
            first = _published_shares(published["original"])
            lines.append(_difference_line("the article's", theirs, first))
    return "\n".join(lines)


def report(results: Mapping[str, Any]) -> str:
    """Markdown: table, verdicts, features removed, sparsity, one-hotness.

    Args:
        results: as `ComparisonResults.as_dict` gives them, or their file.
    """
    published = article_numbers()
    sparsity = results["sparsity"]
    hotness = ", ".join(f"{cosine:.2f}" for cosine in results["one_hotness"])
    original = results["rows"]["original"]["evaluation"]
    completed = Proportion(original["completed"]["count"], original["n_episodes"])
    command = [f"`{results['command']}`", ""] if "command" in results else []
    lines = [
        *command,
        f"Model `{original['model']['path']}`, engine {original['engine']}, "
        f"{original['settings']['game']['distribution_mode']} levels, "
        f"{original['n_episodes']:,} for each row, actions sampled. The original model "
        f"finishes {completed} of them (article: around "
        f"{100 - published['failure_rate']['percent']:.1f}%).",
        "",
        "### Levels failed, by cause",
        "",
        failure_table(results["rows"]),
        "",
        "In brackets: 95% Wilson intervals. All rows play the same levels.",
        "",
        "Against the original, in points of percent, with Fisher's exact test:",
        "",
        difference_table(results["rows"]),
        "",
        "### Verdicts",
        "",
        f"An edit is successful if it raises its cause at least {WANTED_RATIO:.0f} "
        "times and changes no other significantly "
        f"(p < {SIGNIFICANCE / (len(COLUMNS) - 1):.3f}).",
        "",
        *(f"- {verdict['text']}" for verdict in results["verdicts"].values()),
        "",
        "### Features removed",
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


def around_report(document: PathLike) -> tuple[str, str]:
    """What stands before and after the report in a document, the marks with it.

    Raises:
        InputError: the document is missing, or has not each mark once.
    """
    try:
        content = pathlib.Path(document).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {document}: {error.strerror}") from error
    if content.count(BEGIN) != 1 or content.count(END) != 1:
        raise InputError(f"{document} must hold {BEGIN} and {END} once each")
    return content.split(BEGIN)[0] + BEGIN, END + content.split(END)[1]


def write_into(document: PathLike, text: str) -> None:
    """Puts a report into a document, between `BEGIN` and `END`.

    Raises:
        InputError: as in `around_report`.
    """
    before, after = around_report(document)
    with atomic_open(document, "w") as stream:
        stream.write(f"{before}\n\n{text}\n{after}")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shares(row: Mapping[str, Any]) -> list[Proportion]:
    """A row's shares, in the order of `COLUMNS`."""
    n = row["evaluation"]["n_episodes"]
    return [Proportion(row["failed"][cause]["count"], n) for cause in COLUMNS]


def _published_shares(row: PublishedFailures) -> list[Proportion]:
    return [Proportion(row.count(cause), row.n_levels) for cause in COLUMNS]


def _shares_line(title: str, shares: Sequence[Proportion]) -> str:
    cells = " | ".join(map(str, shares))
    return f"| {title} | {shares[0].n:,} | {cells} |"


def _difference_line(
    title: str, after: Sequence[Proportion], before: Sequence[Proportion]
) -> str:
    changes = [compare(new, old) for new, old in zip(after, before, strict=True)]
    cells = [f"{c.difference:+.2%} ({c.p_text})" for c in changes]
    return f"| {title} | {' | '.join(cells)} |"

"""Our failure table beside the article's, and whether the edits did their work."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from lucid_rl.errors import InputError
from lucid_rl.evaluation.article import PublishedFailures, published_failures
from lucid_rl.evaluation.evaluation import Evaluation
from lucid_rl.evaluation.statistics import Difference, Proportion, compare

ARTICLE_CAUSES = ("buzzsaw", "enemy_moving_left", "enemy_moving_right")
OTHER = "multiple_or_other"
COLUMNS = (*ARTICLE_CAUSES, OTHER)

# What each row of the table is expected to raise.
TARGETS = {
    "buzzsaw_blind": "buzzsaw",
    "enemy_moving_left_blind": "enemy_moving_left",
    "original_invisible_buzzsaws": "buzzsaw",
}
WANTED_RATIO = 10.0
"""An edit counts as a success when it raises its cause at least this many times ..."""
SIGNIFICANCE = 0.05
"""... and no other cause differs at this level, shared out among the causes
(Bonferroni)."""


@dataclasses.dataclass(frozen=True)
class Effect:
    """What one edit did to one cause of failure."""

    cause: str
    before: Proportion
    after: Proportion
    difference: Difference

    @property
    def ratio(self) -> float:
        """How many times as frequent; infinite from nothing, NaN if never seen."""
        if self.before.count == 0:
            return float("inf") if self.after.count else float("nan")
        return self.after.share / self.before.share


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a row's edit was successful and targeted."""

    row: str
    target: str
    effects: tuple[Effect, ...]

    @property
    def target_effect(self) -> Effect:
        """The effect on the cause that was to rise."""
        return next(e for e in self.effects if e.cause == self.target)

    @property
    def side_effects(self) -> list[Effect]:
        """Other causes that changed significantly."""
        level = SIGNIFICANCE / max(len(self.effects) - 1, 1)
        return [
            effect
            for effect in self.effects
            if effect.cause != self.target and effect.difference.p_value < level
        ]

    @property
    def success(self) -> bool:
        """The target rose at least tenfold, surely, and nothing else changed."""
        effect = self.target_effect
        risen = effect.ratio >= WANTED_RATIO
        return (
            risen and effect.difference.p_value < SIGNIFICANCE and not self.side_effects
        )

    def __str__(self) -> str:
        effect = self.target_effect
        text = (
            f"{self.row}: {self.target} went from {effect.before.share:.2%} to "
            f"{effect.after.share:.2%} ({effect.ratio:.1f} times; p = "
            f"{effect.difference.p_value:.2g})"
        )
        if self.side_effects:
            changed = ", ".join(
                f"{e.cause} {e.before.share:.2%} to {e.after.share:.2%} "
                f"(p = {e.difference.p_value:.2g})"
                for e in self.side_effects
            )
            text += f"; also changed: {changed}"
        else:
            text += "; no other cause changed significantly"
        outcome = "successful" if self.success else "NOT successful by the stated rule"
        return f"{text}. The edit is {outcome}."


def failure_shares(evaluation: Evaluation) -> dict[str, Proportion]:
    """Shares of levels failed for each of the article's causes.

    Lava, time-outs and several causes at once are the article's "multiple or other".

    Raises:
        InputError: causes were not looked into.
    """
    found = evaluation.failures()
    if "failed" in found:
        raise InputError(
            "the evaluation did not look into the causes of failure; evaluate again "
            "with causes"
        )
    n = len(evaluation.episodes)
    nothing = Proportion(0, n)
    shares = {cause: found.get(cause, nothing) for cause in ARTICLE_CAUSES}
    others = sum(p.count for cause, p in found.items() if cause not in ARTICLE_CAUSES)
    return {**shares, OTHER: Proportion(others, n)}


def judge(row: str, before: Evaluation, after: Evaluation) -> Verdict:
    """Compares an edited model (or game) with the original, cause by cause."""
    old, new = failure_shares(before), failure_shares(after)
    effects = tuple(
        Effect(cause, old[cause], new[cause], compare(new[cause], old[cause]))
        for cause in COLUMNS
    )
    return Verdict(row, TARGETS[row], effects)


def failure_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Markdown: each row's shares with intervals, the article's row below it."""
    published = published_failures()
    lines = [
        "| | levels | " + " | ".join(c.replace("_", " ") for c in COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 2) + "|",
    ]
    for row, evaluation in evaluations.items():
        shares = failure_shares(evaluation)
        cells = " | ".join(str(shares[cause]) for cause in COLUMNS)
        lines.append(f"| {_title(row)} | {len(evaluation.episodes):,} | {cells} |")
        if row in published:
            lines.append(_published_line(published[row]))
    return "\n".join(lines)


def comparison_dict(evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    """The table and the verdicts as plain values, for a results file."""
    published = published_failures()
    rows = {}
    for row, evaluation in evaluations.items():
        shares = failure_shares(evaluation)
        rows[row] = {
            "evaluation": evaluation.as_dict(),
            "failed": {cause: p.as_dict() for cause, p in shares.items()},
            "article_percent": published[row].percent if row in published else None,
        }
    verdicts = {
        row: {
            "target": verdict.target,
            "ratio": verdict.target_effect.ratio,
            "success": verdict.success,
            "side_effects": [e.cause for e in verdict.side_effects],
            "effects": {e.cause: e.difference.as_dict() for e in verdict.effects},
        }
        for row, verdict in verdicts_of(evaluations).items()
    }
    return {"rows": rows, "verdicts": verdicts}


def verdicts_of(evaluations: Mapping[str, Evaluation]) -> dict[str, Verdict]:
    """A verdict for each row but the original."""
    original = evaluations["original"]
    return {
        row: judge(row, original, evaluation)
        for row, evaluation in evaluations.items()
        if row in TARGETS
    }


def _title(row: str) -> str:
    return f"**{row.replace('_', ' ')}**"


def _published_line(row: PublishedFailures) -> str:
    cells = " | ".join(
        f"{Proportion(row.count(cause), row.n_levels)}" for cause in COLUMNS
    )
    return f"| the article's | {row.n_levels:,} | {cells} |"

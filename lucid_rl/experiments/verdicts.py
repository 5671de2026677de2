"""Verdicts on edits: effect by cause of failure, side effects, and blindness.

The rule was fixed before the results. It is strict where many levels are failed: a
level failed at a buzzsaw cannot fail at a later enemy, so that other causes get rarer
where the target gets more frequent. Levels without the hazard have no such bias.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.evaluation.episodes import FAILED
from lucid_rl.evaluation.evaluation import Evaluation
from lucid_rl.evaluation.settings import NOT_KNOWN
from lucid_rl.statistics import (
    Difference,
    Proportion,
    bootstrap,
    compare,
    percentile_interval,
)

ARTICLE_CAUSES = ("buzzsaw", "enemy_moving_left", "enemy_moving_right")
OTHER = "multiple_or_other"
COLUMNS = (*ARTICLE_CAUSES, OTHER)


@dataclasses.dataclass(frozen=True)
class Row:
    """What a row of the table changes against the original.

    Attributes:
        target: the cause of failure that is expected to rise.
        hazard: what the edit hides; levels without it should be played as before.
        object_class: whose features are edited away; None where the game does not
            draw the hazard instead.
    """

    target: str
    hazard: str
    object_class: str | None = None

    @property
    def is_edit(self) -> bool:
        """Whether the model is changed, and not the game."""
        return self.object_class is not None


ROWS = {
    "buzzsaw_blind": Row("buzzsaw", "buzzsaw", "buzzsaw"),
    "enemy_moving_left_blind": Row("enemy_moving_left", "enemy", "enemy_left"),
    "original_invisible_buzzsaws": Row("buzzsaw", "buzzsaw"),
    "original_invisible_enemies": Row("enemy_moving_left", "enemy"),
}
"""The table's rows but the original; the last one is not the article's."""

WANTED_RATIO = 10.0
"""A successful edit raises the frequency of its cause by this factor or more."""
SIGNIFICANCE = 0.05
"""And no other cause differs at this level, divided among the causes (Bonferroni)."""


@dataclasses.dataclass(frozen=True)
class Effect:
    """Effect of an edit on one cause of failure."""

    cause: str
    before: Proportion
    after: Proportion
    difference: Difference

    @property
    def ratio(self) -> float:
        """How many times as frequent; infinite from nothing, NaN if never seen."""
        if self.before.count == 0:
            return float("inf") if self.after.count else float("nan")
        return self.after.fraction / self.before.fraction

    def as_dict(self) -> dict[str, Any]:
        """Both proportions and their difference, for a results file."""
        return {
            "before": self.before.as_dict(),
            "after": self.after.as_dict(),
            "difference": self.difference.as_dict(),
        }

    def __str__(self) -> str:
        return (
            f"{self.cause} {self.before.fraction:.2%} to {self.after.fraction:.2%} "
            f"({self.difference.p_text})"
        )


@dataclasses.dataclass(frozen=True)
class Blindness:
    """Blindness by an edit, as a fraction of the effect of not drawing the object.

    The article's measure: of the rise in the target's frequency that invisible
    objects cause, the fraction that the edit causes.

    Attributes:
        fraction: 0 for no effect, 1 for complete blindness.
        low: lower end of a 95 % interval, a bootstrap over the levels.
        high: its upper end.
    """

    fraction: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.fraction:.0%} ({self.low:.0%} to {self.high:.0%})"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a row's edit was successful and targeted.

    Attributes:
        row: its name.
        effects: on each cause; where causes are not known, on failures of any
            cause alone.
        without_hazard: failures of any kind in levels without the hazard; None if it
            is not known which these are, or there are none.
        blindness: None if the row with invisible objects was not played.
    """

    row: str
    effects: tuple[Effect, ...]
    without_hazard: Effect | None = None
    blindness: Blindness | None = None

    @property
    def knows_causes(self) -> bool:
        """Whether causes of failure are known for the game."""
        return all(effect.cause != FAILED for effect in self.effects)

    @property
    def judged(self) -> bool:
        """Whether the rule for success applies: to edits, where causes are known."""
        return ROWS[self.row].is_edit and self.knows_causes

    @property
    def target(self) -> str:
        """The cause that is to rise; failures of any where causes are not known."""
        return ROWS[self.row].target if self.knows_causes else FAILED

    @property
    def target_effect(self) -> Effect:
        """The effect on the target."""
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
        """The target rose at least tenfold, significantly, and no other cause did."""
        effect = self.target_effect
        risen = effect.ratio >= WANTED_RATIO
        return (
            risen and effect.difference.p_value < SIGNIFICANCE and not self.side_effects
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for a results file."""
        without, blindness = self.without_hazard, self.blindness
        ratio = self.target_effect.ratio
        return {
            "text": str(self),
            "target": self.target,
            # JSON has no infinity.
            "ratio": ratio if np.isfinite(ratio) else None,
            "success": self.success if self.judged else None,
            "side_effects": [e.cause for e in self.side_effects],
            "effects": {e.cause: e.difference.as_dict() for e in self.effects},
            "levels_without_hazard": without and without.as_dict(),
            "blindness": blindness and dataclasses.asdict(blindness),
        }

    def __str__(self) -> str:
        effect = self.target_effect
        rising = self.target if self.knows_causes else "failures of any cause"
        parts = [
            f"{self.row}: {rising} went from {effect.before.fraction:.2%} to "
            f"{effect.after.fraction:.2%} ({effect.ratio:.1f} times; "
            f"{effect.difference.p_text})"
        ]
        changed = ", ".join(str(effect) for effect in self.side_effects)
        if changed:
            parts.append(f"also changed: {changed}")
        elif self.knows_causes:
            parts.append("no other cause changed significantly")
        else:
            parts.append(f"what caused them is {NOT_KNOWN}")
        if self.judged and effect.before.fraction * WANTED_RATIO > 1:
            parts.append(
                f"{WANTED_RATIO:.0f} times is out of reach, as that is more than all "
                "levels"
            )
        if self.without_hazard is not None:
            n = self.without_hazard.before.n
            parts.append(f"of {n:,} {self.without_hazard}")
        if self.blindness is not None and ROWS[self.row].is_edit:
            parts.append(
                "blindness by the article's measure, as a fraction of what invisible "
                f"objects do: {self.blindness}"
            )
        text = "; ".join(parts)
        if not ROWS[self.row].is_edit:
            if effect.difference.p_value < SIGNIFICANCE:
                return f"{text}."
            return (
                f"{text}. Not drawing them makes no measurable difference to this "
                "model: there is nothing for an edit to blind."
            )
        if not self.judged:
            return f"{text}."
        outcome = "successful" if self.success else "NOT successful by the stated rule"
        return f"{text}. The edit is {outcome}."


def failure_rates(evaluation: Evaluation) -> dict[str, Proportion]:
    """Fractions of levels failed for each of the article's causes.

    Lava, time-outs and several causes at once are the article's "multiple or other".

    Returns:
        A fraction for each of `COLUMNS`; where causes are not known, the fraction
        of all failures under `FAILED`.

    Raises:
        InputError: the evaluation did not find causes.
    """
    if not evaluation.knows_causes:
        return {FAILED: evaluation.failed}
    failed = [e.outcome for e in evaluation.episodes if not e.completed]
    if FAILED in failed:
        raise InputError(
            "the evaluation did not find the causes of failure: evaluate again with "
            "causes"
        )
    found = Counter(c if c in ARTICLE_CAUSES else OTHER for c in failed)
    n = len(evaluation.episodes)
    return {cause: Proportion(found[cause], n) for cause in COLUMNS}


def judge(
    row: str,
    before: Evaluation,
    after: Evaluation,
    invisible: Evaluation | None = None,
    hazards: Mapping[str, np.ndarray] | None = None,
) -> Verdict:
    """Compares an edited model (or game) with the original, cause by cause.

    All evaluations are of the same levels; `invisible` is the original's where the
    object is not drawn, `hazards` says which levels hold which, as `levels_with` does.
    """
    old, new = failure_rates(before), failure_rates(after)
    effects = tuple(
        Effect(cause, rate, new[cause], compare(new[cause], rate))
        for cause, rate in old.items()
    )
    without_hazard, blindness = None, None
    if hazards is not None:
        without_hazard = _on_levels_without(ROWS[row].hazard, hazards, before, after)
    if invisible is not None:
        target = ROWS[row].target if before.knows_causes else FAILED
        blindness = measure_blindness(target, before, after, invisible)
    return Verdict(row, effects, without_hazard, blindness)


def measure_blindness(
    target: str, before: Evaluation, after: Evaluation, invisible: Evaluation
) -> Blindness | None:
    """The article's measure of an edit's blindness; see `Blindness`.

    `invisible` is the original's evaluation with the object not drawn. None where
    invisible objects do not raise the cause `target` at all.
    """
    failed = np.array(
        [
            [episode.outcome == target for episode in evaluation.episodes]
            for evaluation in (before, after, invisible)
        ],
        np.float64,
    )

    def fraction(times: np.ndarray) -> float:
        old, new, unseen = failed @ times
        return (new - old) / (unseen - old) if unseen > old else np.nan

    n = failed.shape[1]
    measured = fraction(np.ones(n))
    if np.isnan(measured):
        return None
    resampled = bootstrap(fraction, n, np.random.default_rng(0))
    return Blindness(float(measured), *percentile_interval(resampled))


def _on_levels_without(
    hazard: str,
    hazards: Mapping[str, np.ndarray],
    before: Evaluation,
    after: Evaluation,
) -> Effect | None:
    chosen = np.flatnonzero(~hazards[hazard])
    if not len(chosen):
        return None
    old, new = (
        Proportion.of(not evaluation.episodes[i].completed for i in chosen)
        for evaluation in (before, after)
    )
    return Effect(f"levels without {hazard}: failed", old, new, compare(new, old))


def verdicts_of(
    evaluations: Mapping[str, Evaluation],
    hazards: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Verdict]:
    """A verdict for each row but the original; see `judge`."""
    original = evaluations["original"]
    return {
        row: judge(
            row,
            original,
            evaluation,
            evaluations.get(_invisible_row(row)),
            hazards,
        )
        for row, evaluation in evaluations.items()
        if row in ROWS
    }


def _invisible_row(row: str) -> str:
    """The row in which a row's hazard is not drawn."""
    return next(
        name
        for name, other in ROWS.items()
        if not other.is_edit and other.hazard == ROWS[row].hazard
    )

"""Moments of episodes: failures, extreme advantages and value spikes.

The article finds its examples of failures and of hallucinations (sections
"Dissecting failure" and "Hallucinations") by looking for such moments.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.evaluation.episodes import COMPLETED, ENDED, Episode
from lucid_rl.sampling.advantages import generalized_advantages
from lucid_rl.validation import Fraction, Positive, PositiveFloat, Settings

FAILURE = "failure"
ADVANTAGE_LOW = "advantage_low"
ADVANTAGE_HIGH = "advantage_high"
SPIKE_UP = "value_spike_up"
SPIKE_DOWN = "value_spike_down"
KINDS = {
    FAILURE: "Failures",
    ADVANTAGE_LOW: "Lowest advantages: worse than expected",
    ADVANTAGE_HIGH: "Highest advantages: better than expected",
    SPIKE_UP: "Value spikes upward: is something good hallucinated?",
    SPIKE_DOWN: "Value spikes downward: is something bad hallucinated?",
}
"""Kinds of moments, and their headings."""


@dataclasses.dataclass(frozen=True)
class MomentSettings(Settings):
    """Which moments are searched for.

    Attributes:
        n_of_each: moments of each kind at most, at most one of an episode.
        n_frames: frames shown before a moment; the episode's end follows it.
        spike_height: least difference of a spike's value from the mean of the values
            before and after it, as a fraction of the largest absolute value.
        spike_drift: largest difference of the values before and after a spike, as a
            fraction of its height.
    """

    n_of_each: Positive = 6
    n_frames: Positive = 48
    spike_height: PositiveFloat = 0.02
    spike_drift: Fraction = 0.5


@dataclasses.dataclass(frozen=True)
class ValueCurve:
    """The value function along an episode.

    Attributes:
        episode: which.
        values: f32 [T], at what was seen before each action.
        rewards: f32 [T], that followed each, in the value function's units.
    """

    episode: Episode
    values: np.ndarray
    rewards: np.ndarray

    def advantages(self, gamma: float, lam: float) -> np.ndarray:
        """Generalized advantages f32 [T]; the episode ends with its last action."""
        n_steps = len(self.values)
        return generalized_advantages(
            self.values[None],
            self.rewards[None],
            (np.arange(n_steps) == 0)[None],
            gamma,
            lam,
            last_values=np.zeros(1),
            last_firsts=np.ones(1, bool),
        )[0]


@dataclasses.dataclass(frozen=True)
class Moment:
    """A moment of an episode.

    Attributes:
        kind: one of `KINDS`.
        episode: its episode's index.
        step: from 0.
        reference: the step that it is compared with: the one after it for an
            advantage, else (and at the end) the one before it.
        score: what moments of its kind are ordered by: advantage, height of the
            spike, or the value right before a failure.
        text: a short description.
    """

    kind: str
    episode: int
    step: int
    reference: int
    score: float
    text: str


def value_spikes(
    values: np.ndarray, settings: MomentSettings | None = None, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Finds single frames at which the value jumps and then returns.

    Args:
        values: float [T], along one episode.
        settings: how high, and how complete the return.
        scale: of the value function; heights are compared with `spike_height * scale`.

    Returns:
        Steps int64 [k] in order, never the first or last; and heights f64 [k], above
        0 for spikes upward: the value less the mean of its two neighbours'.

    Raises:
        InputError: values of another shape or not finite.
    """
    settings = settings or MomentSettings()
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError(f"expected finite values [T], got shape {values.shape}")
    before, at, after = values[:-2], values[1:-1], values[2:]
    heights = at - (before + after) / 2
    returns = np.abs(after - before) <= settings.spike_drift * np.abs(heights)
    (found,) = np.nonzero(returns & (np.abs(heights) >= scale * settings.spike_height))
    return found + 1, heights[found]


def find_moments(
    curves: Iterable[ValueCurve],
    settings: MomentSettings | None = None,
    gamma: float = 0.999,
    lam: float = 0.95,
) -> list[Moment]:
    """Finds moments in episodes.

    Args:
        curves: of the episodes to look through; they may be made as they are read.
        settings: which moments.
        gamma: discount of a step.
        lam: discount of a step's own error.

    Returns:
        Moments by kind, in `KINDS`' order. Of failures those come first at which the
        value was highest, the causes taking turns; of the others the most extreme.
    """
    settings = settings or MomentSettings()
    found: dict[str, list[tuple[Moment, str]]] = {kind: [] for kind in KINDS}
    scale = 0.0
    for curve in curves:
        scale = max(scale, float(np.abs(curve.values).max(initial=0.0)))
        for moment in _moments_of(curve, settings, gamma, lam):
            found[moment.kind].append((moment, curve.episode.outcome))
    chosen = []
    for kind, candidates in found.items():
        if kind in (SPIKE_UP, SPIKE_DOWN):
            least = scale * settings.spike_height
            candidates = [pair for pair in candidates if abs(pair[0].score) >= least]
        candidates.sort(key=lambda pair: -abs(pair[0].score))
        if kind == FAILURE:
            candidates = _round_robin(candidates)
        chosen += [moment for moment, _ in candidates[: settings.n_of_each]]
    return chosen


def _moments_of(
    curve: ValueCurve, settings: MomentSettings, gamma: float, lam: float
) -> Iterable[Moment]:
    """The best of each kind in one episode."""
    episode, values = curve.episode, curve.values
    last = len(values) - 1
    if episode.outcome not in (COMPLETED, ENDED):
        score = float(values[last])
        text = f"{episode.outcome.replace('_', ' ')}, value {score:.2f}"
        if episode.outcome != "failed":
            text = f"failed: {text}"
        yield Moment(FAILURE, episode.index, last, max(0, last - 1), score, text)
    advantages = curve.advantages(gamma, lam)
    for kind, sign in ((ADVANTAGE_LOW, -1), (ADVANTAGE_HIGH, 1)):
        step = int((sign * advantages).argmax())
        score = float(advantages[step])
        if sign * score > 0:
            text = f"advantage {score:+.2f}"
            other = step + 1 if step < last else max(0, last - 1)
            yield Moment(kind, episode.index, step, other, score, text)
    steps, heights = value_spikes(values, settings, scale=0.0)
    for kind, sign in ((SPIKE_UP, 1), (SPIKE_DOWN, -1)):
        signed = sign * heights
        if (signed > 0).any():
            best = int(signed.argmax())
            step, height = int(steps[best]), float(heights[best])
            text = (
                f"value {values[step - 1]:.2f}, {values[step]:.2f}, "
                f"{values[step + 1]:.2f}"
            )
            yield Moment(kind, episode.index, step, step - 1, height, text)


def _round_robin(
    candidates: Sequence[tuple[Moment, str]],
) -> list[tuple[Moment, str]]:
    """The first of each cause, then the second of each, and so on."""
    by_cause: dict[str, list[tuple[Moment, str]]] = {}
    for candidate in candidates:
        by_cause.setdefault(candidate[1], []).append(candidate)
    rounds = itertools.zip_longest(*by_cause.values())
    return [candidate for turn in rounds for candidate in turn if candidate]

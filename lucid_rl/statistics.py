"""Proportions and means with intervals, comparison of proportions, the bootstrap."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lucid_rl.errors import InputError

CONFIDENCE = 0.95

_LEAST_P = 1e-9  # smaller p-values are shown as below it


@dataclasses.dataclass(frozen=True)
class Proportion:
    """`count` of `n` levels, with Wilson's score interval.

    Wilson's interval stays within [0, 1] and keeps its coverage for rare causes,
    of which a few hundredths of a percent are counted (Brown, Cai and DasGupta
    2001, "Interval estimation for a binomial proportion").

    Attributes:
        count: levels that count.
        n: levels played, at least 1.
    """

    count: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.n or self.n < 1:
            raise InputError(
                f"a proportion of {self.count} out of {self.n}: expected at least one "
                "level and no more counted than played"
            )

    @classmethod
    def of(cls, values: Iterable[bool]) -> "Proportion":
        """The true ones among some values, at least one."""
        values = list(values)
        return cls(sum(map(bool, values)), len(values))

    @property
    def fraction(self) -> float:
        """The fraction, count / n."""
        return self.count / self.n

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Wilson's interval of the proportion."""
        # Imported late: statsmodels takes seconds.
        from statsmodels.stats.proportion import proportion_confint

        low, high = proportion_confint(
            self.count, self.n, alpha=1 - confidence, method="wilson"
        )
        return float(low), float(high)

    def as_dict(self) -> dict[str, Any]:
        """Count, fraction (as "share") and interval, for a results file."""
        low, high = self.interval()
        return {"count": self.count, "share": self.fraction, "low": low, "high": high}

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.fraction:.2%} ({low:.2%} to {high:.2%})"


@dataclasses.dataclass(frozen=True)
class Mean:
    """Mean of a sample, with Student's interval.

    Attributes:
        mean: of the sample.
        standard_error: of the mean; NaN for a single value.
        n: number of values.
    """

    mean: float
    standard_error: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> "Mean":
        """Mean of values, at least one."""
        values = np.asarray(values, np.float64)
        if not len(values):
            raise InputError("a mean of no values: expected at least one")
        spread = values.std(ddof=1) if len(values) > 1 else float("nan")
        n = len(values)
        return cls(float(values.mean()), float(spread / np.sqrt(n)), n)

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Student's interval of the mean."""
        from scipy.stats import t

        if self.n < 2:
            return float("nan"), float("nan")
        half = t.ppf((1 + confidence) / 2, self.n - 1) * self.standard_error
        return self.mean - half, self.mean + half

    def __str__(self) -> str:
        if self.n < 2:
            return f"{self.mean:.4g}"
        low, high = self.interval()
        return f"{self.mean:.4g} ({low:.4g} to {high:.4g})"


@dataclasses.dataclass(frozen=True)
class Difference:
    """Difference of two proportions.

    Attributes:
        difference: first proportion minus second.
        low: lower end of Newcombe's interval of the difference, which combines two
            Wilson intervals.
        high: its upper end.
        p_value: of Fisher's exact test, two-sided.
    """

    difference: float
    low: float
    high: float
    p_value: float

    @property
    def p_text(self) -> str:
        """The p-value in words, such as "p = 0.03"."""
        if self.p_value < _LEAST_P:
            return f"p < {_LEAST_P:.0g}"
        return f"p = {self.p_value:.2g}"

    def as_dict(self) -> dict[str, float]:
        """The fields, for a results file."""
        return dataclasses.asdict(self)


def compare(first: Proportion, second: Proportion) -> Difference:
    """Compares two proportions of independently played levels."""
    from scipy.stats import fisher_exact
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(
        first.count,
        first.n,
        second.count,
        second.n,
        method="newcomb",
        compare="diff",
        alpha=1 - CONFIDENCE,
    )
    table = [[p.count, p.n - p.count] for p in (first, second)]
    return Difference(
        first.fraction - second.fraction,
        float(low),
        float(high),
        float(fisher_exact(table).pvalue),
    )


def bootstrap(
    statistic: Callable[[np.ndarray], Any],
    n: int,
    rng: np.random.Generator,
    n_resamples: int = 1000,
) -> np.ndarray:
    """Computes a statistic of bootstrap resamples of n observations.

    Args:
        statistic: a function of the number of times that each observation is drawn,
            int [n]; returns a number or an array.
        n: number of observations.
        rng: draws the resamples.
        n_resamples: number of resamples.

    Returns:
        [n_resamples, ...], the statistic of each resample.
    """
    evenly = np.full(n, 1 / n)
    return np.array([statistic(rng.multinomial(n, evenly)) for _ in range(n_resamples)])


def percentile_interval(resampled: np.ndarray) -> tuple[float, float]:
    """95 % percentile interval of resampled numbers, NaN left out.

    Args:
        resampled: [n_resamples], as `bootstrap` gives them.
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(resampled, (tail, 1 - tail))
    return float(low), float(high)

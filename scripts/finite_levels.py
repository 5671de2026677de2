"""Measures the article's 14 models of few training levels, and plots the figures.

    python -m scripts.finite_levels
    python -m scripts.finite_levels --n_train_levels=100,100000 --n_observations=512

Fetches the released models, fits features to each one's own observations, and writes
their consistency, sparsity and one-hotness beside the article's percentages of
interpretable features to --output_dir. A second run resumes an interrupted one.
"""

from lucid_rl.experiments.finite_levels import (
    FiniteLevelsSettings,
    measure_finite_levels,
    report,
)
from lucid_rl.flags import define_flags

from . import program

_output_dir = program.output_dir("outputs/finite_levels")
_settings = define_flags(
    FiniteLevelsSettings(),
    skip=("nmf",),
    names={"nmf.n_features": "n_features", "nmf.seed": "seed"},
)


@program.resumable
def main() -> None:
    """Measures what the flags describe."""
    rows = measure_finite_levels(_settings(), _output_dir())
    print(report(rows))
    print(f"written: {_output_dir().absolute()}")


if __name__ == "__main__":
    program.run(main)

"""Measures the article's 14 models of few training levels, and plots the figures.

    python -m scripts.finite_levels
    python -m scripts.finite_levels --n_train_levels=100,100000 --n_observations=512

Fetches the released models, finds features from each one's own observations, and
writes their consistency, sparsity and one-hotness beside the article's percentages of
interpretable features to --output_dir. A second run goes on where one was stopped.
"""

import pathlib

from absl import app, flags

from lucid_rl.experiments.finite_levels import (
    FiniteLevelsSettings,
    measure_finite_levels,
    report,
)
from lucid_rl.interpret.nmf import NMFSettings

from . import program

_DEFAULT = FiniteLevelsSettings()

_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "outputs/finite_levels", "Where table, picture and figures go."
)
_RUNS = flags.DEFINE_list(
    "runs", [str(run) for run in _DEFAULT.runs], "Of the article's two runs."
)
_N_TRAIN_LEVELS = flags.DEFINE_list(
    "n_train_levels",
    [str(n) for n in _DEFAULT.n_train_levels],
    "Numbers of training levels, of the article's.",
)
_LAYER = flags.DEFINE_string("layer", _DEFAULT.layer, "Layer of the features.")
_N_OBSERVATIONS = flags.DEFINE_integer(
    "n_observations", _DEFAULT.n_observations, "Observations of each model."
)
_N_FEATURES = flags.DEFINE_integer(
    "n_features", _DEFAULT.nmf.n_features, "Features of each model.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", _DEFAULT.nmf.seed, "Of the features' fits.")


def _settings() -> FiniteLevelsSettings:
    try:
        runs = tuple(map(int, _RUNS.value))
        n_train_levels = tuple(map(int, _N_TRAIN_LEVELS.value))
    except ValueError as error:
        raise app.UsageError(f"expected whole numbers: {error}") from error
    return FiniteLevelsSettings(
        runs=runs,
        n_train_levels=n_train_levels,
        layer=_LAYER.value,
        n_observations=_N_OBSERVATIONS.value,
        nmf=NMFSettings(n_features=_N_FEATURES.value, seed=_SEED.value),
    )


def main() -> None:
    """Measures what the flags describe."""
    rows = measure_finite_levels(_settings(), _OUTPUT_DIR.value)
    print(report(rows))
    print(f"written: {pathlib.Path(_OUTPUT_DIR.value).resolve()}")


if __name__ == "__main__":
    program.run(
        main, "stopped; what was measured is kept, and the same command goes on"
    )

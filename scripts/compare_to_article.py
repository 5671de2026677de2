"""Repeats the article's experiments on a model and prints its numbers beside ours.

Example:
  python -m scripts.compare_to_article --output_dir=outputs/comparison
"""

import dataclasses
import pathlib
import sys

from absl import app, flags

from lucid_rl.checkpoints.released import resolve_model
from lucid_rl.errors import LucidRLError
from lucid_rl.evaluation.article_experiments import (
    ROWS,
    ComparisonSettings,
    repeat_experiments,
)
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.sampling.observations import ObservationSettings

_DEFAULT = ComparisonSettings()

_MODEL = flags.DEFINE_string(
    "model", "bundled", 'Path of a .jd file, "released:<name>" or "bundled".'
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "outputs/comparison", "Where everything is written."
)
_N_LEVELS = flags.DEFINE_integer(
    "n_levels", _DEFAULT.n_levels, "Levels played for each row.", lower_bound=1
)
_ROWS = flags.DEFINE_multi_enum("rows", list(ROWS), ROWS, "Rows of the failure table.")
_LAYER = flags.DEFINE_string("layer", _DEFAULT.layer, "Layer that is edited.")
_N_FEATURES = flags.DEFINE_integer(
    "n_features", _DEFAULT.nmf.n_features, "Features to fit.", lower_bound=1
)
_N_OBSERVATIONS = flags.DEFINE_integer(
    "n_observations",
    _DEFAULT.sampling.n_envs * _DEFAULT.sampling.n_per_env,
    "Observations from which features are found and named.",
    lower_bound=_DEFAULT.sampling.n_envs,
)
_DISTRIBUTION_MODE = flags.DEFINE_enum(
    "distribution_mode", _DEFAULT.game.distribution_mode, ["easy", "hard"], "Levels."
)
_BFLOAT16 = flags.DEFINE_bool("bfloat16", _DEFAULT.bfloat16, "Play in bfloat16.")
_SEED = flags.DEFINE_integer("seed", _DEFAULT.seed, "Of sampling, levels, actions.")


def _settings() -> ComparisonSettings:
    return ComparisonSettings(
        n_levels=_N_LEVELS.value,
        rows=tuple(_ROWS.value),
        layer=_LAYER.value,
        nmf=NMFSettings(n_features=_N_FEATURES.value, seed=_SEED.value),
        sampling=ObservationSettings(
            n_per_env=_N_OBSERVATIONS.value // ObservationSettings.n_envs
        ),
        game=dataclasses.replace(
            _DEFAULT.game, distribution_mode=_DISTRIBUTION_MODE.value
        ),
        seed=_SEED.value,
        bfloat16=_BFLOAT16.value,
    )


def main(_: list[str]) -> None:
    """Runs the experiments that the flags describe."""
    try:
        model = resolve_model(_MODEL.value)
        results = repeat_experiments(model, _settings(), _OUTPUT_DIR.value)
    except LucidRLError as error:
        sys.exit(f"error: {error}")
    print(results.markdown())
    print(f"written: {pathlib.Path(_OUTPUT_DIR.value).resolve()}")


if __name__ == "__main__":
    app.run(main)

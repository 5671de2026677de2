r"""Repeats the article's experiments on a model and prints its numbers beside ours.

    python -m scripts.compare_to_article
    python -m scripts.compare_to_article --n_levels=1000 --layers=2b
    python -m scripts.compare_to_article --model=released:coinrun --features_only
    python -m scripts.compare_to_article --model=released:coinrun \
        --remove=buzzsaw_blind=2b/4+7,enemy_moving_left_blind=2b/6
    python -m scripts.compare_to_article --model=released:procgen/coinrun --bfloat16 \
        --document=docs/results.md \
        --results_file=benchmarks/results/comparison_released.json

The last one makes docs/results.md. Features to remove must be named where the
game does not tell what they detect, as the original CoinRun; `--features_only` shows
them. A second run resumes an interrupted one.
"""

import dataclasses
import json
import pathlib
import shlex
import sys

from absl import flags

from lucid_rl.errors import SettingsError
from lucid_rl.experiments.article_experiments import NAME, repeat_experiments
from lucid_rl.experiments.comparison import around_report, report, write_into
from lucid_rl.experiments.comparison_settings import (
    ALL_ROWS,
    ComparisonSettings,
    GivenFeatures,
)
from lucid_rl.experiments.feature_search import search_features
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.files import atomic_open
from lucid_rl.flags import define_flags
from lucid_rl.games.registry import describe, game_settings
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model

from . import game_flags, program

flags.adopt_module_key_flags(game_flags)

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
_ROWS = flags.DEFINE_multi_enum(
    "rows", list(ALL_ROWS), ALL_ROWS, "Rows of the failure table."
)
_LAYERS = flags.DEFINE_list(
    "layers",
    list(_DEFAULT.layers),
    "Layers whose features are fitted; directions are removed from the first.",
)
_CHOOSE = flags.DEFINE_enum(
    "choose",
    _DEFAULT.choose,
    ["directions", "features"],
    "What edits remove: directions of the object, found from pairs of observations "
    "with and without it; or the features with the best average precision.",
)
_DIRECTIONS = define_flags(_DEFAULT.directions)
_REMOVE = flags.DEFINE_list(
    "remove",
    [],
    "Features that edits remove, instead of those found by the game's states, as in "
    "buzzsaw_blind=2b/4+7,enemy_moving_left_blind=2b/6: layer and numbers of features.",
)
_FEATURES_ONLY = flags.DEFINE_bool(
    "features_only",
    False,
    "Fit features, draw them as features_<layer>.html in --output_dir, and stop.",
)
_N_FEATURES = flags.DEFINE_integer(
    "n_features", _DEFAULT.nmf.n_features, "Features to fit.", lower_bound=1
)
_N_OBSERVATIONS = flags.DEFINE_integer(
    "n_observations",
    _DEFAULT.sampling.n_envs * _DEFAULT.sampling.n_per_env,
    "Observations from which features are found and named.",
    lower_bound=_DEFAULT.sampling.n_envs,
)
_GAME = flags.DEFINE_enum(
    "game", None, ["coinrun", "coinrun_original"], "By default the model's."
)
_DISTRIBUTION_MODE = flags.DEFINE_enum(
    "distribution_mode", None, ["easy", "hard", "mixed"], "By default the model's."
)
_BFLOAT16 = flags.DEFINE_bool("bfloat16", _DEFAULT.bfloat16, "Play in bfloat16.")
_SEED = flags.DEFINE_integer("seed", _DEFAULT.seed, "Of sampling, levels, actions.")
_RESULTS_FILE = flags.DEFINE_string(
    "results_file", None, "Another place for comparison.json."
)
_DOCUMENT = flags.DEFINE_string(
    "document", None, "Markdown file whose marked part is replaced by the report."
)


def _settings(model: Model) -> ComparisonSettings:
    game = game_settings(
        model.args,
        model.n_actions,
        name=_GAME.value,
        distribution_mode=_DISTRIBUTION_MODE.value,
    )
    print(describe(game))
    return ComparisonSettings(
        n_levels=_N_LEVELS.value,
        rows=() if _FEATURES_ONLY.value else tuple(_ROWS.value),
        remove=_removed(),
        layers=tuple(_LAYERS.value),
        choose=_CHOOSE.value,
        directions=_DIRECTIONS(),
        nmf=NMFSettings(n_features=_N_FEATURES.value, seed=_SEED.value),
        sampling=dataclasses.replace(
            _DEFAULT.sampling,
            n_per_env=_N_OBSERVATIONS.value // _DEFAULT.sampling.n_envs,
        ),
        game=game,
        seed=_SEED.value,
        bfloat16=_BFLOAT16.value,
    )


def _removed() -> dict[str, GivenFeatures]:
    found: dict[str, GivenFeatures] = {}
    for text in _REMOVE.value:
        row, _, features = text.partition("=")
        if row in found:
            raise SettingsError(f"--remove names {row} twice: give 2b/4+7 for several")
        found[row] = GivenFeatures.parse(features)
    return found


def _command() -> str:
    return shlex.join(["python", "-m", "scripts.compare_to_article", *sys.argv[1:]])


def main() -> None:
    """Runs the experiments that the flags describe."""
    if _DOCUMENT.value:
        around_report(_DOCUMENT.value)  # a wrong one shows now, not after hours
    game_flags.use_game_flags()
    folder = pathlib.Path(_OUTPUT_DIR.value)
    model = load(_MODEL.value)
    settings = _settings(model)
    if _FEATURES_ONLY.value:
        with ResultsFolder(folder, NAME).locked() as results_folder:
            search_features(model, settings, results_folder)
        print("\n".join(str(page) for page in sorted(folder.glob("features_*.html"))))
        return
    found = repeat_experiments(_MODEL.value, settings, folder)
    results = {"command": _command(), **found.as_dict()}
    if _RESULTS_FILE.value:
        with atomic_open(_RESULTS_FILE.value, "w") as stream:
            json.dump(results, stream, indent=1)
            stream.write("\n")
    if _DOCUMENT.value:
        write_into(_DOCUMENT.value, report(results))
    print(report(results))
    print(f"written: {folder.resolve()}")


if __name__ == "__main__":
    program.run(main, "stopped; what was played is kept, and the same command goes on")

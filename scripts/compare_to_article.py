r"""Repeats the article's experiments on a model; prints both sets of numbers.

    python -m scripts.compare_to_article
    python -m scripts.compare_to_article --n_levels=1000 --layers=2b
    python -m scripts.compare_to_article --model=released:coinrun --features_only
    python -m scripts.compare_to_article --model=released:coinrun \
        --remove=buzzsaw_blind=2b/4+7,enemy_moving_left_blind=2b/6
    python -m scripts.compare_to_article --model=released:procgen/coinrun --bfloat16 \
        --results_file=benchmarks/results/comparison_released.json

Features to remove must be named where the game has
no readable states, as the original CoinRun; `--features_only` shows them. A second run
resumes an interrupted one.
"""

import pathlib

from absl import flags

from lucid_rl.experiments.article_experiments import draw_features, repeat_experiments
from lucid_rl.experiments.comparison import report
from lucid_rl.experiments.comparison_settings import ComparisonSettings, GivenFeatures
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.flags import define_flags
from lucid_rl.model.loading import load

from . import program, shared_flags

_MODEL = flags.DEFINE_string("model", "bundled", program.MODEL_HELP)
_output_dir = program.output_dir("outputs/comparison")
_REMOVE = flags.DEFINE_list(
    "remove",
    [],
    "Features that edits remove, instead of those found by the game's states, as in "
    "buzzsaw_blind=2b/4+7,enemy_moving_left_blind=2b/6: layer and numbers of features, "
    "from 0, as in features_<layer>.html.",
)
_FEATURES_ONLY = flags.DEFINE_bool(
    "features_only",
    False,
    "Fit features, draw them as features_<layer>.html in --output_dir, and stop.",
)
_RESULTS_FILE = flags.DEFINE_string(
    "results_file", None, "Write the results there too (JSON), with the report as .md."
)
_use_engine = shared_flags.define_engine_flags()
_game = shared_flags.define_game_flags("name", "distribution_mode")
_settings = define_flags(
    ComparisonSettings(),
    skip=("game", "remove", "nmf"),
    names={"nmf.n_features": "n_features"},
    flat=("directions",),
)


@program.resumable
def main() -> None:
    """Runs the experiments that the flags describe."""
    _use_engine()
    folder = _output_dir()
    given = program.pairs("remove", _REMOVE.value)
    remove = {row: GivenFeatures.parse(text) for row, text in given.items()}
    game = _game(load(_MODEL.value))
    if _FEATURES_ONLY.value:
        pages = draw_features(_MODEL.value, _settings(rows=(), game=game), folder)
        print(*pages, sep="\n")
        return
    settings = _settings(remove=remove, game=game)
    found = repeat_experiments(_MODEL.value, settings, folder)
    results = found.as_dict()
    if _RESULTS_FILE.value:
        file = pathlib.Path(_RESULTS_FILE.value)
        ResultsFolder(file.parent, file.stem).write(results, report(results))
    print(report(results))
    print(f"written: {folder.absolute()}")


if __name__ == "__main__":
    program.run(main)

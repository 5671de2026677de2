"""Finds moments worth looking at: failures, surprises, one-frame value spikes.

    python -m scripts.find_moments
    python -m scripts.find_moments --episodes=outputs/evaluation
    python -m scripts.find_moments --model=my.jd --n_episodes=2000 --layers=2b,3a

Looks through the episodes of an evaluation, or plays new ones, and writes a page of
the interface restricted to the moments, moments.md and moments.json to --output_dir.
"""

import dataclasses
import pathlib

from absl import flags

from lucid_rl.evaluation.evaluation import Evaluation, evaluate, read_evaluation
from lucid_rl.evaluation.many import EPISODES_FILE
from lucid_rl.evaluation.moment_report import (
    ReportSettings,
    check_layer,
    report_moments,
)
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.files import check_writable
from lucid_rl.games.registry import describe, game_settings
from lucid_rl.model.loading import load

from . import game_flags, program

flags.adopt_module_key_flags(game_flags)

_DEFAULT = ReportSettings()

_MODEL = flags.DEFINE_string(
    "model", "bundled", "A .jd or .model.pb file, 'released:<name>' or 'bundled'."
)
_EPISODES = flags.DEFINE_string(
    "episodes", None, "Folder of an evaluation of the model; without one it plays."
)
_N_EPISODES = flags.DEFINE_integer(
    "n_episodes", 500, "Episodes to look through.", lower_bound=1
)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "outputs/moments", "Where it all goes.")
_LAYERS = flags.DEFINE_list(
    "layers",
    list(_DEFAULT.interface.layers),
    "Layers on the page; the first one's features explain the moments.",
)
_N_OF_EACH = flags.DEFINE_integer(
    "n_of_each", _DEFAULT.moments.n_of_each, "Moments of each kind.", lower_bound=1
)
_N_FRAMES = flags.DEFINE_integer(
    "n_frames", _DEFAULT.moments.n_frames, "Frames before a moment.", lower_bound=1
)
_SPIKE_HEIGHT = flags.DEFINE_float(
    "spike_height",
    _DEFAULT.moments.spike_height,
    "Least height of a value spike, as a fraction of the largest value.",
)
_N_FEATURES = flags.DEFINE_integer(
    "n_features", _DEFAULT.interface.nmf.n_features, "Features.", lower_bound=1
)
_N_OBSERVATIONS = flags.DEFINE_integer(
    "n_observations",
    _DEFAULT.n_observations,
    "Observations from which features are found.",
    lower_bound=1,
)
_NAMES = flags.DEFINE_string(
    "names", None, "JSON file of feature names, as the page exports it."
)
_GAME = flags.DEFINE_string(
    "game", None, "What the model plays, where its file does not say so."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the levels played, and of the features.")


def _evaluation() -> Evaluation:
    if _EPISODES.value:
        return read_evaluation(pathlib.Path(_EPISODES.value, EPISODES_FILE))
    model = load(_MODEL.value)
    game = game_settings(model.args, model.n_actions, name=_GAME.value)
    print(describe(game))
    settings = EvaluationSettings(_N_EPISODES.value, game, _SEED.value)
    path = pathlib.Path(_OUTPUT_DIR.value, EPISODES_FILE)
    return evaluate(model, settings=settings, path=path)


def _settings() -> ReportSettings:
    interface = dataclasses.replace(
        _DEFAULT.interface,
        layers=tuple(_LAYERS.value),
        names=_NAMES.value,
        seed=_SEED.value,
        nmf=dataclasses.replace(
            _DEFAULT.interface.nmf, n_features=_N_FEATURES.value, seed=_SEED.value
        ),
    )
    moments = dataclasses.replace(
        _DEFAULT.moments,
        n_of_each=_N_OF_EACH.value,
        n_frames=_N_FRAMES.value,
        spike_height=_SPIKE_HEIGHT.value,
    )
    return ReportSettings(_N_EPISODES.value, moments, _N_OBSERVATIONS.value, interface)


def main() -> None:
    """Finds the moments that the flags describe."""
    game_flags.use_game_flags()
    check_writable(_OUTPUT_DIR.value)
    settings = _settings()
    check_layer(_MODEL.value, settings)  # a wrong one shows before anything is played
    evaluation = _evaluation()
    report = report_moments(_MODEL.value, evaluation, _OUTPUT_DIR.value, settings)
    print(report.table)
    print(report.page.resolve())


if __name__ == "__main__":
    program.run(main, "stopped; what was played is kept, and the same command goes on")

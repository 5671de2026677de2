"""Finds moments worth looking at: failures, surprises, one-frame value spikes.

    python -m scripts.find_moments
    python -m scripts.find_moments --episodes=outputs/evaluation
    python -m scripts.find_moments --model=my.jd --n_episodes=2000 --layers=2b,3a

Looks through the episodes of an evaluation, or plays new ones, and writes a page of
the interface restricted to the moments, moments.md and moments.json to --output_dir.
"""

import pathlib

from absl import flags

from lucid_rl.evaluation.evaluation import evaluate, read_evaluation
from lucid_rl.evaluation.many import EPISODES_FILE
from lucid_rl.evaluation.moment_report import (
    ReportSettings,
    check_layer,
    report_moments,
)
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.files import check_writable
from lucid_rl.flags import define_flags

from . import game_flags, program

_MODEL = flags.DEFINE_string(
    "model", "bundled", "A .jd or .model.pb file, 'released:<name>' or 'bundled'."
)
_EPISODES = flags.DEFINE_string(
    "episodes", None, "Folder of an evaluation of the model; without one it plays."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "outputs/moments", "Where page, table and file go."
)
_use_engine = game_flags.define_engine_flags()
_game = game_flags.define_game_flags("name")
_settings = define_flags(
    ReportSettings(n_episodes=500),
    skip=("interface",),
    names={
        **{f"moments.{n}": n for n in ("n_of_each", "n_frames")},
        **{f"moments.{n}": n for n in ("spike_height", "spike_drift")},
        **{f"interface.{n}": n for n in ("layers", "names", "seed")},
        "interface.nmf.n_features": "n_features",
    },
)


def main() -> None:
    """Finds the moments that the flags describe."""
    _use_engine()
    settings, folder = _settings(), pathlib.Path(_OUTPUT_DIR.value)
    check_writable(folder)
    model = check_layer(_MODEL.value, settings)  # before anything is played
    if _EPISODES.value:
        evaluation = read_evaluation(pathlib.Path(_EPISODES.value, EPISODES_FILE))
    else:
        played = EvaluationSettings(
            settings.n_episodes, _game(model), settings.interface.seed
        )
        evaluation = evaluate(model, settings=played, path=folder / EPISODES_FILE)
    report = report_moments(_MODEL.value, evaluation, folder, settings)
    print(report.table)
    print(report.page.resolve())


if __name__ == "__main__":
    program.run(main, "stopped; what was played is kept, and the same command goes on")

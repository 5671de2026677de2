"""Scores how interpretable the features of models are, beside controls.

    python -m scripts.score_interpretability --models=released:procgen/coinrun,bundled
    python -m scripts.score_interpretability --models=my.jd --n_observations=256

For models of Procgen's CoinRun. Writes a table (Markdown), a figure (PNG) and all that
was measured (JSON) to --output_dir. docs/interpretability.md says what is measured.
"""

import json
import pathlib

from absl import flags

from lucid_rl.experiments.interpretability import (
    CONTROLS,
    InterpretabilitySettings,
    plot_scores,
    report,
    score_interpretability,
)
from lucid_rl.files import atomic_open, check_writable
from lucid_rl.flags import define_flags

from . import program

_MODELS = flags.DEFINE_list("models", ["bundled"], "What `lucid_rl.load` takes.")
_CONTROLS = flags.DEFINE_list("controls", list(CONTROLS), "Controls to score, too.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "outputs/interpretability", "Where table, figure and JSON go."
)
_settings = define_flags(InterpretabilitySettings())


def main() -> None:
    """Scores the models that the flags name."""
    folder = pathlib.Path(_OUTPUT_DIR.value)
    check_writable(folder)
    settings = _settings()
    results = {
        name: score_interpretability(spec, settings, tuple(_CONTROLS.value))
        for name, spec in program.model_names(_MODELS.value).items()
    }
    plot_scores(results, folder / "scores.png")
    values = {
        "settings": {key: getattr(settings, key) for key in vars(settings)},
        "models": {n: [s.as_dict() for s in scores] for n, scores in results.items()},
    }
    for name, text in (
        ("scores.json", json.dumps(values, indent=1)),
        ("scores.md", report(results)),
    ):
        with atomic_open(folder / name, "w") as stream:
            stream.write(f"{text}\n")
    print(f"{report(results)}\n{folder.resolve()}")


if __name__ == "__main__":
    program.run(main)

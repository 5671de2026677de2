"""Scores how interpretable the features of models are, beside controls.

    python -m scripts.score_interpretability --models=released:procgen/coinrun,bundled
    python -m scripts.score_interpretability --models=my.jd --n_observations=256

For models of Procgen's CoinRun. Writes a table (Markdown), a figure (PNG) and all that
was measured (JSON) to --output_dir. docs/interpretability.md says what is measured.
"""

from absl import flags

from lucid_rl.experiments.interpretability import (
    CONTROLS,
    NAME,
    InterpretabilitySettings,
    as_dict,
    plot_scores,
    report,
    score_interpretability,
)
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.flags import define_flags
from lucid_rl.model.loading import load

from . import program

_MODELS = flags.DEFINE_list("models", ["bundled"], program.MODELS_HELP)
_CONTROLS = flags.DEFINE_list("controls", list(CONTROLS), "Controls to score, too.")
_output_dir = program.output_dir("outputs/interpretability")
_settings = define_flags(InterpretabilitySettings())


def main() -> None:
    """Scores the models that the flags name."""
    folder = _output_dir()
    settings = _settings()
    models = {spec: load(spec) for spec in program.some_models(_MODELS.value)}
    with ResultsFolder(folder, NAME).locked() as written:
        results = {
            spec: score_interpretability(model, settings, tuple(_CONTROLS.value))
            for spec, model in models.items()
        }
        plot_scores(results, folder / f"{NAME}.png")
        written.write(as_dict(results, settings), report(results) + "\n")
    print(f"{report(results)}\n{folder.absolute()}")


if __name__ == "__main__":
    program.run(main)

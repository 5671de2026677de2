"""Makes a model's feature visualizations: the article's attempts, or your own.

    python -m scripts.visualize_features --output_dir=outputs/features
    python -m scripts.visualize_features --presets=layers,jitters --model=my.jd
    python -m scripts.visualize_features --objective=channel --layer=3a --targets=4,7
    python -m scripts.visualize_features --objective=direction --parametrization=maco
    python -m scripts.visualize_features --examples=map --features_of=attribution

An objective or examples make a figure of your own, instead of the presets unless these
are asked for, too. Prints the measurements and the path of a page that shows the
pictures with settings and numbers; PNG files and results.json lie beside it. A second
run resumes an interrupted one.
"""

import dataclasses

from absl import flags

from lucid_rl.errors import SettingsError
from lucid_rl.flags import define_flags, define_integers
from lucid_rl.interpret.visualization.presets import (
    DIFFERENT,
    INTERMEDIATE,
    OBJECTIVES,
    PRESETS,
    DatasetRow,
    GradientRow,
    Row,
    choose_presets,
)
from lucid_rl.interpret.visualization.report import write_report
from lucid_rl.interpret.visualization.run import FigureSettings, make_figures
from lucid_rl.interpret.visualization.visualize import VisualizationSettings
from lucid_rl.reports import command_line

from . import program, shared_flags

_MODEL = flags.DEFINE_string("model", "bundled", program.MODEL_HELP)
_output_dir = program.output_dir("outputs/features")
_REPORT = flags.DEFINE_string(
    "report", None, "Write a Markdown page with small pictures, too, such as a.md."
)
_PRESETS = flags.DEFINE_list(
    "presets",
    None,
    f"Figures to make, of {', '.join(PRESETS)}; by default all, or only one's own.",
)
_OBJECTIVE = flags.DEFINE_enum(
    "objective", None, OBJECTIVES, "Make a figure of one's own that maximizes it."
)
_EXAMPLES = flags.DEFINE_enum(
    "examples",
    None,
    ["grid", "map"],
    "Make a figure of one's own of dataset examples of NMF features: a grid of the "
    "strongest patches, or a spatially-aware map.",
)
_targets = define_integers(
    "targets",
    GradientRow("").targets,
    "Channels, features or observations, from 0; or all.",
)
_use_engine = shared_flags.define_engine_flags()
_load = shared_flags.define_model_flags("name", "wrappers", "distribution_mode")
_figures = define_flags(
    FigureSettings(), skip=("nmf",), names={"nmf.n_features": "n_features"}
)
_settings = define_flags(
    VisualizationSettings(),
    skip=("penalty_layer", "redirect_relu", "size", "seed", "parametrization"),
    flat=("transformations",),
    names={
        "parametrization.kind": "parametrization",
        "parametrization.decorrelated": "decorrelated",
    },
)
_row = define_flags(
    GradientRow(""),
    skip=("title", "objective", "layer", "targets", "network", "settings"),
)
_examples = define_flags(
    DatasetRow(""), skip=("title", "layer", "features", "spatial", "patch_positions")
)


@program.resumable
def main() -> None:
    """Makes the figures that the flags describe."""
    _use_engine()
    figures = _figures()
    settings = _settings(seed=figures.seed)
    own: list[Row] = []
    if objective := _OBJECTIVE.value:
        title = objective.replace("_", " ").capitalize()
        layer = INTERMEDIATE
        if "difference" in objective:
            if figures.compare_to is None:
                raise SettingsError(
                    f"--objective={objective} needs a second model: --compare_to"
                )
            layer = layer if figures.layer else DIFFERENT
        own.append(
            _row(
                title=title,
                objective=objective,
                layer=layer,
                targets=_targets(),
                settings=settings,
            )
        )
    if kind := _EXAMPLES.value:
        title = f"Dataset examples, {kind}"
        own.append(_examples(title=title, features=_targets(), spatial=kind == "map"))
    base = dataclasses.replace(
        VisualizationSettings(),
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
    )
    presets = choose_presets(_PRESETS.value, own, base)
    model = _load(_MODEL.value, samples=True)
    sheet, page = make_figures(model, presets, _output_dir(), figures)
    print(sheet.table_text())
    print(page)
    if _REPORT.value is not None:
        print(write_report(sheet, _REPORT.value, command_line()))


if __name__ == "__main__":
    program.run(main)

"""Makes a model's feature visualizations: the article's attempts, or your own.

    python -m scripts.visualize_features --output_dir=outputs/features
    python -m scripts.visualize_features --presets=layers,jitters --model=my.jd
    python -m scripts.visualize_features --presets= --objective=channel --layer=3a \
        --targets=4,7 --parametrization=maco --game_statistics --jitter=4

Prints the measurements and the path of a page that shows the pictures with settings and
numbers; PNG files and results.json lie beside it. A second run goes on where an earlier
one stopped.
"""

import pathlib
import sys
from typing import Any

import numpy as np
from absl import app, flags

from lucid_rl.errors import LucidRLError
from lucid_rl.games.vector_game import make_game, settings_from_args
from lucid_rl.interface.sources import ModelSource, open_source
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.interpret.visualization.contact_sheet import ContactSheet
from lucid_rl.interpret.visualization.figures import ImagenetNetwork, Subject
from lucid_rl.interpret.visualization.parametrizations import KINDS, Parametrization
from lucid_rl.interpret.visualization.presets import (
    OBJECTIVES,
    PRESETS,
    GradientRow,
    Preset,
)
from lucid_rl.interpret.visualization.report import write_report
from lucid_rl.interpret.visualization.run import run_presets
from lucid_rl.interpret.visualization.transformations import Transformations
from lucid_rl.interpret.visualization.visualize import VisualizationSettings
from lucid_rl.sampling.observations import (
    ObservationSettings,
    read_observations,
    sample_observations,
)

_DEFAULT = VisualizationSettings()
_INTERVAL = 32  # steps between two observations of one environment
_ROW = GradientRow("")

_MODEL = flags.DEFINE_string(
    "model",
    "bundled",
    "A checkpoint (.jd), a .model.pb, 'released:<name>' or 'bundled'.",
)
_COMPARE_TO = flags.DEFINE_string(
    "compare_to", None, "A second model, for the difference between the two."
)
_IMAGENET_MODEL = flags.DEFINE_string(
    "imagenet_model", None, "A .model.pb of a network of ImageNet to show beside."
)
_IMAGENET_LAYERS = flags.DEFINE_list(
    "imagenet_layers",
    [ImagenetNetwork.first, ImagenetNetwork.intermediate],
    "Tensors of its first and its intermediate layer.",
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "outputs/features", "Where the page and the pictures go."
)
_REPORT = flags.DEFINE_string(
    "report", None, "Write a Markdown page with small pictures, too, such as a.md."
)
_PRESETS = flags.DEFINE_list(
    "presets", list(PRESETS), f"Figures to make, of {', '.join(PRESETS)}."
)
_LAYER = flags.DEFINE_string(
    "layer", None, "The intermediate layer; by default 2b, or the middle one."
)
_N_FEATURES = flags.DEFINE_integer(
    "n_features", 16, "NMF directions of the layer.", lower_bound=1
)
_FEATURES_OF = flags.DEFINE_enum(
    "features_of", "activation", ["activation", "attribution"], "What NMF is fitted to."
)
_OBSERVATIONS = flags.DEFINE_string(
    "observations", None, "observations.jd to use; by default they are sampled."
)
_N_OBSERVATIONS = flags.DEFINE_integer(
    "n_observations", 1024, "Observations to sample.", lower_bound=1
)
_STEPS = flags.DEFINE_integer("steps", _DEFAULT.steps, "Steps of the optimizer.")
_LEARNING_RATE = flags.DEFINE_float("learning_rate", _DEFAULT.learning_rate, "Of Adam.")
_SEED = flags.DEFINE_integer("seed", _DEFAULT.seed, "Seed of everything random.")

# One figure of one's own. It is made when an objective is chosen.
_OBJECTIVE = flags.DEFINE_enum(
    "objective", None, list(OBJECTIVES), "Make a figure of one's own that maximizes it."
)
_TARGETS = flags.DEFINE_list(
    "targets", ["0", "1", "2"], "Its channels, features or observations."
)
_POSITION = flags.DEFINE_string(
    "position", "centre", "Position in the layer: 'centre', 'all' or row,column."
)
_COSINE_POWER = flags.DEFINE_float(
    "cosine_power", _ROW.cosine_power, "Power of the cosine in dot products."
)
_PARAMETRIZATION = flags.DEFINE_enum(
    "parametrization",
    _DEFAULT.parametrization.kind,
    list(KINDS),
    "Space of images.",
)
_DECORRELATED = flags.DEFINE_boolean(
    "decorrelated", _DEFAULT.parametrization.decorrelated, "Decorrelate colours."
)
_GAME_STATISTICS = flags.DEFINE_boolean(
    "game_statistics",
    _ROW.game_statistics,
    "Take colours and spectrum of the observations, not ImageNet's.",
)
_JITTER = flags.DEFINE_integer(
    "jitter", _DEFAULT.transformations.jitter, "Random shift in pixels."
)
_ROTATION = flags.DEFINE_float(
    "rotation", _DEFAULT.transformations.rotation, "Random rotation in degrees."
)
_SCALING = flags.DEFINE_float(
    "scaling", _DEFAULT.transformations.scaling, "Random scaling, as a share."
)
_PADDING = flags.DEFINE_integer(
    "padding", _DEFAULT.transformations.padding, "Grey pixels on each side."
)
_KEEP_SIZE = flags.DEFINE_boolean(
    "keep_size",
    _DEFAULT.transformations.keep_size,
    "Crop or pad to the size before; for layers behind a dense one.",
)
_PENALTY = flags.DEFINE_float(
    "penalty", _DEFAULT.penalty, "L2 penalty on first-layer activations."
)
_TOTAL_VARIATION = flags.DEFINE_float(
    "total_variation", _DEFAULT.total_variation, "Penalty on total variation."
)


def _own_preset(base: VisualizationSettings, objective: Any) -> Preset:
    position: Any = _POSITION.value
    if position not in ("centre", "all"):
        position = _integers(position.split(","), "--position")
    kind: Any = _PARAMETRIZATION.value
    transformations = Transformations(
        padding=_PADDING.value,
        jitter=_JITTER.value,
        scaling=_SCALING.value,
        rotation=_ROTATION.value,
        keep_size=_KEEP_SIZE.value,
    )
    settings = VisualizationSettings(
        steps=base.steps,
        learning_rate=base.learning_rate,
        seed=base.seed,
        parametrization=Parametrization(kind, _DECORRELATED.value),
        transformations=transformations,
        penalty=_PENALTY.value,
        total_variation=_TOTAL_VARIATION.value,
    )
    row = GradientRow(
        objective.capitalize(),
        objective,
        targets=_integers(_TARGETS.value, "--targets"),
        position=position,
        cosine_power=_COSINE_POWER.value,
        game_statistics=_GAME_STATISTICS.value,
        settings=settings,
    )
    return Preset("As the flags say", "Settings are below the row's title.", (row,))


def _integers(values: list[str], flag: str) -> tuple[int, ...]:
    try:
        return tuple(int(value) for value in values)
    except ValueError as error:
        raise app.UsageError(f"{flag} takes whole numbers, got {values}") from error


def _observations(source: ModelSource) -> np.ndarray:
    path = _OBSERVATIONS.value or source.files.observations
    if path is not None:
        return read_observations(path).observations[: _N_OBSERVATIONS.value]
    n_envs = min(ObservationSettings.n_envs, _N_OBSERVATIONS.value)
    sampling = ObservationSettings(
        n_envs=n_envs,
        n_per_env=-(-_N_OBSERVATIONS.value // n_envs),
        interval=_INTERVAL,
    )
    game = settings_from_args(source.args, n_envs=n_envs, seed=_SEED.value)
    rng = np.random.default_rng(_SEED.value)
    with make_game(game) as played:
        found = sample_observations(played, source.model.policy, sampling, rng)
    return found.observations[: _N_OBSERVATIONS.value]


def _presets(base: VisualizationSettings) -> dict[str, Preset]:
    names = [name for name in _PRESETS.value if name]
    unknown = [name for name in names if name not in PRESETS]
    if unknown:
        raise app.UsageError(
            f"no preset {unknown[0]!r}; there are {', '.join(PRESETS)}"
        )
    presets = {name: PRESETS[name](base) for name in names}
    if _OBJECTIVE.value is not None:
        presets["own"] = _own_preset(base, _OBJECTIVE.value)
    if not presets:
        raise app.UsageError("nothing to do: choose --presets or an --objective")
    return presets


def _run() -> tuple[ContactSheet, pathlib.Path]:
    base = VisualizationSettings(
        steps=_STEPS.value, learning_rate=_LEARNING_RATE.value, seed=_SEED.value
    )
    presets = _presets(base)
    source = open_source(_MODEL.value)
    compare_to = None if _COMPARE_TO.value is None else open_source(_COMPARE_TO.value)
    imagenet = None
    if _IMAGENET_MODEL.value is not None:
        if len(_IMAGENET_LAYERS.value) != 2:
            raise app.UsageError("--imagenet_layers takes two names")
        first, intermediate = _IMAGENET_LAYERS.value
        imagenet = ImagenetNetwork(_IMAGENET_MODEL.value, first, intermediate)
    features_of: Any = _FEATURES_OF.value
    subject = Subject(
        source.model,
        _observations(source),
        layer=_LAYER.value or "",
        features_of=features_of,
        nmf=NMFSettings(n_features=_N_FEATURES.value, seed=_SEED.value),
        compare_to=None if compare_to is None else compare_to.model,
        imagenet=imagenet,
    )
    about = {
        "title": f"Feature visualization of {source.name}",
        "model": source.digest,
        "observations": str(len(subject.observations)),
    }
    if compare_to is not None:
        about["compared to"] = f"{compare_to.name}, {compare_to.digest}"
    if imagenet is not None:
        about["ImageNet"] = (
            f"{imagenet.model}: {imagenet.first}, {imagenet.intermediate}"
        )
    return run_presets(presets, subject, _OUTPUT_DIR.value, about)


def main(argv: list[str]) -> None:
    """Makes the figures that the flags describe."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    try:
        sheet, page = _run()
        report = None
        if _REPORT.value is not None:
            command = " ".join(["python -m scripts.visualize_features", *sys.argv[1:]])
            report = write_report(sheet, _REPORT.value, command)
    except LucidRLError as error:
        print(f"visualize_features: {error}", file=sys.stderr)
        sys.exit(1)
    print(sheet.table_text())
    print(page)
    if report is not None:
        print(report)


if __name__ == "__main__":
    app.run(main)

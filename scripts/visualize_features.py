"""Makes a model's feature visualizations: the article's attempts, or your own.

    python -m scripts.visualize_features --output_dir=outputs/features
    python -m scripts.visualize_features --presets=layers,jitters --model=my.jd
    python -m scripts.visualize_features --objective=channel --layer=3a --targets=4,7
    python -m scripts.visualize_features --objective=direction --parametrization=maco
    python -m scripts.visualize_features --examples=map --features_of=attribution

An objective or examples make a figure of your own, instead of the presets unless these
are asked for, too. Prints the measurements and the path of a page that shows the
pictures with settings and numbers; PNG files and results.json lie beside it. A second
run goes on where an earlier one stopped.
"""

import dataclasses
import pathlib
import shlex
import sys
from typing import Any

import numpy as np
from absl import flags

from lucid_rl.errors import SettingsError
from lucid_rl.games.registry import describe, game_settings, make_game
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.interpret.visualization.contact_sheet import ContactSheet
from lucid_rl.interpret.visualization.figures import ImagenetNetwork, Subject
from lucid_rl.interpret.visualization.parametrizations import KINDS, Parametrization
from lucid_rl.interpret.visualization.presets import (
    DIFFERENT,
    INTERMEDIATE,
    OBJECTIVES,
    PRESETS,
    DatasetRow,
    GradientRow,
    Preset,
)
from lucid_rl.interpret.visualization.report import write_report
from lucid_rl.interpret.visualization.run import check_presets, run_presets
from lucid_rl.interpret.visualization.transformations import Transformations
from lucid_rl.interpret.visualization.visualize import VisualizationSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.sampling.observations import (
    ObservationSettings,
    read_observations,
    sample_observations,
)

from . import game_flags, program

_use_engine = game_flags.define_engine_flags()

_DEFAULT = VisualizationSettings()
_INTERVAL = 32  # steps between two observations of one environment
_ROW = GradientRow("")
_EXAMPLES_ROW = DatasetRow("")
_PLACES = ("centre", "all")
_OF_TWO_MODELS = ("difference", "layer_difference")

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
    "presets",
    None,
    f"Figures to make, of {', '.join(PRESETS)}; by default all, or only one's own.",
)
_LAYER = flags.DEFINE_string(
    "layer",
    "",
    "The intermediate layer; by default 2b, or the middle one; for a difference the "
    "first that differs.",
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

# A figure of one's own. It is made when an objective or examples are chosen.
_OBJECTIVE = flags.DEFINE_enum(
    "objective", None, list(OBJECTIVES), "Make pictures that maximize it."
)
_EXAMPLES = flags.DEFINE_enum(
    "examples",
    None,
    ["grid", "map"],
    "Make pictures of dataset examples of NMF features: a grid of the strongest "
    "patches, or a spatially-aware map.",
)
_TARGETS = flags.DEFINE_list(
    "targets",
    [str(i) for i in _ROW.targets],
    "Channels, features or observations of one's own figure; empty for all.",
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
_SIDE = flags.DEFINE_integer(
    "side", _EXAMPLES_ROW.side, "Patches along each side of a grid of examples."
)
_MAX_PER_POSITION = flags.DEFINE_integer(
    "max_per_position",
    _EXAMPLES_ROW.max_per_position,
    "Patches of a grid from one position; by default as many as --side.",
    lower_bound=1,
)
_SUBDIVISION = flags.DEFINE_float(
    "subdivision", _EXAMPLES_ROW.subdivision, "Cells of a map for each position."
)
_TOP_SHARE = flags.DEFINE_float(
    "top_share",
    _EXAMPLES_ROW.top_share,
    "Share of the observations that must be enough to fill a map.",
)
_PENALTY = flags.DEFINE_float(
    "penalty", _DEFAULT.penalty, "L2 penalty on first-layer activations."
)
_TOTAL_VARIATION = flags.DEFINE_float(
    "total_variation", _DEFAULT.total_variation, "Penalty on total variation."
)


def _own_preset(base: VisualizationSettings) -> Preset | None:
    """The figure that the flags describe, if they do."""
    rows: list[GradientRow | DatasetRow] = []
    targets = _integers(_TARGETS.value, "targets")
    if _OBJECTIVE.value is not None:
        rows.append(_gradient_row(base, _OBJECTIVE.value, targets))
    if _EXAMPLES.value is not None:
        rows.append(
            DatasetRow(
                f"Dataset examples, {_EXAMPLES.value}",
                features=targets,
                spatial=_EXAMPLES.value == "map",
                side=_SIDE.value,
                max_per_position=_MAX_PER_POSITION.value,
                subdivision=_SUBDIVISION.value,
                top_share=_TOP_SHARE.value,
            )
        )
    if not rows:
        return None
    return Preset(
        "As the flags say", "Settings are below the row's title.", tuple(rows)
    )


def _gradient_row(
    base: VisualizationSettings, objective: Any, targets: tuple[int, ...]
) -> GradientRow:
    if objective in _OF_TWO_MODELS and _COMPARE_TO.value is None:
        raise SettingsError(
            f"--objective={objective} needs a second model: --compare_to"
        )
    position: Any = _POSITION.value
    if position not in _PLACES:
        position = _integers(position.split(","), "position")
    kind: Any = _PARAMETRIZATION.value
    settings = dataclasses.replace(
        base,
        parametrization=Parametrization(kind, _DECORRELATED.value),
        transformations=Transformations(
            padding=_PADDING.value,
            jitter=_JITTER.value,
            scaling=_SCALING.value,
            rotation=_ROTATION.value,
            keep_size=_KEEP_SIZE.value,
        ),
        penalty=_PENALTY.value,
        total_variation=_TOTAL_VARIATION.value,
    )
    of_two = objective in _OF_TWO_MODELS and not _LAYER.value
    return GradientRow(
        objective.replace("_", " ").capitalize(),
        objective,
        DIFFERENT if of_two else INTERMEDIATE,
        targets=targets,
        position=position,
        cosine_power=_COSINE_POWER.value,
        game_statistics=_GAME_STATISTICS.value,
        settings=settings,
    )


def _integers(values: list[str], flag: str) -> tuple[int, ...]:
    try:
        return tuple(int(value) for value in values if value)
    except ValueError as error:
        given = ",".join(values)
        raise SettingsError(
            f"--{flag}={given}: expected whole numbers, such as 3,7"
        ) from error


def _observations(source: Model) -> np.ndarray:
    path = _OBSERVATIONS.value or source.files.observations
    if path is not None:
        return read_observations(path).observations[: _N_OBSERVATIONS.value]
    n_envs = min(ObservationSettings.n_envs, _N_OBSERVATIONS.value)
    sampling = ObservationSettings(
        n_envs=n_envs,
        n_per_env=-(-_N_OBSERVATIONS.value // n_envs),
        interval=_INTERVAL,
    )
    game = game_settings(
        source.args,
        source.n_actions,
        source.image_shape,
        n_envs=n_envs,
        seed=_SEED.value,
    )
    print(describe(game))
    rng = np.random.default_rng(_SEED.value)
    with make_game(game) as played:
        found = sample_observations(played, source, sampling, rng)
    return found.observations[: _N_OBSERVATIONS.value]


def _presets(base: VisualizationSettings) -> dict[str, Preset]:
    own = _own_preset(base)
    names = _PRESETS.value
    if names is None:
        names = list(PRESETS) if own is None else []
    unknown = [name for name in names if name not in PRESETS]
    if unknown:
        raise SettingsError(f"no preset {unknown[0]!r}; there are {', '.join(PRESETS)}")
    if not names and own is None:
        raise SettingsError(
            "nothing to do: choose --presets, --objective or --examples"
        )
    presets = {name: PRESETS[name](base) for name in names}
    if own is not None:
        presets["own"] = own
    return presets


def _run() -> tuple[ContactSheet, pathlib.Path]:
    base = VisualizationSettings(
        steps=_STEPS.value, learning_rate=_LEARNING_RATE.value, seed=_SEED.value
    )
    presets = _presets(base)
    source = load(_MODEL.value, samples=True)
    compare_to = (
        None if _COMPARE_TO.value is None else load(_COMPARE_TO.value, samples=True)
    )
    imagenet = None
    if _IMAGENET_MODEL.value is not None:
        if len(_IMAGENET_LAYERS.value) != 2:
            raise SettingsError("--imagenet_layers takes two names")
        first, intermediate = _IMAGENET_LAYERS.value
        imagenet = ImagenetNetwork(_IMAGENET_MODEL.value, first, intermediate)
    features_of: Any = _FEATURES_OF.value
    # What the flags ask for is checked on noise, before observations are sampled.
    shape = (_N_OBSERVATIONS.value, *source.image_shape)
    noise = np.random.default_rng(_SEED.value).integers(0, 256, shape, np.uint8)
    subject = Subject(
        source,
        noise,
        layer=_LAYER.value,
        features_of=features_of,
        nmf=NMFSettings(n_features=_N_FEATURES.value, seed=_SEED.value),
        compare_to=None if compare_to is None else compare_to,
        imagenet=imagenet,
    )
    check_presets(presets, subject)
    subject = dataclasses.replace(subject, observations=_observations(source))
    about = {
        "title": f"Feature visualization of {source.name}",
        "model": source.digest,
        "observations": str(len(subject.observations)),
    }
    if compare_to is not None:
        about["compared to"] = f"{compare_to.name}, {compare_to.digest}"
    if imagenet is not None:
        name = pathlib.Path(imagenet.model).name
        about["ImageNet"] = f"{name}: {imagenet.first}, {imagenet.intermediate}"
    return run_presets(presets, subject, _OUTPUT_DIR.value, about)


def main() -> None:
    """Makes the figures that the flags describe."""
    _use_engine()
    sheet, page = _run()
    print(sheet.table_text())
    print(page)
    if _REPORT.value is not None:
        command = f"python -m scripts.visualize_features {shlex.join(sys.argv[1:])}"
        print(write_report(sheet, _REPORT.value, command))


if __name__ == "__main__":
    program.run(
        main, "stopped; rows that are done are kept, and the same command goes on"
    )

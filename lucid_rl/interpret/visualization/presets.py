"""The article's attempts at feature visualization, as data.

Section "Feature visualization". Each preset is a figure: rows of pictures that differ
in one setting. Differences from the article are noted where a setting is made.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from lucid_rl.errors import SettingsError
from lucid_rl.interpret.visualization.parametrizations import Parametrization
from lucid_rl.interpret.visualization.transformations import Transformations
from lucid_rl.interpret.visualization.visualize import VisualizationSettings

ObjectiveKind = Literal[
    "neuron", "channel", "direction", "caricature", "difference", "layer_difference"
]
OBJECTIVES: tuple[ObjectiveKind, ...] = get_args(ObjectiveKind)
Network = Literal["model", "imagenet"]

FIRST = "first"
INTERMEDIATE = "intermediate"
DIFFERENT = "different"


@dataclasses.dataclass(frozen=True)
class GradientRow:
    """Pictures that are optimized together.

    Attributes:
        title: of the row.
        objective: what each picture maximizes: a "neuron" of a channel, a whole
            "channel", a "direction" (an NMF feature) at one position, the
            "caricature" of an observation, the "difference" of a neuron between two
            models, or the "layer_difference" between all that they compute at the
            layer.
        layer: "first", "intermediate", "different" (the first one where two models
            compute different things) or a layer's name.
        targets: channels, features or observations, by number; empty for all. A
            layer's difference has none.
        position: in the layer: "centre", "all" or (row, column), also as "row,column".
        cosine_power: of directions and caricatures.
        game_statistics: take colours and spectrum of the observations, not ImageNet's.
        network: "model", or "imagenet" for the network shown beside it.
        settings: how; an empty `penalty_layer` is the first layer.
    """

    title: str
    objective: ObjectiveKind = "neuron"
    layer: str = INTERMEDIATE
    targets: tuple[int, ...] = (0, 1, 2)
    position: str | tuple[int, int] = "centre"
    cosine_power: float = 0.0
    game_statistics: bool = False
    network: Network = "model"
    settings: VisualizationSettings = VisualizationSettings()

    def __post_init__(self) -> None:
        if isinstance(self.position, tuple) or self.position in ("centre", "all"):
            return
        row, comma, column = self.position.partition(",")
        if not (comma and row.strip().isdecimal() and column.strip().isdecimal()):
            raise SettingsError(
                f"position={self.position!r}: expected 'centre', 'all' or row,column."
            )
        object.__setattr__(self, "position", (int(row), int(column)))


@dataclasses.dataclass(frozen=True)
class DatasetRow:
    """Pictures made of dataset examples of NMF features.

    Attributes:
        title: of the row.
        layer: as in `GradientRow`.
        features: which; empty for all.
        spatial: one spatially-aware map for each feature, rather than its strongest
            patches.
        side: patches along each side of the picture, if not spatial.
        max_per_position: patches from one position, if not spatial; by default `side`.
        subdivision: cells per position along each axis of a map.
        top_fraction: fraction of the observations that must be enough to fill a map; it
            limits how often one is used (`dataset_examples.spatial_examples`).
        patch_positions: side of a patch, in positions of the layer; a map's patches
            are as large as its cells.
    """

    title: str
    layer: str = INTERMEDIATE
    features: tuple[int, ...] = ()
    spatial: bool = False
    side: int = 4
    max_per_position: int | None = None
    subdivision: float = 0.5
    top_fraction: float = 0.1
    patch_positions: float = 6.0


@dataclasses.dataclass(frozen=True)
class ObservationRow:
    """Observations as they are, for comparison."""

    title: str
    observations: tuple[int, ...] = (0, 1, 2)


Row = GradientRow | DatasetRow | ObservationRow


@dataclasses.dataclass(frozen=True)
class Preset:
    """A figure: its title, what it shows in a sentence or two, and its rows."""

    title: str
    text: str
    rows: tuple[Row, ...]


def _settings(
    base: VisualizationSettings, jitter: int = 8, **changes
) -> VisualizationSettings:
    changes.setdefault("transformations", Transformations(jitter=jitter))
    return dataclasses.replace(base, **changes)


def _variants(
    title: str,
    text: str,
    base: VisualizationSettings,
    variants: Mapping[str, Mapping[str, Any]],
) -> Preset:
    """Neurons in one row for each variant: changes of settings, by the row's title."""
    rows = (
        GradientRow(name, settings=_settings(base, **changes))
        for name, changes in variants.items()
    )
    return Preset(title, text, tuple(rows))


def layers(base: VisualizationSettings) -> Preset:
    """First layer against intermediate layer, with ImageNet's row beside."""
    networks: dict[Network, str] = {"imagenet": "ImageNet", "model": "Model"}
    rows = (
        GradientRow(
            f"{name}, {layer} layer",
            layer=layer,
            network=network,
            settings=_settings(base, jitter),
        )
        for network, name in networks.items()
        for layer, jitter in ((FIRST, 2), (INTERMEDIATE, 8))
    )
    return Preset(
        "First layer and intermediate layer",
        "Each picture maximizes a neuron at the centre: the first three channels of "
        "each layer. Jitter 2 at the first layer, 8 at the intermediate one.",
        tuple(rows),
    )


def directions(base: VisualizationSettings) -> Preset:
    """NMF directions of activations, by gradients and by dataset examples."""
    return Preset(
        "Directions in activation space",
        "Above, pictures optimized for each NMF direction at the centre; below, the "
        "observations that respond to it most strongly. A checkerboard lies beyond "
        "the edge of the screen, and the weaker a response, the more transparent.",
        (
            GradientRow(
                "By gradients",
                "direction",
                targets=(),
                settings=_settings(base),
            ),
            DatasetRow("By dataset examples"),
        ),
    )


def spatial(base: VisualizationSettings) -> Preset:
    """Spatially-aware maps, one for each feature."""
    return Preset(
        "Spatially-aware maps",
        "For each position, the observation that responds most strongly there. "
        "The weaker the response, the more transparent.",
        (DatasetRow("A map for each feature", spatial=True),),
    )


def caricatures(base: VisualizationSettings) -> Preset:
    """Caricatures of three observations, by layer and by power of the cosine."""
    rows = (
        GradientRow(
            f"Caricature at the {layer} layer, cosine power {power}",
            "caricature",
            layer,
            position="all",
            cosine_power=power,
            settings=_settings(base, 4),
        )
        for layer in (FIRST, INTERMEDIATE)
        for power in (0, 2)
    )
    return Preset(
        "Caricatures",
        "Pictures whose activations have the largest dot product with those of an "
        "observation, times a power of the cosine between them.",
        (ObservationRow("Reference observations"), *rows),
    )


def penalties(base: VisualizationSettings) -> Preset:
    """An L2 penalty on first-layer activations, by strength."""
    return _variants(
        "Penalizing extremal colours",
        "An L2 penalty on the activations of the first layer, of growing strength.",
        base,
        {f"Penalty {x:g}": {"penalty": x} for x in (0, 0.003, 0.01, 0.03, 0.1)},
    )


def variations(base: VisualizationSettings) -> Preset:
    """A penalty on total variation, by strength. The article tries none; Lucid has it.

    Strengths are in units of the objective for each unit of colour between neighbours.
    """
    strengths = (0, 0.001, 0.003, 0.01, 0.03)
    return _variants(
        "Penalizing differences between neighbouring pixels",
        "Total variation is taken off the objective, with growing strength.",
        base,
        {f"Total variation {x:g}": {"total_variation": x} for x in strengths},
    )


def jitters(base: VisualizationSettings) -> Preset:
    """Jitter of several sizes."""
    return _variants(
        "Jitter",
        "Transformation robustness: the pictures are shifted at random between steps.",
        base,
        {"No transformation": {"jitter": 0}}
        | {f"Jitter {n}": {"jitter": n} for n in (2, 4, 8, 16)},
    )


def transformations(base: VisualizationSettings) -> Preset:
    """Rotation, scaling and padding. The article gives no sizes; these are Lucid's."""
    variants = {
        "Rotation by up to 10 degrees": Transformations(0, 8, rotation=10),
        "Scaling by up to a tenth": Transformations(0, 8, scaling=0.1),
        "Padding, jitter, scaling and rotation": Transformations(12, 8, 0.1, 10),
    }
    return _variants(
        "Rotation and scaling",
        "Less fitting for a game whose own observations are neither turned nor scaled.",
        base,
        {title: {"transformations": one} for title, one in variants.items()},
    )


def parametrizations(base: VisualizationSettings) -> Preset:
    """Spaces in which pictures are optimized. The article names none."""

    def row(title: str, game: bool, *arguments) -> GradientRow:
        return GradientRow(
            title,
            game_statistics=game,
            settings=_settings(base, parametrization=Parametrization(*arguments)),
        )

    return Preset(
        "Parametrizations",
        "The same neurons, jitter 8, in other spaces of images.",
        (
            row("Pixels", False, "pixel", False),
            row("Pixels, decorrelated colours", False, "pixel", True),
            row("Fourier", False, "fourier", False),
            row("Fourier, decorrelated colours", False, "fourier", True),
            row("Fourier, spectrum and colours of observations", True, "fourier", True),
            row("Fixed amplitudes (MaCo), 1/f", False, "maco"),
            row("Fixed amplitudes (MaCo), of observations", True, "maco"),
        ),
    )


def differences(base: VisualizationSettings) -> Preset:
    """Neurons and layers at which two models differ."""
    return Preset(
        "Difference between two models",
        "At the first layer where the two models compute different things: pictures "
        "that maximize a neuron of the model minus the same neuron of the other; and "
        "the distance between the activations of the two.",
        (
            GradientRow("Neurons", "difference", DIFFERENT, settings=_settings(base)),
            GradientRow(
                "The whole layer",
                "layer_difference",
                DIFFERENT,
                targets=(),
                position="all",
                settings=_settings(base),
            ),
        ),
    )


PRESETS: dict[str, Callable[[VisualizationSettings], Preset]] = {
    "layers": layers,
    "directions": directions,
    "spatial": spatial,
    "caricatures": caricatures,
    "penalties": penalties,
    "variations": variations,
    "jitters": jitters,
    "transformations": transformations,
    "parametrizations": parametrizations,
    "differences": differences,
}


def choose_presets(
    names: Sequence[str] | None, own: Sequence[Row], base: VisualizationSettings
) -> dict[str, Preset]:
    """Figures by name: those of `PRESETS`, and "own" of a user's own rows.

    No names stand for all, or for none where there are own rows. `base` are settings of
    the article's figures, where these do not vary them.

    Raises:
        SettingsError: an unknown name, or nothing to make.
    """
    if names is None:
        names = () if own else tuple(PRESETS)
    if unknown := [name for name in names if name not in PRESETS]:
        raise SettingsError(f"no preset {unknown[0]!r}; there are {', '.join(PRESETS)}")
    presets = {name: PRESETS[name](base) for name in names}
    if own:
        text = "Settings are below the row's title."
        presets["own"] = Preset("As the flags say", text, tuple(own))
    if not presets:
        raise SettingsError(
            "nothing to do: choose --presets, --objective or --examples"
        )
    return presets

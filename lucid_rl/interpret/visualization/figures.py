"""Figures of one model: the rows of a preset, computed and measured."""

import dataclasses
import functools
from typing import Any, Literal

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.interpret.dataset_examples import diverse_examples, spatial_examples
from lucid_rl.interpret.feature_set import feature_responses
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.interpret.patches import render_examples, rescale_opacity
from lucid_rl.interpret.visualization import objectives
from lucid_rl.interpret.visualization.image_statistics import (
    ImageStatistics,
    extremal_fraction,
    measure_statistics,
    spectrum_slope,
)
from lucid_rl.interpret.visualization.networks import objective_window
from lucid_rl.interpret.visualization.presets import (
    DIFFERENT,
    FIRST,
    INTERMEDIATE,
    DatasetRow,
    GradientRow,
    ObservationRow,
    Row,
)
from lucid_rl.interpret.visualization.visualize import (
    Visualization,
    VisualizationSettings,
    visualize,
)
from lucid_rl.model.batching import batch_slices
from lucid_rl.model.model import Model
from lucid_rl.model.observations import to_floats
from lucid_rl.sampling.observations import newest_frames, pictures_of

_LOSS_POINTS = 48  # of a loss curve that is kept
BATCH_SIZE = 32
"""Images optimized at once."""

_FEW_OBSERVATIONS = 32  # on which two models are compared
_ARTICLE_LAYER = "2b"
_OF_TWO_MODELS = ("difference", "layer_difference")


@dataclasses.dataclass(frozen=True)
class ImagenetNetwork:
    """A network trained on ImageNet, shown beside the model.

    Attributes:
        model: a Lucid model, or the path of its `.model.pb`.
        first: tensor of its first layer.
        intermediate: tensor of its intermediate layer; the defaults are GoogLeNet's.
        size: side of its pictures.
    """

    model: Any
    first: str = "conv2d0"
    intermediate: str = "mixed4a"
    size: int = 128


@dataclasses.dataclass
class Subject:
    """A model with what its figures are made from.

    Attributes:
        model: the network.
        observations: u8 [N, H, W, C], sampled from the game it plays.
        layer: the intermediate layer; by default the article's 2b, or the middle one.
        first_layer: by default the first one.
        features_of: what NMF directions are fitted to.
        nmf: how many there are.
        compare_to: a second model of the same layers.
        imagenet: a network shown beside it.
    """

    model: Model
    observations: np.ndarray
    layer: str = ""
    first_layer: str = ""
    features_of: Literal["activation", "attribution"] = "activation"
    nmf: NMFSettings = NMFSettings(n_features=16)
    compare_to: Model | None = None
    imagenet: ImagenetNetwork | None = None

    def __post_init__(self) -> None:
        self.model.check_observations(self.observations)
        if not self.layer:
            names = self.model.layers
            middle = names[len(names) // 2]
            self.layer = _ARTICLE_LAYER if _ARTICLE_LAYER in names else middle
        self.first_layer = self.first_layer or self.model.layers[0]
        self._features: dict[str, NMF] = {}

    def layer_name(self, layer: str) -> str:
        """The layer that "first", "intermediate", "different" or a name stands for."""
        if layer == DIFFERENT:
            return self.different_layer
        found = {FIRST: self.first_layer, INTERMEDIATE: self.layer}.get(layer, layer)
        self.model.layer_shape(found)
        return found

    @functools.cached_property
    def statistics(self) -> ImageStatistics:
        """Colours and spectrum of the observations."""
        return measure_statistics(newest_frames(self.observations))

    @functools.cached_property
    def different_layer(self) -> str:
        """The first layer where the models' activations of observations differ."""
        assert self.compare_to is not None
        few = self.observations[:_FEW_OBSERVATIONS]
        for layer in self.model.layers:
            ours, theirs = (
                model.activations(few, [layer])[layer]
                for model in (self.model, self.compare_to)
            )
            if ours.shape != theirs.shape or (ours != theirs).any():
                return layer
        raise InputError(
            "the two models compute the same at every layer; compare to another model"
        )

    def n_features(self, layer: str) -> int:
        """Number of features; fits them where it is chosen automatically."""
        wanted = self.nmf.n_features
        return self.features(layer).n_features if wanted == "auto" else wanted

    def features(self, layer: str) -> NMF:
        """NMF directions of a layer, fitted once."""
        if layer not in self._features:
            self._features[layer] = fit_features(
                self.model, self.observations, layer, self.features_of, self.nmf
            )
        return self._features[layer]


@dataclasses.dataclass(frozen=True, eq=False)
class FigureRow:
    """A row of pictures with its numbers.

    Attributes:
        title: of the row.
        labels: under each picture.
        images: f32 [K, H, W, 3] or RGBA [K, H, W, 4], in [0, 1].
        settings: what the pictures were made with, in words by name.
        numbers: measurements by name, each [K] or a single one for the row; empty for
            pictures of examples.
        losses: f32 [K, points], loss curves; None where nothing was optimized.
    """

    title: str
    labels: tuple[str, ...]
    images: np.ndarray
    settings: dict[str, str]
    numbers: dict[str, np.ndarray]
    losses: np.ndarray | None = None


def make_row(row: Row, subject: Subject) -> FigureRow | None:
    """Computes a row's pictures; None where the subject lacks its network."""
    if isinstance(row, ObservationRow):
        chosen = _targets(row, subject)
        images = pictures_of(to_floats(subject.observations[chosen]))
        labels = tuple(f"observation {i}" for i in chosen)
        return FigureRow(row.title, labels, images, {}, _measures(images))
    if isinstance(row, DatasetRow):
        return _dataset_row(row, subject)
    if not _is_possible(row, subject):
        return None
    return _gradient_row(row, subject)


def check_row(row: Row, subject: Subject) -> None:
    """Checks a row's layer and targets before anything is computed.

    Raises:
        InputError: channels, features or observations that there are not, examples of a
            layer without positions, or models that do not compare.
        ModelError: a layer that there is not.
    """
    if isinstance(row, GradientRow) and (
        row.network == "imagenet" or not _is_possible(row, subject)
    ):
        return
    _targets(row, subject)
    if isinstance(row, GradientRow) and row.objective in _OF_TWO_MODELS:
        layer = subject.layer_name(row.layer)
        assert subject.compare_to is not None
        shapes = [m.layer_shape(layer) for m in (subject.model, subject.compare_to)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"layer {layer!r} has shape {shapes[0]} in the model and {shapes[1]} "
                "in the one it is compared to; give models of one architecture"
            )


def _is_possible(row: GradientRow, subject: Subject) -> bool:
    """Whether the subject has the networks that a row shows."""
    if row.network == "imagenet":
        return subject.imagenet is not None
    return row.objective not in _OF_TWO_MODELS or subject.compare_to is not None


def observation_numbers(observations: np.ndarray) -> dict[str, float]:
    """Measurements of the observations as a whole, to compare pictures with."""
    found = _measures(pictures_of(observations))
    return {name: float(np.nanmean(values)) for name, values in found.items()}


def _gradient_row(row: GradientRow, subject: Subject) -> FigureRow:
    settings = row.settings
    model: Any = subject.model
    observations: np.ndarray | None = subject.observations
    if row.network == "imagenet":
        network = subject.imagenet
        assert network is not None
        model, observations, chosen = network.model, None, list(row.targets)
        layer = network.first if row.layer == FIRST else network.intermediate
        settings = dataclasses.replace(settings, size=(network.size, network.size))
    else:
        layer, chosen = subject.layer_name(row.layer), _targets(row, subject)
    if settings.penalty and not settings.penalty_layer:
        settings = dataclasses.replace(settings, penalty_layer=subject.first_layer)
    if row.game_statistics:
        parametrization = dataclasses.replace(
            settings.parametrization, statistics=subject.statistics
        )
        settings = dataclasses.replace(settings, parametrization=parametrization)
    found, numbers = [], []
    # Images do not depend on each other, so memory need not grow with their number.
    for rows in batch_slices(len(chosen), BATCH_SIZE):
        objective = _objective(row, layer, chosen[rows], subject)
        made = visualize(
            model,
            objective,
            settings,
            observations=observations,
            compare_to=subject.compare_to if row.objective in _OF_TWO_MODELS else None,
            description=row.title,
        )
        found.append(made)
        numbers.append(_numbers(model, objective, made))
    labels = tuple(f"{_numbered(row.objective)} {i}" for i in chosen)
    return FigureRow(
        row.title,
        ("all channels",) if row.objective == "layer_difference" else labels,
        np.concatenate([pictures_of(made.images) for made in found]),
        _described(row, layer, settings),
        {name: np.concatenate([n[name] for n in numbers]) for name in numbers[0]},
        np.concatenate([_thinned(made.losses) for made in found]),
    )


def _numbered(objective: str) -> str:
    """What the targets of an objective number."""
    kinds = {"direction": "feature", "caricature": "observation"}
    return kinds.get(objective, "channel")


def _objective(
    row: GradientRow, layer: str, chosen: list[int], subject: Subject
) -> objectives.Objective:
    position: Any = "all" if row.objective == "channel" else row.position
    if row.objective == "layer_difference":
        return objectives.activation_difference(layer)
    if row.objective == "direction":
        vectors = subject.features(layer).directions[chosen]
        return objectives.directions(layer, vectors, position, row.cosine_power)
    if row.objective == "caricature":
        activations = subject.model.activations(subject.observations[chosen], layer)
        return objectives.caricature(layer, activations, row.cosine_power)
    objective = objectives.neurons(layer, chosen, position)
    if row.objective == "difference":
        objective = objective - objectives.on_other_model(objective)
    return objective


def _dataset_row(row: DatasetRow, subject: Subject) -> FigureRow:
    layer = subject.layer_name(row.layer)
    chosen = _targets(row, subject)
    responses = feature_responses(
        subject.model, subject.observations, subject.features(layer)
    )
    pixels = np.array(subject.observations.shape[1:3]) / responses.shape[1:3]
    # The patches of a map tile it.
    pixels *= 1 / row.subdivision if row.spatial else row.patch_positions
    height, width = (int(n) for n in np.maximum(np.rint(pixels), 1))
    images = []
    for feature in chosen:
        weights = responses[..., feature]
        grid = (
            spatial_examples(weights, row.subdivision, row.top_fraction)
            if row.spatial
            else diverse_examples(weights, row.side, row.max_per_position)
        )
        pictures = pictures_of(subject.observations)
        images.append(render_examples(grid, pictures, (height, width)))
    settings = {
        "layer": layer,
        "features": f"{subject.nmf.n_features}, NMF of {subject.features_of}s",
        "observations": str(len(subject.observations)),
        "patches": f"{height}x{width} pixels",
    }
    if row.spatial:
        settings["fraction of observations that is enough"] = f"{row.top_fraction:g}"
    else:
        settings["from one position"] = f"at most {row.max_per_position or row.side}"
    labels = tuple(f"feature {i}" for i in chosen)
    return FigureRow(row.title, labels, rescale_opacity(np.stack(images)), settings, {})


def _described(
    row: GradientRow, layer: str, settings: VisualizationSettings
) -> dict[str, str]:
    found = {"layer": layer, "objective": row.objective}
    if row.objective not in ("caricature", "layer_difference"):
        found["position"] = str(row.position)
    if row.cosine_power:
        found["cosine power"] = f"{row.cosine_power:g}"
    parametrization = settings.parametrization
    found["parametrization"] = parametrization.kind + (
        ", decorrelated"
        if parametrization.decorrelated and parametrization.kind != "maco"
        else ""
    )
    found["statistics"] = "observations" if row.game_statistics else "ImageNet"
    if row.game_statistics is False and parametrization.kind == "maco":
        found["statistics"] = "1/f, ImageNet's colours"
    for name, value in dataclasses.asdict(settings.transformations).items():
        if value:
            found[name.replace("_", " ")] = f"{value:g}"
    if settings.penalty:
        found["penalty"] = f"{settings.penalty:g} at {settings.penalty_layer}"
    if settings.total_variation:
        found["total variation"] = f"{settings.total_variation:g}"
    found["steps"] = str(settings.steps)
    found["learning rate"] = f"{settings.learning_rate:g}"
    found["seed"] = str(settings.seed)
    return found


def _numbers(
    model: Any, objective: objectives.Objective, found: Visualization
) -> dict[str, np.ndarray]:
    """Measurements of optimized images and of how far they got."""
    images = pictures_of(found.images)
    numbers = _measures(images) | {"reached": found.activations}
    height, width = images.shape[1:3]
    window = objective_window(model, objective, (height, width))
    if window is not None:
        # The objective does not depend on what lies around it.
        numbers["extremal fraction"] = extremal_fraction(window.crop(images))
    if found.dataset_maxima is not None:
        numbers["dataset maximum"] = found.dataset_maxima
    return numbers


def _measures(images: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "extremal fraction": extremal_fraction(images),
        "spectrum slope": spectrum_slope(images),
    }


def _targets(row: Row, subject: Subject) -> list[int]:
    """A row's channels, features or observations, checked; all if none are given."""
    n = len(subject.observations)
    if isinstance(row, ObservationRow):
        targets, what = row.observations, "observation"
    else:
        layer = subject.layer_name(row.layer)
        shape = subject.model.layer_shape(layer)
        if isinstance(row, DatasetRow):
            if len(shape) != 3:
                raise InputError(
                    f"dataset examples need a layer with positions; {layer!r} has "
                    f"shape {shape}. Choose one of {', '.join(subject.model.layers)}"
                )
            targets, what = row.features, "feature"
        elif row.objective == "layer_difference":
            return [0]  # the layer as a whole
        else:
            targets, what = row.targets, _numbered(row.objective)
        if what == "feature":
            n = subject.n_features(layer)
        elif what == "channel":
            n = shape[-1] if shape else 1
    wrong = [i for i in targets if not 0 <= i < n]
    if wrong:
        raise InputError(f"no {what} {wrong[0]}: there are {n}, 0 to {n - 1}")
    return list(targets) or list(range(n))


def _thinned(losses: np.ndarray) -> np.ndarray:
    """Loss curves [K, points] of losses [steps, K]."""
    steps = np.linspace(0, len(losses) - 1, min(len(losses), _LOSS_POINTS))
    return losses[steps.round().astype(int)].T

"""Presets of one model, computed into a folder row by row."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.files import PathLike
from lucid_rl.folder_lock import folder_lock
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.interpret.visualization.contact_sheet import ContactSheet, row_key
from lucid_rl.interpret.visualization.figures import (
    ImagenetNetwork,
    Subject,
    check_row,
    make_row,
    observation_numbers,
)
from lucid_rl.interpret.visualization.presets import Preset
from lucid_rl.model.loading import load
from lucid_rl.sampling.model_samples import sample_observations
from lucid_rl.sampling.observations import read_observations
from lucid_rl.validation import Natural, Positive, Settings


@dataclasses.dataclass(frozen=True)
class FigureSettings(Settings):
    """What figures of a model are made from."""

    compare_to: str | None = None
    """A second model, for the difference between the two."""
    layer: str = ""
    """The intermediate layer; by default 2b, or the middle one; for a difference the
    first that differs."""
    features_of: Literal["activation", "attribution"] = "activation"
    """What NMF is fitted to."""
    nmf: NMFSettings = NMFSettings(n_features=16)
    """How directions are fitted."""
    observations: str | None = None
    """observations.jd to use; by default the model's own, or sampled ones."""
    n_observations: Positive = 1024
    """Observations used."""
    imagenet_model: str | None = None
    """A .model.pb of a network of ImageNet to show beside."""
    imagenet_layers: tuple[str, ...] = (
        ImagenetNetwork.first,
        ImagenetNetwork.intermediate,
    )
    """Tensors of its first and its intermediate layer."""
    seed: Natural = 0
    """Seed of everything random."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.imagenet_layers) != 2:
            raise SettingsError("--imagenet_layers takes two names")

    @property
    def imagenet(self) -> ImagenetNetwork | None:
        """The network of ImageNet, if there is one."""
        if self.imagenet_model is None:
            return None
        first, intermediate = self.imagenet_layers
        return ImagenetNetwork(self.imagenet_model, first, intermediate)


def make_figures(
    model: Any,
    presets: Mapping[str, Preset],
    folder: PathLike,
    settings: FigureSettings | None = None,
) -> tuple[ContactSheet, pathlib.Path]:
    """Makes figures of a model, and the page that shows them.

    Args:
        model: a `Model`, or what `load` takes.
        presets: figures by name, as `presets.choose_presets` gives.
        folder: where pictures, numbers and the page go. A second run resumes an
            interrupted one.
        settings: observations, features and what else rows need.

    Returns:
        The sheet, and the path of its page.

    Raises:
        InputError: channels, features or observations that there are not.
        ModelError: a layer that there is not.
        GameError: observations are to be sampled, and the game is not installed.
        SaveError: a file cannot be written, or another process uses the folder.
    """
    settings = settings or FigureSettings()
    model = load(model, samples=True)
    compare_to = settings.compare_to and load(settings.compare_to, samples=True)
    n = settings.n_observations
    # Everything asked for is checked on noise, before observations are sampled.
    rng = np.random.default_rng(settings.seed)
    subject = Subject(
        model,
        rng.integers(0, 256, (n, *model.image_shape), np.uint8),
        layer=settings.layer,
        features_of=settings.features_of,
        nmf=dataclasses.replace(settings.nmf, seed=settings.seed),
        compare_to=compare_to or None,
        imagenet=settings.imagenet,
    )
    _check(presets, subject)
    with folder_lock(folder, "feature visualization"):
        path = settings.observations or model.files.observations
        if path is not None:
            observations = read_observations(path).observations[:n]
        else:
            sampled = sample_observations(model, n, seed=settings.seed)
            observations = sampled.observations
        subject = dataclasses.replace(subject, observations=observations)
        return run_presets(presets, subject, folder, _about(subject))


def _about(subject: Subject) -> dict[str, Any]:
    model, other, imagenet = subject.model, subject.compare_to, subject.imagenet
    about = {
        "title": f"Feature visualization of {model.name}",
        "model": model.digest,
        "observations": str(len(subject.observations)),
    }
    if other:
        about["compared to"] = f"{other.name}, {other.digest}"
    if imagenet is not None:
        name = pathlib.Path(imagenet.model).name
        about["ImageNet"] = f"{name}: {imagenet.first}, {imagenet.intermediate}"
    return about


def run_presets(
    presets: Mapping[str, Preset],
    subject: Subject,
    folder: PathLike,
    about: dict[str, Any],
) -> tuple[ContactSheet, pathlib.Path]:
    """Makes figures, skipping rows that an earlier run finished with the same settings.

    `about` is shown on the page, such as the model's name, and part of what
    distinguishes one run from another.
    """
    _check(presets, subject)
    sheet = ContactSheet(folder, about, observation_numbers(subject.observations))
    digest = row_key(np.asarray(subject.observations).tobytes())
    layers = subject.layer, subject.first_layer
    context = (about, digest, layers, subject.features_of, subject.nmf)
    for name, preset in presets.items():
        keys = [row_key(row, context) for row in preset.rows]
        sheet.add_figure(name, preset, keys, lambda row: make_row(row, subject))
    return sheet, sheet.write()


def _check(presets: Mapping[str, Preset], subject: Subject) -> None:
    """Checks all rows before anything is computed."""
    for preset in presets.values():
        for row in preset.rows:
            check_row(row, subject)

"""The page of a model, in one call."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid_rl.files import PathLike
from lucid_rl.interface.pipeline import make_interface
from lucid_rl.interface.settings import InterfaceSettings
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.loading import load
from lucid_rl.sampling.observations import Observations
from lucid_rl.sampling.trajectories import Trajectories


def make_page(
    model: Any,
    path: PathLike,
    *,
    compare_to: Any = None,
    observations: np.ndarray | Observations | None = None,
    trajectories: Trajectories | None = None,
    nmf: NMF | Mapping[str, NMF] | None = None,
    settings: InterfaceSettings | None = None,
) -> pathlib.Path:
    """Makes the page that shows what a model sees, frame by frame.

    Args:
        model: a `Model`, or what `load` takes.
        path: folder of the page.
        compare_to: a second model to show on the same trajectories.
        observations: for features and their examples, u8 [N, H, W, C]; by default
            the model plays its own game.
        trajectories: what the page shows; by default likewise.
        nmf: features that were fitted before, of one layer or by layer; the others
            are fitted.
        settings: everything else, such as layers and sizes.

    Returns:
        Path of `index.html`, which opens by double click.

    Raises:
        LucidRLError: what is wrong with the model, the settings or the disk.

    Example:
        >>> quick = lucid_rl.InterfaceSettings().quick()
        >>> lucid_rl.make_page(model, "page", nmf=nmf, settings=quick)
    """
    model = load(model, samples=observations is None or trajectories is None)
    compare_to = None if compare_to is None else load(compare_to)
    settings = dataclasses.replace(
        settings or InterfaceSettings(),
        model=model.name,
        compare_to=compare_to and compare_to.name,
        output_dir=path,
    )
    if isinstance(observations, Observations):
        observations = observations.observations
    return make_interface(
        settings,
        model=model,
        compare_to=compare_to,
        observations=observations,
        trajectories=trajectories,
        nmf=nmf,
    )

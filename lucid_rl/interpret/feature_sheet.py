"""Sheets of features with the observations that they respond to most.

Article, sections "Dataset example-based feature visualization" and "Spatially-aware
feature visualization".
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl import notebook
from lucid_rl.errors import InputError
from lucid_rl.interpret.colour import feature_colours, html_codes
from lucid_rl.interpret.dataset_examples import diverse_examples, spatial_examples
from lucid_rl.interpret.feature_set import FeatureSet, feature_responses
from lucid_rl.interpret.patches import render_examples, rescale_opacity
from lucid_rl.model.loading import load
from lucid_rl.sampling.observations import pictures_of

_WIDTH = 160


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureSheet:
    """Features with pictures of their dataset examples.

    Attributes:
        features: the features.
        images: f32 RGBA [K, H, W, 4] in [0, 1]; the weaker a response, the more
            transparent its patch.
        responses: f32 [N, h, w, K], how strongly each position of the observations
            responds.
        names: K names.
    """

    features: FeatureSet
    images: np.ndarray
    responses: np.ndarray
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return notebook.summary(self)

    def _repr_html_(self) -> str:
        found = self.features
        colours = html_codes(feature_colours(len(found.directions)), brightest=True)
        figures = []
        for k, image in enumerate(self.images):
            caption = _caption(found, k)
            label = notebook.swatch(colours[k], self.names[k])
            figures.append(
                f"<div>{label}{notebook.picture(image, caption, _WIDTH)}</div>"
            )
        title = f"{len(found.directions)} features of layer {found.layer}"
        return notebook.row(figures, title)


def feature_sheet(
    model: Any,
    observations: np.ndarray,
    features: FeatureSet,
    *,
    names: Sequence[str] = (),
    side: int = 4,
    patch_positions: float = 6.0,
    spatial: bool = False,
) -> FeatureSheet:
    """Finds examples of each feature and draws them.

    Args:
        model: a `Model`, or what `load` takes.
        observations: u8 [N, H, W, C] or `Observations`, sampled infrequently; of a
            stack the newest frame is drawn.
        features: features of one of its layers.
        names: names of the features; by default their numbers.
        side: examples along each side of a picture, if there are observations enough.
        patch_positions: side of a patch, in positions of the layer.
        spatial: show a spatially-aware map instead: for every position the observation
            that responds most there.

    Raises:
        InputError: observations or names that do not fit.
        ModelError: there is no such layer.
    """
    names = tuple(names) or tuple(
        f"feature {k}" for k in range(len(features.directions))
    )
    if len(names) != len(features.directions):
        raise InputError(f"{len(names)} names for {len(features.directions)} features")
    model = load(model)
    observations = model.check_observations(observations)
    responses = feature_responses(model, observations, features)
    pixels = np.array(observations.shape[1:3]) / responses.shape[1:3]
    side = min(side, int(len(observations) ** 0.5))
    # Patches of a map have half a cell for each position, and tile it.
    size = np.rint(pixels * (2 if spatial else patch_positions)).astype(int)
    images, pictures = [], pictures_of(observations)
    for weights in np.moveaxis(responses, -1, 0):
        grid = (
            spatial_examples(weights, 0.5)
            if spatial
            else diverse_examples(weights, side)
        )
        images.append(render_examples(grid, pictures, tuple(np.maximum(size, 1))))
    return FeatureSheet(features, rescale_opacity(np.stack(images)), responses, names)


def _caption(features: FeatureSet, k: int) -> str:
    direction = features.directions[k]
    length = float(np.linalg.norm(direction))
    if not length:
        return "empty"
    channel = int(direction.argmax())
    return f"channel {channel} (cosine {direction[channel] / length:.2f})"

"""Sheets of attribution drawn over observations, as in the article's figures.

Each observation stands beside its positive attribution (good news) and its negative
one (bad news), coloured by feature (section "Dimensionality reduction for
attribution").
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from lucid_rl import notebook
from lucid_rl.errors import InputError
from lucid_rl.interpret.attribution import Attribution
from lucid_rl.interpret.colour import (
    attribution_scale,
    brightness_to_opacity,
    colour_features,
    feature_colours,
    html_codes,
)
from lucid_rl.interpret.nmf import NMF
from lucid_rl.interpret.smoothing import smooth
from lucid_rl.model.observations import to_floats
from lucid_rl.sampling.observations import pictures_of

# Contrast of the grey observation below attributions.
_CONTRAST = 0.5
# Attribution of this fraction of the scale is opaque.
_OPAQUE = 0.6
_WIDTH = 160


@dataclasses.dataclass(frozen=True, eq=False)
class AttributionSheet:
    """Observations with positive and negative attribution.

    Attributes:
        observations: uint8 or floats in [0, 1], [N, H, W, 3].
        positive: f32 [N, H, W, 3] in [0, 1], positive attribution over the
            observation in grey.
        negative: the same of negative attribution.
        features: f32 [N, K], attribution of each feature, summed over positions; K
            is 0 where there are no features.
        residuals: f32 [N], attribution that belongs to no feature.
        captions: N lines.
        colours: K codes such as "#ff0000".
        names: K names of features.
    """

    observations: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    features: np.ndarray
    residuals: np.ndarray
    captions: tuple[str, ...]
    colours: tuple[str, ...]
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return notebook.summary(self)

    def _repr_html_(self) -> str:
        parts = []
        if self.names:
            pairs = zip(self.colours, self.names, strict=True)
            parts.append(notebook.row(notebook.swatch(*pair) for pair in pairs))
        for n, caption in enumerate(self.captions):
            pictures = [
                notebook.picture(self.observations[n], caption, _WIDTH),
                notebook.picture(self.positive[n], "positive", _WIDTH),
                notebook.picture(self.negative[n], "negative", _WIDTH),
            ]
            parts.append(notebook.row([*pictures, self._sums(n)]))
        return "".join(parts)

    def _sums(self, n: int) -> str:
        if not self.names:
            return ""
        order = np.argsort(-np.abs(self.features[n]), kind="stable")
        rows = [(self.names[k], f"{self.features[n, k]:+.3f}") for k in order]
        rows.append(("residual", f"{self.residuals[n]:+.3f}"))
        return notebook.table(("feature", "attribution"), rows)


def attribution_sheet(
    observations: np.ndarray,
    attribution: Attribution,
    features: NMF | None = None,
    *,
    captions: Sequence[str] = (),
    names: Sequence[str] = (),
    kernel: np.ndarray | None = None,
) -> AttributionSheet:
    """Draws attributions over observations, all at one scale.

    Args:
        observations: uint8 or floats in [0, 1], [N, H, W, C]; of a stack the newest
            frame is drawn.
        attribution: of one target, at a layer with positions, for these observations.
        features: features of that layer; without them all attribution has one
            colour.
        captions: a line for each observation; by default its number and total.
        names: names of the features; by default their numbers.
        kernel: spreads attribution over nearby positions; by default the article's
            (`smoothing.norm_filter`).

    Raises:
        InputError: what is given does not belong together.
    """
    observations = pictures_of(np.asarray(observations))
    values = attribution.values
    if values.ndim != 4 or len(values) != len(observations):
        raise InputError(
            f"attribution of shape {values.shape} for observations of shape "
            f"{observations.shape}: expected [N, h, w, C] of one target, at a layer "
            "with positions, for N observations"
        )
    n_features = 0 if features is None else features.n_features
    names = tuple(names) or tuple(f"feature {k}" for k in range(n_features))
    captions = tuple(captions) or tuple(
        f"observation {n}, total {total:+.3f}"
        for n, total in enumerate(attribution.totals)
    )
    if len(names) != n_features or len(captions) != len(observations):
        raise InputError(
            f"{len(names)} names and {len(captions)} captions: expected {n_features} "
            f"and {len(observations)}"
        )
    if features is None:
        reduced = np.empty((*values.shape[:3], 0), np.float32)
        residual = values.sum(axis=-1)
    else:
        reduced, residual = features.reduce(values)
    maps = np.concatenate([reduced, residual[..., None]], axis=-1)
    colours = feature_colours(n_features)
    signs = [smooth(np.maximum(sign * maps, 0), kernel) for sign in (1, -1)]
    scale = _OPAQUE * attribution_scale(np.concatenate(signs, axis=-1))
    positive, negative = (
        _over(
            observations,
            colour_features(m[..., :-1] / scale, colours, m[..., -1] / scale),
        )
        for m in signs
    )
    return AttributionSheet(
        observations,
        positive,
        negative,
        reduced.sum(axis=(1, 2)),
        residual.sum(axis=(1, 2)),
        captions,
        tuple(html_codes(colours, brightest=True)) if n_features else (),
        names,
    )


def _over(observations: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colours [N, h, w, 3], as opaque as they are bright, over grey observations."""
    rgba = brightness_to_opacity(colours)
    height, width = observations.shape[1:3]
    rows = np.arange(height) * rgba.shape[1] // height
    columns = np.arange(width) * rgba.shape[2] // width
    rgba = rgba[:, rows[:, None], columns]
    grey = to_floats(observations).mean(axis=-1, keepdims=True)
    grey = 0.5 + _CONTRAST * (grey - 0.5)
    opacity = rgba[..., 3:]
    return opacity * rgba[..., :3] + (1 - opacity) * grey

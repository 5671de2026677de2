"""One layer's part of an interface: attributions of every frame, and its legend."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lucid_rl.interface.legend import legend_arrays
from lucid_rl.interface.objects import ObjectMaps
from lucid_rl.interface.parts import Layout, Part
from lucid_rl.interface.quantization import LEVELS, frame_scales, quantize
from lucid_rl.interface.settings import ExampleSettings
from lucid_rl.interpret.attribution import (
    AttributionSettings,
    Target,
    attribute,
    logit,
    value,
)
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.batching import BATCH_BYTES, batch_slices, rows_within
from lucid_rl.model.model import Model
from lucid_rl.progress import progress

# Numbers of attribution held at once, in float32; some copies come on top.
_CHUNK_NUMBERS = 8_000_000
# Frames that the page decodes together, at most.
_PIECE_FRAMES = 256


def layer_part(
    name: str,
    model: Model,
    layer: str,
    frames: np.ndarray,
    lengths: Sequence[int],
    settings: AttributionSettings,
    *,
    factorization: NMF | None,
    error: float | None = None,
    n_actions: int | None = None,
    examples: tuple[np.ndarray, ExampleSettings, ObjectMaps | None] | None = None,
    code_levels: int = LEVELS,
    max_side: int | None = None,
) -> Part:
    """Computes the part of one layer.

    Args:
        name: the part's name.
        model: the network.
        layer: a layer's short name, or "input" for gradients.
        frames: u8 [S, H, W, 3], all trajectories one after the other.
        lengths: frames in each trajectory.
        settings: how attributions are computed.
        factorization: the features; None for gradients by channel.
        error: of features' totals, if it is known; see `interpret.accuracy`.
        n_actions: attribute each action's logit instead of the value function.
        examples: observations u8 [N, H, W, 3], settings, and where objects are in the
            observations, to add a legend.
        code_levels: of the attributions' codes; see `quantization.quantize`.
        max_side: positions stored along each axis at most; by default the layer's.

    Returns:
        The part, as docs/bundle_format.md describes it.
    """
    outputs = [value()] if n_actions is None else [logit(i) for i in range(n_actions)]
    maps = _quantized_maps(
        model, layer, frames, outputs, settings, factorization, code_levels, max_side
    )
    arrays: dict[str, np.ndarray] = {"frame_scale": maps.scales}
    layouts: dict[str, Layout] = {}
    pieces = tuple(
        min(_PIECE_FRAMES, length - start)
        for length in lengths
        for start in range(0, length, _PIECE_FRAMES)
    )
    for i in range(len(outputs)):
        key = "attribution" if n_actions is None else f"attribution/{i}"
        arrays[key] = maps.codes[i]
        layouts[key] = Layout("webp", 1, pieces)
    arrays["totals"] = maps.totals[0] if n_actions is None else maps.totals
    meta: dict[str, Any] = {
        "layer": layer,
        "output": "value" if n_actions is None else "policy",
        "kind": "gradient" if factorization is None else "attribution",
        "code_levels": code_levels,
        "scale": _display_scale(maps.largest),
        "shares": (maps.absolute.sum(axis=0) / (maps.absolute.sum() or 1.0)).tolist(),
    }
    if factorization is not None:
        found = maps.completeness
        arrays["completeness"] = found[0] if n_actions is None else found
        meta["quadrature"] = _quadrature_meta(settings, error, found)
        if examples is not None:
            legend_meta, legend = legend_arrays(model, layer, factorization, *examples)
            meta |= legend_meta
            arrays |= legend
    return Part.encode(name, meta, arrays, layouts)


class _Maps(NamedTuple):
    """Maps of every frame, of O outputs and K features with a residual."""

    codes: np.ndarray
    """int8 [O, K + 1, S, H, W]."""
    scales: np.ndarray
    """f32 [S], the attribution that the largest code stands for."""
    totals: np.ndarray
    """f32 [O, S, K + 1], sums over positions."""
    absolute: np.ndarray
    """f64 [O, K + 1], sums of absolute values."""
    largest: np.ndarray
    """f32 [S], largest absolute value of a feature."""
    completeness: np.ndarray
    """f32 [O, S, 2], sum of the attributions, and what they should sum to."""


def _quantized_maps(
    model: Model,
    layer: str,
    frames: np.ndarray,
    outputs: list[Target],
    settings: AttributionSettings,
    factorization: NMF | None,
    code_levels: int,
    max_side: int | None,
) -> _Maps:
    height, width, channels = model.layer_shape(layer)
    n_maps = channels if factorization is None else factorization.n_features + 1
    n_frames = len(frames)
    factor = -(-max(height, width) // (max_side or max(height, width)))
    stored = -(-height // factor), -(-width // factor)
    found = _Maps(
        codes=np.empty((len(outputs), n_maps, n_frames, *stored), np.int8),
        scales=np.empty(n_frames, np.float32),
        totals=np.empty((len(outputs), n_frames, n_maps), np.float32),
        absolute=np.zeros((len(outputs), n_maps)),
        largest=np.empty(n_frames, np.float32),
        completeness=np.empty((len(outputs), n_frames, 2), np.float32),
    )
    size = _chunk_frames(model, layer, len(outputs))
    what = "attributions" if len(outputs) == 1 else "attributions of actions"
    for start in progress(range(0, n_frames, size), f"{layer}: {what}"):
        rows = slice(start, min(start + size, n_frames))
        if factorization is None:
            maps = _gradients(model, layer, frames[rows], outputs)
            maps = _pooled(maps, factor, -2) / factor**2
        else:
            maps, found.completeness[:, rows] = _attributions(
                model, layer, frames[rows], outputs, settings, factorization, factor
            )
        sums = maps.sum(axis=(-2, -1), dtype=np.float64)  # [O, K + 1, n]
        found.totals[:, rows] = sums.swapaxes(1, 2)
        found.scales[rows] = frame_scales(maps)
        found.codes[:, :, rows] = quantize(maps, found.scales[rows], code_levels)
        found.absolute[:] += np.abs(maps).sum(axis=(2, 3, 4), dtype=np.float64)
        features = maps if factorization is None else maps[:, :-1]
        found.largest[rows] = np.abs(features).max(axis=(0, 1, 3, 4))
    return found


def _quadrature_meta(
    settings: AttributionSettings, error: float | None, completeness: np.ndarray
) -> dict[str, Any]:
    gaps = np.abs(completeness[..., 0] - completeness[..., 1])
    return {
        "rule": settings.method,
        "n_nodes": settings.n_steps,
        "error": error,
        "mean_gap": float(gaps.mean()),
        "mean_total": float(np.abs(completeness[..., 1]).mean()),
    }


def _pooled(values: np.ndarray, factor: int, axis: int) -> np.ndarray:
    """Sums of factor x factor positions; zeros lie beyond the edges.

    Args:
        values: floats [..., H, W, ...].
        factor: positions summed along each axis.
        axis: that of H, counted from the end.
    """
    if factor == 1:
        return values
    for along in (axis, axis + 1):
        n = values.shape[along]
        starts = np.arange(0, n, factor)
        values = np.add.reduceat(values, starts, axis=along)
    return values


def _attributions(
    model: Model,
    layer: str,
    frames: np.ndarray,
    outputs: list[Target],
    settings: AttributionSettings,
    factorization: NMF,
    factor: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Maps f32 [O, K + 1, n, H, W] and completeness f32 [O, n, 2].

    Positions that are stored together are summed before features explain them.
    """
    found = attribute(model, frames, layer, outputs, settings=settings)
    summed = _pooled(found.values, factor, -3)  # [O, n, H, W, C]
    shape = (len(summed), factorization.n_features + 1, *summed.shape[1:4])
    maps = np.empty(shape, np.float32)
    for i, values in enumerate(summed):
        features, maps[i, -1] = factorization.reduce(values)
        maps[i, :-1] = np.moveaxis(features, -1, 0)
    sums = found.totals + found.completeness_gap
    return maps, np.stack([sums, found.totals], axis=-1)


def _gradients(
    model: Model, layer: str, frames: np.ndarray, outputs: list[Target]
) -> np.ndarray:
    """Gradients by channel, f32 [O, C, n, H, W], of observations in [0, 1]."""
    function = model.layer_function(layer, [target.tensor for target in outputs])
    shapes = function.target_shapes()
    frames = model.check_observations(frames)
    height, width, channels = model.layer_shape(layer)
    found = np.empty((len(outputs), channels, len(frames), height, width), np.float32)
    # Going back takes about as much memory again as going forward.
    size = rows_within(BATCH_BYTES, 2 * model.forward_bytes)
    for rows in batch_slices(len(frames), size):
        seeds = [
            output.seeds(rows, shape)
            for output, shape in zip(outputs, shapes, strict=True)
        ]
        batch = model.float_observations(frames[rows])
        gradients = function.gradients(batch, seeds, batch)
        for maps, gradient in zip(found, gradients, strict=True):
            maps[:, rows] = np.moveaxis(gradient, -1, 0)
    return found


def _display_scale(largest: np.ndarray) -> float:
    """Median over frames of the largest value in each; 1 where all are zero."""
    scale = float(np.median(largest))
    return scale or float(largest.max()) or 1.0


def _chunk_frames(model: Model, layer: str, n_outputs: int) -> int:
    numbers = int(np.prod(model.layer_shape(layer))) * n_outputs
    return int(np.clip(_CHUNK_NUMBERS // numbers, 1, 512))

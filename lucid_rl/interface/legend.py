"""The legend's dataset examples, as numbers that the page draws patches from."""

import dataclasses
from typing import Any

import numpy as np

from lucid_rl.interface.objects import ObjectMaps, detected_objects
from lucid_rl.interface.settings import ExampleSettings
from lucid_rl.interpret.dataset_examples import (
    ExampleGrid,
    diverse_examples,
    spatial_examples,
)
from lucid_rl.interpret.feature_set import feature_responses
from lucid_rl.interpret.nmf import NMF
from lucid_rl.interpret.patches import rescale_opacity
from lucid_rl.model.model import Model
from lucid_rl.progress import progress

# Observations by which objects are told to be detected, about as many.
_N_JUDGED = 1000


def legend_arrays(
    model: Model,
    layer: str,
    factorization: NMF,
    observations: np.ndarray,
    settings: ExampleSettings,
    objects: ObjectMaps | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Chooses examples for every feature of a layer.

    Args:
        model: the network.
        layer: a layer's short name.
        factorization: the layer's features.
        observations: u8 [N, H, W, 3] to choose from.
        settings: how many.
        objects: where the game's objects are in the observations, if that is known.

    Returns:
        Meta and arrays for the layer's part (docs/bundle_format.md).
    """
    height, width, _ = model.layer_shape(layer)
    n = min(len(observations), -(-settings.positions // (height * width)))
    chosen = np.linspace(0, len(observations) - 1, n).round().astype(np.int32)
    observations = observations[chosen]
    found = feature_responses(model, observations, factorization)
    detected: list[list[dict[str, Any]]] = []
    if objects is not None:
        judged = slice(None, None, -(-len(chosen) // _N_JUDGED))
        shown = dataclasses.replace(objects, maps=objects.maps[chosen[judged]])
        detected = detected_objects(found[judged], shown)
    # Of each feature [N, h, w], observations side by side in memory: maps compare them.
    responses = np.ascontiguousarray(found.transpose(3, 1, 2, 0)).transpose(0, 3, 1, 2)
    del found  # as large again
    side = min(settings.thumbnail_side, int(np.sqrt(len(observations))))
    sizes = {
        multiple: tuple(int(n * multiple + 0.5) for n in responses.shape[2:])
        for multiple in settings.map_multiples
    }
    multiples = [
        multiple
        for multiple, (rows, columns) in sizes.items()
        if rows >= 1 <= columns and rows <= observations.shape[1]
    ]
    thumbnails = []
    maps: dict[float, list[ExampleGrid]] = {multiple: [] for multiple in multiples}
    for weights in progress(list(responses), f"{layer}: dataset examples"):
        thumbnails.append(diverse_examples(weights, side))
        for multiple in multiples:
            maps[multiple].append(spatial_examples(weights, multiple))
    arrays = _thumbnail_arrays(thumbnails, chosen, responses.shape[2:])
    for multiple, grids in maps.items():
        arrays[f"map{multiple:g}_index"] = np.stack(
            [
                np.where(grid.weights > 0, chosen[grid.observations], -1)
                for grid in grids
            ]
        ).astype(np.int32)
        arrays[f"map{multiple:g}_weight"] = np.stack(
            [_opacity(grid, max_scale=10.0) for grid in grids]
        )
        largest = np.array([grid.weights.max() or 1 for grid in grids], np.float32)
        weights = np.stack([grid.weights for grid in grids])
        arrays[f"map{multiple:g}_largest"] = largest
        arrays[f"map{multiple:g}_value"] = np.rint(
            65_535 * np.clip(weights / largest[:, None, None], 0, 1)
        ).astype(np.uint16)
    meta = {
        "thumbnail": {"rows": side, "columns": side},
        "maps": [
            {"multiple": m, "rows": sizes[m][0], "columns": sizes[m][1]}
            for m in multiples
        ],
        "objects": detected,
    }
    return meta, arrays


def _thumbnail_arrays(
    grids: list[ExampleGrid], chosen: np.ndarray, shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    centres = np.stack([grid.centres for grid in grids])  # [K, rows, columns, 2]
    positions = np.floor(centres * np.array(shape)).astype(np.int16)
    return {
        "thumbnail_index": np.stack([chosen[grid.observations] for grid in grids]),
        "thumbnail_y": positions[..., 0],
        "thumbnail_x": positions[..., 1],
        "thumbnail_weight": np.stack([_opacity(grid, max_scale=1.0) for grid in grids]),
    }


def _opacity(grid: ExampleGrid, max_scale: float) -> np.ndarray:
    """Weights as opacities u8: the weak made visible, what never responds left out."""
    largest = grid.weights.max() or 1.0
    image = np.zeros((*grid.weights.shape, 4), np.float32)
    image[..., 3] = grid.weights / largest
    opacity = rescale_opacity(image, max_scale=max_scale, keep_zeros=True)[..., 3]
    return np.rint(opacity * 255).astype(np.uint8)

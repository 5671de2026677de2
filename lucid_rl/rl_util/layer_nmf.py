"""rl_util's LayerNMF: a layer's features and their pictures."""

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.interpret.dataset_examples import (
    ExampleGrid,
    diverse_examples,
    examples_at,
)
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.interpret.patches import assemble_patches
from lucid_rl.model import lucid_bridge
from lucid_rl.model.lucid_network import lucid_model
from lucid_rl.rl_util.attribution import get_acts, get_attr


class LayerNMF:
    """Non-negative factorization of a layer, with dataset examples.

    Attributes:
        features: number of features, or None for the layer's own channels.
        channel_dirs: f32 [features, channels].
        acts_reduced: f32 [N, h, w, features], activations of `obses` in features.
        patch_h: height of the observation's part that one position stands for.
        patch_w: its width.
        pad_h: widest margin that patches needed so far.
        pad_w: the same, horizontally.
        reducer: the NMF; None where `features` is.
    """

    def __init__(
        self,
        model: Any,
        layer_name: str,
        obses: np.ndarray,
        obses_full: np.ndarray | None = None,
        features: int | None = 10,
        *,
        attr_layer_name: str | None = None,
        attr_opts: dict[str, Any] | None = None,
    ):
        """Fits the features to activations, or to attributions.

        Args:
            model: a Lucid model, a Model or a path.
            layer_name: the layer's tensor, without ":0".
            obses: floats in [0, 1], [N, H, W, C].
            obses_full: the same observations at the resolution of the pictures.
            features: number of features; None keeps the channels.
            attr_layer_name: fits attributions of this tensor (its sum) in place of
                activations.
            attr_opts: arguments of `get_attr`; by default 10 steps.
        """
        self.model = model
        self.layer_name = layer_name
        self.obses = obses
        self.obses_full = obses if obses_full is None else obses_full
        self.features = features
        self.pad_h = self.pad_w = 0
        acts = get_acts(model, layer_name, obses)
        self.patch_h = self.obses_full.shape[1] / acts.shape[1]
        self.patch_w = self.obses_full.shape[2] / acts.shape[2]
        self.reducer: NMF | None = None
        if features is None:
            self.channel_dirs = np.eye(acts.shape[-1])
        else:
            values = acts
            if attr_layer_name is not None:
                opts = {"integrate_steps": 10} if attr_opts is None else attr_opts
                values = get_attr(model, attr_layer_name, layer_name, obses, **opts)
            # The original fits every row.
            settings = NMFSettings(n_features=features, max_rows=2 * values.size)
            self.reducer = NMF(settings=settings, layer=layer_name).fit(values)
            self.channel_dirs = self.reducer.directions
        self.acts_reduced = self.transform(acts)

    def transform(self, acts: np.ndarray) -> np.ndarray:
        """Activations [..., channels] in features, [..., features]."""
        return acts.copy() if self.reducer is None else self.reducer.transform(acts)

    def inverse_transform(self, acts_reduced: np.ndarray) -> np.ndarray:
        """Features [..., features] back in channels, [..., channels]."""
        if self.reducer is None:
            return acts_reduced.copy()
        return self.reducer.inverse_transform(acts_reduced)

    def vis_traditional(
        self,
        feature_list: int | Iterable[int] | None = None,
        *,
        transforms: Sequence[Any] | None = None,
        l2_coeff: float = 0.0,
        l2_layer_name: str | None = None,
    ) -> np.ndarray:
        """Images made by gradient ascent on features at the layer's centre.

        Args:
            feature_list: one feature or several; by default all.
            transforms: Lucid transformations; by default a jitter of 2.
            l2_coeff: strength of a penalty on the norm of the layer `l2_layer_name`.
            l2_layer_name: needed with `l2_coeff`.

        Returns:
            f32 [features, 64, 64, 3] in [0, 1].
        """
        objectives, param = lucid_bridge.objectives, lucid_bridge.param
        if feature_list is None:
            feature_list = range(self.acts_reduced.shape[-1])
        elif not isinstance(feature_list, Iterable):
            feature_list = [feature_list]
        directions = self.channel_dirs[list(feature_list)].astype(np.float32)
        objective = sum(
            objectives.direction_neuron(self.layer_name, direction, batch=i)
            for i, direction in enumerate(directions)
        )
        if l2_coeff:
            if l2_layer_name is None:
                raise InputError("l2_coeff needs l2_layer_name")
            objective -= l2_coeff * objectives.L2(l2_layer_name)
        return lucid_bridge.render.render_vis(
            lucid_model(self.model),
            objective,
            param_f=lambda: param.image(64, batch=len(directions)),
            transforms=[lucid_bridge.transform.jitter(2)]
            if transforms is None
            else list(transforms),
            verbose=False,
        )[-1]

    def pad_obses(self, *, expand_mult: float = 1) -> None:
        """Widens the margin of `padded_obses` to that of patches of a size."""
        pad_h = math.ceil(self.patch_h * expand_mult)
        pad_w = math.ceil(self.patch_w * expand_mult)
        if pad_h > self.pad_h or pad_w > self.pad_w:
            self.pad_h, self.pad_w = pad_h, pad_w
            self.__dict__.pop("padded_obses", None)

    @functools.cached_property
    def padded_obses(self) -> np.ndarray:
        """`obses_full` in a light checkerboard of `pad_h` and `pad_w` pixels."""
        n, height, width = self.obses_full.shape[:3]
        size = height + 2 * self.pad_h, width + 2 * self.pad_w
        image = assemble_patches(
            self.obses_full,
            np.arange(n)[:, None],
            np.broadcast_to((-self.pad_h, -self.pad_w), (n, 1, 2)),
            [size[0]] * n,
            [size[1]],
            np.ones((n, 1)),
        )
        return image[..., :3].reshape(n, *size, 3).astype(self.obses_full.dtype)

    def get_patch(
        self, obs_index: int, pos_h: float, pos_w: float, *, expand_mult: float = 1
    ) -> np.ndarray:
        """The part of an observation around a position of the layer, [h, w, 3]."""
        corner, (height, width) = self._spans(np.array([pos_h, pos_w]), expand_mult)
        return assemble_patches(
            self.obses_full,
            np.array([[obs_index]]),
            corner[None, None],
            [height],
            [width],
            np.ones((1, 1)),
        )[..., :3]

    def vis_dataset(
        self,
        feature: int,
        *,
        subdiv_mult: float = 1,
        expand_mult: float = 1,
        top_frac: float = 0.1,
    ) -> tuple[np.ndarray, list]:
        """For each place, a patch of the observation that responds most there.

        The grid is the original's: 65 x 65 for a `subdiv_mult` of 2 on 32 x 32
        positions; `lucid_rl.interpret.dataset_examples` makes exact ones.

        Args:
            feature: counted from 0.
            subdiv_mult: patches per position along each axis.
            expand_mult: size of patches in positions.
            top_frac: fraction of observations that must be enough.

        Returns:
            RGBA image, and the observation's index of each patch as nested lists.
        """
        weights = self.acts_reduced[..., feature]
        rows, columns = (_original_places(n, subdiv_mult) for n in weights.shape[1:])
        grid = examples_at(weights, rows, columns, top_frac)
        self.pad_obses(expand_mult=expand_mult)
        places = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1)
        corners, sizes = self._spans(places, expand_mult)
        return self._picture(grid, corners, sizes[:, 0, 0], sizes[0, :, 1])

    def vis_dataset_thumbnail(
        self,
        feature: int,
        *,
        num_mult: int = 1,
        expand_mult: float = 1,
        max_rep: int | None = None,
    ) -> tuple[np.ndarray, list]:
        """The observations that respond most, from various positions.

        Arguments and results are those of `vis_dataset`, with `num_mult` patches along
        each axis, of which at most `max_rep` (by default `num_mult`) are from one
        position.
        """
        weights = self.acts_reduced[..., feature]
        grid = diverse_examples(weights, num_mult, max_rep)
        self.pad_obses(expand_mult=expand_mult)
        places = grid.centres * weights.shape[1:]
        corners, sizes = self._spans(places, expand_mult)
        height, width = sizes.reshape(-1, 2).min(axis=0)
        return self._picture(grid, corners, [height] * num_mult, [width] * num_mult)

    def _picture(
        self, grid: ExampleGrid, corners: np.ndarray, heights: Any, widths: Any
    ) -> tuple[np.ndarray, list]:
        indices = grid.observations
        image = assemble_patches(
            self.obses_full, indices, corners, heights, widths, grid.weights
        )
        return image, indices.tolist()

    def _spans(
        self, places: np.ndarray, expand_mult: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """First pixels and lengths of patches at places [..., 2].

        They are rounded, half to even, where the original rounds.
        """
        patch = np.array([self.patch_h, self.patch_w])
        pad = np.array([self.pad_h, self.pad_w])
        start, stop = (
            np.rint(pad + (places + half * expand_mult) * patch).astype(int)
            for half in (-0.5, 0.5)
        )
        return start - pad, stop - start


def _original_places(n: int, subdiv_mult: float) -> np.ndarray:
    """Centres in [0, n] of the original's grid for n positions.

    It zooms n positions and one beyond each edge so that the outermost keep their
    place, then drops the outermost.
    """
    n_zoomed = round((n + 2) * (subdiv_mult - (subdiv_mult - 1) / (n + 2)))
    if n_zoomed < 3:
        raise InputError(
            f"a subdiv_mult of {subdiv_mult} is too small for {n} positions"
        )
    return np.linspace(0, n + 1, n_zoomed)[1:-1] - 0.5

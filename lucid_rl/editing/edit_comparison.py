"""Analysis of an edited model: which direction was removed from which layer.

An edit after the article's Appendix A replaces a kernel K, which reads a layer of c
channels, by P K with P = I - v v^T. So the kernels' difference K - P K = v v^T K, taken
as a matrix of c rows, has rank 1, and v is its left singular vector. This finds v in
any two checkpoints, wherever the edit was made, and compares it with what this package
would have removed.
"""

import dataclasses
from typing import Any

import numpy as np

from lucid_rl.checkpoints.checkpoint import Checkpoint
from lucid_rl.errors import InputError, ModelError
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.loading import load
from lucid_rl.model.projection import project_out

# Singular values of the difference below this fraction of the largest are rounding.
_RANK_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class FoundEdit:
    """How an edited model differs from the original.

    Attributes:
        changed: names of all parameters that differ.
        kernel: the kernel that changed most.
        layer: the layer that it reads.
        rank: directions of the layer that the kernel reads otherwise than before; 1
            for the article's edit.
        direction: f64 [C], the first of them, of length 1 and with a positive sum.
        strength: fraction of the direction's part that was taken from the kernel; 1 if
            the edited model no longer sees the direction at all.
        relative_change: size of the difference as a fraction of the kernel's.
        projection_error: what projecting the direction out of the original kernel
            leaves of the difference, as a fraction of it; 0 if that was the edit.
    """

    changed: tuple[str, ...]
    kernel: str
    layer: str
    rank: int
    direction: np.ndarray
    strength: float
    relative_change: float
    projection_error: float

    @property
    def channel(self) -> int:
        """The channel that the direction is closest to."""
        return int(np.argmax(np.abs(self.direction)))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a results file."""
        values = {**dataclasses.asdict(self), "channel": self.channel}
        values["channel_cosine"] = float(abs(self.direction[self.channel]))
        return {**values, "direction": self.direction.tolist()}

    def __str__(self) -> str:
        cosine = abs(self.direction[self.channel])
        return (
            f"{len(self.changed)} of the parameters changed; {self.kernel}, which "
            f"reads layer {self.layer}, by {self.relative_change:.1%} of its size, in "
            f"{self.rank} direction{'s' if self.rank > 1 else ''}. The "
            f"{'largest' if self.rank > 1 else 'direction'} is closest to channel "
            f"{self.channel} (cosine {cosine:.3f}); {self.strength:.1%} of its part "
            "was removed, and projecting it out explains all but "
            f"{self.projection_error:.2g} of the difference"
        )


@dataclasses.dataclass(frozen=True)
class MatchedEdit:
    """An edit that was found, and the closest one that this package makes.

    Attributes:
        feature: the feature whose direction is closest.
        cosines: f64 [K], of the direction removed with each feature's.
        difference: how far apart the two edited kernels are, as a fraction of the found
            edit's change; 0 for the same edit, about 2 ** 0.5 for unrelated ones.
    """

    feature: int
    cosines: np.ndarray
    difference: float

    def __str__(self) -> str:
        second = np.sort(self.cosines)[-2] if len(self.cosines) > 1 else float("nan")
        return (
            f"feature {self.feature} of ours is the closest (cosine "
            f"{self.cosines[self.feature]:.3f}, the next {second:.3f}); removing "
            "it instead gives a kernel that differs by "
            f"{self.difference:.2g} of the change"
        )


def find_edit(original: Checkpoint, edited: Checkpoint) -> FoundEdit:
    """Finds the direction that was removed from a model.

    Raises:
        InputError: the models have different parameters, or exactly the same ones, or
            all parameters differ, or no kernel that reads a layer does.
    """
    before, after = original.params, edited.params
    if {k: v.shape for k, v in before.items()} != {
        k: v.shape for k, v in after.items()
    }:
        raise InputError(
            f"{edited.path or 'the edited model'} has other parameters than "
            f"{original.path or 'the original'}: give a model made by editing it"
        )
    changed = tuple(name for name in before if (before[name] != after[name]).any())
    if not changed:
        raise InputError("the two models are the same: nothing was edited")
    if len(changed) == len(before):
        raise InputError(
            "all parameters differ: these are two models, trained apart; give one made "
            "by editing the other"
        )
    layers = _layers_by_kernel(original)
    kernels = [name for name in changed if name.removesuffix(":0") in layers]
    if not kernels:
        raise InputError(
            f"only {', '.join(changed)} differ, none of which reads a layer of the "
            "network: this is not an edit of the article's kind"
        )

    def change(name: str) -> float:
        size = float(np.linalg.norm(before[name]))
        return float(np.linalg.norm(before[name] - after[name])) / size

    kernel = max(kernels, key=change)
    layer, n_channels = layers[kernel.removesuffix(":0")]
    # [..., c, d] -> [c, everything else]
    matrix = _rows_by_channel(before[kernel], n_channels)
    difference = matrix - _rows_by_channel(after[kernel], n_channels)
    directions, sizes, _ = np.linalg.svd(difference, full_matrices=False)
    direction = directions[:, 0] * (1.0 if directions[:, 0].sum() >= 0 else -1.0)
    read, lost = direction @ matrix, direction @ difference
    strength = float(lost @ read / (read @ read))
    ours = project_out(
        before[kernel].astype(np.float64), direction, min(max(strength, 0.0), 1.0)
    )
    left = np.linalg.norm(ours - after[kernel]) / np.linalg.norm(difference)
    return FoundEdit(
        changed=changed,
        kernel=kernel,
        layer=layer,
        rank=int((sizes > _RANK_TOLERANCE * sizes[0]).sum()),
        direction=direction,
        strength=strength,
        relative_change=change(kernel),
        projection_error=float(left),
    )


def match_edit(
    found: FoundEdit, original: Checkpoint, edited: Checkpoint, features: NMF
) -> MatchedEdit:
    """Makes the edit that was found with the closest feature, and compares the kernels.

    Raises:
        InputError: features of another layer than `found.layer`.
    """
    if features.layer and features.layer != found.layer:
        raise InputError(
            f"features of layer {features.layer!r}, but the edit was made at "
            f"{found.layer!r}"
        )
    directions = features.directions.astype(np.float64)
    norms = np.maximum(np.linalg.norm(directions, axis=1), 1e-30)
    cosines = np.abs(directions @ found.direction) / norms
    feature = int(np.argmax(cosines))
    ours = load(original).without(features.directions[feature], found.layer).checkpoint
    assert ours is not None  # as the original is a checkpoint
    kernels = [model.params[found.kernel] for model in (original, edited, ours)]
    before, theirs, mine = (kernel.astype(np.float64) for kernel in kernels)
    difference = np.linalg.norm(mine - theirs) / np.linalg.norm(before - theirs)
    return MatchedEdit(feature, cosines, float(difference))


def _layers_by_kernel(checkpoint: Checkpoint) -> dict[str, tuple[str, int]]:
    """Finds the layer that each kernel reads, and its number of channels."""
    model = load(checkpoint)
    found: dict[str, tuple[str, int]] = {}
    for layer in model.layers:
        try:
            kernels = model.kernels_reading(layer)
        except ModelError:
            continue
        for kernel in kernels:
            found.setdefault(kernel, (layer, model.layer_shape(layer)[-1]))
    return found


def _rows_by_channel(kernel: np.ndarray, n_channels: int) -> np.ndarray:
    """A kernel that reads c channels as float64 [c, everything else]."""
    slices = kernel.astype(np.float64).reshape(-1, n_channels, kernel.shape[-1])
    return slices.swapaxes(0, 1).reshape(n_channels, -1)

"""Transformation robustness: random shifts, rotations and scaling at each step."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model import lucid_bridge
from lucid_rl.validation import Natural, Settings, between

_N_CHOICES = 11  # angles and scales to draw from


@dataclasses.dataclass(frozen=True)
class Transformations(Settings):
    """Random transformations between optimization steps, in the order of the fields.

    Article, "Transformation robustness". One draw serves the whole batch.

    Attributes:
        padding: grey pixels added on each side.
        jitter: pixels by which height and width are cropped at a random place; the
            article takes 2 at the first layer and 8 at an intermediate one.
        scaling: images are scaled by factors in [1 - scaling, 1 + scaling].
        rotation: images are rotated by up to this many degrees either way.
        keep_size: crop or pad to the size before; layers behind a dense one need it.
    """

    padding: Natural = 0
    jitter: Natural = 2
    scaling: Annotated[float, between(0, 0.99)] = 0.0
    rotation: Annotated[float, between(0, 180)] = 0.0
    keep_size: bool = False

    @property
    def change_size(self) -> bool:
        """Whether transformed images can be of another size."""
        return not self.keep_size and bool(self.padding or self.jitter or self.scaling)

    def functions(self, size: tuple[int, int], seed: int = 0) -> list[Callable]:
        """The transformations as Lucid's `render_vis` takes them, for images of (H, W).

        Random draws depend on the seed and on the graph's own.

        Raises:
            SettingsError: nothing would be left of the images.
        """
        if self.jitter >= min(size) + 2 * self.padding:
            raise SettingsError(
                f"a jitter of {self.jitter} leaves nothing of images of "
                f"{size[0]}x{size[1]} pixels"
            )
        transform = lucid_bridge.transform
        found: list[Callable] = []
        if self.padding:
            found.append(transform.pad(self.padding, "CONSTANT", 0.5))
        if self.jitter:
            found.append(transform.jitter(self.jitter, seed=3 * seed))
        if self.scaling:
            scales = np.linspace(1 - self.scaling, 1 + self.scaling, _N_CHOICES)
            found.append(transform.random_scale(scales.tolist(), seed=3 * seed + 1))
        if self.rotation:
            angles = np.linspace(-self.rotation, self.rotation, _N_CHOICES)
            found.append(transform.random_rotate(angles.tolist(), seed=3 * seed + 2))
        if self.keep_size and (self.padding or self.jitter or self.scaling):
            found.append(_to_size(size))
        return found


def _to_size(size: tuple[int, int]) -> Callable:
    def crop_or_pad(images: Any) -> Any:
        # Around grey rather than black: what padding adds here is 0.
        return tf.image.resize_with_crop_or_pad(images - 0.5, *size) + 0.5

    return crop_or_pad

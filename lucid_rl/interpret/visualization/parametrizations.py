"""Parametrizations of images.

In each, one step of the optimizer means something else, so the same objective finds
other images. All are a `param_f` of Lucid's: functions that make, in the current
graph, variables and images in [0, 1] of them. A batch is one variable and one
transform, and every image of it begins with the same noise, so that images differ by
their objectives alone.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.interpret.visualization.image_statistics import (
    IMAGENET_COLOUR_MATRIX,
    ImageStatistics,
    natural_statistics,
    spatial_frequencies,
)
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.sampling.observations import frame_channels
from lucid_rl.validation import PositiveFloat, Settings

Kind = Literal["pixel", "fourier", "maco"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclasses.dataclass(frozen=True)
class Parametrization(Settings):
    """Space in which images are optimized.

    Attributes:
        kind: "pixel"; "fourier" (amplitudes and phases, scaled by a spectrum); or
            "maco", where amplitudes stay those of the statistics and phases alone
            change (Fel et al. 2023, arXiv 2306.06805).
        decorrelated: optimize uncorrelated components of colour rather than RGB;
            "maco" always does.
        statistics: of game observations; by default Lucid's, of ImageNet.
        std: standard deviation of the initial noise; "maco" begins
            with phases spread evenly.
    """

    kind: Kind = "fourier"
    decorrelated: bool = True
    statistics: ImageStatistics | None = None
    std: PositiveFloat = 0.01

    def param_f(
        self, n_images: int, size: tuple[int, int], seed: int = 0, channels: int = 3
    ) -> Callable:
        """A function of no arguments that makes images, f32 [N, H, W, C].

        `seed` is of the noise at the beginning. Frames of a stack are in colour where
        its channels are divisible by 3, and otherwise grey; each is a picture of its
        own.

        Raises:
            SettingsError: statistics of images of another size, or of colours for
                frames without.
        """
        depth = frame_channels(channels)
        statistics = self.statistics
        if statistics is not None and statistics.size != tuple(size):
            raise SettingsError(
                f"statistics of images of {statistics.size} pixels for images of "
                f"{tuple(size)}; measure them on images of the same size"
            )
        if statistics is not None and len(statistics.colour_mean) != depth:
            raise SettingsError(
                f"statistics of images of {len(statistics.colour_mean)} channels for "
                f"frames of {depth}; measure them on such frames"
            )

        def images() -> Any:
            rng = np.random.default_rng(seed)
            if self.kind == "maco":
                found = statistics or natural_statistics(*size, depth)
                return magnitude_constrained(n_images, found, rng, channels)
            if self.kind == "pixel":
                noise = rng.normal(0, self.std, (*size, channels))
                components = _variable(noise, n_images)
            else:
                components = fourier_components(
                    n_images, size, self.std, rng, statistics, channels
                )
            return self._colours(components, depth)

        return images

    def _colours(self, components: Any, depth: int) -> Any:
        """Images in [0, 1] of unbounded components, frames of so many channels."""
        if not self.decorrelated:
            return tf.sigmoid(components)
        matrix = IMAGENET_COLOUR_MATRIX if depth == 3 else np.ones((1, 1))
        if self.statistics is not None:
            matrix = self.statistics.colour_matrix
        # As Lucid does: the largest column has length 1.
        matrix = matrix / np.linalg.norm(matrix, axis=0).max()
        shift = np.zeros(depth)
        if self.statistics is not None:
            mean = np.clip(self.statistics.colour_mean, 0.01, 0.99)
            shift = np.log(mean / (1 - mean))
        return tf.sigmoid(_mix(components, matrix, shift))


def fourier_components(
    n_images: int,
    size: tuple[int, int],
    std: float,
    rng: np.random.Generator,
    statistics: ImageStatistics | None = None,
    channels: int = 3,
) -> Any:
    """Images [N, H, W, C] by their Fourier coefficients, scaled by a spectrum.

    Coefficients start as noise of standard deviation `std`. Amplitudes of `statistics`
    scale them, with the mean square of the default, 1 / frequency, which is Lucid's.
    """
    height, width = size
    scale = 1 / np.maximum(spatial_frequencies(height, width), 1 / max(size))
    scale = np.broadcast_to(scale, (channels, *scale.shape))
    if statistics is not None:
        amplitudes = statistics.amplitudes.astype(np.float64).copy()
        # The mean can change as much as the slowest wave.
        amplitudes[:, 0, 0] = amplitudes[:, 0, 1]
        amplitudes = np.tile(amplitudes, (channels // len(amplitudes), 1, 1))
        scale = amplitudes * np.sqrt((scale**2).mean() / (amplitudes**2).mean())
    # The transform is unitary, and divided by 4 as in Lucid.
    scale = scale * np.sqrt(height * width) / 4
    noise = rng.normal(0, std, (2, *scale.shape))
    coefficients = _variable(noise, n_images)
    spectrum = tf.complex(coefficients[:, 0], coefficients[:, 1])
    waves = tf.signal.irfft2d(spectrum * scale.astype(np.complex64), size)
    return tf.transpose(waves, (0, 2, 3, 1))


def magnitude_constrained(
    n_images: int,
    statistics: ImageStatistics,
    rng: np.random.Generator,
    channels: int = 3,
) -> Any:
    """Images [N, H, W, C] in [0, 1] of which only the phases are optimized (MaCo).

    The decorrelated components have the statistics' amplitudes exactly, whatever the
    phases; a sigmoid of slope 1 around grey brings their colours into [0, 1].
    """
    n_frames = channels // len(statistics.colour_mean)
    amplitudes = np.tile(statistics.amplitudes, (n_frames, 1, 1))
    noise = rng.uniform(-np.pi, np.pi, amplitudes.shape)
    phases = odd_phases(_variable(noise, n_images), statistics.size[1])
    spectrum = tf.complex(amplitudes * tf.cos(phases), amplitudes * tf.sin(phases))
    waves = tf.signal.irfft2d(spectrum, statistics.size)
    components = tf.transpose(waves, (0, 2, 3, 1))
    colours = _mix(components, statistics.colour_matrix, statistics.colour_mean)
    return tf.sigmoid(4 * (colours - 0.5))


def odd_phases(phases: Any, width: int) -> Any:
    """Makes phases [..., H, W // 2 + 1] those of a real image.

    Frequencies of `rfft2` in its first column, and for an even width in its last, come
    in pairs of opposite phase; unless they do, amplitudes are lost.
    """
    reverse = tf.roll(tf.reverse(phases, [-2]), 1, -2)
    odd = (phases - reverse) / 2
    inner = phases[..., 1:-1] if width % 2 == 0 else phases[..., 1:]
    parts = [odd[..., :1], inner]
    if width % 2 == 0:
        parts.append(odd[..., -1:])
    return tf.concat(parts, -1)


def _variable(noise: np.ndarray, n_images: int) -> Any:
    initial = np.broadcast_to(noise.astype(np.float32), (n_images, *noise.shape))
    return tf.get_variable(
        tf.get_default_graph().unique_name("parameters", mark_as_used=False),
        initializer=np.ascontiguousarray(initial),
        use_resource=True,
    )


def _mix(components: Any, matrix: np.ndarray, shift: np.ndarray) -> Any:
    """Pixels matrix @ components + shift of each frame, [N, H, W, C]."""
    frames = tf.reshape(components, (*components.shape[:3], -1, len(matrix)))
    mixed = tf.tensordot(frames, matrix.T.astype(np.float32), 1)
    return tf.reshape(mixed + shift.astype(np.float32), components.shape)

"""Colour and frequency statistics of images.

The colours' covariance and the amplitudes of the frequencies shape the space in which
images are optimized; the fraction of extremal colours and the spectrum's slope say in
numbers how far the results are from observations.
"""

import dataclasses

import numpy as np

from lucid_rl.errors import InputError

_CHUNK = 256  # images in float64 at once

# A square root of the covariance of ImageNet's colours, and their mean, as in Lucid.
IMAGENET_COLOUR_MATRIX = np.array(
    [[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]], np.float32
)
IMAGENET_COLOUR_MEAN = np.array([0.48, 0.46, 0.41], np.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class ImageStatistics:
    """Colours and spectrum of a set of images.

    A pixel is mean + colour_matrix @ z, where z has uncorrelated components of
    variance 1.

    Attributes:
        colour_mean: f32 [3].
        colour_matrix: f32 [3, 3], a square root of the colours' covariance, columns
            from the strongest to the weakest.
        amplitudes: f32 [3, H, W // 2 + 1], mean modulus of the discrete Fourier
            transform (`numpy.fft.rfft2`) of each component of z; 0 at frequency 0.
        size: (H, W) of the images.
    """

    colour_mean: np.ndarray
    colour_matrix: np.ndarray
    amplitudes: np.ndarray
    size: tuple[int, int]


def measure_statistics(images: np.ndarray) -> ImageStatistics:
    """Measures images, uint8 or floats in [0, 1], [N, H, W, 3] or [N, H, W, 1] (grey).

    Raises:
        InputError: images of another shape, or colours of fewer than three independent
            ones.
    """
    _check(images, (1, 3))
    n = images.shape[-1]
    total, products, n_pixels = np.zeros(n), np.zeros((n, n)), 0
    for chunk in _chunks(images):
        pixels = chunk.reshape(-1, n)
        total += pixels.sum(axis=0)
        products += pixels.T @ pixels
        n_pixels += len(pixels)
    mean = total / n_pixels
    variances, axes = np.linalg.eigh(products / n_pixels - np.outer(mean, mean))
    if variances[0] < 1e-8:
        raise InputError(
            "the images' colours lie in a plane, so they cannot be decorrelated; give "
            "more, or more varied, images"
        )
    matrix = (axes * np.sqrt(variances))[:, ::-1]
    # An eigenvector's sign is arbitrary; let the strongest be brightness.
    matrix = matrix * np.where(matrix.sum(axis=0) < 0, -1, 1)
    inverse = np.linalg.inv(matrix).T
    height, width = images.shape[1:3]
    amplitudes = np.zeros((n, height, width // 2 + 1))
    for chunk in _chunks(images):
        spectra = np.fft.rfft2((chunk - mean) @ inverse, axes=(1, 2))
        amplitudes += np.moveaxis(np.abs(spectra).sum(axis=0), -1, 0)
    amplitudes /= len(images)
    amplitudes[:, 0, 0] = 0
    return ImageStatistics(
        mean.astype(np.float32),
        matrix.astype(np.float32),
        amplitudes.astype(np.float32),
        (height, width),
    )


def natural_statistics(height: int, width: int, channels: int = 3) -> ImageStatistics:
    """ImageNet's colours with amplitudes that fall as 1 / frequency.

    With 1 channel, grey images of ImageNet's mean and spread of brightness.
    """
    frequencies = spatial_frequencies(height, width)
    amplitudes = np.zeros_like(frequencies)
    np.divide(1, frequencies, out=amplitudes, where=frequencies > 0)
    # Parseval: variance 1 in each component.
    counts = _multiplicity(height, width)
    amplitudes *= height * width / np.sqrt((counts * amplitudes**2).sum())
    mean, matrix = IMAGENET_COLOUR_MEAN, IMAGENET_COLOUR_MATRIX
    if channels == 1:
        brightness = np.linalg.norm(matrix.mean(axis=0))
        mean, matrix = mean.mean(keepdims=True), np.full((1, 1), brightness)
    return ImageStatistics(
        mean,
        matrix,
        np.broadcast_to(amplitudes, (channels, *amplitudes.shape)).astype(np.float32),
        (height, width),
    )


def spatial_frequencies(height: int, width: int) -> np.ndarray:
    """Modulus of the frequencies of `numpy.fft.rfft2`, cycles per pixel."""
    return np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])


def extremal_fraction(images: np.ndarray, distance: float = 0.25) -> np.ndarray:
    """Fraction, f64 [N], of pixels whose colour is near an extremal one.

    Of images uint8 or floats in [0, 1], [N, H, W, 3]; near is within a Euclidean
    distance in the RGB cube of side 1. Colours spread evenly over the cube give pi / 6
    * (2 * distance)^3, which is 0.065 for the default.
    """
    _check(images)
    fractions = []
    for chunk in _chunks(images):
        # The nearest corner is found by rounding each component.
        squared = ((chunk - np.rint(chunk)) ** 2).sum(axis=-1)
        fractions.append((squared <= distance**2).mean(axis=(1, 2)))
    return np.concatenate(fractions)


def spectrum_slope(images: np.ndarray) -> np.ndarray:
    """Exponent, f64 [N], with which each image's power falls with frequency.

    A line is fitted to the logarithm of the mean power of rings of frequencies, from
    one cycle per image to half a cycle per pixel: 0 for independent pixels, about -2
    for photographs, NaN for an image of one colour. Images are uint8 or floats in [0,
    1], [N, H, W, 3].
    """
    _check(images)
    height, width = images.shape[1:3]
    frequencies = spatial_frequencies(height, width)
    n_rings = min(height, width) // 2
    rings = np.rint(frequencies * min(height, width)).astype(int)
    rings[rings > n_rings] = 0
    counts = _multiplicity(height, width)
    sizes = np.bincount(rings.ravel(), counts.ravel(), n_rings + 1)[1:]
    x = np.log(np.arange(1, n_rings + 1))
    x -= x.mean()
    slopes = []
    for chunk in _chunks(images):
        power = (np.abs(np.fft.rfft2(chunk, axes=(1, 2))) ** 2).sum(axis=-1)
        for one in power:
            sums = np.bincount(rings.ravel(), (counts * one).ravel(), n_rings + 1)[1:]
            with np.errstate(divide="ignore", invalid="ignore"):
                y = np.log(sums / sizes)
                slopes.append(float(x @ y / (x @ x)) if sums.max() > 1e-12 else np.nan)
    return np.array(slopes)


def _multiplicity(height: int, width: int) -> np.ndarray:
    """How many frequencies each one of `rfft2` stands for: those it mirrors count."""
    counts = np.full((height, width // 2 + 1), 2.0)
    counts[:, 0] = 1
    if width % 2 == 0:
        counts[:, -1] = 1
    return counts


def _check(images: np.ndarray, channels: tuple[int, ...] = (3,)) -> None:
    shape = np.shape(images)
    if len(shape) != 4 or shape[-1] not in channels or 0 in shape:
        raise InputError(
            f"expected images [N, H, W, {channels[-1]}], got shape {shape}"
        )


def _chunks(images: np.ndarray):
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        scale = 255 if chunk.dtype == np.uint8 else 1
        yield chunk.astype(np.float64) / scale

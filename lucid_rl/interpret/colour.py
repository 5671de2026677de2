"""Colours of features and actions, and the display scale of attribution.

Features get evenly spaced hues (article, footnote on the interface's legend); weights
of several features add up to one colour per position.
"""

import numpy as np

from lucid_rl.errors import InputError


def hue_to_rgb(degrees: float | np.ndarray, warp: bool = True) -> np.ndarray:
    """Colours f64 [..., 3] of Euclidean norm 1 for hues in degrees [...].

    Red, yellow, green, cyan, blue and magenta, each of norm 1, lie 60 degrees apart; in
    between colours are mixed linearly and normalized again. `warp` pulls hues away from
    red, green and blue, so that evenly spaced ones are easier to distinguish.
    """
    corners = np.array(
        [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]], np.float64
    )
    corners /= np.linalg.norm(corners, axis=1, keepdims=True)
    sector, fraction = np.divmod(np.mod(degrees, 360.0) / 60.0, 1.0)
    sector = sector.astype(int) % 6
    if warp:
        # Even sectors begin at a primary colour, odd ones end there.
        fraction = np.where(
            sector % 2 == 0,
            np.sin(fraction * np.pi / 2),
            1 - np.sin((1 - fraction) * np.pi / 2),
        )
    fraction = np.asarray(fraction)[..., None]
    mixed = (1 - fraction) * corners[sector] + fraction * corners[(sector + 1) % 6]
    return mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)


def feature_colours(n_features: int) -> np.ndarray:
    """Evenly spaced hues of Euclidean norm 1 (the article's), f32 [n, 3]."""
    hues = 360.0 * np.arange(n_features) / max(n_features, 1)
    return hue_to_rgb(hues).astype(np.float32)


def action_colours(n_actions: int) -> np.ndarray:
    """Greys from dark to light for the bars of a policy, f32 [n, 3] in [0, 1]."""
    grey = np.linspace(3 / 16, 15 / 16, n_actions, dtype=np.float32)
    return np.repeat(grey[:, None], 3, axis=1)


def html_codes(colours: np.ndarray, brightest: bool = False) -> list[str]:
    """Colours [n, 3] in [0, 1] as "#rrggbb".

    `brightest` scales each up until one of its channels is full.
    """
    if brightest:
        colours = colours / np.max(colours, axis=1, keepdims=True)
    return [f"#{bytes(rgb).hex()}" for rgb in np.rint(colours * 255).astype(np.uint8)]


def colour_features(
    weights: np.ndarray,
    colours: np.ndarray | None = None,
    residual: np.ndarray | None = None,
) -> np.ndarray:
    """Sums the features' colours, each times its weight: RGB [..., 3], also above 1.

    Args:
        weights: [..., K] >= 0.
        colours: [K, 3]; by default `feature_colours(K)`.
        residual: [...] >= 0, weight of what no feature explains, shown as grey of norm
            1.

    Raises:
        InputError: negative weights.
    """
    if weights.size and not weights.min() >= 0:
        raise InputError("weights to be coloured must not be negative (or NaN)")
    if colours is None:
        colours = feature_colours(weights.shape[-1])
    rgb = weights @ np.asarray(colours, weights.dtype)
    if residual is not None:
        rgb = rgb + residual[..., None] * weights.dtype.type(1 / np.sqrt(3))
    return rgb


def attribution_scale(attribution: np.ndarray) -> float:
    """Median over frames of the largest absolute attribution in each; 1 where all is 0.

    Divide attribution [frames, ...] by it to show trajectories at one scale. (The
    article looks at positive attribution only, which leaves frames that are mostly
    negative too bright.)
    """
    largest = np.abs(attribution).reshape(len(attribution), -1).max(axis=1)
    scale = float(np.median(largest))
    return scale if scale > 0 else 1.0


def brightness_to_opacity(rgb: np.ndarray) -> np.ndarray:
    """RGB floats [..., 3] >= 0 to RGBA: brightness becomes opacity, the hue stays.

    The colour has norm 1 (black where there is none), so that no value exceeds 1;
    opacity is min(1, norm).
    """
    norm = np.sqrt(np.einsum("...c,...c->...", rgb, rgb))
    divisor = np.where(norm > 0, norm, 1)
    rgba = np.empty((*rgb.shape[:-1], 4), rgb.dtype)
    # Channel by channel: numpy is slow along an axis of three.
    for i in range(3):
        np.divide(rgb[..., i], divisor, out=rgba[..., i])
    rgba[..., 3] = norm
    # Norms of subnormal squares are rounded.
    return np.minimum(rgba, 1, out=rgba)

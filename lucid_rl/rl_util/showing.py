"""`lucid.misc.io.show` of Lucid 0.3.10, over the version that is installed."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.model import lucid_bridge
from lucid_rl.rl_util.arrays import channels_to_rgb


def show(
    thing: Any,
    domain: tuple[float, float] = (0, 1),
    labels: Sequence[Any] | None = None,
    w: int | None = None,
) -> None:
    """Shows an image or a row of images in a notebook.

    Args:
        thing: [H, W], [H, W, C], [N, H, W, C] or a list of images. 1, 3 and 4 channels
            are grey, RGB and RGBA; any other number is drawn in evenly spaced hues,
            negative values in those of further channels.
        domain: the values of black and white.
        labels: a text above each image; by default its index.
        w: width of each image on the page, in pixels; by default its own.
    """
    is_row = isinstance(thing, list | tuple) or np.ndim(thing) == 4
    images = [np.asarray(image) for image in (thing if is_row else [thing])]
    if any(image.ndim not in (2, 3) for image in images):
        print(repr(thing))
        return
    if labels is None and is_row:
        labels = range(len(images))
    texts = [str(label) for label in labels or ()]
    cells = [
        f'<div style="margin: 4px 10px 0 0">{html.escape(text)}<br>{tag}</div>'
        for text, tag in zip(
            texts + [""] * (len(images) - len(texts)),
            (_tag(image, domain, w) for image in images),
            strict=True,
        )
    ]
    showing = lucid_bridge.showing
    showing._display_html(f'<div style="display: flex">{"".join(cells)}</div>')


def _tag(image, domain, width):
    low, high = domain
    if image.ndim == 3 and image.shape[-1] not in (1, 3, 4):
        image = _in_colour(image)
    elif image.dtype != np.uint8:
        image = (image - low) / (high - low)
    url = lucid_bridge.showing._image_url(image)
    size = f"; width: {width}px" if width else ""
    return f'<img src="{url}" style="image-rendering: pixelated{size}">'


def _in_colour(image):
    if (image < 0).any():
        image = np.concatenate([np.maximum(image, 0), np.maximum(-image, 0)], axis=-1)
    return channels_to_rgb(image)

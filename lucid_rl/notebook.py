"""HTML of pictures, films and tables, for objects shown in notebooks.

Everything is within the HTML, so that a notebook that was saved shows it again.
"""

import base64
import dataclasses
import html
import io
from collections.abc import Iterable, Sequence, Sized
from typing import Any

import numpy as np
from PIL import Image

from lucid_rl.errors import InputError

_PICTURE_WIDTH = 128
_LONGEST = 200  # of a field in a summary, in characters
_ROW = "display:flex;flex-wrap:wrap;gap:10px;margin:6px 0"
# Pixels stay squares, and stripes show through what is transparent.
_PICTURE = (
    "display:block;image-rendering:pixelated;background:"
    "repeating-linear-gradient(45deg,#fff 0 6px,#ddd 6px 12px)"
)
_CAPTION = "font-size:12px;line-height:1.35;text-align:left;max-width:{width}px"


@dataclasses.dataclass(frozen=True, eq=False)
class Film:
    """Frames that a notebook plays in a loop.

    Attributes:
        frames: u8 [T, H, W, 3], at least one.
        frames_per_second: how fast.
        width: of the film on the screen, in pixels.
        title: below it.
    """

    frames: np.ndarray
    frames_per_second: float = 15.0
    width: int = 256
    title: str = ""

    def __post_init__(self) -> None:
        frames = np.asarray(self.frames)
        if frames.ndim != 4 or frames.dtype != np.uint8 or not frames.size:
            raise InputError(
                f"frames are {frames.dtype} of shape {frames.shape}: expected uint8 "
                "[T, height, width, 3], at least one"
            )

    def __repr__(self) -> str:
        return summary(self)

    def _repr_html_(self) -> str:
        first, *rest = map(Image.fromarray, np.asarray(self.frames))
        stream = io.BytesIO()
        first.save(
            stream,
            "WEBP",
            save_all=True,
            append_images=rest,
            duration=round(1000 / self.frames_per_second),
            loop=0,
            quality=75,
            method=4,
        )
        return row([figure("webp", stream.getvalue(), self.title, self.width)])


def summary(value: Any) -> str:
    """A dataclass in one line, its arrays by type and shape alone.

    Notebooks keep this beside what they show.
    """
    fields = dataclasses.fields(value)
    parts = [f"{f.name}={_brief(getattr(value, f.name))}" for f in fields]
    return f"{type(value).__name__}({', '.join(parts)})"


def picture(image: np.ndarray, caption: str = "", width: int = _PICTURE_WIDTH) -> str:
    """A picture with a caption below it, whose lines are kept.

    Args:
        image: uint8, or floats of which [0, 1] is shown; [H, W], [H, W, 3] or [H, W,
            4].
        caption: text.
        width: on the screen, in pixels.

    Raises:
        InputError: an image of another shape.
    """
    return figure("png", png_bytes(image), caption, width)


def png_bytes(image: np.ndarray) -> bytes:
    """A PNG file of an image, as `picture` takes it."""
    image = np.asarray(image)
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,), (4,)):
        raise InputError(
            f"a picture of shape {image.shape}: expected [H, W], [H, W, 3] or [H, W, 4]"
        )
    if image.dtype != np.uint8:
        image = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def figure(kind: str, data: bytes, caption: str, width: int) -> str:
    """A picture file, "png" or "webp", with a caption below it."""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    image = (
        f'<img src="{source}" width="{width}" alt="{html.escape(caption)}" '
        f'style="{_PICTURE}">'
    )
    if caption:
        lines = html.escape(caption).replace("\n", "<br>")
        style = _CAPTION.format(width=width)
        image += f'<figcaption style="{style}">{lines}</figcaption>'
    return f'<figure style="margin:0">{image}</figure>'


def row(items: Iterable[str], title: str = "") -> str:
    """HTML items side by side, under a title."""
    heading = f"<div><b>{html.escape(title)}</b></div>" if title else ""
    return f'{heading}<div style="{_ROW}">{"".join(items)}</div>'


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of text and of pictures, as `picture` makes them."""
    lines = ["<table><tr>", *(f"<th>{html.escape(cell)}</th>" for cell in header)]
    for cells in rows:
        lines += ["</tr><tr>", *(f"<td>{_cell(cell)}</td>" for cell in cells)]
    return "".join([*lines, "</tr></table>"])


def text(value: object) -> str:
    """A line of text."""
    return f"<div>{html.escape(str(value))}</div>"


def swatch(colour: str, label: str) -> str:
    """A spot of a colour, such as "#ff0000", with a label beside it."""
    spot = (
        "display:inline-block;width:12px;height:12px;border-radius:6px;"
        f"border:1px solid #888;vertical-align:-1px;background:{html.escape(colour)}"
    )
    return f'<span><span style="{spot}"></span> {html.escape(label)}</span>'


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    described = repr(value)
    if len(described) <= _LONGEST:
        return described
    name = type(value).__name__
    return f"{name} of {len(value)}" if isinstance(value, Sized) else f"{name}(...)"


def _cell(value: object) -> str:
    content = str(value)
    return content if content.startswith("<figure") else html.escape(content)

"""Works the page in a browser, and computes in Python what it should show."""

import base64

import numpy as np

from lucid_rl.interpret.colour import (
    brightness_to_opacity,
    colour_features,
    feature_colours,
)
from lucid_rl.interpret.smoothing import norm_filter, smooth
from tests.conftest import PATIENCE
from tests.interface.page_fixture import LENGTHS, Layer

_READ = """async canvas => {
    const { width, height } = canvas;
    const copy = new OffscreenCanvas(width, height);
    const context = copy.getContext('2d', { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    const address = await new Promise((resolve) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.readAsDataURL(new Blob([data]));
    });
    return [address.split(',')[1], height, width];
}"""

SAFE = np.array(
    [
        *([0, 0, 1], [0.2, 1, 0], [0, 0.7, 1], [1, 0, 0.3]),
        *([0.6, 0.3, 1], [1, 0.3, 0], [1, 0.1, 0.8], [0, 1, 0.6]),
    ]
)
GREY = 0.7  # brightness of the greyed observation
OVERLAY = 0.9  # opacity of attribution over the observation


class Viewer:
    """A page, with what a person does on it."""

    def __init__(self, page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.foreign: list[str] = []
        self._expected: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", self._on_request)
        page.set_default_timeout(PATIENCE)

    def _on_console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def _on_request(self, request) -> None:
        local = ("file:", "data:", "blob:", "http://127.0.0.1:")
        if not request.url.startswith(local):
            self.foreign.append(request.url)

    def expect_problem(self, words: str) -> None:
        """Says that a test brings about a message in the console."""
        self._expected.append(words)

    def expects(self, problem: str) -> bool:
        return any(words in problem for words in self._expected)

    def get(self, test_id: str):
        return self.page.get_by_test_id(test_id)

    def inspect(self) -> dict:
        return self.page.evaluate("window.lucidRL.inspect()")

    def settle(self) -> dict:
        """Waits until every row shows the frame and layer asked for."""
        self.page.wait_for_function(
            """() => {
                const view = window.lucidRL?.inspect();
                return view && view.drawn.every(
                    (row) => row && row.s === view.s && row.layer === view.layer);
            }"""
        )
        return self.inspect()

    def go(self, fragment: str) -> dict:
        """Follows an address within the page."""
        self.page.evaluate("hash => { location.hash = hash }", fragment)
        self.page.wait_for_function(
            "hash => window.lucidRL?.inspect()?.address.startsWith(hash)",
            arg=fragment.split("&rows")[0],
        )
        return self.settle()

    def frame(self) -> int:
        return self.inspect()["frame"]

    def wait_for(self, expression: str) -> dict:
        """Waits for a condition on `view`, as `inspect` gives it."""
        self.page.wait_for_function(
            f"() => {{ const view = window.lucidRL.inspect(); return {expression}; }}"
        )
        return self.inspect()

    def drawn(self, sign: str, row: int = 0) -> np.ndarray:
        """What the page computed, u8 [H, W, 4], not premultiplied."""
        for picture in self.settle()["drawn"][row]["pictures"]:
            if picture["sign"] == sign:
                shape = (picture["height"], picture["width"], 4)
                return np.array(picture["rgba"], np.uint8).reshape(shape)
        raise AssertionError(f"row {row} shows no {sign} attribution")

    def pixels(self, test_id: str, nth: int = 0) -> np.ndarray:
        """A canvas's pixels, u8 [H, W, 4]."""
        flat, height, width = self.get(test_id).nth(nth).evaluate(_READ)
        return np.frombuffer(base64.b64decode(flat), np.uint8).reshape(height, width, 4)

    def wait_for_text(self, test_id: str, text: str) -> None:
        self.page.wait_for_function(
            """([id, text]) =>
                document.querySelector(`[data-testid="${id}"]`)?.innerText.includes(text)""",
            arg=[test_id, text],
        )

    def errors(self) -> list[str]:
        """The messages that the page shows."""
        return self.page.locator("[role=alert]").all_inner_texts()

    def open_find(self) -> None:
        self.page.get_by_text("Find", exact=True).click()


def number(text: str) -> float:
    """Reads a number as the page writes it, with a true minus sign."""
    return float(text.replace("\u2212", "-"))


def index(trajectory: int, frame: int) -> int:
    return sum(LENGTHS[:trajectory]) + frame


def attribution_picture(
    layer: Layer,
    s: int,
    sign: str,
    *,
    only: int | None = None,
    radius: int = 7,
    strength: float = 1.0,
    gradient: bool = False,
) -> np.ndarray:
    """The picture of a frame as the package's colours define it, floats [H, W, 4]."""
    values = layer.maps[:, s].astype(np.float64) * strength / layer.scale
    part = {
        "positive": np.maximum(values, 0),
        "negative": np.maximum(-values, 0),
        "both": np.abs(values),
    }[sign]
    if only is not None:
        part = part * (np.arange(len(part)) == only)[:, None, None]
    weights = np.moveaxis(part, 0, -1)
    if gradient:
        light = colour_features(weights, np.eye(3))
    else:
        light = colour_features(weights[..., :-1], page_colours(len(part) - 1))
    if radius:
        light = smooth(light[None], norm_filter(2 * radius + 1))[0]
    return brightness_to_opacity(light)


def texture_opacity(
    layer: Layer, s: int, sign: str, maps: slice, radius: int = 7
) -> np.ndarray:
    """How opaque a texture is where some maps have attribution of a sign, [H, W].

    The residual's is that of light of one colour; losses' that of all features' light.
    """
    values = layer.maps[maps, s].astype(np.float64) / layer.scale
    part = np.maximum(values if sign == "positive" else -values, 0)
    colours = page_colours(len(layer.maps) - 1) if len(part) > 1 else np.eye(3)[:1]
    light = colour_features(np.moveaxis(part, 0, -1), colours)
    return brightness_to_opacity(smooth(light[None], norm_filter(2 * radius + 1))[0])[
        ..., 3
    ]


def page_colours(n: int, palette: str = "safe") -> np.ndarray:
    """Colours of n features, floats [n, 3] of norm 1."""
    if palette == "safe" and n <= len(SAFE):
        return SAFE[:n] / np.linalg.norm(SAFE[:n], axis=1, keepdims=True)
    return feature_colours(n)


def assert_same_picture(shown: np.ndarray, expected: np.ndarray, at_most=1.5) -> None:
    """Compares u8 RGBA with floats in [0, 1]; colours count as much as they show."""
    opacity = shown[..., 3:] / 255.0
    assert np.abs(opacity - expected[..., 3:]).max() * 255 <= at_most
    difference = shown[..., :3] * opacity - 255 * expected[..., :3] * expected[..., 3:]
    assert np.abs(difference).max() <= at_most
    assert expected[..., 3].max() > 0.2, "nothing to see: the test shows nothing"


def grey(observation: np.ndarray) -> np.ndarray:
    """Darkened luma (Rec. 601), floats [H, W, 1] in [0, 1]."""
    return GREY * observation @ np.array([[0.299], [0.587], [0.114]]) / 255

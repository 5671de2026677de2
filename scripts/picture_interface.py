"""A picture of an interface, as a browser shows it: docs/images/interface.png.

    python -m scripts.make_interface --output_dir=outputs/interface
    python -m scripts.picture_interface

Opens the page at its first bookmark, or where --address says. Needs playwright, of the
development tools, and Chromium.
"""

import dataclasses
import os
import pathlib
import shutil
from typing import Annotated, Literal

from lucid_rl.errors import InputError
from lucid_rl.files import atomic_open
from lucid_rl.flags import define_flags
from lucid_rl.interface import read_bundle
from lucid_rl.validation import Positive, Settings, at_least

from . import program


@dataclasses.dataclass(frozen=True)
class Picture(Settings):
    """What is shown, and how large."""

    page: str = "outputs/interface/index.html"
    """The interface's folder or its index.html."""
    output: str = "docs/images/interface.png"
    """Where the picture goes."""
    address: str | None = None
    """What to show, '#trajectory=1&frame=9&layer=2b'."""
    width: Annotated[int, at_least(640)] = 1280
    """Of the window, in pixels."""
    height: Annotated[int, at_least(480)] = 800
    """Of the window, in pixels."""
    theme: Literal["light", "dark"] = "light"
    """Colours of the page."""
    feature: Positive | None = None
    """Open this feature's visualization, from 1."""


_settings = define_flags(Picture())
_DRAWN = """() => {
    const view = window.lucidRL?.inspect();
    const patches = [...document.querySelectorAll(".patches")];
    return view && view.drawn.every((row) => row?.s === view.s)
        && patches.every((patch) => patch.querySelector("canvas"));
}"""
_PATIENCE = 120_000  # ms


def _first_bookmark(page: pathlib.Path) -> str:
    moments = read_bundle(page).manifest["moments"]
    if not moments:
        return ""
    first = moments[0]
    return f"#trajectory={first['trajectory'] + 1}&frame={first['frame'] + 1}"


def main() -> None:
    """Takes the picture that the flags describe."""
    wanted = _settings()
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError as error:
        raise InputError(
            "a picture needs playwright, which is not installed: pip install playwright"
        ) from error
    page = pathlib.Path(wanted.page)
    if os.path.isdir(page):
        page /= "index.html"
    if not os.path.isfile(page):
        raise InputError(f"there is no page {page}; scripts.make_interface makes one")
    address = wanted.address or _first_bookmark(page)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox"],
            timeout=_PATIENCE,
        )
        view = browser.new_page(
            viewport={"width": wanted.width, "height": wanted.height},
            color_scheme=wanted.theme,
        )
        view.set_default_timeout(_PATIENCE)
        view.goto(page.absolute().as_uri() + address)
        view.wait_for_function(_DRAWN)
        if wanted.feature is not None:
            view.get_by_test_id(f"open-{wanted.feature}").click()
        before, picture = b"", view.screenshot()
        while picture != before:  # thumbnails follow
            view.wait_for_timeout(1000)
            before, picture = picture, view.screenshot()
        with atomic_open(wanted.output) as stream:
            stream.write(picture)
        browser.close()
    print(wanted.output)


if __name__ == "__main__":
    program.run(main)

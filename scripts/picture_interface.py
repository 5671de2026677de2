"""A picture of an interface, as a browser shows it: docs/images/interface.png.

    python -m scripts.make_interface --output_dir=outputs/interface
    python -m scripts.picture_interface

Opens the page at its first bookmark, or where --address says. Needs playwright, of the
development tools, and Chromium.
"""

import pathlib
import shutil

from absl import flags
from playwright.sync_api import sync_playwright

from lucid_rl.errors import InputError
from lucid_rl.files import atomic_open
from lucid_rl.interface import read_bundle

from . import program

_PAGE = flags.DEFINE_string(
    "page", "outputs/interface/index.html", "The interface's index.html."
)
_OUTPUT = flags.DEFINE_string(
    "output", "docs/images/interface.png", "Where the picture goes."
)
_ADDRESS = flags.DEFINE_string(
    "address", None, "What to show, '#trajectory=1&frame=9&layer=2b'."
)
_WIDTH = flags.DEFINE_integer("width", 1280, "Of the window.", lower_bound=640)
_HEIGHT = flags.DEFINE_integer("height", 800, "Of the window.", lower_bound=480)
_THEME = flags.DEFINE_enum("theme", "light", ["light", "dark"], "Colours of the page.")
_FEATURE = flags.DEFINE_integer(
    "feature", None, "Open this feature's visualization, from 1.", lower_bound=1
)

_DRAWN = """() => {
    const view = window.lucidRL?.inspect();
    return view && view.drawn.every((row) => row?.s === view.s);
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
    page = pathlib.Path(_PAGE.value)
    if not page.is_file():
        raise InputError(f"there is no page {page}; scripts.make_interface makes one")
    address = _ADDRESS.value or _first_bookmark(page)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox"],
            timeout=_PATIENCE,
        )
        view = browser.new_page(
            viewport={"width": _WIDTH.value, "height": _HEIGHT.value},
            color_scheme="dark" if _THEME.value == "dark" else "light",
        )
        view.set_default_timeout(_PATIENCE)
        view.goto(page.resolve().as_uri() + address)
        view.wait_for_function(_DRAWN)
        if _FEATURE.value is not None:
            view.get_by_test_id(f"open-{_FEATURE.value}").click()
        before, picture = b"", view.screenshot()
        while picture != before:  # thumbnails follow
            view.wait_for_timeout(1000)
            before, picture = picture, view.screenshot()
        with atomic_open(_OUTPUT.value) as stream:
            stream.write(picture)
        browser.close()
    print(_OUTPUT.value)


if __name__ == "__main__":
    program.run(main)

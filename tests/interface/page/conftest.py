"""The synthetic bundle's page, opened in a real headless Chromium."""

import os
import pathlib

import pytest

from tests.interface.page.driver import Viewer
from tests.interface.page_fixture import make_bundle, write_synthetic_page


@pytest.fixture(scope="session")
def bundle():
    return make_bundle()


@pytest.fixture(scope="session")
def site(bundle, tmp_path_factory):
    """The page's index.html, data beside it; not to be written to."""
    return write_synthetic_page(bundle, tmp_path_factory.mktemp("site"))


@pytest.fixture
def open_page(chromium):
    """Opens an address; what the pages logged and fetched is checked at the end."""
    contexts, viewers = [], []

    def open_one(path: pathlib.Path | str, fragment: str = "", **options) -> Viewer:
        options = {"viewport": {"width": 1280, "height": 800}} | options
        context = chromium.new_context(**options)
        contexts.append(context)
        viewer = Viewer(context.new_page())
        viewers.append(viewer)
        address = path if isinstance(path, str) else path.as_uri()
        viewer.page.goto(address + fragment)
        return viewer

    yield open_one
    for viewer in viewers:
        problems = [p for p in viewer.problems if not viewer.expects(p)]
        assert not problems, problems
        assert not viewer.foreign, f"the page asked for {viewer.foreign}"
    for context in contexts:
        context.close()


@pytest.fixture
def viewer(open_page, site):
    """The page as it opens, settled."""
    opened = open_page(site)
    opened.settle()
    return opened


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory):
    """Folder of pictures for a person: $LUCID_RL_SCREENSHOTS, or one of pytest's."""
    given = os.environ.get("LUCID_RL_SCREENSHOTS")
    folder = pathlib.Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder

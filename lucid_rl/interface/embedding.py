"""A page within a notebook."""

import dataclasses
import html
import pathlib

from lucid_rl.errors import BundleError
from lucid_rl.files import read_text

# The page's address within a notebook; with another base it could not note there what
# it shows.
_BASE = '<head><base href="about:srcdoc">'


@dataclasses.dataclass(frozen=True)
class EmbeddedPage:
    """A page of a single file, shown within a notebook.

    The whole page with its data becomes a part of the notebook, so it works where
    nothing but the notebook was sent. Viewers that run no programs show nothing.

    Attributes:
        path: the page, made with `InterfaceSettings(single_file=True)`.
        height: of its frame, in pixels.
    """

    path: pathlib.Path
    height: int = 780

    def _repr_html_(self) -> str:
        """The frame.

        Raises:
            BundleError: there is no such page, or its data lie in other files.
        """
        try:
            page = read_text(self.path)
        except OSError as error:
            raise BundleError(f"cannot read the page {self.path}: {error}") from error
        if 'data-part="manifest"' not in page:
            raise BundleError(
                f"{self.path} is no page of a single file: make it with "
                "InterfaceSettings(single_file=True)"
            )
        content = html.escape(page.replace("<head>", _BASE, 1))
        return (
            f'<iframe title="The interface" width="100%" height="{self.height}" '
            f'style="border:1px solid #888" srcdoc="{content}"></iframe>'
        )

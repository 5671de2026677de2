"""The page itself, with its data beside it or inside it."""

import contextlib
import os
import pathlib
from collections.abc import Iterable

from lucid_rl.errors import BundleError
from lucid_rl.files import PathLike, atomic_open, check_output, open_input
from lucid_rl.interface.bundle import part_element, part_file, write_part
from lucid_rl.interface.parts import Part

PARTS_MARK = "<!--lucid-rl:parts-->"
PAGE = "index.html"


def template() -> str:
    """The page's markup, style and program, without data.

    Raises:
        BundleError: the package was installed without it.
    """
    path = pathlib.Path(__file__).parent / "static" / PAGE
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BundleError(
            f"the page's template {path} is missing ({error.strerror}): install the "
            "package again, or build it with `make web`"
        ) from None
    if text.count(PARTS_MARK) != 1:
        raise BundleError(f"{path} must hold {PARTS_MARK} exactly once")
    return text


def write_page(
    parts: Iterable[Part],
    output_dir: PathLike,
    *,
    single_file: bool = False,
    encoding: str = "windows-1252",
) -> pathlib.Path:
    """Writes a page with its data.

    The manifest, without which a page shows a notice only, is removed first and
    written last, so that a page never shows data of two runs.

    Args:
        parts: the bundle's parts, the manifest among them.
        output_dir: where to; data of an earlier page there are replaced.
        single_file: put the data into the page.
        encoding: of the data files.

    Returns:
        The page's path.

    Raises:
        SaveError: a file cannot be written.
    """
    output = pathlib.Path(output_dir)
    check_output(output / PAGE)
    page = template()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(output / part_file("manifest"))
    if single_file:
        # Longest work first: the old page stands until the new one is whole.
        with atomic_open(output / PAGE, "w") as stream:
            before, after = page.split(PARTS_MARK)
            stream.write(before)
            for part in parts:
                stream.write(part_element(part))
            stream.write(after)
        _remove_other_data(output, set())
        return output / PAGE
    manifest = None
    written = set()
    for part in parts:
        written.add(part_file(part.name))
        if part.name == "manifest":
            manifest = part
        else:
            write_part(part, output, encoding)
    if manifest is None:
        raise BundleError("a page needs a part named 'manifest'")
    with atomic_open(output / PAGE, "w") as stream:
        stream.write(page)
    write_part(manifest, output, encoding)
    _remove_other_data(output, written)
    return output / PAGE


def _remove_other_data(output: pathlib.Path, kept: set[str]) -> None:
    """Deletes parts of an earlier page, and nothing else."""
    for path in (output / "data").glob("*.js"):
        if f"data/{path.name}" not in kept and _is_part(path):
            with contextlib.suppress(OSError):
                os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(output / "data")


def _is_part(path: pathlib.Path) -> bool:
    call = "lucidRL.deliver("
    with contextlib.suppress(OSError), open_input(path) as stream:
        start = stream.read(64)
        # Format version 1 was of UTF-16.
        return start.startswith((call.encode(), b"\xff\xfe" + call.encode("utf-16-le")))
    return False

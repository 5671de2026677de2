"""A contact sheet as a Markdown page with small pictures, for documentation."""

import pathlib
from typing import Any

import numpy as np
from PIL import Image

from lucid_rl.files import PathLike, atomic_open
from lucid_rl.interpret.visualization.contact_sheet import (
    LEGEND,
    ContactSheet,
    number_cells,
)

_GAP = 2  # pixels between pictures
_ROW_WIDTH = 600  # pictures of one row go on below past this


def write_report(sheet: ContactSheet, path: PathLike, command: str) -> pathlib.Path:
    """Writes a Markdown page, with one strip of pictures for each row beside it.

    Strips that an earlier report left there are removed.

    Args:
        sheet: a finished sheet.
        path: the page, such as features.md; its pictures go to a folder of the
            same name without ".md".
        command: that made the sheet.

    Returns:
        The page's path.

    Raises:
        SaveError: a file cannot be written.
    """
    page = pathlib.Path(path)
    folder = page.with_suffix("")
    lines = [f"# {sheet.results['about']['title']}", "", f"Made by `{command}`.", ""]
    lines += [
        f"- {name}: {value}"
        for name, value in sheet.results["about"].items()
        if name != "title"
    ]
    lines += ["", *_table(sheet)]
    kept = set()
    for name, figure in sheet.results["figures"].items():
        lines += ["", f"## {figure['title']}", "", figure["text"]]
        for i, row in enumerate(figure["rows"]):
            file = folder / f"{name}-{i}.png"
            _write_strip([sheet.folder / one for one in row["files"]], file)
            kept.add(file)
            numbers = [text for text in number_cells(_entry(sheet, name, row)) if text]
            caption = f"**{row['title']}**" + (
                f" ({', '.join(numbers)})" if numbers else ""
            )
            lines += ["", caption, "", f"![{row['title']}]({folder.name}/{file.name})"]
    with atomic_open(page, "w") as stream:
        stream.write("\n".join([*lines, ""]))
    for file in set(folder.glob("*.png")) - kept:
        file.unlink()
    return page


def _entry(sheet: ContactSheet, name: str, row: dict[str, Any]) -> dict[str, Any]:
    for entry in sheet.table():
        if (entry["figure"], entry["row"]) == (name, row["title"]):
            return entry
    return {}


def _table(sheet: ContactSheet) -> list[str]:
    rows = [("the observations themselves", "", sheet.results["observations"])]
    rows += [(f"{e['figure']}: {e['row']}", e["layer"], e) for e in sheet.table()]
    return [
        LEGEND,
        "",
        "| row | layer | extremal share | spectrum slope | reached |",
        "|---|---|---:|---:|---:|",
        *(
            f"| {' | '.join([title, layer, *number_cells(e)])} |"
            for title, layer, e in rows
        ),
    ]


def _write_strip(files: list[pathlib.Path], path: pathlib.Path) -> None:
    """Pictures of one size side by side on white."""
    pictures = []
    for file in files:
        with Image.open(file) as image:
            opened = image.convert("RGBA")
            white = Image.new("RGBA", opened.size, "white")
            pictures.append(np.asarray(Image.alpha_composite(white, opened))[..., :3])
    height, width = pictures[0].shape[:2]
    columns = max(1, min(len(pictures), _ROW_WIDTH // (width + _GAP)))
    rows = -(-len(pictures) // columns)
    strip = np.full(
        (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3),
        255,
        np.uint8,
    )
    for i, picture in enumerate(pictures):
        top = i // columns * (height + _GAP)
        left = i % columns * (width + _GAP)
        strip[top : top + height, left : left + width] = picture
    with atomic_open(path) as stream:
        Image.fromarray(strip).save(stream, "PNG", optimize=True)

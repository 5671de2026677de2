"""A contact sheet as a Markdown page with small pictures, for documentation."""

import pathlib

from PIL import Image

from lucid_rl.files import PathLike, atomic_open, write_text
from lucid_rl.interpret.visualization.contact_sheet import (
    HEADER,
    LEGEND,
    ContactSheet,
    number_cells,
)
from lucid_rl.reports import markdown_table

_GAP = 2  # pixels between pictures
_ROW_WIDTH = 600  # pixels; longer rows of pictures are wrapped


def write_report(sheet: ContactSheet, path: PathLike, command: str) -> pathlib.Path:
    """Writes a Markdown page, with one strip of pictures for each row beside it.

    Pictures go to a folder of the page's name without ".md"; strips that an earlier
    report left there are removed. The page names the command that made the sheet.
    """
    page = pathlib.Path(path)
    folder = page.with_suffix("")
    lines = [f"# {sheet.results['about']['title']}", "", f"Made by `{command}`.", ""]
    lines += [
        f"- {name}: {value}"
        for name, value in sheet.results["about"].items()
        if name != "title"
    ]
    lines += ["", LEGEND, "", markdown_table(HEADER, sheet.cells())]
    entries = {(entry["figure"], entry["row"]): entry for entry in sheet.table()}
    kept = set()
    for name, figure in sheet.results["figures"].items():
        lines += ["", f"## {figure['title']}", "", figure["text"]]
        for i, row in enumerate(figure["rows"]):
            file = folder / f"{name}-{i}.png"
            _write_strip([sheet.folder / one for one in row["files"]], file)
            kept.add(file)
            entry = entries.get((name, row["title"]), {})
            numbers = list(filter(None, number_cells(entry)))
            caption = f"**{row['title']}**" + (
                f" ({', '.join(numbers)})" if numbers else ""
            )
            lines += ["", caption, "", f"![{row['title']}]({folder.name}/{file.name})"]
    write_text(page, "\n".join([*lines, ""]))
    for file in set(folder.glob("*.png")) - kept:
        file.unlink()
    return page


def _write_strip(files: list[pathlib.Path], path: pathlib.Path) -> None:
    """Pictures of one size side by side on white."""
    pictures = [Image.open(file).convert("RGBA") for file in files]
    width, height = (side + _GAP for side in pictures[0].size)
    columns = max(1, min(len(pictures), _ROW_WIDTH // width))
    rows = -(-len(pictures) // columns)
    strip = Image.new("RGB", (columns * width - _GAP, rows * height - _GAP), "white")
    for i, picture in enumerate(pictures):
        strip.paste(picture, (i % columns * width, i // columns * height), picture)
    with atomic_open(path) as stream:
        strip.save(stream, "PNG", optimize=True)

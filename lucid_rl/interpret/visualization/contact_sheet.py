"""A folder of figures: PNG files, results.json, and one HTML page.

Rows are written as they are done, so that an interrupted run resumes.
"""

import hashlib
import html
import io
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from lucid_rl import notebook
from lucid_rl.bounded import read_json
from lucid_rl.errors import FileFormatError
from lucid_rl.files import PathLike, atomic_open, write_json, write_text
from lucid_rl.interpret.visualization.figures import FigureRow
from lucid_rl.interpret.visualization.presets import Preset, Row

RESULTS = "results.json"
PAGE = "index.html"
_VERSION = 1
HEADER = ("row", "layer", "extremal fraction", "spectrum slope", "reached")
LEGEND = (
    "Extremal fraction: pixels within 0.25 of one of the 8 extremal colours, among "
    "those that the objective depends on. Spectrum slope: exponent of the power's "
    "fall with frequency. Reached: activation over the largest of the observations, "
    "median."
)
_DISPLAY_PIXELS = 128  # side of a small picture on the page


class ContactSheet:
    """Figures of one model in a folder.

    Attributes:
        folder: where they are.
        results: what results.json holds: "about" (of the whole), "observations"
            (measurements), and "figures" by name, each with a title, a text and rows.
    """

    def __init__(
        self, folder: PathLike, about: dict[str, Any], observations: dict[str, float]
    ):
        """Opens a folder, with what an earlier run of the same subject left there.

        It is made when the first row is written. `about` has names and values shown at
        the page's top, `observations` measurements of the observations as a whole.

        Raises:
            FileFormatError: its results.json is none.
        """
        self.folder = pathlib.Path(folder)
        self.results: dict[str, Any] = {
            "version": _VERSION,
            "about": about,
            "observations": observations,
            "figures": {},
        }
        subject = ("version", "about", "observations")
        path = self.folder / RESULTS
        if os.path.isfile(path):
            try:
                found = read_json(path)
                if all(found[key] == self.results[key] for key in subject):
                    self.results["figures"] = dict(found["figures"])
            except (FileFormatError, ValueError, KeyError, TypeError) as error:
                raise FileFormatError(
                    f"{path} was not written by this package: {error!r}. Remove it, "
                    "or choose another folder."
                ) from error

    def add_figure(
        self,
        name: str,
        preset: Preset,
        keys: Sequence[str],
        make: Callable[[Row], FigureRow | None],
    ) -> None:
        """Makes those of a figure's rows that no earlier run has finished.

        `name` is also that of the folder of its pictures; `keys` are for each row a
        digest of all that it depends on.
        """
        figure: dict[str, Any] = {"title": preset.title, "text": preset.text}
        old = self.results["figures"].get(name, {}).get("rows", [])
        self.results["figures"][name] = figure
        done = {
            row["key"]: row
            for row in old
            if all(os.path.isfile(self.folder / file) for file in row["files"])
        }
        figure["rows"] = [done[key] for key in keys if key in done]
        for row, key in zip(preset.rows, keys, strict=True):
            made = None if key in done else make(row)
            if made is not None:
                done[key] = self._written(made, name, key)
                figure["rows"] = [done[key] for key in keys if key in done]
                self._write_results()

    def _written(self, row: FigureRow, name: str, key: str) -> dict[str, Any]:
        """Writes a row's pictures; gives its entry among the results."""
        files = []
        for i, image in enumerate(row.images):
            files.append(f"{name}/{key}-{i:02d}.png")
            with atomic_open(self.folder / files[-1]) as stream:
                stream.write(notebook.png_bytes(image))
        return {
            "key": key,
            "title": row.title,
            "labels": list(row.labels),
            "files": files,
            "settings": row.settings,
            "numbers": {k: _plain(v) for k, v in row.numbers.items()},
            "losses": None if row.losses is None else _plain(row.losses),
        }

    def write(self) -> pathlib.Path:
        """Writes the page of all figures that have rows; returns its path."""
        figures = self.results["figures"].items()
        self.results["figures"] = {name: f for name, f in figures if f["rows"]}
        self._write_results()
        path = self.folder / PAGE
        write_text(path, self._html())
        return path

    def table(self) -> list[dict[str, Any]]:
        """The measurements, one entry for each row of optimized pictures.

        "extremal fraction" and "spectrum slope" are means over its pictures, "reached"
        the median ratio of the activation reached to the dataset's largest (over
        pictures whose dataset maximum is positive).
        """
        return [
            {
                "figure": name,
                "row": row["title"],
                "layer": row["settings"].get("layer", ""),
                **_summary(row["numbers"]),
            }
            for name, figure in self.results["figures"].items()
            for row in figure["rows"]
            if row["losses"] is not None
        ]

    def cells(self) -> list[tuple[str, ...]]:
        """The measurements as text, by `HEADER`; those of the observations first."""
        rows = [("the observations themselves", "", self.results["observations"])]
        rows += [(f"{e['figure']}: {e['row']}", e["layer"], e) for e in self.table()]
        return [(title, layer, *number_cells(entry)) for title, layer, entry in rows]

    def table_text(self) -> str:
        """The measurements as lines of text."""
        rows = [HEADER, *self.cells()]
        width = max(len(title) for title, *_ in rows)
        return "\n".join(
            f"{title:{width}}" + "".join(f"{cell:>19}" for cell in cells)
            for title, *cells in rows
        )

    def _write_results(self) -> None:
        write_json(self.folder / RESULTS, self.results | {"table": self.table()})

    def _html(self) -> str:
        about = dict(self.results["about"])
        title = about.pop("title", "Feature visualization")
        parts = [
            f"{_HEAD}<h1>{html.escape(title)}</h1>",
            *(notebook.text(f"{name}: {value}") for name, value in about.items()),
            f"<h2>Measurements</h2>{notebook.text(LEGEND)}",
            f'<div class="wide">{notebook.table(HEADER, self.cells())}</div>',
        ]
        for name, figure in self.results["figures"].items():
            heading = html.escape(figure["title"])
            parts.append(f'<h2 id="{html.escape(name)}">{heading}</h2>')
            parts.append(notebook.text(figure["text"]))
            for row in figure["rows"]:
                pictures = [self._picture(row, i) for i in range(len(row["files"]))]
                parts.append(notebook.row(pictures, row["title"]))
                settings = "; ".join(f"{k} {v}" for k, v in row["settings"].items())
                parts.append(notebook.text(settings))
        return "\n".join([*parts, "</main></body></html>\n"])

    def _picture(self, row: dict[str, Any], i: int) -> str:
        data = (self.folder / row["files"][i]).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            width = image.width * max(1, round(_DISPLAY_PIXELS / image.width))
        lines = [row["labels"][i]]
        for name, values in row["numbers"].items():
            if values[i] is not None:
                lines.append(f"{name} {values[i]:.3g}")
        curve = "" if row["losses"] is None else _curve(row["losses"][i])
        picture = notebook.figure("png", data, "\n".join(lines), width)
        return f"<div>{picture}{curve}</div>"


def row_key(*parts: Any) -> str:
    """Digest of everything that a row depends on."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def number_cells(entry: dict[str, Any]) -> list[str]:
    """An entry's extremal fraction, spectrum slope and ratio reached, as text."""
    forms = {"extremal fraction": "{:.1%}", "spectrum slope": "{:.2f}"}
    forms["reached"] = "{:.2f}"
    found = {name: entry.get(name) for name in forms}
    return [
        "" if value is None else forms[name].format(value).replace("%", " %")
        for name, value in found.items()
    ]


def _plain(values: np.ndarray) -> list:
    """Nested lists of 5 digits; None where a number is not finite."""
    if np.ndim(values):
        return [_plain(value) for value in values]  # type: ignore[return-value]
    return float(f"{values:.5g}") if np.isfinite(values) else None  # type: ignore


def _summary(numbers: dict[str, list]) -> dict[str, float | None]:
    def mean(name: str) -> float | None:
        values = [value for value in numbers.get(name, []) if value is not None]
        return round(float(np.mean(values)), 4) if values else None

    ratios = [
        reached / largest
        for reached, largest in zip(
            numbers.get("reached", []), numbers.get("dataset maximum", []), strict=False
        )
        if reached is not None and largest is not None and largest > 0
    ]
    return {
        "extremal fraction": mean("extremal fraction"),
        "spectrum slope": mean("spectrum slope"),
        "reached": round(float(np.median(ratios)), 3) if ratios else None,
    }


def _curve(losses: list[float]) -> str:
    """A loss curve as a small picture."""
    values = np.array([np.nan if v is None else v for v in losses], float)
    low, high = np.nanmin(values), np.nanmax(values)
    y = 23 - 22 * (values - low) / ((high - low) or 1)
    x = np.linspace(0, 100, len(y))
    points = " ".join(
        f"{a:.0f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b)
    )
    return (
        '<svg viewBox="0 0 100 24" preserveAspectRatio="none" role="img" '
        f'aria-label="loss from {high:.3g} to {low:.3g}"><title>loss, from '
        f'{high:.3g} to {low:.3g}</title><polyline points="{points}"/></svg>'
    )


_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Feature visualization</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0; }
main { max-width: 1200px; margin: 0 auto; padding: 1rem; }
h2 { margin: 2.5rem 0 .3rem; }
.wide { overflow-x: auto; }
th, td { padding: .15rem .7rem .15rem 0; text-align: left; }
svg { display: block; width: 100%; height: 1.4rem; fill: none; stroke: currentColor; }
</style></head><body><main>"""

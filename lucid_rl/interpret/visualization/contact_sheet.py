"""A folder of figures: PNG files, results.json, and one HTML page.

Rows are written as they are done, so that an interrupted run resumes.
"""

import base64
import hashlib
import html
import io
import json
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from lucid_rl.bounded import read_json
from lucid_rl.errors import FileFormatError
from lucid_rl.files import PathLike, atomic_open
from lucid_rl.interpret.visualization.figures import FigureRow
from lucid_rl.interpret.visualization.presets import Preset

RESULTS = "results.json"
PAGE = "index.html"
_VERSION = 1
LEGEND = (
    "Extremal share: pixels within 0.25 of one of the 8 extremal colours, among those "
    "that the objective depends on. Spectrum slope: exponent of the power's fall with "
    "frequency. Reached: activation over the largest of the observations, median."
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

        Args:
            folder: it is made when the first row is written.
            about: names and values shown at the page's top.
            observations: measurements of the observations as a whole.

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
        if path.is_file():
            try:
                found = read_json(path)
                if all(found[key] == self.results[key] for key in subject):
                    self.results["figures"] = dict(found["figures"])
            except (FileFormatError, ValueError, KeyError, TypeError) as error:
                raise FileFormatError(
                    f"{path} was not written by this package: {error!r}. Remove it, "
                    "or choose another folder."
                ) from error

    def start(self, name: str, preset: Preset, keys: list[str]) -> None:
        """Begins a figure, keeping those of its rows that are done.

        Args:
            name: of the figure, and of the folder of its pictures.
            preset: its title and text.
            keys: for each row a digest of all that it depends on.
        """
        old = self.results["figures"].get(name, {}).get("rows", [])
        done = {row["key"]: row for row in old if self._has_pictures(row)}
        self.results["figures"][name] = {
            "title": preset.title,
            "text": preset.text,
            "rows": [done[key] for key in keys if key in done],
        }

    def is_done(self, name: str, key: str) -> bool:
        """Whether a row of this key is there."""
        return any(row["key"] == key for row in self._rows(name))

    def add(self, name: str, key: str, row: FigureRow) -> None:
        """Writes a row's pictures and numbers.

        Raises:
            SaveError: a file cannot be written.
        """
        files = []
        for i, image in enumerate(row.images):
            file = f"{name}/{key}-{i:02d}.png"
            with atomic_open(self.folder / file) as stream:
                stream.write(png_bytes(image))
            files.append(file)
        self._rows(name).append(
            {
                "key": key,
                "title": row.title,
                "labels": list(row.labels),
                "files": files,
                "settings": row.settings,
                "numbers": {k: _plain(v) for k, v in row.numbers.items()},
                "losses": None if row.losses is None else _plain(row.losses),
            }
        )
        self._write_results()

    def write(self, order: dict[str, list[str]] | None = None) -> pathlib.Path:
        """Writes the page.

        Args:
            order: keys of the rows of each figure, in the order in which to show them.

        Returns:
            Its path.
        """
        for name, keys in (order or {}).items():
            self._rows(name).sort(key=lambda row: keys.index(row["key"]))
        self._write_results()
        path = self.folder / PAGE
        with atomic_open(path, "w") as stream:
            stream.write(self._html())
        return path

    def table(self) -> list[dict[str, Any]]:
        """The measurements, one entry for each row of optimized pictures.

        "extremal share" and "spectrum slope" are means over its pictures, "reached"
        the median ratio of the activation reached to the dataset's largest (over
        pictures whose dataset maximum is positive).
        """
        found = []
        for name, figure in self.results["figures"].items():
            for row in figure["rows"]:
                if row["losses"] is not None:
                    found.append(
                        {
                            "figure": name,
                            "row": row["title"],
                            "layer": row["settings"].get("layer", ""),
                            **_summary(row["numbers"]),
                        }
                    )
        return found

    def table_text(self) -> str:
        """The measurements as lines of text."""
        rows = [("the observations themselves", "", self.results["observations"])]
        rows += [(f"{e['figure']}: {e['row']}", e["layer"], e) for e in self.table()]
        width = max(len(title) for title, _, _ in rows)
        lines = [
            f"{'':{width}} {'layer':>8} {'extremal':>9} {'slope':>6} {'reached':>8}"
        ]
        for title, layer, entry in rows:
            share, slope, reached = number_cells(entry)
            lines.append(
                f"{title:{width}} {layer:>8} {share:>9} {slope:>6} {reached:>8}"
            )
        return "\n".join(lines)

    def _rows(self, name: str) -> list[dict[str, Any]]:
        return self.results["figures"][name]["rows"]

    def _has_pictures(self, row: dict[str, Any]) -> bool:
        return all((self.folder / file).is_file() for file in row["files"])

    def _write_results(self) -> None:
        with atomic_open(self.folder / RESULTS, "w") as stream:
            json.dump(self.results | {"table": self.table()}, stream, indent=1)

    def _html(self) -> str:
        about = self.results["about"]
        parts = [
            _HEAD,
            f"<h1>{_text(about.get('title', 'Feature visualization'))}</h1>",
        ]
        parts.append(_definitions({k: v for k, v in about.items() if k != "title"}))
        parts.append(self._table_html())
        for name, figure in self.results["figures"].items():
            parts.append(
                f'<section id="{_text(name)}"><h2>{_text(figure["title"])}</h2>'
            )
            parts.append(f"<p>{_text(figure['text'])}</p>")
            parts.extend(self._row_html(row) for row in figure["rows"])
            parts.append("</section>")
        return "\n".join([*parts, "</main></body></html>\n"])

    def _table_html(self) -> str:
        rows = [
            ["Figure", "Row", "Layer", "Extremal share", "Spectrum slope", "Reached"]
        ]
        observed = self.results["observations"]
        if observed:
            rows.append(
                ["", "the observations themselves", "", *number_cells(observed)]
            )
        rows += [
            [entry["figure"], entry["row"], entry["layer"], *number_cells(entry)]
            for entry in self.table()
        ]
        lines = []
        for i, row in enumerate(rows):
            tag = "td" if i else "th"
            cells = "".join(f"<{tag}>{_text(cell)}</{tag}>" for cell in row)
            lines.append(f"<tr>{cells}</tr>")
        return (
            f"<h2>Measurements</h2><p>{LEGEND}</p>"
            f"<div class=wide><table>{''.join(lines)}</table></div>"
        )

    def _row_html(self, row: dict[str, Any]) -> str:
        settings = "; ".join(f"{k} {v}" for k, v in row["settings"].items())
        figures = "".join(
            self._picture_html(row, i, label) for i, label in enumerate(row["labels"])
        )
        return (
            f"<h3>{_text(row['title'])}</h3><p class=settings>{_text(settings)}</p>"
            f"<div class=row>{figures}</div>"
        )

    def _picture_html(self, row: dict[str, Any], i: int, label: str) -> str:
        data = (self.folder / row["files"][i]).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            width = image.width * max(1, round(_DISPLAY_PIXELS / image.width))
        source = base64.b64encode(data).decode()
        lines = [_text(label)]
        for name, values in row["numbers"].items():
            if values[i] is not None:
                lines.append(f"{_text(name)} {values[i]:.3g}")
        curve = "" if row["losses"] is None else _curve(row["losses"][i])
        alternative = _text(f"{row['title']}, {label}")
        return (
            f'<figure><img src="data:image/png;base64,{source}" width="{width}" '
            f'alt="{alternative}">{curve}'
            f"<figcaption>{'<br>'.join(lines)}</figcaption></figure>"
        )


def row_key(*parts: Any) -> str:
    """Digest of everything that a row depends on."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def number_cells(entry: dict[str, Any]) -> list[str]:
    """An entry's extremal share, spectrum slope and ratio reached, as text."""
    share, slope = entry.get("extremal share"), entry.get("spectrum slope")
    reached = entry.get("reached")
    return [
        "" if share is None else f"{100 * share:.1f} %",
        "" if slope is None else f"{slope:.2f}",
        "" if reached is None else f"{reached:.2f}",
    ]


def png_bytes(image: np.ndarray) -> bytes:
    """A PNG file of floats in [0, 1], [H, W, 3 or 4]."""
    stream = io.BytesIO()
    codes = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(codes).save(stream, "PNG", optimize=True)
    return stream.getvalue()


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
        "extremal share": mean("extremal share"),
        "spectrum slope": mean("spectrum slope"),
        "reached": round(float(np.median(ratios)), 3) if ratios else None,
    }


def _definitions(entries: dict[str, Any]) -> str:
    items = "".join(
        f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in entries.items()
    )
    return f"<dl>{items}</dl>"


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


def _text(value: Any) -> str:
    return html.escape(str(value))


_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Feature visualization</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0; }
main { max-width: 1200px; margin: 0 auto; padding: 1rem; }
h2 { margin: 2.5rem 0 .3rem; } h3 { margin: 1.2rem 0 0; font-size: 1rem; }
p { max-width: 46rem; margin: .3rem 0; }
.settings, figcaption, dl, table { font-size: .8rem; }
.settings { opacity: .75; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .15rem .7rem .15rem 0; text-align: left; }
th:nth-child(n+4), td:nth-child(n+4) { text-align: right; }
tr:nth-child(n+2) td { border-top: 1px solid #8884; }
.row { display: flex; flex-wrap: wrap; gap: .8rem; margin-top: .4rem; }
figure { margin: 0; }
img { display: block; image-rendering: pixelated; background:
  repeating-linear-gradient(45deg, #fff 0 6px, #ddd 6px 12px); }
svg { display: block; width: 100%; height: 1.4rem; fill: none; stroke: currentColor; }
</style></head><body><main>"""

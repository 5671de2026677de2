"""Reports of results: the command, tables in Markdown, figures in PNG files."""

import contextlib
import pathlib
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lucid_rl.files import PathLike, atomic_open


def command_line() -> str:
    """The command that runs this process, to be kept with its results."""
    program = pathlib.Path(sys.argv[0]).name  # of the installed program: lucid-rl
    spec = sys.modules["__main__"].__spec__
    if spec and program.endswith(".py"):
        program = f"python -m {spec.name}"
    return " ".join([program, *map(shlex.quote, sys.argv[1:])])


def markdown_table(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown.

    Args:
        header: titles of the columns.
        rows: cells, as many as titles.
    """
    header = [*header]
    lines = [_line(header), "|---" * len(header) + "|", *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Iterable[object]) -> str:
    return "|".join(["", *(f" {cell} " if cell != "" else " " for cell in cells), ""])


@contextlib.contextmanager
def figure(
    path: PathLike, n_panels: int, size: tuple[float, float], sharey: bool = False
) -> Iterator[Sequence[Any]]:
    """Makes a figure of panels side by side, written when the block ends.

    Args:
        path: PNG file, written atomically.
        n_panels: number of panels.
        size: width and height, in inches.
        sharey: whether the panels have one vertical axis.

    Yields:
        The panels: matplotlib's axes, with a grid.
    """
    # The object interface: pyplot would choose a backend for the whole process.
    from matplotlib.figure import Figure

    drawn = Figure(figsize=size, layout="constrained")
    panels = drawn.subplots(1, n_panels, sharey=sharey, squeeze=False)[0]
    for axes in panels:
        axes.grid(alpha=0.3)
    yield panels
    with atomic_open(path) as stream:
        drawn.savefig(stream, format="png", dpi=110)

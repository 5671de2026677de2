"""Execution of notebooks with parameters."""

import ast
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from lucid_rl.bounded import read_json
from lucid_rl.errors import FileFormatError, InputError, ProcessError
from lucid_rl.files import PathLike, atomic_open
from lucid_rl.progress import progress

_CELL = {"cell_type": str, "metadata": dict, "source": (str, [str])}
_NOTEBOOK = {"nbformat": int, "metadata": dict, "cells": [_CELL]}

PARAMETERS_TAG = "parameters"
"""Marks the cell whose values may be set; papermill, too, looks for it."""


def run_notebook(
    notebook: PathLike, output: PathLike, parameters: Mapping[str, Any] | None = None
) -> None:
    """Executes a notebook's cells in order, in the folder where this is called.

    Args:
        notebook: an `.ipynb` file.
        output: where it goes with its outputs, without the parameters that were set
            and without what went to standard error.
        parameters: values for names that the cell tagged "parameters" assigns.

    Raises:
        FileFormatError: there is no such notebook, or it is damaged or of another
            version than 4.
        InputError: no such parameter, or nbclient is not installed.
        ProcessError: a cell failed; nothing is written.
    """
    try:
        import nbclient
        import nbformat
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        raise InputError(
            f"executing notebooks needs {error.name}: pip install nbclient ipykernel"
        ) from error
    # nbformat does not look closely at what it reads.
    if read_json(notebook, _NOTEBOOK)["nbformat"] != 4:
        raise FileFormatError(f"{notebook} is not of nbformat 4: save it anew.")
    document = nbformat.read(notebook, as_version=4)
    cells = [cell for cell in document.cells if cell.cell_type == "code"]
    settings = _settings_cell(cells, parameters or {}, notebook)
    original = settings.source if settings is not None else ""
    if settings is not None and parameters:
        lines = [f"{name} = {value!r}" for name, value in parameters.items()]
        settings.source = "\n".join([original, *lines])
    client = nbclient.NotebookClient(
        document,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
    )
    with client.setup_kernel():
        for place, cell in enumerate(progress(document.cells, "cells")):
            if cell.cell_type != "code":
                continue
            try:
                client.execute_cell(cell, place)
            except CellExecutionError as error:
                raise ProcessError(f"{notebook}, cell {place}: {error}") from error
            # Progress bars and the like.
            cell.outputs = [
                o for o in cell.outputs if o.get("name", "stdout") == "stdout"
            ]
    if settings is not None:
        settings.source = original
    with atomic_open(pathlib.Path(output), "w") as stream:
        nbformat.write(document, stream)


def _settings_cell(
    cells: Sequence[Any], parameters: Mapping[str, Any], notebook: PathLike
) -> Any:
    """The cell of parameters, if there is one; checks that it has those given."""
    found = [c for c in cells if PARAMETERS_TAG in c.metadata.get("tags", [])]
    if not found:
        if parameters:
            raise InputError(f"{notebook} has no cell tagged {PARAMETERS_TAG!r}")
        return None
    names = [
        target.id
        for node in ast.parse(found[0].source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    for name in parameters:
        if name not in names:
            raise InputError(
                f"{notebook} has no parameter {name!r}; it has {', '.join(names)}"
            )
    return found[0]

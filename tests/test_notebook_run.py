"""The runner of notebooks, and the notebook of the article."""

import ast
import json

import nbformat
import pytest

from lucid_rl.errors import FileFormatError, InputError, ProcessError
from lucid_rl.notebook_run import PARAMETERS_TAG, run_notebook
from tests.programs import ROOT, run_script

NOTEBOOK = ROOT / "docs" / "notebooks" / "understanding_rl_vision.ipynb"
SMALL = {
    "N_OBSERVATIONS": 64,
    "N_TRAJECTORIES": 2,
    "N_STEPS": 96,
    "N_LEVELS": 6,
    "VISUALIZATION_STEPS": 2,
}
SECTIONS = (
    "Our CoinRun model",
    "Model analysis",
    "Dissecting failure",
    "Hallucinations",
    "Model editing",
    "The diversity hypothesis",
    "Feature visualization",
    "Attribution",
)


def _written(path, *sources, tag=None):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    if tag:
        cells[0].metadata["tags"] = [tag]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def _outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    return [cell.outputs for cell in cells if cell.cell_type == "code"]


def test_cells_run_in_order_with_the_parameters_given(tmp_path):
    path = _written(
        tmp_path / "n.ipynb",
        "N = 2\nWORD = 'a'",
        "import sys\nprint(WORD * N)\nprint('noise', file=sys.stderr)",
        "N + 1",
        tag=PARAMETERS_TAG,
    )
    output = tmp_path / "out" / "done.ipynb"
    run_notebook(path, output, {"N": 3, "WORD": "b'c"})
    first, second, third = _outputs(output)
    assert first == [] and [o.text for o in second] == ["b'cb'cb'c\n"]
    assert third[0].data["text/plain"] == "4"
    cells = nbformat.read(output, as_version=4).cells
    # What was set from outside is no part of it, nor when it ran.
    assert cells[0].source == "N = 2\nWORD = 'a'"
    assert [cell.execution_count for cell in cells] == [1, 2, 3]
    assert "execution" not in cells[1].metadata


def test_what_is_wrong_is_said_and_nothing_is_written(tmp_path):
    path = _written(tmp_path / "n.ipynb", "N = 2", "1 / 0", tag=PARAMETERS_TAG)
    output = tmp_path / "out.ipynb"
    with pytest.raises(ProcessError, match=r"cell 1.*\n(.*\n)*.*ZeroDivisionError"):
        run_notebook(path, output)
    with pytest.raises(InputError, match="no parameter 'M'; it has N"):
        run_notebook(path, output, {"M": 1})
    untagged = _written(tmp_path / "untagged.ipynb", "N = 2")
    with pytest.raises(InputError, match="no cell tagged"):
        run_notebook(untagged, output, {"N": 1})
    assert not output.exists()


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "[" * 100_000, '{"nbformat": 4, "metadata": {}, "cells": [3]}', None]
    + [f'{{"nbformat": {n}, "metadata": {{}}, "cells": []}}' for n in ("3", '"x"')],
)
def test_what_is_no_notebook_is_refused(text, tmp_path):
    if text is not None:
        (tmp_path / "n.ipynb").write_text(text)
    with pytest.raises(FileFormatError):
        run_notebook(tmp_path / "n.ipynb", tmp_path / "out.ipynb")


def test_the_articles_notebook_is_whole_and_opens_quickly():
    document = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(document)
    assert NOTEBOOK.stat().st_size <= 3 * 2**20
    headings = [
        line.removeprefix("## ")
        for cell in document.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("## ")
    ]
    assert headings == list(SECTIONS)
    code = [cell for cell in document.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {o.output_type for cell in code for o in cell.outputs}
    assert "error" not in kinds
    streams = {o.name for cell in code for o in cell.outputs if "name" in o}
    assert streams == {"stdout"}
    # Nothing of the machine that it ran on.
    assert str(ROOT) not in NOTEBOOK.read_text(encoding="utf-8")
    (settings,) = [c for c in code if PARAMETERS_TAG in c.metadata.get("tags", [])]
    names = {node.targets[0].id for node in ast.parse(settings.source).body}
    assert set(SMALL) < names and "MODEL" in names


def _execute(output, environment, **parameters):
    """Runs the program as a user does; the executed notebook's text by cell."""
    sets = {**SMALL, "FOLDER": str(output.parent / "files"), **parameters}
    done = run_script(
        *("run_notebook", f"--output={output}"),
        *(f"--set={name}={value}" for name, value in sets.items()),
        environment=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.dumps([[dict(o) for o in outputs] for outputs in _outputs(output)])


def test_the_articles_notebook_runs_from_start_to_end(tmp_path):
    text = _execute(tmp_path / "out.ipynb", {})
    for shown in (
        *("trajectories of 96 steps", "srcdoc=", "completed", "of buzzsaw"),
        *("reached", "Attribution to layer 2b", "of logit_"),
    ):
        assert shown in text, shown


def test_it_uses_the_front_door_alone():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    imported = {
        alias.name
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"matplotlib.pyplot", "numpy", "lucid_rl"}

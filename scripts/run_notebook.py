r"""Executes a notebook from start to end and writes it with its outputs.

    python -m scripts.run_notebook
    python -m scripts.run_notebook --set=MODEL=released:coinrun \
        --output=outputs/released_coinrun.ipynb

The first one makes the outputs that docs/notebooks/understanding_rl_vision.ipynb is
committed with. --set changes a value of the notebook's cell of parameters.
"""

import ast
import dataclasses
import os
import pathlib

from absl import flags

from lucid_rl.flags import define_flags
from lucid_rl.notebook_run import run_notebook

from . import program


@dataclasses.dataclass(frozen=True)
class Notebook:
    """Files of the notebook."""

    notebook: str = "docs/notebooks/understanding_rl_vision.ipynb"
    """What to execute."""
    output: str | None = None
    """Where the result goes; by default the notebook itself."""


_settings = define_flags(Notebook())
_SET = flags.DEFINE_multi_string(
    "set", [], "A parameter, as in N_LEVELS=100 or MODEL=released:coinrun; repeatable."
)


def _parameters() -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in program.pairs("set", _SET.value).items():
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            # A word, such as a model's name.
            found[name] = value
    return found


def main() -> None:
    """Executes what the flags describe."""
    files = _settings()
    output = pathlib.Path(files.output or files.notebook)
    run_notebook(files.notebook, output, _parameters())
    print(f"{output.absolute()}: {os.path.getsize(output) / 2**20:.1f} MiB")


if __name__ == "__main__":
    program.run(main)

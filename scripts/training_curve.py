"""Writes a training run's learning curve as a table and a picture.

Example:
  python -m scripts.training_curve --run=outputs/coinrun --output=outputs/curve
"""

import dataclasses

from lucid_rl.flags import define_flags
from lucid_rl.training.curve import write_curve
from lucid_rl.validation import Positive, Settings

from . import program


@dataclasses.dataclass(frozen=True)
class Curve(Settings):
    """Which run is drawn, and where."""

    run: str = "outputs/training"
    """Folder of the training run."""
    output: str = "outputs/curve"
    """The files' path, without .csv and .png."""
    smooth: Positive = 10
    """Updates whose episodes are counted together."""


_settings = define_flags(Curve())


def main() -> None:
    """Writes the table and the picture."""
    curve = _settings()
    table, picture = f"{curve.output}.csv", f"{curve.output}.png"
    n_updates = write_curve(curve.run, table, picture, curve.smooth)
    print(f"{n_updates} updates: {table}, {picture}")


if __name__ == "__main__":
    program.run(main)

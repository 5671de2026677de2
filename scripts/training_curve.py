"""Writes a training run's learning curve as a table and a picture.

Example:
  python -m scripts.training_curve --run=outputs/coinrun --output=outputs/curve
"""

import sys

from absl import app, flags

from lucid_rl.errors import LucidRLError
from lucid_rl.training.curve import write_curve

_RUN = flags.DEFINE_string("run", "outputs/training", "Folder of the training run.")
_OUTPUT = flags.DEFINE_string(
    "output", "outputs/curve", "The files' path, without .csv and .png."
)
_SMOOTH = flags.DEFINE_integer(
    "smooth", 10, "Updates whose episodes are counted together.", lower_bound=1
)


def main(_: list[str]) -> None:
    """Writes the two files."""
    table, picture = f"{_OUTPUT.value}.csv", f"{_OUTPUT.value}.png"
    try:
        n_updates = write_curve(_RUN.value, table, picture, _SMOOTH.value)
    except LucidRLError as error:
        sys.exit(f"error: {error}")
    print(f"{n_updates} updates: {table}, {picture}")


if __name__ == "__main__":
    app.run(main)

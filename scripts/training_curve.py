"""Writes a training run's learning curve as a table and a picture.

Example:
  python -m scripts.training_curve --run=outputs/coinrun --output=outputs/curve
"""

from absl import flags

from lucid_rl.training.curve import write_curve

from . import program

_RUN = flags.DEFINE_string("run", "outputs/training", "Folder of the training run.")
_OUTPUT = flags.DEFINE_string(
    "output", "outputs/curve", "The files' path, without .csv and .png."
)
_SMOOTH = flags.DEFINE_integer(
    "smooth", 10, "Updates whose episodes are counted together.", lower_bound=1
)


def main() -> None:
    """Writes the table and the picture."""
    table, picture = f"{_OUTPUT.value}.csv", f"{_OUTPUT.value}.png"
    n_updates = write_curve(_RUN.value, table, picture, _SMOOTH.value)
    print(f"{n_updates} updates: {table}, {picture}")


if __name__ == "__main__":
    program.run(main)

"""Compares models trained on many levels and on few.

    python -m scripts.compare_diversity
    python -m scripts.compare_diversity --model=bundled,outputs/narrow/model.jd

Each plays the levels it was trained on and unseen ones; its features of a layer are
measured, and how well the best of them detects each object. Writes diversity.json and
diversity.md to --output_dir. A second run resumes an interrupted one.
"""

import pathlib

from absl import flags

from lucid_rl.experiments.diversity import (
    DiversitySettings,
    compare_diversity,
    report,
)
from lucid_rl.flags import define_flags

from . import program

_MODEL = flags.DEFINE_list(
    "model",
    ["bundled", "bundled:100_levels"],
    "Paths of .jd files, released:<name>, bundled, bundled:100_levels.",
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "outputs/diversity", "Where results and episodes go."
)
_settings = define_flags(DiversitySettings(), skip=("sampling", "nmf"))


def main() -> None:
    """Compares what the flags describe."""
    models = program.model_names(_MODEL.value)
    print(report(compare_diversity(models, _settings(), _OUTPUT_DIR.value)))
    print(f"written: {pathlib.Path(_OUTPUT_DIR.value).resolve()}")


if __name__ == "__main__":
    program.run(main, "stopped; what was played is kept, and the same command goes on")

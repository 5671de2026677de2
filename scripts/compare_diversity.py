"""Compares models trained on many levels and on few.

    python -m scripts.compare_diversity
    python -m scripts.compare_diversity --model=bundled,outputs/narrow/model.jd

Each plays the levels it was trained on and unseen ones; its features of a layer are
measured, and how well the best of them detects each object. Writes diversity.json and
diversity.md to --output_dir. A second run resumes an interrupted one.
"""

from absl import flags

from lucid_rl.experiments.diversity import (
    DiversitySettings,
    compare_diversity,
    report,
)
from lucid_rl.flags import define_flags

from . import program

_MODEL = flags.DEFINE_list(
    "model", ["bundled", "bundled:100_levels"], program.MODELS_HELP
)
_output_dir = program.output_dir("outputs/diversity")
_settings = define_flags(DiversitySettings(), skip=("nmf",))


@program.resumable
def main() -> None:
    """Compares what the flags describe."""
    models = program.model_names(_MODEL.value)
    print(report(compare_diversity(models, _settings(), _output_dir())))
    print(f"written: {_output_dir().absolute()}")


if __name__ == "__main__":
    program.run(main)

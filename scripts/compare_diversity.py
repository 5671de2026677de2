"""Compares models trained on many levels and on few.

    python -m scripts.compare_diversity
    python -m scripts.compare_diversity --model=bundled,outputs/narrow/model.jd

Each plays the levels it was trained on and unseen ones; features of a layer are
measured, and how well the best one tells where objects are. Writes diversity.json and
diversity.md to --output_dir. A second run goes on where an interrupted one stopped.
"""

import pathlib

from absl import flags

from lucid_rl.experiments.diversity import (
    DiversitySettings,
    compare_diversity,
    report,
)

from . import program

_DEFAULT = DiversitySettings()

_MODEL = flags.DEFINE_list(
    "model",
    ["bundled", "bundled:100_levels"],
    "Paths of .jd files, released:<name>, bundled, bundled:100_levels.",
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "outputs/diversity", "Where results and episodes go."
)
_N_EPISODES = flags.DEFINE_integer(
    "n_episodes", _DEFAULT.n_episodes, "Levels to play, of each kind.", lower_bound=1
)
_LAYER = flags.DEFINE_string("layer", _DEFAULT.layer, "Layer of the features.")
_SEED = flags.DEFINE_integer("seed", _DEFAULT.seed, "Of levels, actions and fits.")
_BFLOAT16 = flags.DEFINE_bool(
    "bfloat16", _DEFAULT.bfloat16, "Convolve in bfloat16, quicker on some processors."
)


def main() -> None:
    """Compares what the flags describe."""
    models = program.model_names(_MODEL.value)
    settings = DiversitySettings(
        n_episodes=_N_EPISODES.value,
        layer=_LAYER.value,
        seed=_SEED.value,
        bfloat16=_BFLOAT16.value,
    )
    print(report(compare_diversity(models, settings, _OUTPUT_DIR.value)))
    print(f"written: {pathlib.Path(_OUTPUT_DIR.value).resolve()}")


if __name__ == "__main__":
    program.run(main, "stopped; what was played is kept, and the same command goes on")

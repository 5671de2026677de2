r"""Compares a model with edited versions of it that others made.

    python -m scripts.compare_companions --model=released:coinrun \
        --companions=buzzsaw_blind=released:edit/a,enemy_moving_left_blind=released:edit/b

Finds what was removed from each, and the same edit made with this package; where the
model's game is installed, all play the same levels. Names as in the article's table are
shown beside it.
"""

from absl import flags

from lucid_rl.checkpoints.released import resolve_model
from lucid_rl.experiments.companions import CompanionSettings, compare_companions
from lucid_rl.flags import define_flags

from . import program, shared_flags

_MODEL = flags.DEFINE_string(
    "model", "released:coinrun", "The original: a .jd file or 'released:<name>'."
)
_COMPANIONS = flags.DEFINE_list(
    "companions", None, "Edited versions, as in name=released:edit/x.", required=True
)
_output_dir = program.output_dir("outputs/companions")
_use_engine = shared_flags.define_engine_flags()
_settings = define_flags(CompanionSettings(), skip=("nmf",))


@program.resumable
def main() -> None:
    """Compares what the flags name."""
    _use_engine()
    companions = program.pairs("companions", _COMPANIONS.value)
    results = compare_companions(
        resolve_model(_MODEL.value, samples=("observations",)),
        {name: resolve_model(spec) for name, spec in companions.items()},
        _settings(),
        _output_dir(),
    )
    print(results.markdown())
    print(f"written: {_output_dir().absolute()}")


if __name__ == "__main__":
    program.run(main)

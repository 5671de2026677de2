"""Compares attribution methods with what removing features does to whole games.

    python -m scripts.compare_attributions
    python -m scripts.compare_attributions --model=released:procgen/coinrun

Each feature of a layer is projected out of the model, and the edited models play the
levels that the original plays. Writes trust.md, trust.json and a figure to
--output_dir. Run again to resume.
"""

from absl import flags

from lucid_rl.experiments.trust import TrustSettings, compare_attributions, report
from lucid_rl.flags import define_flags

from . import program

_MODEL = flags.DEFINE_string("model", "bundled", program.MODEL_HELP)
_output_dir = program.output_dir("outputs/trust")
_settings = define_flags(TrustSettings())


@program.resumable
def main() -> None:
    """Compares what the flags describe."""
    found = compare_attributions(_MODEL.value, _settings(), _output_dir())
    print(report(*found))
    print(_output_dir().absolute())


if __name__ == "__main__":
    program.run(main)

r"""Trains a model by PPO, resuming the run in --output_dir if there is one.

Examples:
  # The article's settings on hard CoinRun, convolving in bfloat16:
  python -m scripts.train --output_dir=outputs/coinrun --bfloat16
  # Distils a released model into a new one, then stops:
  python -m scripts.train --teacher=released:procgen/coinrun --nopaint_vel_info \
      --n_total_steps=0
  # The article's narrow training, for its comparison with diverse training:
  python -m scripts.train --output_dir=outputs/narrow --n_levels=100
"""

from absl import flags

from lucid_rl.flags import define_flags
from lucid_rl.training.config import TrainConfig

from . import program, shared_flags

_use_engine = shared_flags.define_engine_flags()
_MAX_MINUTES = flags.DEFINE_float(
    "max_minutes",
    None,
    "Save and stop after this long; run again to resume.",
    lower_bound=0,
)
settings = define_flags(
    TrainConfig(),
    skip=("game.invisible", "game.full_resolution", "game.isolated"),
    flat=("game",),
    names={
        "game.name": "game",
        "game.seed": "level_seed",
        "game.n_threads": "game_threads",
        "lam": "lambda",
    },
)


@program.resumable
def main() -> None:
    """Trains as the flags say."""
    # Imported late: --help and mistakes in flags need no Keras.
    from lucid_rl.training.run import train

    _use_engine()
    config, minutes = settings(), _MAX_MINUTES.value
    model = train(config, None if minutes is None else 60 * minutes)
    print(f"{model.args['steps_done']:,} steps: {config.folder / 'model.jd'}")


if __name__ == "__main__":
    program.run(main)

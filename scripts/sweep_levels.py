r"""Trains models on few to unlimited levels and tests the diversity hypothesis.

    python -m scripts.sweep_levels --n_total_steps=100_000_000 --bfloat16
    python -m scripts.sweep_levels --n_levels=100,1000,10000,0 --seeds=0,1 \
        --distribution_mode=easy --n_total_steps=5_000_000 --output_dir=outputs/sweep
    python -m scripts.sweep_levels --teacher=released:procgen/coinrun \
        --nopaint_vel_info --n_total_steps=0

All models are trained alike, by PPO or policy distillation; every flag of
`scripts.train` holds for each. Writes table, figure (beside the article's data) and
JSON to --output_dir after every model. Run again to resume.
"""

from absl import flags

from lucid_rl.experiments.sweep import SweepSettings, report, sweep
from lucid_rl.flags import define_flags

from . import program

_output_dir = program.output_dir("outputs/sweep")
_MAX_MINUTES = flags.DEFINE_float(
    "max_minutes",
    None,
    "Longest training of each model in this call.",
    lower_bound=0,
)
_RAY_ADDRESS = flags.DEFINE_string(
    "ray_address", None, 'Train at the same time on Ray: an address, "auto" or "local".'
)
_OWN = ("n_levels", "start_level", "level_set_seed", "seed", "invisible", "isolated")
_settings = define_flags(
    SweepSettings(),
    skip=(
        *(f"train.game.{name}" for name in (*_OWN, "name", "full_resolution")),
        *(f"train.{name}" for name in ("seed", "output_dir")),
    ),
    flat=("train", "train.game"),
    names={"train.lam": "lambda", "train.game.n_threads": "game_threads"},
)


@program.resumable
def main() -> None:
    """Sweeps what the flags describe."""
    minutes = _MAX_MINUTES.value
    points = sweep(
        _settings(),
        _output_dir(),
        max_seconds=None if minutes is None else 60 * minutes,
        ray_address=_RAY_ADDRESS.value,
    )
    print(report(points))
    print(_output_dir().absolute())


if __name__ == "__main__":
    program.run(main)

r"""Compares a model with edited versions of it that others made.

    python -m scripts.compare_companions --model=released:coinrun \
        --companions=buzzsaw_blind=released:edit/a,enemy_moving_left_blind=released:edit/b

Finds what was removed from each, beside our own edit, and, where the model's game is
there, has all of them play. Names as in the article's table are shown beside it.
"""

import pathlib

from absl import flags

from lucid_rl.checkpoints.released import RELEASED_PREFIX, fetch_released, resolve_model
from lucid_rl.errors import InputError
from lucid_rl.experiments.companions import CompanionSettings, compare_companions

from . import game_flags, program

flags.adopt_module_key_flags(game_flags)

_DEFAULT = CompanionSettings()

_MODEL = flags.DEFINE_string(
    "model", "released:coinrun", 'The original: a .jd file or "released:<name>".'
)
_COMPANIONS = flags.DEFINE_list(
    "companions", None, "Edited versions, as in name=released:edit/x.", required=True
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "outputs/companions", "Where the report and the episodes go."
)
_N_LEVELS = flags.DEFINE_integer(
    "n_levels", _DEFAULT.n_levels, "Levels that each plays; 0: none.", lower_bound=0
)
_SEED = flags.DEFINE_integer("seed", _DEFAULT.seed, "Of sampling, levels, actions.")


def _companions() -> dict[str, str]:
    found = {}
    for text in _COMPANIONS.value:
        name, equals, model = text.partition("=")
        if not (name and equals and model):
            raise InputError(f"--companions={text}: expected name=model")
        found[name] = resolve_model(model)
    return found


def main() -> None:
    """Compares what the flags name."""
    game_flags.use_game_flags()
    if _MODEL.value.startswith(RELEASED_PREFIX):
        # Its observations, too, from which features are found.
        name = _MODEL.value.removeprefix(RELEASED_PREFIX)
        fetch_released(name, ("checkpoint", "observations"))
    settings = CompanionSettings(n_levels=_N_LEVELS.value, seed=_SEED.value)
    results = compare_companions(
        resolve_model(_MODEL.value), _companions(), settings, _OUTPUT_DIR.value
    )
    print(results.markdown())
    print(f"written: {pathlib.Path(_OUTPUT_DIR.value).resolve()}")


if __name__ == "__main__":
    program.run(main, "stopped; what was played is kept, and the same command goes on")

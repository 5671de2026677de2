"""Evaluates models on levels, and counts the causes of failure.

    python -m scripts.evaluate
    python -m scripts.evaluate --model=my.jd --invisible=buzzsaw --bfloat16
    python -m scripts.evaluate --model=my.jd --n_levels=200 --start_level=0
    python -m scripts.evaluate --model=my.jd,edited.jd --ray_address=auto
    python -m scripts.evaluate --replay=3,17 --full_resolution

Writes evaluation.json and episodes.npz to --output_dir, into a folder for each where
there are several models. A second run resumes an interrupted one.
"""

from absl import flags

from lucid_rl.evaluation.many import evaluate_many, film_episodes
from lucid_rl.evaluation.replay import FORMATS
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.flags import define_flags, define_integers

from . import program, shared_flags

_MODEL = flags.DEFINE_list("model", ["bundled"], program.MODELS_HELP)
_output_dir = program.output_dir("outputs/evaluation")
_use_engine = shared_flags.define_engine_flags()
_load = shared_flags.define_model_flags()
_game = shared_flags.define_game_flags(
    *("name", "distribution_mode", "n_levels", "start_level", "level_set_seed"),
    *("n_envs", "invisible", "wrappers", "frame_stack"),
)
# The article plays 10,000 levels.
_settings = define_flags(EvaluationSettings(n_episodes=10_000), skip=("game",))
_N_WORKERS = flags.DEFINE_integer(
    "n_workers", None, "Processes; by default one a core.", lower_bound=1
)
_RAY_ADDRESS = flags.DEFINE_string(
    "ray_address", None, "Evaluate the models at once on this Ray cluster, or 'local'."
)
_replay = define_integers(
    "replay", (), "Numbers of episodes in --output_dir to film, instead of playing."
)
_FULL_RESOLUTION = flags.DEFINE_bool(
    "full_resolution", False, "Film the game's 512x512 frames."
)
_REPLAY_FORMAT = flags.DEFINE_enum(
    "replay_format", "gif", [ending[1:] for ending in FORMATS], "Kind of film."
)


@program.resumable
def main() -> None:
    """Plays levels, or films episodes, as the flags say."""
    _use_engine()
    folder = _output_dir()
    if _replay():
        films = film_episodes(
            folder, _replay(), _FULL_RESOLUTION.value, _REPLAY_FORMAT.value
        )
        for path, outcome in films:
            print(f"{outcome}: {path}")
        return
    models = {}
    for name, spec in program.model_names(_MODEL.value).items():
        model = _load(spec, bfloat16=_settings().bfloat16)
        place = name if len(_MODEL.value) > 1 else ""
        models[place] = (model, _settings(game=_game(model)))
    results = evaluate_many(models, folder, _N_WORKERS.value, _RAY_ADDRESS.value)
    for name, evaluation in results.items():
        print(f"{evaluation.table()}\n{(folder / name).absolute()}")


if __name__ == "__main__":
    program.run(main)

"""Has models play levels, and counts what ended them.

    python -m scripts.evaluate
    python -m scripts.evaluate --model=my.jd --invisible=buzzsaw --bfloat16
    python -m scripts.evaluate --model=my.jd --n_levels=200 --start_level=0
    python -m scripts.evaluate --model=my.jd,edited.jd --ray_address=auto
    python -m scripts.evaluate --replay=3,17 --full_resolution

Writes evaluation.json and episodes.npz to --output_dir, into a folder for each where
there are several models. A second run goes on where an interrupted one stopped.
"""

import pathlib

from absl import flags

from lucid_rl.errors import InputError
from lucid_rl.evaluation.evaluation import read_evaluation
from lucid_rl.evaluation.many import EPISODES_FILE, evaluate_into, evaluate_many
from lucid_rl.evaluation.replay import FORMATS, write_film
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.files import check_writable
from lucid_rl.games.registry import describe, game_settings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model

from . import game_flags, program

_DEFAULT = EvaluationSettings()
flags.adopt_module_key_flags(game_flags)

_MODEL = flags.DEFINE_list(
    "model", ["bundled"], "Paths of .jd or .model.pb files, released:<name>, bundled."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "outputs/evaluation", "Where results and episodes go."
)
_N_EPISODES = flags.DEFINE_integer(
    "n_episodes", 10_000, "Levels to play; the article's number.", lower_bound=1
)
_GAME = flags.DEFINE_string(
    "game", None, "One of Procgen's, or coinrun_original; by default the model's."
)
_MODE = flags.DEFINE_string(
    "distribution_mode", None, "Such as hard or easy; by default the model's."
)
_N_LEVELS = flags.DEFINE_integer(
    "n_levels", 0, "Play this many different levels; 0: unlimited.", lower_bound=0
)
_START_LEVEL = flags.DEFINE_integer(
    "start_level", 0, "Seed of the first of --n_levels.", lower_bound=0
)
_LEVEL_SET_SEED = flags.DEFINE_integer(
    "level_set_seed", None, "Draws the --n_levels at random (coinrun_original)."
)
_N_ENVS = flags.DEFINE_integer(
    "n_envs", _DEFAULT.game.n_envs, "Levels played together in each process."
)
_INVISIBLE = flags.DEFINE_list(
    "invisible", [], "CoinRun's objects not to draw: buzzsaw, enemy, coin."
)
_SEED = flags.DEFINE_integer("seed", _DEFAULT.seed, "Of the levels and the actions.")
_GREEDY = flags.DEFINE_bool(
    "greedy", _DEFAULT.greedy, "Take the most probable actions; otherwise sampled ones."
)
_BFLOAT16 = flags.DEFINE_bool(
    "bfloat16", _DEFAULT.bfloat16, "Convolve in bfloat16, quicker on some processors."
)
_CAUSES = flags.DEFINE_bool(
    "causes", _DEFAULT.causes, "Find out what ended failed episodes (CoinRun)."
)
_N_WORKERS = flags.DEFINE_integer(
    "n_workers", None, "Processes; by default one a core.", lower_bound=1
)
_RAY_ADDRESS = flags.DEFINE_string(
    "ray_address", None, "Evaluate the models at once on this Ray cluster, or 'local'."
)
_REPLAY = flags.DEFINE_list(
    "replay", [], "Numbers of episodes in --output_dir to film, instead of playing."
)
_FULL_RESOLUTION = flags.DEFINE_bool(
    "full_resolution", False, "Film the game's 512x512 frames."
)
_REPLAY_FORMAT = flags.DEFINE_enum(
    "replay_format", "gif", [ending[1:] for ending in FORMATS], "Kind of film."
)


def _evaluate() -> None:
    models: dict[str, tuple[Model, EvaluationSettings]] = {}
    for name, spec in program.model_names(_MODEL.value).items():
        model = load(spec, bfloat16=_BFLOAT16.value)
        models[name] = (model, _settings(model))
    if len(models) == 1:
        ((model, settings),) = models.values()
        results = {
            "": evaluate_into(model, settings, _OUTPUT_DIR.value, _N_WORKERS.value)
        }
    else:
        results = evaluate_many(
            models, _OUTPUT_DIR.value, _N_WORKERS.value, _RAY_ADDRESS.value
        )
    for name, evaluation in results.items():
        folder = pathlib.Path(_OUTPUT_DIR.value, name).resolve()
        print(f"{evaluation.table()}\n{folder}")


def _settings(model: Model) -> EvaluationSettings:
    game = game_settings(
        model.args,
        model.n_actions,
        name=_GAME.value,
        distribution_mode=_MODE.value,
        n_levels=_N_LEVELS.value,
        start_level=_START_LEVEL.value,
        level_set_seed=_LEVEL_SET_SEED.value,
        n_envs=_N_ENVS.value,
        invisible=tuple(_INVISIBLE.value),
    )
    print(describe(game))
    return EvaluationSettings(
        n_episodes=_N_EPISODES.value,
        game=game,
        seed=_SEED.value,
        greedy=_GREEDY.value,
        bfloat16=_BFLOAT16.value,
        causes=_CAUSES.value,
    )


def _replay() -> None:
    folder = pathlib.Path(_OUTPUT_DIR.value)
    evaluation = read_evaluation(folder / EPISODES_FILE)
    for number in _REPLAY.value:
        if not number.isdecimal():
            raise InputError(f"--replay={number}: expected numbers of episodes, from 0")
        path = folder / "replays" / f"episode_{number}.{_REPLAY_FORMAT.value}"
        write_film(evaluation.replay(int(number), _FULL_RESOLUTION.value), path)
        print(f"{evaluation.episodes[int(number)].outcome}: {path.resolve()}")


def main() -> None:
    """Plays levels, or films episodes, as the flags say."""
    game_flags.use_game_flags()
    check_writable(_OUTPUT_DIR.value)
    if _REPLAY.value:
        _replay()
    else:
        _evaluate()


if __name__ == "__main__":
    program.run(main, "stopped; what was played is kept, and the same command goes on")

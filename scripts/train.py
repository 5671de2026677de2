"""Trains a model by PPO, or goes on with the run in --output_dir.

Examples:
  # The article's settings on hard CoinRun:
  python -m scripts.train --output_dir=outputs/coinrun
  # Twice as fast on processors with bfloat16, for 30 minutes:
  python -m scripts.train --output_dir=outputs/coinrun --bfloat16 --max_minutes=30
  # A warm-up with a planner as the teacher, then PPO from there:
  python -m scripts.train --output_dir=outputs/warm --bfloat16 \
      --warm_up_updates=8000 --value_only_steps=100000 --learning_rate=1e-4
  # The article's narrow training, for its comparison with diverse training:
  python -m scripts.train --output_dir=outputs/narrow --num_levels=100
"""

from absl import flags

from lucid_rl.checkpoints.architectures import ARCHITECTURES
from lucid_rl.checkpoints.released import resolve_model
from lucid_rl.games.coinrun_original_files import NAME as ORIGINAL_COINRUN
from lucid_rl.games.coinrun_planner import CarefulSettings
from lucid_rl.games.procgen_engine import NAMES
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training.engine import LossSettings
from lucid_rl.training.hindsight import HindsightSettings
from lucid_rl.training.initialization import SCHEMES
from lucid_rl.training.noise import NoiseSettings
from lucid_rl.training.restarts import RestartSettings
from lucid_rl.training.scouts import ScoutSettings
from lucid_rl.training.settings import ENGINES, SCHEDULES, TrainSettings
from lucid_rl.training.teacher import TeacherSettings
from lucid_rl.training.warm_up import WarmUpLoss, WarmUpSettings

from . import game_flags, program

_RUN = TrainSettings()
flags.adopt_module_key_flags(game_flags)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", _RUN.output_dir, "Folder of the saves, logs and the model."
)
_MAX_MINUTES = flags.DEFINE_float(
    "max_minutes", None, "Save and stop after this long; run again to go on."
)
_SAVE_MINUTES = flags.DEFINE_float(
    "save_minutes", _RUN.save_interval / 60, "Minutes between saves."
)
_SEED = flags.DEFINE_integer(
    "seed", _RUN.seed, "Of everything random but the levels.", lower_bound=0
)

_GAME = flags.DEFINE_enum(
    "game", _RUN.game.name, [*NAMES, ORIGINAL_COINRUN], "Which game."
)
_N_ACTIONS = flags.DEFINE_integer(
    "n_actions", None, "Of coinrun_original: 7, or 9 as the article's model has."
)
_LEVEL_SET_SEED = flags.DEFINE_integer(
    "level_set_seed", None, "Draws the --num_levels at random (coinrun_original)."
)
_DISTRIBUTION_MODE = flags.DEFINE_string(
    "distribution_mode", _RUN.game.distribution_mode, "Procgen's difficulty."
)
_NUM_ENVS = flags.DEFINE_integer(
    "num_envs", _RUN.game.n_envs, "Environments that step together.", lower_bound=1
)
_NUM_LEVELS = flags.DEFINE_integer(
    "num_levels", _RUN.game.n_levels, "Levels to train on; 0 for unlimited."
)
_START_LEVEL = flags.DEFINE_integer(
    "start_level", _RUN.game.start_level, "The first of --num_levels level seeds."
)
_LEVEL_SEED = flags.DEFINE_integer(
    "level_seed", _RUN.game.seed, "Chooses the streams of levels."
)
_PAINT_VEL_INFO = flags.DEFINE_bool(
    "paint_vel_info", None, "Paint the velocity; by default for CoinRun only."
)
_USE_BACKGROUNDS = flags.DEFINE_bool(
    "use_backgrounds", _RUN.game.use_backgrounds, "Draw backgrounds."
)
_USE_GENERATED_ASSETS = flags.DEFINE_bool(
    "use_generated_assets",
    _RUN.game.use_generated_assets,
    "Draw procedurally generated sprites.",
)

_ARCHITECTURE = flags.DEFINE_enum(
    "architecture", _RUN.architecture, ARCHITECTURES, "Of the network."
)
_INITIALIZATION = flags.DEFINE_enum(
    "initialization", _RUN.initialization, SCHEMES, "Of the network's parameters."
)
_INITIAL_MODEL = flags.DEFINE_string(
    "initial_model", None, 'Model to start from: a .jd, "bundled", "released:<name>".'
)
_INITIAL_SHARPNESS = flags.DEFINE_float(
    "initial_sharpness",
    _RUN.initial_sharpness,
    "Factor of the initial model's logits: above 1, a surer policy.",
)
_ENGINE = flags.DEFINE_enum("engine", _RUN.engine, ENGINES, "What computes.")
_BFLOAT16 = flags.DEFINE_bool(
    "bfloat16", _RUN.bfloat16, "Convolve in bfloat16; parameters stay float32."
)
_THREADS = flags.DEFINE_integer(
    "threads", _RUN.n_threads, "Of the engine on a processor; 0 for one a core."
)
_GAME_THREADS = flags.DEFINE_integer(
    "game_threads", _RUN.game.n_threads, "That step the environments."
)

_STEPS = flags.DEFINE_integer(
    "steps",
    _RUN.n_total_steps,
    "Environment steps in all; 0: the warm-up alone.",
    lower_bound=0,
)
_NUM_STEPS = flags.DEFINE_integer(
    "num_steps", _RUN.n_steps, "Steps of each environment between updates."
)
_NUM_MINIBATCHES = flags.DEFINE_integer(
    "num_minibatches", _RUN.n_minibatches, "Minibatches in each pass."
)
_EPOCHS = flags.DEFINE_integer("epochs", _RUN.n_epochs, "Passes over each batch.")
_NUM_GROUPS = flags.DEFINE_integer(
    "num_groups", _RUN.n_groups, "Groups of environments that take turns."
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", _RUN.distributed, "Give each group a worker under Ray."
)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", _RUN.learning_rate, "Adam's.")
_SCHEDULE = flags.DEFINE_enum(
    "learning_rate_schedule",
    _RUN.learning_rate_schedule,
    SCHEDULES,
    "Of the learning rate, over all steps.",
)
_GAMMA = flags.DEFINE_float("gamma", _RUN.gamma, "Discount per step.")
_LAMBDA = flags.DEFINE_float("lambda", _RUN.lam, "Of advantage estimation.")
_REWARD_SCALE = flags.DEFINE_float(
    "reward_scale", _RUN.reward_scale, "Factor of rewards; 0.1 makes finishing 1."
)
_AVERAGED_UPDATES = flags.DEFINE_integer(
    "averaged_updates",
    _RUN.averaged_updates,
    "Updates over which the model's parameters are averaged; 0: the last ones.",
    lower_bound=0,
)
_VALUE_ONLY_STEPS = flags.DEFINE_integer(
    "value_only_steps",
    _RUN.value_only_steps,
    "Steps at the start in which only the value function's head is learned.",
)
_CLIP_RANGE = flags.DEFINE_float(
    "clip_range", _RUN.loss.clip_range, "Largest change of a ratio that pays."
)
_CLIP_VALUE = flags.DEFINE_bool(
    "clip_value", _RUN.loss.clip_value, "Clip the value function's change likewise."
)
_VALUE_COEFFICIENT = flags.DEFINE_float(
    "value_coefficient", _RUN.loss.value_coefficient, "Weight of the value's error."
)
_ENTROPY_COEFFICIENT = flags.DEFINE_float(
    "entropy_coefficient", _RUN.loss.entropy_coefficient, "Weight of the entropy."
)
_MAX_GRADIENT_NORM = flags.DEFINE_float(
    "max_gradient_norm", _RUN.loss.max_gradient_norm, "Gradients are scaled to it."
)

_FIRST_TRAINED_LAYER = flags.DEFINE_string(
    "first_trained_layer",
    _RUN.first_trained_layer,
    "Convolution before which layers stay as they are, such as 3a; by default none.",
)
_RESTART_SHARE = flags.DEFINE_float(
    "restart_share",
    _RUN.restarts.share,
    "Share of episodes that begin shortly before earlier failures.",
)
_HINDSIGHT = flags.DEFINE_bool(
    "hindsight",
    _RUN.hindsight.used,
    "Look for where failed episodes of CoinRun were lost; --risk_coefficient then "
    "goes by that.",
)
_RISK_COEFFICIENT = flags.DEFINE_float(
    "risk_coefficient",
    _RUN.loss.risk_coefficient,
    "Weight of the loss on actions that kill by CoinRun's rules.",
    lower_bound=0,
)
_IMITATION_COEFFICIENT = flags.DEFINE_float(
    "imitation_coefficient",
    _RUN.loss.imitation_coefficient,
    "Weight of the loss on what a careful planner of CoinRun would do.",
    lower_bound=0,
)

_PIXEL_NOISE = flags.DEFINE_float(
    "pixel_noise", 0.0, "Deviation of independent noise, by the full range."
)
_CORRELATED_NOISE = flags.DEFINE_float(
    "correlated_noise", 0.0, "Deviation of smooth noise, by the full range."
)
_ADVERSARIAL_EPSILON = flags.DEFINE_float(
    "adversarial_epsilon", 0.0, "Largest adversarial change, by the full range."
)

_WARM_UP_UPDATES = flags.DEFINE_integer(
    "warm_up_updates",
    _RUN.warm_up.n_updates,
    "Minibatches of supervised learning before PPO (CoinRun only): object maps, and "
    "the actions of a planner.",
    lower_bound=0,
)
_WARM_UP_MINIBATCH = flags.DEFINE_integer(
    "warm_up_minibatch", _RUN.warm_up.minibatch_size, "Frames in each."
)
_WARM_UP_LEARNING_RATE = flags.DEFINE_float(
    "warm_up_learning_rate", _RUN.warm_up.learning_rate, "At first; falls to the next."
)
_WARM_UP_FINAL_LEARNING_RATE = flags.DEFINE_float(
    "warm_up_final_learning_rate", _RUN.warm_up.final_learning_rate, "At the end."
)
_WARM_UP_MAP_COEFFICIENT = flags.DEFINE_float(
    "warm_up_map_coefficient",
    _RUN.warm_up.loss.map_coefficient,
    "Weight of the object maps' loss beside the imitation's.",
)
_WARM_UP_BUFFER = flags.DEFINE_integer(
    "warm_up_buffer", _RUN.warm_up.buffer_size, "Frames to draw minibatches from."
)
_WARM_UP_REUSE = flags.DEFINE_float(
    "warm_up_reuse",
    _RUN.warm_up.reuse,
    "How often a frame is drawn, on average; planning takes most of the time.",
)
_WARM_UP_STUDENT_SHARE = flags.DEFINE_float(
    "warm_up_student_share",
    _RUN.warm_up.teacher.student_share,
    "Share of play that the network takes from its teacher.",
)
_WARM_UP_NUM_ENVS = flags.DEFINE_integer(
    "warm_up_num_envs", _RUN.warm_up.n_envs, "--num_envs of the warm-up."
)
_WARM_UP_SCOUTS = flags.DEFINE_integer(
    "warm_up_scouts",
    _RUN.warm_up.teacher.scouts.count,
    "Environments beyond these in which the rules look for frames in which something "
    "is at stake.",
)
_WARM_UP_TEACHER_KNOWS_LEVELS = flags.DEFINE_bool(
    "warm_up_teacher_knows_levels",
    _RUN.warm_up.teacher.knows_levels,
    "The teacher goes by hazards outside the picture, too: for few --num_levels, "
    "which can be known by heart.",
)
_WARM_UP_HOLD = flags.DEFINE_integer(
    "warm_up_hold",
    _RUN.warm_up.teacher.planner.planner.hold,
    "Steps for which the teacher's plans hold keys, at least.",
)
_WARM_UP_LABEL_TEMPERATURE = flags.DEFINE_float(
    "warm_up_label_temperature",
    _RUN.warm_up.teacher.temperature,
    "Steps by which an action may cost more than the best to be 1/e as probable in "
    "labels; 0 for labels of the best alone.",
    lower_bound=0,
)
_WARM_UP_OTHER_LOOKS = flags.DEFINE_integer(
    "warm_up_other_looks",
    _RUN.warm_up.teacher.n_other_looks,
    "Other backgrounds, walls and agents with which every frame is shown, beside its "
    "own.",
    lower_bound=0,
)
_WARM_UP_FIRST_TRAINED_LAYER = flags.DEFINE_string(
    "warm_up_first_trained_layer",
    _RUN.warm_up.first_trained_layer,
    "--first_trained_layer of the warm-up.",
)
_WARM_UP_RESTART_SHARE = flags.DEFINE_float(
    "warm_up_restart_share",
    _RUN.warm_up.teacher.restarts.share,
    "--restart_share of the warm-up.",
)
_WARM_UP_RISK_COEFFICIENT = flags.DEFINE_float(
    "warm_up_risk_coefficient",
    _RUN.warm_up.loss.risk_coefficient,
    "Weight of the loss on actions that cannot be survived.",
)
_WARM_UP_HELD_OUT = flags.DEFINE_integer(
    "warm_up_held_out",
    _RUN.warm_up.n_held_out,
    "Frames of other levels on which progress is measured.",
    lower_bound=0,
)
_WARM_UP_SHARPNESS = flags.DEFINE_float(
    "warm_up_sharpness",
    _RUN.warm_up.sharpness,
    "Factor of the policy's logits in the end: above 1, a policy surer than its "
    "teacher made it.",
)


def _settings() -> TrainSettings:
    return TrainSettings(
        game=GameSettings(
            name=_GAME.value,
            n_envs=_NUM_ENVS.value,
            seed=_LEVEL_SEED.value,
            distribution_mode=_DISTRIBUTION_MODE.value,
            n_levels=_NUM_LEVELS.value,
            start_level=_START_LEVEL.value,
            level_set_seed=_LEVEL_SET_SEED.value,
            n_actions=_N_ACTIONS.value,
            paint_vel_info=_PAINT_VEL_INFO.value,
            use_backgrounds=_USE_BACKGROUNDS.value,
            use_generated_assets=_USE_GENERATED_ASSETS.value,
            n_threads=_GAME_THREADS.value,
        ),
        architecture=_ARCHITECTURE.value,
        n_total_steps=_STEPS.value,
        n_steps=_NUM_STEPS.value,
        n_minibatches=_NUM_MINIBATCHES.value,
        n_epochs=_EPOCHS.value,
        gamma=_GAMMA.value,
        lam=_LAMBDA.value,
        learning_rate=_LEARNING_RATE.value,
        learning_rate_schedule=_SCHEDULE.value,
        loss=LossSettings(
            clip_range=_CLIP_RANGE.value,
            clip_value=_CLIP_VALUE.value,
            value_coefficient=_VALUE_COEFFICIENT.value,
            entropy_coefficient=_ENTROPY_COEFFICIENT.value,
            risk_coefficient=_RISK_COEFFICIENT.value,
            imitation_coefficient=_IMITATION_COEFFICIENT.value,
            max_gradient_norm=_MAX_GRADIENT_NORM.value,
        ),
        first_trained_layer=_FIRST_TRAINED_LAYER.value,
        restarts=RestartSettings(share=_RESTART_SHARE.value),
        hindsight=HindsightSettings(used=_HINDSIGHT.value),
        reward_scale=_REWARD_SCALE.value,
        averaged_updates=_AVERAGED_UPDATES.value,
        value_only_steps=_VALUE_ONLY_STEPS.value,
        noise=NoiseSettings(
            pixel_deviation=_PIXEL_NOISE.value,
            correlated_deviation=_CORRELATED_NOISE.value,
            adversarial_epsilon=_ADVERSARIAL_EPSILON.value,
        ),
        warm_up=WarmUpSettings(
            n_updates=_WARM_UP_UPDATES.value,
            minibatch_size=_WARM_UP_MINIBATCH.value,
            learning_rate=_WARM_UP_LEARNING_RATE.value,
            final_learning_rate=_WARM_UP_FINAL_LEARNING_RATE.value,
            buffer_size=_WARM_UP_BUFFER.value,
            reuse=_WARM_UP_REUSE.value,
            n_envs=_WARM_UP_NUM_ENVS.value,
            teacher=TeacherSettings(
                student_share=_WARM_UP_STUDENT_SHARE.value,
                knows_levels=_WARM_UP_TEACHER_KNOWS_LEVELS.value,
                temperature=_WARM_UP_LABEL_TEMPERATURE.value,
                n_other_looks=_WARM_UP_OTHER_LOOKS.value,
                scouts=ScoutSettings(count=_WARM_UP_SCOUTS.value),
                planner=CarefulSettings().holding(_WARM_UP_HOLD.value),
                restarts=RestartSettings(share=_WARM_UP_RESTART_SHARE.value),
            ),
            n_held_out=_WARM_UP_HELD_OUT.value,
            sharpness=_WARM_UP_SHARPNESS.value,
            first_trained_layer=_WARM_UP_FIRST_TRAINED_LAYER.value,
            loss=WarmUpLoss(
                map_coefficient=_WARM_UP_MAP_COEFFICIENT.value,
                risk_coefficient=_WARM_UP_RISK_COEFFICIENT.value,
            ),
        ),
        engine=_ENGINE.value,
        bfloat16=_BFLOAT16.value,
        n_groups=_NUM_GROUPS.value,
        distributed=_DISTRIBUTED.value,
        n_threads=_THREADS.value,
        initialization=_INITIALIZATION.value,
        initial_model=_INITIAL_MODEL.value and str(resolve_model(_INITIAL_MODEL.value)),
        initial_sharpness=_INITIAL_SHARPNESS.value,
        seed=_SEED.value,
        save_interval=60 * _SAVE_MINUTES.value,
        output_dir=_OUTPUT_DIR.value,
    )


def _train() -> None:
    # Imported late: --help and mistakes in flags need no engine.
    from lucid_rl.training.ppo import train

    game_flags.use_game_flags()
    settings = _settings()
    minutes = _MAX_MINUTES.value
    model = train(settings, None if minutes is None else 60 * minutes)
    print(f"{model.args['steps_done']:,} steps: {settings.folder / 'model.jd'}")


if __name__ == "__main__":
    program.run(_train, stopped="stopped and saved; the same command goes on")

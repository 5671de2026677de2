"""A whole training run: policy distillation where there is a teacher, then PPO."""

import os
import time

import numpy as np

from lucid_rl.checkpoints.architectures import parameter_shapes
from lucid_rl.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lucid_rl.checkpoints.released import resolve_model
from lucid_rl.errors import CheckpointError
from lucid_rl.files import check_output_folder
from lucid_rl.folder_lock import folder_lock
from lucid_rl.games.registry import make_game
from lucid_rl.signals import stop_on_signal
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.distillation import Distillation
from lucid_rl.training.initialization import Parameters, initial_parameters
from lucid_rl.training.ppo import Trainer
from lucid_rl.training.ray_trainer import RayTrainer
from lucid_rl.training.saves import SAVE_NAME
from lucid_rl.validation import at_least, check, instance_of, none


def train(config: TrainConfig, max_seconds: float | None = None) -> Checkpoint:
    """Trains a model, resuming the run in the config's folder if there is one.

    Args:
        config: of the run.
        max_seconds: time to stop after; the run can be resumed.

    Returns:
        The model so far.

    Raises:
        SettingsError: the config contradicts the game, or the saved run.
        CheckpointError: the initial model or the teacher does not fit.
        SaveError: the folder cannot be written, or another run uses it.
        TrainingError: the parameters are no longer finite; the last save at which they
            were stands.
        KeyboardInterrupt: after saving, if the user or SIGTERM stopped the run.

    Example:
        >>> game = GameSettings(paint_vel_info=False)  # as the teacher's
        >>> train(TrainConfig(game, teacher="released:procgen/coinrun"))
    """
    start = time.monotonic()
    check("config", config, instance_of(TrainConfig))
    check("max_seconds", max_seconds, at_least(0.0) | none())
    check_output_folder(config.folder)
    parameters = first_parameters(config)
    if config.teacher and not os.path.exists(config.folder / SAVE_NAME):
        resolve_model(config.teacher)  # what is missing shows before a folder is made
    with folder_lock(config.folder, "training"), stop_on_signal():
        if config.teacher and not os.path.exists(config.folder / SAVE_NAME):
            distillation = Distillation(config, parameters)
            try:
                student = distillation.run(max_seconds)
            finally:
                distillation.close()
            if not distillation.finished or config.n_total_steps == 0:
                return student
            parameters = dict(student.params)
            if max_seconds is not None:
                max_seconds -= time.monotonic() - start
        trainer = (RayTrainer if config.distributed else Trainer)(config, parameters)
        try:
            return trainer.run(max_seconds)
        finally:
            trainer.close()


def first_parameters(config: TrainConfig) -> Parameters:
    """Loads or draws the parameters that a run starts from.

    Raises:
        CheckpointError: the initial model has another architecture or number of
            actions.
    """
    with make_game(config.game.replace(n_envs=1)) as game:
        n_actions = game.n_actions
    if config.initial_model is None:
        rng = np.random.default_rng([config.seed, 2])
        return initial_parameters(
            config.architecture, n_actions, config.initialization, rng
        )
    model = load_checkpoint(resolve_model(config.initial_model))
    found = (model.architecture, model.n_actions)
    if found != (config.architecture, n_actions):
        raise CheckpointError(
            f"{config.initial_model} is a model of architecture {found[0]} with "
            f"{found[1]} actions: expected {config.architecture} with {n_actions}. "
            f"Give --architecture={found[0]}, or another model."
        )
    shapes = parameter_shapes(config.architecture, n_actions)
    return {name: np.array(model.params[name]) for name in shapes}

"""Proximal policy optimization (Schulman et al., 2017) of a game's player."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.checkpoints.architectures import parameter_shapes
from lucid_rl.checkpoints.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from lucid_rl.errors import CheckpointError, SettingsError
from lucid_rl.files import check_writable
from lucid_rl.games.registry import make_game
from lucid_rl.training.averages import ParameterAverages
from lucid_rl.training.engine import Batch, Engine, Parameters, make_engine
from lucid_rl.training.initialization import initial_parameters, sharpened
from lucid_rl.training.interruption import stop_on_signal
from lucid_rl.training.logs import TrainingLog
from lucid_rl.training.rollout import Episodes, Group, collect
from lucid_rl.training.saves import (
    MODEL_NAME,
    generator_state,
    read_save,
    restore_generator,
    write_save,
)
from lucid_rl.training.settings import TrainSettings
from lucid_rl.training.timing import Stopwatch
from lucid_rl.training.warm_up import WarmUp

# What a resumed run must share with the one that it goes on with.
_FIXED = ("game", "architecture", "n_groups", "seed", "noise")


class Trainer:
    """A run of PPO in one process."""

    def __init__(self, settings: TrainSettings, parameters: Parameters | None = None):
        """Checks everything that can be checked, and makes games and engine.

        Args:
            settings: of the run. Where `output_dir` holds a save, the run goes on
                from there.
            parameters: to start from; by default `first_parameters`.

        Raises:
            SettingsError: the settings contradict each other or the save's.
            CheckpointError: the initial model does not fit.
            SaveError: the folder cannot be written.
        """
        self.settings = settings
        check_writable(settings.folder)
        save = read_save(settings.folder)
        if save is not None:
            _check_same_run(settings, save["settings"])
        self._rng = np.random.default_rng([settings.seed, 0])
        self.n_steps_done = 0
        self._averages = ParameterAverages()
        self._prepare(parameters or first_parameters(settings))
        if save is not None:
            self._set_state(save)
        self._boundary = self._get_state(self._get_parts())

    def _prepare(self, parameters: Parameters) -> None:
        """Makes what plays and learns."""
        settings = self.settings
        self.groups = make_groups(settings)
        self.engine: Engine = engine_of(settings, parameters)

    def run(self, max_seconds: float | None = None) -> Checkpoint:
        """Trains until all steps are done, time is up, or the process is told to stop.

        However it ends, the last completed update is saved and its model written.

        Args:
            max_seconds: time to stop after, whatever remains to be done.

        Returns:
            The model.

        Raises:
            SaveError: a save or log cannot be written; the previous save stands.
            KeyboardInterrupt: after saving, if the user or SIGTERM stopped the run.
        """
        settings = self.settings
        log = TrainingLog(settings.folder, settings.n_total_steps, self.n_steps_done)
        last_save = start = time.monotonic()
        try:
            with stop_on_signal():
                while self.n_steps_done < settings.n_total_steps:
                    log.write(self.update())
                    now = time.monotonic()
                    if max_seconds is not None and now - start > max_seconds:
                        break
                    if now - last_save > settings.save_interval:
                        self.save()
                        last_save = now
        finally:
            log.close()
            self.save()
        return self.checkpoint()

    def update(self) -> dict[str, Any]:
        """Collects one batch, learns from it, and returns a record for the log."""
        settings = self.settings
        watch = Stopwatch()
        learning_rate = settings.learning_rate_at(self.n_steps_done)
        value_only = self.n_steps_done < settings.value_only_steps
        collected = collect(self.groups, self.engine, settings.n_steps, watch)
        with watch("preparing"):
            batches = [
                rollout.batch(settings.gamma, settings.lam, settings.reward_scale)
                for rollout, _ in collected
            ]
            batch = Batch.concatenate(batches)
            minibatches = draw_minibatches(settings, self._rng)
            indices = self._flat_indices(minibatches)
            advantages = normalize(batch.advantages[indices])
        with watch("learning"):
            statistics = self.engine.update(
                batch, indices, advantages, learning_rate, value_only
            )
        self._complete_update()
        return log_record(
            self.n_steps_done,
            statistics | {"learning_rate": learning_rate},
            batch,
            [episodes for _, episodes in collected],
            watch,
        )

    def _complete_update(self) -> None:
        """Counts the update, and keeps the state after it."""
        settings = self.settings
        learned_policy = self.n_steps_done >= settings.value_only_steps
        self.n_steps_done += settings.batch_size
        parts = self._get_parts()
        if settings.averaged_updates and learned_policy:
            parameters = parts["engine"]["parameters"]
            self._averages.add(parameters, settings.averaged_updates)
        self._boundary = self._get_state(parts)

    def _flat_indices(self, minibatches):
        """Indices into the whole batch, in which groups follow one another."""
        offsets = self.settings.group_batch_size * np.arange(self.settings.n_groups)
        return (minibatches + offsets[:, None]).reshape(len(minibatches), -1)

    def save(self) -> None:
        """Writes the state after the last completed update, and its model."""
        write_save(self._boundary, self.settings.folder)
        save_checkpoint(self.checkpoint(), self.settings.folder / MODEL_NAME)

    def checkpoint(self) -> Checkpoint:
        """The model after the last completed update."""
        state = self._boundary
        parameters = state["engine"]["parameters"]
        if self.settings.averaged_updates and state["averages"]["n_added"]:
            parameters = state["averages"]["parameters"]
        return Checkpoint(
            params=dict(parameters),
            args=self.settings.checkpoint_args()
            | {"steps_done": state["n_steps_done"]},
            time=time.time(),
        )

    def _get_state(self, parts: dict[str, Any]) -> dict[str, Any]:
        return {
            "settings": self.settings.as_dict(),
            "n_steps_done": self.n_steps_done,
            "rng": generator_state(self._rng),
            "averages": self._averages.get_state(),
            **parts,
        }

    def _set_state(self, state: dict[str, Any]) -> None:
        self.n_steps_done = state["n_steps_done"]
        restore_generator(self._rng, state["rng"])
        if "averages" in state:  # saves of earlier versions have none
            self._averages.set_state(state["averages"])
        self._set_parts(state)

    def _get_parts(self) -> dict[str, Any]:
        return {
            "engine": self.engine.get_state(),
            "groups": [group.get_state() for group in self.groups],
        }

    def _set_parts(self, state: dict[str, Any]) -> None:
        self.engine.set_state(state["engine"])
        for group, group_state in zip(self.groups, state["groups"], strict=True):
            group.set_state(group_state)

    def close(self) -> None:
        """Frees the games."""
        for group in self.groups:
            group.game.close()


def train(settings: TrainSettings, max_seconds: float | None = None) -> Checkpoint:
    """Trains a model, or goes on training it, and returns it.

    Where the settings ask for a warm-up it comes first; PPO begins when all of it is
    done. Each stage saves; see `WarmUp` and `Trainer`.

    Args:
        settings: of the run.
        max_seconds: time to stop after, whatever remains to be done.

    Returns:
        The model so far.
    """
    start = time.monotonic()
    parameters = None
    if settings.warm_up.n_updates and read_save(settings.folder) is None:
        warm_up = _make_warm_up(settings)
        with stop_on_signal():
            parameters = warm_up.run(max_seconds, settings.save_interval)
        model = Checkpoint(
            params=dict(parameters),
            args=settings.checkpoint_args() | {"steps_done": 0},
            time=time.time(),
        )
        save_checkpoint(model, settings.folder / MODEL_NAME)
        finished = warm_up.n_updates_done >= settings.warm_up.n_updates
        if not finished or settings.n_total_steps == 0:
            return model
    if max_seconds is not None:
        max_seconds -= time.monotonic() - start
    trainer = _trainer_class(settings)(settings, parameters)
    try:
        return trainer.run(max_seconds)
    finally:
        trainer.close()


def _trainer_class(settings: TrainSettings) -> type[Trainer]:
    if not settings.distributed:
        return Trainer
    from lucid_rl.training.ray_trainer import RayTrainer

    return RayTrainer


def _make_warm_up(settings: TrainSettings) -> WarmUp:
    if settings.architecture != "clear":
        raise SettingsError(
            "the warm-up is made for the architecture clear, not "
            f"{settings.architecture}: leave it off."
        )
    return WarmUp(
        first_parameters(settings),
        settings.warm_up,
        settings.game,
        settings.folder,
        settings.seed,
        settings.bfloat16,
        settings.n_threads,
        trained=settings.initial_model is not None,
    )


def engine_of(settings: TrainSettings, parameters: Parameters) -> Engine:
    """Makes a run's engine."""
    return make_engine(
        settings.engine,
        settings.architecture,
        parameters,
        settings.loss,
        settings.noise,
        settings.bfloat16,
        settings.n_threads,
        settings.first_trained_layer,
    )


def make_groups(settings: TrainSettings) -> list[Group]:
    """Makes the run's groups of environments, each with levels of its own."""
    return [make_group(settings, index) for index in range(settings.n_groups)]


def make_group(settings: TrainSettings, index: int) -> Group:
    """Makes one group; the same index always gives the same levels and draws."""
    game = settings.game.replace(
        n_envs=settings.game.n_envs // settings.n_groups,
        # Far apart, so that runs with neighbouring seeds share no levels.
        seed=(settings.game.seed * 1009 + index) % 2**31,
    )
    return Group(
        make_game(game),
        settings.noise,
        (settings.seed, 1, index),
        settings.restarts,
        settings.guidance_used,
        settings.hindsight,
    )


def first_parameters(settings: TrainSettings) -> Parameters:
    """Loads or draws the parameters that a run starts from.

    Raises:
        CheckpointError: the initial model has another architecture or number of
            actions.
    """
    with make_game(settings.game.replace(n_envs=1)) as game:
        n_actions = game.n_actions
    if settings.initial_model is None:
        rng = np.random.default_rng([settings.seed, 2])
        return initial_parameters(
            settings.architecture, n_actions, settings.initialization, rng
        )
    model = load_checkpoint(settings.initial_model)
    found = (model.architecture, model.n_actions)
    if found != (settings.architecture, n_actions):
        raise CheckpointError(
            f"{settings.initial_model} is a model of architecture {found[0]} with "
            f"{found[1]} actions: expected {settings.architecture} with {n_actions}."
        )
    shapes = parameter_shapes(settings.architecture, n_actions)
    parameters = {name: np.array(model.params[name]) for name in shapes}
    return sharpened(parameters, settings.initial_sharpness)


def draw_minibatches(settings: TrainSettings, rng: np.random.Generator) -> np.ndarray:
    """Splits every pass over the batch at random.

    Each minibatch takes equally many transitions from each group, so that groups
    may live in different processes.

    Returns:
        int64 [epochs * minibatches, groups, transitions], indices within the group.
    """
    size = settings.group_batch_size
    passes = np.tile(np.arange(size), (settings.n_epochs, settings.n_groups, 1))
    passes = rng.permuted(passes, axis=2).reshape(
        settings.n_epochs, settings.n_groups, settings.n_minibatches, -1
    )
    return passes.swapaxes(1, 2).reshape(
        -1, settings.n_groups, size // settings.n_minibatches
    )


def normalize(advantages: np.ndarray) -> np.ndarray:
    """Gives every minibatch (a row) mean 0 and deviation 1, as the article does."""
    mean = advantages.mean(axis=1, keepdims=True)
    deviation = advantages.std(axis=1, keepdims=True)
    return ((advantages - mean) / (deviation + 1e-8)).astype(np.float32)


def log_record(
    n_steps_done: int,
    statistics: dict[str, float],
    batch: Batch,
    episodes: Sequence[Episodes],
    watch: Stopwatch,
) -> dict[str, Any]:
    """Puts together what the log says about an update."""
    finished = [f for e in episodes for f in e.finished]
    lengths = [n for e in episodes for n in e.lengths]
    restarts = [f for e in episodes for f in e.restarts_finished]
    variance = float(np.var(batch.returns))
    unexplained = float(np.var(batch.advantages))
    learner_seconds = watch.part_seconds("acting") + watch.part_seconds("learning")
    return {
        "steps": n_steps_done,
        "episodes": len(finished),
        "success_rate": float(np.mean(finished)) if finished else None,
        "restarts": len(restarts),
        "restarts_success_rate": float(np.mean(restarts)) if restarts else None,
        "episode_length": float(np.mean(lengths)) if lengths else None,
        "explained_variance": 1 - unexplained / variance if variance else None,
        **statistics,
        "seconds": watch.seconds,
        "steps_per_second": len(batch) / watch.seconds,
        "learner_frames_per_second": len(batch) / max(learner_seconds, 1e-9),
        **{f"share_{part}": share for part, share in watch.shares().items()},
    }


def _check_same_run(settings: TrainSettings, saved: dict[str, Any]) -> None:
    """Raises if the save belongs to a run of another kind."""
    now = settings.as_dict()
    for name in _FIXED:
        if _plain(now[name]) != _plain(saved.get(name)):
            raise SettingsError(
                f"{settings.folder} holds a run with {name} = {saved.get(name)}, but "
                f"this one has {now[name]}: choose another folder, or the same {name}."
            )


def _plain(value):
    if isinstance(value, dict):
        # A save of an earlier version lacks the options that came later.
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return list(value) if isinstance(value, tuple) else value

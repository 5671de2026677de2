"""Proximal policy optimization (Schulman et al., 2017)."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.checkpoints.checkpoint import Checkpoint, save_checkpoint
from lucid_rl.games.registry import make_game
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.distillation import Teacher
from lucid_rl.training.learner import Learner, Parameters
from lucid_rl.training.logs import LOG_NAME, Stopwatch, TrainingLog
from lucid_rl.training.loop import run_updates
from lucid_rl.training.rollout import (
    Batch,
    Environments,
    Episode,
    collect,
    concatenate,
    make_batch,
    take,
)
from lucid_rl.training.saves import (
    MODEL_NAME,
    check_finite,
    check_same_run,
    check_state,
    generator_state,
    read_save,
    restore_generator,
    write_save,
)


class Trainer:
    """A run of PPO in one process.

    Attributes:
        config: of the run.
        n_steps_done: environment steps so far.
        groups: of environments.
        learner: of the policy and the value function.
    """

    def __init__(self, config: TrainConfig, parameters: Parameters):
        """Makes environments and learner, or restores those saved in the folder.

        Raises:
            SettingsError: the folder's save is of a run of another kind.
        """
        self.config = config
        save = read_save(config.folder)
        if save is not None:
            check_same_run(config, save["config"])
        self._rng = np.random.default_rng([config.seed, 0])
        self.n_steps_done = 0
        self._prepare(parameters)
        if save is not None:
            check_state(save, self._get_state(), "the save")
            self._set_state(save)
        self._boundary = self._get_state()

    def _prepare(self, parameters: Parameters) -> None:
        config = self.config
        self.groups = [make_group(config, index) for index in range(config.n_groups)]
        self.learner = Learner(config, parameters)
        self._teacher = make_teacher(config)

    def run(self, max_seconds: float | None = None) -> Checkpoint:
        """Trains until all steps are done or time is up.

        However it ends, the state after the last completed update and its model are
        saved.

        Returns:
            The model.

        Raises:
            SaveError: a save or log cannot be written; the previous save stands.
            TrainingError: the parameters are no longer finite; the state of the last
                update at which they were is saved.
            KeyboardInterrupt: after saving, if the user or SIGTERM stopped the run.
        """
        config = self.config
        path = config.folder / LOG_NAME
        log = TrainingLog(path, "steps", config.n_total_steps, self.n_steps_done)
        run_updates(
            self.update,
            lambda: self.n_steps_done >= config.n_total_steps,
            self.save,
            log,
            save_interval=config.save_interval,
            max_seconds=max_seconds,
        )
        return self.checkpoint()

    def update(self) -> dict[str, Any]:
        """Collects one batch, learns from it, and returns a record for the log."""
        config, watch = self.config, Stopwatch()
        weight = config.teacher_weight_at(self.n_steps_done)
        teacher = self._teacher if weight else None
        rollouts = collect(self.groups, self.learner, config.n_steps, watch, teacher)
        with watch("preparing"):
            batch = concatenate([make_batch_of(config, r) for r in rollouts])
            minibatches = self._flat_indices(draw_minibatches(config, self._rng))
        rate = config.learning_rate_at(self.n_steps_done)
        with watch("learning"):
            statistics = []
            for indices in minibatches:
                minibatch = take(batch, indices)
                minibatch["advantages"] = normalize(minibatch["advantages"])
                minibatch["teacher_weight"] = np.array(weight, np.float32)
                statistics.append(self.learner.update(minibatch, rate))
        episodes = [e for group in self.groups for e in group.take_episodes()]
        self._complete_update()
        return self._record(statistics, batch, episodes, watch, rate)

    def _flat_indices(self, minibatches):
        """Indices into the whole batch, in which groups follow one another."""
        offsets = self.config.group_batch_size * np.arange(self.config.n_groups)
        return (minibatches + offsets[:, None]).reshape(len(minibatches), -1)

    def _complete_update(self) -> None:
        """Counts the update, and keeps the state after it for saves."""
        self.n_steps_done += self.config.batch_size
        state = self._get_state()
        check_finite(state["learner"], f"{self.n_steps_done:,} steps")
        self._boundary = state

    def _record(self, statistics, batch, episodes, watch, learning_rate):
        means = {
            name: float(np.mean([s[name] for s in statistics]))
            for name in statistics[0]
        }
        return log_record(
            self.n_steps_done,
            means | {"learning_rate": learning_rate},
            batch,
            episodes,
            watch,
        )

    def save(self) -> None:
        """Writes the state after the last completed update, and its model."""
        write_save(self._boundary, self.config.folder)
        save_checkpoint(self.checkpoint(), self.config.folder / MODEL_NAME)

    def checkpoint(self) -> Checkpoint:
        """The model after the last completed update."""
        state = self._boundary
        return Checkpoint(
            params=dict(state["learner"]["average"]),
            args=self.config.checkpoint_args() | {"steps_done": state["n_steps_done"]},
            time=time.time(),
        )

    def _get_state(self) -> dict[str, Any]:
        return {
            "config": self.config.as_dict(),
            "n_steps_done": self.n_steps_done,
            "rng": generator_state(self._rng),
            **self._get_parts(),
        }

    def _set_state(self, state: dict[str, Any]) -> None:
        self.n_steps_done = state["n_steps_done"]
        restore_generator(self._rng, state["rng"])
        self._set_parts(state)

    def _get_parts(self) -> dict[str, Any]:
        return {
            "learner": self.learner.get_state(),
            "groups": [group.get_state() for group in self.groups],
        }

    def _set_parts(self, state: dict[str, Any]) -> None:
        self.learner.set_state(state["learner"])
        for group, group_state in zip(self.groups, state["groups"], strict=True):
            group.set_state(group_state)

    def close(self) -> None:
        """Frees the games."""
        for group in self.groups:
            group.game.close()


def make_group(config: TrainConfig, index: int) -> Environments:
    """Makes one group; the same index always gives the same levels and draws."""
    game = config.game.replace(
        n_envs=config.game.n_envs // config.n_groups,
        # Far apart, so that runs with neighbouring seeds share no levels.
        seed=(config.game.seed * 1009 + index) % 2**31,
    )
    return Environments(make_game(game), config.noise, (config.seed, 1, index))


def make_teacher(config: TrainConfig) -> Teacher | None:
    """Makes the teacher where PPO is kickstarted."""
    return Teacher(config) if config.teacher_weight_at(0) else None


def make_batch_of(config: TrainConfig, rollout: dict[str, np.ndarray]) -> Batch:
    """`rollout.make_batch` with a run's options."""
    return make_batch(rollout, config.gamma, config.lam, config.reward_scale)


def draw_minibatches(config: TrainConfig, rng: np.random.Generator) -> np.ndarray:
    """Splits every epoch's transitions at random.

    Each minibatch takes equally many transitions from each group, so that groups
    may live in different processes.

    Returns:
        int64 [epochs * minibatches, groups, transitions], indices within the group.
    """
    size = config.group_batch_size
    passes = np.tile(np.arange(size), (config.n_epochs, config.n_groups, 1))
    passes = rng.permuted(passes, axis=2).reshape(
        config.n_epochs, config.n_groups, config.n_minibatches, -1
    )
    return passes.swapaxes(1, 2).reshape(
        -1, config.n_groups, size // config.n_minibatches
    )


def normalize(advantages: np.ndarray) -> np.ndarray:
    """Gives a minibatch's advantages mean 0 and standard deviation 1."""
    centred = advantages - advantages.mean()
    return (centred / (advantages.std() + 1e-8)).astype(np.float32)


def log_record(
    n_steps_done: int,
    statistics: dict[str, float],
    batch: Batch,
    episodes: Sequence[Episode],
    watch: Stopwatch,
) -> dict[str, Any]:
    """Makes an update's record for the log."""
    successes = [episode.success for episode in episodes]
    lengths = [episode.length for episode in episodes]
    variance = float(np.var(batch["returns"]))
    unexplained = float(np.var(batch["advantages"]))
    learner_seconds = watch.part_seconds("acting") + watch.part_seconds("learning")
    n_steps = len(batch["returns"])
    return {
        "steps": n_steps_done,
        "episodes": len(episodes),
        "success_rate": float(np.mean(successes)) if episodes else None,
        "episode_length": float(np.mean(lengths)) if episodes else None,
        "explained_variance": 1 - unexplained / variance if variance else None,
        **statistics,
        "seconds": watch.seconds,
        "steps_per_second": n_steps / watch.seconds,
        "learner_frames_per_second": n_steps / max(learner_seconds, 1e-9),
        **{f"share_{part}": share for part, share in watch.shares().items()},
    }

"""Policy distillation (Rusu et al., 2016): a student learns a teacher's outputs.

Environments are divided between student and teacher. The teacher's policy and value
label every observation, a replay buffer keeps them, and the student takes gradient
steps on minibatches drawn from it.
"""

import dataclasses
import time
from typing import Any

import numpy as np
from scipy.special import log_softmax

from lucid_rl.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lucid_rl.checkpoints.released import resolve_model
from lucid_rl.errors import CheckpointError, SettingsError
from lucid_rl.games.registry import game_settings, make_game
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.learner import Learner, Parameters
from lucid_rl.training.logs import Stopwatch, TrainingLog
from lucid_rl.training.loop import run_updates
from lucid_rl.training.rollout import Environments
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

SAVE_NAME = "distillation.jd"
LOG_NAME = "distillation.jsonl"
_RECORD_INTERVAL = 250  # updates that a record of the log sums up
_VALUE_BIAS = "ppo2_model/vf/b:0"


class Teacher:
    """A model whose outputs are learned.

    Attributes:
        n_actions: of its policy.
    """

    def __init__(self, config: TrainConfig):
        """Loads the model.

        Raises:
            CheckpointError: the model has another number of actions than the game.
            SettingsError: the model was trained on another game, or sees it otherwise.
        """
        assert config.teacher is not None
        model = load_checkpoint(resolve_model(config.teacher))
        with make_game(config.game.replace(n_envs=1)) as game:
            if model.n_actions != game.n_actions:
                raise CheckpointError(
                    f"the teacher {config.teacher} has {model.n_actions} actions, but "
                    f"{config.game.name} has {game.n_actions}."
                )
        _check_same_view(config, model)
        architecture: Any = model.architecture
        own = dataclasses.replace(config, architecture=architecture)
        self._learner = Learner(own, model.params)
        # Values are sums of rewards, and scale with them.
        self._value_scale = config.reward_scale / model.args["reward_scale"]
        self._temperature = config.distillation.temperature

    def act(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns logits f32 [N, A], over the temperature, and values f32 [N].

        Values are in the student's scale.
        """
        logits, values = self._learner.act(observations)
        return (
            logits / np.float32(self._temperature),
            values * np.float32(self._value_scale),
        )


def _check_same_view(config: TrainConfig, model: Checkpoint) -> None:
    """Raises if the teacher would label observations that it was not trained on."""
    if model.args.get("env_name") is None:
        return
    game, own = config.game, game_settings(model.args, model.n_actions)
    for name, here, there, advice in (
        ("name", game.name, own.name, f"--game={own.name}"),
        (
            *("paint_vel_info", game.paints_velocity, own.paints_velocity),
            f"--{'' if own.paints_velocity else 'no'}paint_vel_info",
        ),
    ):
        if here != there:
            raise SettingsError(
                f"the teacher {config.teacher} was trained with the game's {name} = "
                f"{there}, but this run has {here}: give {name}={there!r} ({advice})"
            )


class ReplayBuffer:
    """The latest observations and the teacher's outputs on them.

    Attributes:
        n_added: observations added so far.
    """

    def __init__(self, size: int):
        """Starts empty; memory is taken with the first observations.

        Older observations than the last `size` are replaced.
        """
        self._size = size
        self._arrays: dict[str, np.ndarray] = {}
        self.n_added = 0

    def __len__(self) -> int:
        return min(self.n_added, self._size)

    def add(self, **arrays: np.ndarray) -> None:
        """Adds observations and labels; the first axis of every array is N."""
        for name, array in arrays.items():
            if name not in self._arrays:
                self._arrays[name] = np.empty(
                    (self._size, *array.shape[1:]), array.dtype
                )
            places = (self.n_added + np.arange(len(array))) % self._size
            self._arrays[name][places] = array
        self.n_added += len(array)

    def draw(self, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draws n of them at random, with replacement."""
        indices = rng.integers(0, len(self), n)
        return {name: array[indices] for name, array in self._arrays.items()}


class Distillation:
    """The stage of a run before PPO.

    Attributes:
        n_updates_done: gradient steps so far.
    """

    def __init__(self, config: TrainConfig, parameters: Parameters):
        """Makes the environments, or restores the state saved in the run's folder."""
        self.config = config
        self.teacher = Teacher(config)
        self.student = Learner(config, parameters)
        self.environments = Environments(
            make_game(config.game), config.noise, (config.seed, 3)
        )
        self._rng = np.random.default_rng([config.seed, 4])
        self._buffer = ReplayBuffer(config.distillation.buffer_size)
        self.n_updates_done = 0
        self._n_frames = 0
        self._n_due = 0.0  # gradient steps that the frames played so far are worth
        if (save := read_save(config.folder, SAVE_NAME)) is not None:
            check_same_run(config, save["config"])
            check_state(save, self._get_state(), "the save")
            self._set_state(save)

    @property
    def finished(self) -> bool:
        """Whether all gradient steps are done."""
        return self.n_updates_done >= self.config.distillation.n_updates

    def run(self, max_seconds: float | None = None) -> Checkpoint:
        """Trains until all updates are done or time is up, and saves.

        Returns:
            The student, with averaged parameters.
        """
        config = self.config
        log = TrainingLog(
            config.folder / LOG_NAME,
            "updates",
            config.distillation.n_updates,
            self.n_updates_done,
        )
        run_updates(
            lambda: self.learn(_RECORD_INTERVAL),
            lambda: self.finished,
            self.save,
            log,
            save_interval=config.save_interval,
            max_seconds=max_seconds,
        )
        return self.checkpoint()

    def learn(self, n_updates: int) -> dict[str, Any]:
        """Plays and takes gradient steps; returns a record for the log."""
        settings = self.config.distillation
        n_updates = min(n_updates, settings.n_updates - self.n_updates_done)
        watch, statistics, kls = Stopwatch(), [], []
        n_frames = self._n_frames
        goal = self.n_updates_done + n_updates
        self._fill_buffer(watch)
        while self.n_updates_done < goal:
            kls.append(self._play(watch))
            self._n_due += (
                self.config.game.n_envs * settings.reuse / settings.minibatch_size
            )
            with watch("learning"):
                while self._n_due >= 1 and self.n_updates_done < goal:
                    batch = self._buffer.draw(settings.minibatch_size, self._rng)
                    rate = self._learning_rate()
                    statistics.append(self.student.update(batch, rate))
                    self.n_updates_done += 1
                    self._n_due -= 1
        self._check_finite()
        return self._record(watch, statistics, kls, self._n_frames - n_frames)

    def _learning_rate(self):
        settings = self.config.distillation
        warm_up = min(1, (self.n_updates_done + 1) / 100)
        left = 1 - self.n_updates_done / settings.n_updates
        return settings.learning_rate * warm_up * left

    def _fill_buffer(self, watch):
        """Plays until there is something to draw from: a save holds no buffer."""
        settings = self.config.distillation
        least = min(settings.buffer_size, 128 * settings.minibatch_size)
        n_frames = self._n_frames
        starts_anew = self.n_updates_done == 0 and not len(self._buffer)
        values: list[Any] = []
        while len(self._buffer) < least:
            self._play(watch, values)
        self._n_frames = n_frames
        if starts_anew:
            # Else the first updates would do nothing but raise the value.
            state = self.student.get_state()
            for key in ("parameters", "average"):
                state[key][_VALUE_BIAS] = np.array([np.mean(values)], np.float32)
            self.student.set_state(state)

    def _play(self, watch, values=None):
        """One step of every environment; returns the KL in those of the student."""
        environments = self.environments
        n_student = self._n_student
        with watch("stepping"):
            observations, _, _ = environments.observe()
        with watch("teacher"):
            logits, teacher_values = self.teacher.act(observations)
        played, kl = logits, np.nan
        if n_student:
            with watch("acting"):
                own, _ = self.student.act(observations[:n_student], averaged=True)
            played = np.concatenate([own, logits[n_student:]])
            kl = _kl(logits[:n_student], own)
        environments.act(played)
        self._buffer.add(
            observations=observations,
            teacher_logits=logits,
            teacher_values=teacher_values,
        )
        self._n_frames += len(observations)
        if values is not None:
            values.append(teacher_values.mean())
        return kl

    @property
    def _n_student(self):
        config = self.config
        return round(config.distillation.student_fraction * config.game.n_envs)

    def _record(self, watch, statistics, kls, n_frames):
        episodes = self.environments.take_episodes()
        own = [e.success for e in episodes if e.environment < self._n_student]
        others = [e.success for e in episodes if e.environment >= self._n_student]
        n_learned = len(statistics) * self.config.distillation.minibatch_size
        means = {
            name: float(np.mean([s[name] for s in statistics]))
            for name in statistics[0]
        }
        return {
            "updates": self.n_updates_done,
            "frames": self._n_frames,
            "episodes": len(own),
            "success_rate": float(np.mean(own)) if own else None,
            "teacher_success_rate": float(np.mean(others)) if others else None,
            # On observations that were not learned from yet.
            "student_kl": float(np.mean(kls)),
            **means,
            "learning_rate": self._learning_rate(),
            "seconds": watch.seconds,
            "steps_per_second": n_frames / watch.seconds,
            "learner_frames_per_second": n_learned / watch.seconds,
            **{f"share_{part}": share for part, share in watch.shares().items()},
        }

    def save(self) -> None:
        """Writes the state and the model; raises `TrainingError` if it diverged."""
        folder = self.config.folder
        self._check_finite()
        write_save(self._get_state(), folder, SAVE_NAME)
        save_checkpoint(self.checkpoint(), folder / MODEL_NAME)

    def checkpoint(self) -> Checkpoint:
        """The student, with averaged parameters."""
        return Checkpoint(
            params=self.student.get_parameters(averaged=True),
            args=self.config.checkpoint_args()
            | {"steps_done": 0, "distillation_updates": self.n_updates_done},
            time=time.time(),
        )

    def _get_state(self):
        return {
            "config": self.config.as_dict(),
            "n_updates_done": self.n_updates_done,
            "n_frames": self._n_frames,
            "n_due": self._n_due,
            "rng": generator_state(self._rng),
            "student": self.student.get_state(),
            "environments": self.environments.get_state(),
        }

    def _check_finite(self):
        check_finite(self.student.get_state(), f"{self.n_updates_done:,} updates")

    def _set_state(self, state):
        self.n_updates_done = state["n_updates_done"]
        self._n_frames, self._n_due = state["n_frames"], state["n_due"]
        restore_generator(self._rng, state["rng"])
        self.student.set_state(state["student"])
        self.environments.set_state(state["environments"])

    def close(self) -> None:
        """Frees the game."""
        self.environments.game.close()


def _kl(teacher_logits, logits):
    """Mean KL(teacher || student) over observations."""
    log_teacher = log_softmax(teacher_logits, axis=1)
    differences = log_teacher - log_softmax(logits, axis=1)
    return float((np.exp(log_teacher) * differences).sum(axis=1).mean())

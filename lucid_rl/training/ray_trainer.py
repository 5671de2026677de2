"""PPO on several machines: data-parallel workers under Ray.

Each worker has one group of environments and a learner of its own. Workers collect
side by side; in learning, each computes the gradients of its share of a minibatch,
their mean is sent to all, and all take the same step, so that the parameters stay
equal. The result is that of one process with the same groups. A worker that is lost
is replaced by one with the state after the last update, and that update is repeated.
"""

from typing import Any

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.learner import Learner, Parameters
from lucid_rl.training.logs import Stopwatch
from lucid_rl.training.ppo import (
    Trainer,
    draw_minibatches,
    make_batch_of,
    make_group,
    make_teacher,
    normalize,
)
from lucid_rl.training.rollout import Batch, Episode, collect, concatenate, take

_MAX_REPLACEMENTS = 10  # in one update, before giving up


class Worker:
    """One group of environments and a learner, in a process of its own."""

    def __init__(self, config: TrainConfig, index: int, parameters: Parameters):
        """Makes the group's game and the learner."""
        self._config = config
        self._group = make_group(config, index)
        self._learner = Learner(config, parameters)
        self._teacher = make_teacher(config)
        self._batch: Batch = {}

    def collect(self, with_teacher: bool) -> tuple[Batch, list[Episode]]:
        """Plays; returns the batch without its observations, and the episodes."""
        (rollout,) = collect(
            [self._group],
            self._learner,
            self._config.n_steps,
            Stopwatch(),
            self._teacher if with_teacher else None,
        )
        self._batch = make_batch_of(self._config, rollout)
        numbers = {n: a for n, a in self._batch.items() if n != "observations"}
        return numbers, self._group.take_episodes()

    def gradients(
        self, indices: np.ndarray, advantages: np.ndarray, teacher_weight: float
    ) -> tuple[dict[str, float], Parameters]:
        """Returns the statistics and gradients of a part of a minibatch."""
        minibatch = take(self._batch, indices)
        minibatch["advantages"] = advantages
        minibatch["teacher_weight"] = np.array(teacher_weight, np.float32)
        return self._learner.gradients(minibatch)

    def apply(self, gradients: Parameters, learning_rate: float) -> None:
        """Takes the step that all workers take."""
        self._learner.apply_gradients(gradients, learning_rate)

    def get_state(self, with_learner: bool) -> tuple[dict[str, Any] | None, Any]:
        """Returns the learner's state, if asked for, and the group's."""
        learner = self._learner.get_state() if with_learner else None
        return learner, self._group.get_state()

    def set_state(self, learner: dict[str, Any], group: dict[str, Any]) -> None:
        """Restores both."""
        self._learner.set_state(learner)
        self._group.set_state(group)


class RayTrainer(Trainer):
    """A `Trainer` whose groups live in Ray workers, one in each."""

    def _prepare(self, parameters: Parameters) -> None:
        try:
            import ray
        except ImportError as error:
            raise SettingsError(
                "training on several machines needs Ray, which is not installed: "
                "pip install 'lucid_rl[ray]'."
            ) from error
        self._ray = ray
        if not ray.is_initialized():
            ray.init(log_to_driver=False)
        self._worker_class = ray.remote(max_restarts=0)(Worker)
        self._parameters = ray.put(parameters)
        self._workers = [self._make_worker(i) for i in range(self.config.n_groups)]

    def _make_worker(self, index):
        return self._worker_class.remote(self.config, index, self._parameters)

    def update(self) -> dict[str, Any]:
        """Does one update, again with replaced workers if some were lost."""
        lost = self._ray.exceptions.RayActorError
        for _ in range(_MAX_REPLACEMENTS):
            try:
                return self._try_update()
            except lost:
                self._replace_lost_workers()
        return self._try_update()

    def _try_update(self):
        config, ray, watch = self.config, self._ray, Stopwatch()
        weight = config.teacher_weight_at(self.n_steps_done)
        with watch("collecting"):
            collected = ray.get([w.collect.remote(weight > 0) for w in self._workers])
        batch = concatenate([numbers for numbers, _ in collected])
        episodes = [e for _, ended in collected for e in ended]
        minibatches = draw_minibatches(config, self._rng)
        rate = config.learning_rate_at(self.n_steps_done)
        with watch("learning"):
            statistics = [
                self._step(parts, flat, batch, weight, rate)
                for parts, flat in zip(
                    minibatches, self._flat_indices(minibatches), strict=True
                )
            ]
        self._complete_update()
        return self._record(statistics, batch, episodes, watch, rate)

    def _step(self, indices, flat_indices, batch, weight, rate):
        """One gradient step of all workers on their parts of a minibatch."""
        ray = self._ray
        advantages = normalize(batch["advantages"][flat_indices])
        parts = ray.get(
            [
                worker.gradients.remote(own, advantage, weight)
                for worker, own, advantage in zip(
                    self._workers,
                    indices,
                    advantages.reshape(indices.shape),
                    strict=True,
                )
            ]
        )
        gradients = _mean([own for _, own in parts])
        shared = ray.put(gradients)
        ray.get([worker.apply.remote(shared, rate) for worker in self._workers])
        norm = np.sqrt(sum(np.square(g).sum() for g in gradients.values()))
        return _mean([numbers for numbers, _ in parts]) | {"gradient_norm": float(norm)}

    def _replace_lost_workers(self):
        """Puts all workers where the last update left them, new ones for those lost."""
        ray = self._ray
        for index, worker in enumerate(self._workers):
            try:
                ray.get(worker.__ray_ready__.remote())
            except ray.exceptions.RayActorError:
                self._workers[index] = self._make_worker(index)
        self._set_state(self._boundary)

    def _get_parts(self) -> dict[str, Any]:
        states = self._ray.get(
            [w.get_state.remote(i == 0) for i, w in enumerate(self._workers)]
        )
        return {"learner": states[0][0], "groups": [group for _, group in states]}

    def _set_parts(self, state: dict[str, Any]) -> None:
        learner = self._ray.put(state["learner"])
        self._ray.get(
            [
                worker.set_state.remote(learner, group)
                for worker, group in zip(self._workers, state["groups"], strict=True)
            ]
        )

    def close(self) -> None:
        """Ends the workers."""
        for worker in self._workers:
            self._ray.kill(worker)


def _mean(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: sum(p[name] for p in parts) / len(parts) for name in parts[0]}

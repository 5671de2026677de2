"""PPO on several machines: data-parallel workers under Ray.

Each worker has one group of environments and an engine of its own. Workers collect
side by side; in learning, each computes the gradients of its share of a minibatch,
their mean is sent to all, and all take the same step, so that the parameters stay
equal. The result is that of one process with the same groups. A worker that is lost
is replaced by one with the state after the last update, and that update is repeated.
"""

from typing import Any

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.training.engine import STATISTICS, Batch, Engine, Parameters
from lucid_rl.training.ppo import (
    Trainer,
    draw_minibatches,
    engine_of,
    log_record,
    make_group,
    normalize,
)
from lucid_rl.training.rollout import collect
from lucid_rl.training.settings import TrainSettings
from lucid_rl.training.timing import Stopwatch

_MAX_REPLACEMENTS = 10  # in one update, before giving up


class Worker:
    """One group of environments and an engine, in a process of its own."""

    def __init__(self, settings: TrainSettings, index: int, parameters: Parameters):
        """Makes the group's game and the engine.

        Args:
            settings: of the run.
            index: of the group.
            parameters: to start from.
        """
        self._settings = settings
        self._group = make_group(settings, index)
        self._engine: Engine = engine_of(settings, parameters)
        self._batch: Batch | None = None

    def collect(self) -> tuple[Batch, Any, Stopwatch]:
        """Plays, and returns the batch without its pictures, episodes and times."""
        settings, watch = self._settings, Stopwatch()
        ((rollout, episodes),) = collect(
            [self._group], self._engine, settings.n_steps, watch
        )
        batch = rollout.batch(settings.gamma, settings.lam, settings.reward_scale)
        self._batch = batch
        return batch.without_observations(), episodes, watch

    def gradients(
        self, indices: np.ndarray, advantages: np.ndarray
    ) -> tuple[dict[str, float], Parameters]:
        """Returns the statistics and gradients of a share of a minibatch."""
        assert self._batch is not None, "collect first"
        return self._engine.gradients(self._batch.take(indices), advantages)

    def apply(
        self, gradients: Parameters, learning_rate: float, value_only: bool
    ) -> None:
        """Takes the step that all workers take."""
        self._engine.apply_gradients(gradients, learning_rate, value_only)

    def get_state(self, with_engine: bool) -> tuple[dict[str, Any] | None, Any]:
        """Returns the engine's state, if asked for, and the group's."""
        engine = self._engine.get_state() if with_engine else None
        return engine, self._group.get_state()

    def set_state(self, engine: dict[str, Any], group: dict[str, Any]) -> None:
        """Restores both."""
        self._engine.set_state(engine)
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
        self._workers = [self._make_worker(i) for i in range(self.settings.n_groups)]

    def _make_worker(self, index):
        return self._worker_class.remote(self.settings, index, self._parameters)

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
        settings, ray = self.settings, self._ray
        watch = Stopwatch()
        learning_rate = settings.learning_rate_at(self.n_steps_done)
        value_only = self.n_steps_done < settings.value_only_steps
        with watch("collecting"):
            collected = ray.get([w.collect.remote() for w in self._workers])
        batch = Batch.concatenate([part for part, _, _ in collected])
        minibatches = draw_minibatches(settings, self._rng)
        flat = self._flat_indices(minibatches)
        advantages = normalize(batch.advantages[flat]).reshape(minibatches.shape)
        statistics = []
        with watch("learning"):
            for indices, shares in zip(minibatches, advantages, strict=True):
                parts = ray.get(
                    [
                        worker.gradients.remote(i, a)
                        for worker, i, a in zip(
                            self._workers, indices, shares, strict=True
                        )
                    ]
                )
                gradients = _mean([own for _, own in parts])
                mean = ray.put(gradients)
                ray.get(
                    [
                        worker.apply.remote(mean, learning_rate, value_only)
                        for worker in self._workers
                    ]
                )
                squares = [np.square(g).sum() for g in gradients.values()]
                statistics.append(
                    _mean([numbers for numbers, _ in parts])
                    | {"gradient_norm": float(np.sqrt(np.sum(squares)))}
                )
        self._complete_update()
        means = {
            name: float(np.mean([s[name] for s in statistics])) for name in STATISTICS
        }
        return log_record(
            self.n_steps_done,
            means | {"learning_rate": learning_rate},
            batch,
            [episodes for _, episodes, _ in collected],
            watch,
        )

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
        return {"engine": states[0][0], "groups": [group for _, group in states]}

    def _set_parts(self, state: dict[str, Any]) -> None:
        engine = self._ray.put(state["engine"])
        self._ray.get(
            [
                worker.set_state.remote(engine, group)
                for worker, group in zip(self._workers, state["groups"], strict=True)
            ]
        )

    def close(self) -> None:
        """Ends the workers."""
        for worker in self._workers:
            self._ray.kill(worker)


def _mean(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: sum(p[name] for p in parts) / len(parts) for name in parts[0]}

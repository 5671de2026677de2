"""Speed of training: the whole loop beside its parts, for each engine and precision.

The learner's own limit is the speed of acting and learning on a stored batch, with
no game at all; the environment's own speed is that of random play. The loop's share
of the learner's limit says how much stepping and bookkeeping cost.

Example:
  python -m benchmarks.train_throughput --num_steps=16 --num_minibatches=4 \
      --output=benchmarks/results/train_throughput.json
"""

import dataclasses
import json
import os
import pathlib
import platform
import tempfile
import time

import numpy as np
from absl import app, flags

from lucid_rl.errors import SettingsError
from lucid_rl.files import atomic_open
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training.engine import Batch
from lucid_rl.training.ppo import Trainer, draw_minibatches, normalize
from lucid_rl.training.settings import TrainSettings

_ENGINES = flags.DEFINE_list("engines", ["tensorflow"], "tensorflow, jax or both.")
_PRECISIONS = flags.DEFINE_list(
    "precisions", ["float32", "bfloat16"], "Of the convolutions."
)
_NUM_ENVS = flags.DEFINE_integer("num_envs", 64, "Environments.")
_NUM_STEPS = flags.DEFINE_integer("num_steps", 64, "Steps between updates.")
_NUM_MINIBATCHES = flags.DEFINE_integer("num_minibatches", 8, "In each pass.")
_EPOCHS = flags.DEFINE_integer("epochs", 1, "Passes over each batch.")
_UPDATES = flags.DEFINE_integer("updates", 3, "Timed updates; the first is not timed.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the results.")


def environment_speed(settings: GameSettings, n_steps: int = 200) -> float:
    """Returns the steps per second of random play."""
    rng = np.random.default_rng(0)
    with make_game(settings) as game:
        start = time.perf_counter()
        for _ in range(n_steps):
            game.act(rng.integers(0, game.n_actions, game.n_envs))
            game.observe()
        return n_steps * game.n_envs / (time.perf_counter() - start)


def loop_speeds(settings: TrainSettings, n_updates: int) -> dict[str, float]:
    """Times the loop and the learner alone, in turns, so that both see the same load.

    Returns:
        Environment steps per second of the loop, frames per second that the learner
        alone could take, and where the loop's time goes.
    """
    trainer = Trainer(settings)
    groups, engine = trainer.groups, trainer.engine
    half = settings.game.n_envs // settings.n_groups
    loop, learner = 0.0, 0.0
    shares: list[dict[str, float]] = []
    rng = np.random.default_rng(0)
    for k in range(n_updates + 1):
        start = time.perf_counter()
        record = trainer.update()
        middle = time.perf_counter()
        pictures = np.concatenate(
            [group.game.observe().observations for group in groups]
        )
        for _ in range(settings.n_steps + 1):
            for group in range(settings.n_groups):
                engine.act(pictures[group * half : (group + 1) * half])
        batch = _stored_batch(settings, pictures)
        minibatches = draw_minibatches(settings, rng)
        indices = trainer._flat_indices(minibatches)
        engine.update(batch, indices, normalize(batch.advantages[indices]), 0.0)
        end = time.perf_counter()
        if k:
            loop += middle - start
            learner += end - middle
            shares.append({n: v for n, v in record.items() if n.startswith("share_")})
    trainer.close()
    n_frames = n_updates * settings.batch_size
    return {
        "loop_steps_per_second": n_frames / loop,
        "learner_frames_per_second": n_frames / learner,
        "share_of_learner": learner / loop,
        **{n: float(np.mean([s[n] for s in shares])) for n in shares[0]},
    }


def _stored_batch(settings, pictures):
    n = settings.batch_size
    rng = np.random.default_rng(0)
    return Batch(
        observations=np.tile(pictures, (settings.n_steps, 1, 1, 1)),
        actions=rng.integers(0, 15, n).astype(np.int32),
        log_probabilities=np.full(n, -np.log(15), np.float32),
        values=np.zeros(n, np.float32),
        returns=rng.normal(size=n).astype(np.float32),
        deadly=np.zeros((n, 15), bool),
        advice=np.full(n, -1, np.int32),
    )


def main(_: list[str]) -> None:
    """Prints a table and writes it as JSON."""
    game = GameSettings(n_envs=_NUM_ENVS.value)
    alone = environment_speed(game)
    rows = []
    for engine in _ENGINES.value:
        for precision in _PRECISIONS.value:
            with tempfile.TemporaryDirectory() as folder:
                settings = TrainSettings(
                    game=game,
                    engine=engine,
                    bfloat16=precision == "bfloat16",
                    n_steps=_NUM_STEPS.value,
                    n_minibatches=_NUM_MINIBATCHES.value,
                    n_epochs=_EPOCHS.value,
                    output_dir=folder,
                )
                try:
                    speeds = loop_speeds(settings, _UPDATES.value)
                except SettingsError as error:
                    print(f"{engine} {precision}: left out ({error})")
                    continue
            rows.append({"engine": engine, "precision": precision, **speeds})
            print(
                f"{engine:10s} {precision:8s} "
                f"loop {speeds['loop_steps_per_second']:7,.0f} steps/s | "
                f"learner alone {speeds['learner_frames_per_second']:7,.0f} frames/s | "
                f"{speeds['share_of_learner']:.0%} of it",
                flush=True,
            )
    print(f"environment alone: {alone:,.0f} steps/s")
    if _OUTPUT.value:
        results = {
            "environment_steps_per_second": alone,
            "settings": dataclasses.asdict(settings),
            "n_cores": os.cpu_count(),
            "load_average": os.getloadavg(),
            "machine": platform.processor() or platform.machine(),
            "rows": rows,
        }
        with atomic_open(pathlib.Path(_OUTPUT.value), "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    app.run(main)

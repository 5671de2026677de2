"""Speed of PPO: the whole loop, the learner alone, and the convolutions alone.

    python -m benchmarks.train_throughput --num_steps=32 --updates=2

The learner alone acts and learns on stored observations, in turns with the loop, so
that both see the same load. The convolutions alone are those of one gradient step,
forward and backward, with nothing between them: what the processor could do at best.
Writes benchmarks/results/train_throughput.json.
"""

import argparse
import tempfile
import time

import numpy as np

from benchmarks.measuring import print_table, write_result
from lucid_rl.checkpoints.architectures import CONV_LAYERS
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.ppo import Trainer
from lucid_rl.training.run import first_parameters

_SIDES = {"1a": 64, "2a": 32, "2b": 32, "3a": 16, "4a": 8}  # of the layers' inputs


def loop_and_learner(config: TrainConfig, n_updates: int) -> dict[str, float]:
    """Environment steps per second of the loop, frames per second of the learner."""
    trainer = Trainer(config, first_parameters(config))
    learner, n_envs = trainer.learner, config.game.n_envs
    loop = alone = 0.0
    for k in range(n_updates + 1):
        start = time.perf_counter()
        trainer.update()
        middle = time.perf_counter()
        observations = np.concatenate(
            [group.game.observe().observations for group in trainer.groups]
        )
        for _ in range(config.n_steps + 1):
            for part in np.split(observations, config.n_groups):
                learner.act(part)
        minibatch = _stored(observations, config.batch_size // config.n_minibatches)
        for _ in range(config.n_epochs * config.n_minibatches):
            learner.update(minibatch, 0.0)
        if k:  # the first one compiles
            loop += middle - start
            alone += time.perf_counter() - middle
    trainer.close()
    n_frames = n_updates * config.n_steps * n_envs
    return {
        "loop_steps_per_second": n_frames / loop,
        "learner_frames_per_second": n_frames / alone,
        "loop_over_learner": alone / loop,
    }


def _stored(observations, n):
    rng = np.random.default_rng(0)
    zeros = np.zeros(n, np.float32)
    return {
        "observations": observations[rng.integers(0, len(observations), n)],
        "actions": rng.integers(0, 15, n).astype(np.int32),
        "log_probabilities": np.full(n, -np.log(15), np.float32),
        "values": zeros,
        "returns": zeros,
        "advantages": rng.normal(size=n).astype(np.float32),
        "teacher_weight": np.float32(0),
    }


def convolutions(config: TrainConfig, seconds: float = 5.0) -> float:
    """Frames per second of the convolutions of one gradient step."""
    import tensorflow as tf

    dtype = tf.bfloat16 if config.bfloat16 else tf.float32
    n = config.batch_size // config.n_minibatches
    parameters = first_parameters(config)
    kernels = [
        tf.cast(parameters[f"ppo2_model/pi/{layer}/conv2d/kernel:0"], dtype)
        for layer in CONV_LAYERS["clear"]
    ]
    inputs = [
        tf.cast(tf.random.uniform((n, side, side, kernel.shape[2])), dtype)
        for side, kernel in zip(_SIDES.values(), kernels, strict=True)
    ]

    @tf.function
    def step():
        results = []
        for k, (x, kernel) in enumerate(zip(inputs, kernels, strict=True)):
            y = tf.nn.conv2d(x, kernel, 1, "SAME")
            results.append(
                tf.raw_ops.Conv2DBackpropFilter(
                    input=x,
                    filter_sizes=kernel.shape,
                    out_backprop=y,
                    strides=[1, 1, 1, 1],
                    padding="SAME",
                )
            )
            if k:  # nothing asks for the gradient of the observations
                results.append(
                    tf.raw_ops.Conv2DBackpropInput(
                        input_sizes=x.shape,
                        filter=kernel,
                        out_backprop=y,
                        strides=[1, 1, 1, 1],
                        padding="SAME",
                    )
                )
        return [tf.reduce_sum(tf.cast(r, tf.float32)) for r in results]

    step()
    start, n_steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        step()
        n_steps += 1
    return n * n_steps / (time.perf_counter() - start)


def gradient_steps(config: TrainConfig, seconds: float = 5.0) -> float:
    """Frames per second of the learner's gradient steps."""
    trainer = Trainer(config, first_parameters(config))
    observations = trainer.groups[0].game.observe().observations
    minibatch = _stored(observations, config.batch_size // config.n_minibatches)
    trainer.learner.update(minibatch, 0.0)
    start, n_steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        trainer.learner.update(minibatch, 0.0)
        n_steps += 1
    trainer.close()
    n = len(minibatch["actions"])
    return n * n_steps / (time.perf_counter() - start)


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--num_envs", type=int, default=64)
    parser.add_argument("--num_steps", type=int, default=64)
    parser.add_argument("--minibatches", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--updates", type=int, default=3)
    args = parser.parse_args()
    rows = []
    for precision in ("float32", "bfloat16"):
        with tempfile.TemporaryDirectory() as folder:
            config = TrainConfig(
                game=GameSettings(n_envs=args.num_envs),
                bfloat16=precision == "bfloat16",
                n_steps=args.num_steps,
                n_minibatches=args.minibatches,
                n_epochs=args.epochs,
                output_dir=folder,
            )
            best, steps = convolutions(config), gradient_steps(config)
            rows.append(
                {
                    "precision": precision,
                    **loop_and_learner(config, args.updates),
                    "gradient_step_frames_per_second": steps,
                    "convolutions_frames_per_second": best,
                    "gradient_step_over_convolutions": steps / best,
                }
            )
    print_table(list(rows[0]), [list(row.values()) for row in rows])
    write_result("train_throughput", {"rows": rows})


if __name__ == "__main__":
    main()

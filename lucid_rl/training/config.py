"""What a training run is: every choice once, with the article's as the default."""

import dataclasses
import os
import pathlib
from typing import Annotated, Any, Literal

from lucid_rl.errors import SettingsError
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training.noise import NoiseSettings
from lucid_rl.validation import (
    Fraction,
    Natural,
    NonNegativeFloat,
    Positive,
    PositiveFloat,
    Settings,
    at_least,
    check,
    whole,
)


@dataclasses.dataclass(frozen=True)
class DistillationConfig(Settings):
    """Policy distillation before PPO, and kickstarting during it.

    Attributes:
        n_updates: gradient steps before PPO starts.
        minibatch_size: frames in each.
        learning_rate: at the start; it falls linearly to 0 with the updates.
        student_fraction: fraction of the environments in which the student plays;
            the teacher plays the others, and labels all.
        buffer_size: frames in the replay buffer, 12 kB each.
        reuse: how often a frame is drawn from it, on average.
        temperature: the teacher's logits are divided by it. Below 1, its policy is
            sharper (Rusu et al., 2016): a student that is not sure yet then takes
            fewer of the actions that the teacher seldom takes.
        kickstart_steps: environment steps of PPO over which the weight of the
            distillation loss falls linearly from 1 to 0 (kickstarting, Schmitt et
            al., 2018); 0 for plain PPO.
    """

    n_updates: Natural = 400_000
    minibatch_size: Positive = 64
    learning_rate: PositiveFloat = 1e-3
    student_fraction: Fraction = 0.5
    buffer_size: Positive = 50_000
    reuse: PositiveFloat = 2.0
    temperature: PositiveFloat = 1.0
    kickstart_steps: Natural = 0


@dataclasses.dataclass(frozen=True)
class TrainConfig(Settings):
    """A training run: PPO, or policy distillation and then PPO.

    Attributes:
        game: the game and the number of environments. The article has 1,024 (16
            workers of 64).
        architecture: "clear" (the article's own), "impala", "impala_torch" or
            "nature".
        n_total_steps: environment steps of PPO; the article took 2 billion. 0 ends
            the run after distillation.
        n_steps: steps of each environment between updates.
        n_minibatches: minibatches in each epoch.
        n_epochs: passes over each batch.
        gamma: discount per step.
        lam: lambda of generalized advantage estimation.
        learning_rate: of PPO.
        learning_rate_schedule: "constant" as in the article, or "linear" to 0 at the
            end.
        optimizer: "adam" as in the article, or "muon" (Jordan et al., 2024) for
            hidden kernels and Adam for all else; it needs Keras 3.13.
        max_gradient_norm: gradients are scaled down to this global norm.
        clip_range: PPO's largest change of a probability ratio that pays.
        clip_value: clip the change of the value function likewise.
        value_coefficient: weight of the value function's squared error.
        entropy_coefficient: weight of the policy's entropy.
        reward_scale: factor of rewards. Procgen pays 10 for finishing a level; at
            0.1 the value function is the discounted probability of finishing.
        averaged_updates: gradient steps over which the saved model's parameters are
            averaged exponentially (Polyak averaging); at first a tenth of the steps
            so far. 0: the parameters of the last step, as in the article.
        teacher: model that is distilled before PPO: a .jd, "bundled",
            "released:<name>". Only its outputs are used. It must have been trained on
            the same game, with velocity painted or not alike. None for PPO alone.
        distillation: how it is distilled.
        noise: added to observations (the article's experiments on low-level visual
            diversity).
        engine: "tensorflow" or "jax", which Keras runs on.
        bfloat16: convolve in bfloat16; parameters and all else stay float32.
        n_groups: groups of environments; one steps while the learner computes for
            another.
        distributed: give each group a worker of its own under Ray; the result is the
            same.
        n_threads: threads of TensorFlow on a processor; 0 for one a core.
        initialization: "glorot" as in the article, or "he".
        initial_model: checkpoint to start from, of the same architecture and number
            of actions.
        seed: of everything random but the levels, which `game.seed` chooses.
        save_interval: seconds between saves.
        output_dir: folder of the saves, logs and the model.
    """

    game: GameSettings = GameSettings()
    architecture: Literal["clear", "impala", "impala_torch", "nature"] = "clear"
    n_total_steps: Annotated[int, at_least(0, 10**12)] = 2_000_000_000
    n_steps: Positive = 256
    n_minibatches: Positive = 8
    n_epochs: Positive = 3
    gamma: Fraction = 0.999
    lam: Fraction = 0.95
    learning_rate: PositiveFloat = 5e-4
    learning_rate_schedule: Literal["constant", "linear"] = "constant"
    optimizer: Literal["adam", "muon"] = "adam"
    max_gradient_norm: PositiveFloat = 0.5
    clip_range: PositiveFloat = 0.2
    clip_value: bool = True
    value_coefficient: NonNegativeFloat = 0.5
    entropy_coefficient: NonNegativeFloat = 0.01
    reward_scale: PositiveFloat = 0.1
    averaged_updates: Natural = 0
    teacher: str | None = None
    distillation: DistillationConfig = DistillationConfig()
    noise: NoiseSettings = NoiseSettings()
    engine: Literal["tensorflow", "jax"] = "tensorflow"
    bfloat16: bool = False
    n_groups: Positive = 2
    distributed: bool = False
    n_threads: Annotated[int, whole(0, 1024)] = 0
    initialization: Literal["glorot", "he"] = "glorot"
    initial_model: str | None = None
    seed: Natural = 0
    save_interval: PositiveFloat = 600.0
    output_dir: str = "outputs/training"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("teacher", "initial_model", "output_dir"):
            value = getattr(self, name)
            if isinstance(value, os.PathLike):
                object.__setattr__(self, name, os.fspath(value))
            elif value == "" or not isinstance(value, str | None):
                raise SettingsError(f"{name}={value!r}: expected a name")
        if not self.teacher:
            check("n_total_steps", self.n_total_steps, at_least(1, 10**12))
        n_envs = self.game.n_envs
        if not 1 <= self.n_groups <= n_envs or n_envs % self.n_groups:
            raise SettingsError(
                f"n_groups={self.n_groups} does not divide the {n_envs} environments "
                "into equal groups."
            )
        if self.group_batch_size % self.n_minibatches:
            raise SettingsError(
                f"n_minibatches={self.n_minibatches} does not divide the "
                f"{self.group_batch_size} transitions of each group ({n_envs} "
                f"environments / {self.n_groups} groups x {self.n_steps} steps)."
            )

    @property
    def batch_size(self) -> int:
        """Transitions that one update learns from."""
        return self.game.n_envs * self.n_steps

    @property
    def group_batch_size(self) -> int:
        """Transitions of one group of environments in a batch."""
        return self.batch_size // self.n_groups

    @property
    def folder(self) -> pathlib.Path:
        """`output_dir` as a path."""
        return pathlib.Path(self.output_dir)

    def learning_rate_at(self, n_steps_done: int) -> float:
        """Returns PPO's learning rate after that many environment steps."""
        if self.learning_rate_schedule == "constant":
            return self.learning_rate
        return self.learning_rate * max(0.0, 1 - n_steps_done / self.n_total_steps)

    def teacher_weight_at(self, n_steps_done: int) -> float:
        """Returns the distillation loss's weight in PPO after that many steps."""
        steps = self.distillation.kickstart_steps
        if self.teacher is None or steps == 0:
            return 0.0
        return max(0.0, 1 - n_steps_done / steps)

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values, nested ones as dictionaries.

        `output_dir` is left out: a model that is passed on names no folder.
        """
        values = dataclasses.asdict(self)
        del values["output_dir"]
        return values

    def checkpoint_args(self) -> dict[str, Any]:
        """The run's options as a checkpoint's `args`, in the article's names.

        Options that the article's script does not have come under "lucid_rl".
        """
        game = self.game
        return {
            "env_name": game.name,
            "env_kind": game.name.split(":")[0] if ":" in game.name else "procgen",
            "num_envs": game.n_envs,
            "num_levels": game.n_levels,
            "start_level": game.start_level,
            "distribution_mode": game.distribution_mode,
            "paint_vel_info": game.paints_velocity,
            "center_agent": game.center_agent,
            "use_backgrounds": game.use_backgrounds,
            "use_monochrome_assets": game.use_monochrome_assets,
            "restrict_themes": game.restrict_themes,
            "use_generated_assets": game.use_generated_assets,
            # Of the original CoinRun and of Gymnasium; others pass over them.
            "high_difficulty": game.distribution_mode == "hard",
            "set_seed": -1 if game.level_set_seed is None else game.level_set_seed,
            "wrappers": game.wrappers,
            "debug_mode": game.debug_mode,
            "cnn": self.architecture,
            "num_steps": self.n_steps,
            "timesteps_per_proc": self.n_total_steps,
            "num_minibatches": self.n_minibatches,
            "ppo_epochs": self.n_epochs,
            "gamma": self.gamma,
            "lambda": self.lam,
            "learning_rate": self.learning_rate,
            "entropy_coeff": self.entropy_coefficient,
            "clip_range": self.clip_range,
            "clip_vf": int(self.clip_value),
            "reward_scale": self.reward_scale,
            "reward_processing": "none",
            "use_lstm": 0,
            "epsilon_greedy": 0.0,
            "frame_stack": game.frame_stack,
            "use_sticky_actions": 0,
            "save_interval": self.save_interval,
            "save_all": False,
            "library": "lucid_rl",
            "lucid_rl": self.as_dict(),
        }

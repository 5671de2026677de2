"""What a training run is: every choice once, with the article's as the default."""

import dataclasses
import pathlib
from typing import Any

from lucid_rl.checkpoints.architectures import ARCHITECTURES
from lucid_rl.errors import SettingsError
from lucid_rl.games.registry import saves_states
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training.engine import LossSettings, frozen_layers
from lucid_rl.training.guidance import GuidanceSettings
from lucid_rl.training.hindsight import HindsightSettings
from lucid_rl.training.initialization import SCHEMES
from lucid_rl.training.noise import NoiseSettings
from lucid_rl.training.restarts import RestartSettings
from lucid_rl.training.warm_up import WarmUpSettings

ENGINES = ("tensorflow", "jax")
SCHEDULES = ("constant", "linear")


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """A run of PPO.

    Attributes:
        game: what is played, with how many environments. The article has 1,024
            (16 workers of 64).
        architecture: "clear" (the article's own), "impala", "impala_torch" or "nature".
        n_total_steps: environment steps in all; the article took 2 billion. 0 ends
            the run after its warm-up.
        n_steps: steps of each environment between updates.
        n_minibatches: minibatches in each pass over these steps.
        n_epochs: passes.
        gamma: discount per step.
        lam: lambda of generalized advantage estimation.
        learning_rate: Adam's.
        learning_rate_schedule: "constant" as in the article, or "linear" to 0 at
            the end, which is worth some success in short runs.
        loss: the weights of PPO's objective.
        reward_scale: factor of rewards. Procgen pays 10 for finishing a level; at
            0.1 the value function is the discounted probability of finishing.
        averaged_updates: the model that is written has the mean of the parameters
            after about so many of the last updates (the article: 0, the last ones):
            what is noise in updates averages out (Polyak and Juditsky, 1992).
        value_only_steps: environment steps at the start in which only the value
            function's head is learned (the article: none). A policy that comes
            from a warm-up would be spoilt by the advantages of an untrained value
            function.
        noise: what is done to observations (the article's experiments on low-level
            visual diversity).
        warm_up: what comes before PPO (the article: nothing).
        engine: "tensorflow" or "jax".
        first_trained_layer: convolution of "clear" before which layers stay as they
            are (the article: all are trained). A warm-up teaches them to see; what
            to do about it is learned several times as fast without them.
        restarts: episodes that begin shortly before earlier failures.
        guidance: where CoinRun's rules are asked which actions kill and what a planner
            would do, if the loss has coefficients for that.
        hindsight: whether failed episodes of CoinRun are searched for where they were
            lost.
        bfloat16: convolve in bfloat16 (parameters and Adam stay float32): up to
            twice as fast where the processor has it, with the same learning.
        n_groups: groups of environments; one steps while the engine computes for
            another.
        distributed: give each group a worker of its own under Ray, on whichever
            machines its cluster has; the result is the same.
        n_threads: threads of the engine on a processor; 0 for one a core.
        initialization: "glorot" as in the article, or "he".
        initial_model: a checkpoint to start from, of the same architecture and
            number of actions.
        initial_sharpness: by which the initial model's logits are multiplied: what
            was imitated is less sure than pays.
        seed: of everything random but the levels, which `game.seed` chooses.
        save_interval: seconds between saves.
        output_dir: where the saves, logs and the model are written.
    """

    game: GameSettings = dataclasses.field(default_factory=GameSettings)
    architecture: str = "clear"
    n_total_steps: int = 2_000_000_000
    n_steps: int = 256
    n_minibatches: int = 8
    n_epochs: int = 3
    gamma: float = 0.999
    lam: float = 0.95
    learning_rate: float = 5e-4
    learning_rate_schedule: str = "constant"
    loss: LossSettings = dataclasses.field(default_factory=LossSettings)
    reward_scale: float = 0.1
    averaged_updates: int = 0
    value_only_steps: int = 0
    noise: NoiseSettings = dataclasses.field(default_factory=NoiseSettings)
    warm_up: WarmUpSettings = dataclasses.field(default_factory=WarmUpSettings)
    engine: str = "tensorflow"
    first_trained_layer: str | None = None
    restarts: RestartSettings = dataclasses.field(default_factory=RestartSettings)
    guidance: GuidanceSettings = dataclasses.field(default_factory=GuidanceSettings)
    hindsight: HindsightSettings = dataclasses.field(default_factory=HindsightSettings)
    bfloat16: bool = False
    n_groups: int = 2
    distributed: bool = False
    n_threads: int = 0
    initialization: str = "glorot"
    initial_model: str | None = None
    initial_sharpness: float = 1.0
    seed: int = 0
    save_interval: float = 600.0
    output_dir: str = "outputs/training"

    def __post_init__(self) -> None:
        _require_one_of("architecture", self.architecture, ARCHITECTURES)
        _require_one_of("engine", self.engine, ENGINES)
        _require_one_of("initialization", self.initialization, SCHEMES)
        _require_one_of(
            "learning_rate_schedule", self.learning_rate_schedule, SCHEDULES
        )
        least = 0 if self.warm_up.n_updates else 1
        _require(
            self.n_total_steps >= least,
            "n_total_steps",
            self,
            "at least 1, or 0 for a warm-up alone",
        )
        for name in ("n_steps", "n_minibatches", "n_epochs"):
            _require(getattr(self, name) >= 1, name, self, "at least 1")
        for name in ("gamma", "lam"):
            _require(0 <= getattr(self, name) <= 1, name, self, "between 0 and 1")
        for name in ("learning_rate", "reward_scale", "save_interval"):
            _require(getattr(self, name) > 0, name, self, "above 0")
        _require(self.initial_sharpness > 0, "initial_sharpness", self, "above 0")
        for name in ("averaged_updates", "value_only_steps", "n_threads", "seed"):
            _require(getattr(self, name) >= 0, name, self, "at least 0")
        self._check_deviations()
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

    def _check_deviations(self) -> None:
        game = self.game
        if frozen_layers(self.first_trained_layer):
            if self.architecture != "clear":
                raise SettingsError(
                    "first_trained_layer names layers of the architecture clear, not "
                    f"of {self.architecture}: leave it off."
                )
            if self.noise.adversarial_epsilon:
                raise SettingsError(
                    "adversarial_epsilon changes what all layers see, but those before "
                    f"{self.first_trained_layer} are frozen: leave one of them off."
                )
        if self.restarts.share and not saves_states(game):
            raise SettingsError(
                f"{game.name} cannot tell its states with these options, so that no "
                "episode can begin at one: leave restarts off."
            )
        looks = self.guidance_used or self.hindsight.used
        if looks and not (game.name == "coinrun" and saves_states(game)):
            silent = ", which cannot tell its states with these options"
            raise SettingsError(
                "risk_coefficient, imitation_coefficient and hindsight go by the rules "
                f"and states of Procgen's coinrun, but the game is {game.name}"
                f"{'' if saves_states(game) else silent}: leave them off."
            )

    @property
    def guidance_used(self) -> GuidanceSettings | None:
        """The guidance as far as the loss uses it."""
        used = dataclasses.replace(
            self.guidance,
            # With hindsight, what is deadly is known of what went wrong alone.
            risk_share=self.guidance.risk_share
            * (self.loss.risk_coefficient > 0 and not self.hindsight.used),
            advice_share=self.guidance.advice_share
            * (self.loss.imitation_coefficient > 0),
        )
        return used if used.risk_share or used.advice_share else None

    @property
    def batch_size(self) -> int:
        """Transitions that one update learns from."""
        return self.game.n_envs * self.n_steps

    @property
    def group_batch_size(self) -> int:
        """Transitions of one group of environments in a batch."""
        return self.batch_size // self.n_groups

    @property
    def n_updates(self) -> int:
        """Batches in all; the last one may go past `n_total_steps`."""
        return -(-self.n_total_steps // self.batch_size)

    @property
    def folder(self) -> pathlib.Path:
        """`output_dir` as a path."""
        return pathlib.Path(self.output_dir)

    def learning_rate_at(self, n_steps_done: int) -> float:
        """Returns Adam's learning rate after that many environment steps."""
        if self.learning_rate_schedule == "constant":
            return self.learning_rate
        return self.learning_rate * max(0.0, 1 - n_steps_done / self.n_total_steps)

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values, nested ones as dictionaries."""
        return dataclasses.asdict(self)

    def checkpoint_args(self) -> dict[str, Any]:
        """The run's options as a checkpoint's `args`, in the article's names.

        Options that the article's script does not have come under "lucid_rl".
        """
        game = self.game
        return {
            "env_name": game.name,
            "env_kind": "procgen",
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
            "cnn": self.architecture,
            "num_steps": self.n_steps,
            "timesteps_per_proc": self.n_total_steps,
            "num_minibatches": self.n_minibatches,
            "ppo_epochs": self.n_epochs,
            "gamma": self.gamma,
            "lambda": self.lam,
            "learning_rate": self.learning_rate,
            "entropy_coeff": self.loss.entropy_coefficient,
            "clip_range": self.loss.clip_range,
            "clip_vf": int(self.loss.clip_value),
            "reward_scale": self.reward_scale,
            "reward_processing": "none",
            "use_lstm": 0,
            "epsilon_greedy": 0.0,
            "frame_stack": 1,
            "use_sticky_actions": 0,
            "save_interval": self.save_interval,
            "save_all": False,
            "library": "lucid_rl",
            "lucid_rl": self.as_dict(),
        }


def _require(condition, name, settings, expected):
    if not condition:
        raise SettingsError(
            f"{name} is {getattr(settings, name)}: expected {expected}."
        )


def _require_one_of(name, value, known):
    if value not in known:
        raise SettingsError(f"{name} is {value!r}: expected one of {', '.join(known)}.")

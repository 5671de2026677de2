"""The warm-up before PPO: a network learns to see, and to do as a planner does."""

import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.files import check_writable
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training.demonstrations import Demonstrations, FrameBuffer
from lucid_rl.training.engine import Parameters, frozen_layers
from lucid_rl.training.initialization import sharpened
from lucid_rl.training.logs import report
from lucid_rl.training.restarts import RestartSettings
from lucid_rl.training.saves import (
    generator_state,
    read_save,
    restore_generator,
    write_save,
)
from lucid_rl.training.scouts import ScoutSettings
from lucid_rl.training.teacher import PlannerTeacher, TeacherSettings

WARM_UP_SAVE = "warm_up.jd"
WARM_UP_LOG = "warm_up.jsonl"
_HELD_OUT_SEED = 2**31 - 1  # of levels and all else; no run's own
_HELD_OUT_ENVS = 128
# To be there before the first update: so many frames, or a share of a small buffer.
_FIRST_FRAMES, _FIRST_SHARE = 8_000, 0.4


@dataclass(frozen=True)
class WarmUpLoss:
    """The objective and optimizer of the warm-up.

    Attributes:
        map_layers: layers with a head for the object maps, the last one being the
            one that `maps` reads.
        map_coefficient: weight of the maps' summed cross-entropy.
        map_weights: of each of the teacher's `MAP_CLASSES`: hazards are small and
            rare, and what a player's life depends on.
        risk_coefficient: weight of -log(1 - p), where p is the probability of an
            action after which the agent is lost.
        value_coefficient: weight of the value function's squared error.
        momentum: Muon's.
        adam_rate: Adam's rate for heads and biases, by the learning rate.
        statistics_decay: of the running moments of batch normalisation.
    """

    map_layers: tuple[str, ...] = ("2b", "3a")
    map_coefficient: float = 0.1
    map_weights: tuple[float, ...] = (1.0, 3.0, 3.0, 3.0, 0.3, 1.0, 0.1)
    risk_coefficient: float = 10.0
    value_coefficient: float = 0.5
    momentum: float = 0.95
    adam_rate: float = 0.05
    statistics_decay: float = 0.9


@dataclass(frozen=True)
class WarmUpSettings:
    """A supervised warm-up of CoinRun with the architecture "clear".

    Attributes:
        n_updates: minibatches in all; 0 for no warm-up.
        minibatch_size: frames in each. Small ones pay: updates count, not frames.
        learning_rate: relative change of a hidden kernel by an update, at first.
        final_learning_rate: and at the end, reached linearly.
        buffer_size: frames to draw minibatches from. The more, the less the network
            learns single ones by heart.
        reuse: how often a frame is drawn, on average.
        n_calibration: minibatches at the end from which the moments of batch
            normalisation are taken, before they are folded into the network.
        n_envs: environments of the teacher.
        n_steps: steps of each environment between additions to the buffer.
        n_held_out: frames of other levels that the teacher plays, not learned from,
            on which progress is measured; 0 for none.
        sharpness: by which the policy's logits are multiplied in the end. A copy of
            a teacher that could often have done something else is less sure than
            pays: its rare actions are what kills.
        first_trained_layer: convolution before which layers stay as they are: what to
            do about what is seen is learned several times as fast without them.
        teacher: who plays.
        loss: the objective.
    """

    n_updates: int = 0
    minibatch_size: int = 96
    learning_rate: float = 0.04
    final_learning_rate: float = 0.002
    buffer_size: int = 20_000
    reuse: float = 3.0
    n_calibration: int = 100
    n_envs: int = 128
    n_steps: int = 4
    n_held_out: int = 0
    sharpness: float = 1.0
    first_trained_layer: str | None = None
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    loss: WarmUpLoss = field(default_factory=WarmUpLoss)

    def __post_init__(self) -> None:
        for name in (
            "minibatch_size",
            "buffer_size",
            "reuse",
            "n_envs",
            "n_steps",
            "sharpness",
        ):
            if not getattr(self, name) > 0:
                raise SettingsError(
                    f"warm-up setting {name} is {getattr(self, name)}: expected "
                    "more than 0."
                )
        if self.n_updates < 0 or not 0 < self.final_learning_rate <= (
            self.learning_rate
        ):
            raise SettingsError(
                "the warm-up needs n_updates of at least 0 and learning rates that "
                f"fall and stay above 0, got {self.n_updates}, {self.learning_rate} "
                f"and {self.final_learning_rate}."
            )
        frozen_layers(self.first_trained_layer)  # an unknown one shows now

    def learning_rate_at(self, n_updates_done: int) -> float:
        """Returns the learning rate of the next update."""
        done = min(1.0, n_updates_done / max(1, self.n_updates))
        return self.learning_rate + done * (
            self.final_learning_rate - self.learning_rate
        )


class WarmUp:
    """A warm-up in a folder of its own saves.

    Unlike PPO's, a resumed warm-up goes on with the network, optimizer and counters
    but with new levels: what it forgets is a buffer of frames.
    """

    def __init__(
        self,
        parameters: Parameters,
        settings: WarmUpSettings,
        game: GameSettings,
        folder: pathlib.Path,
        seed: int = 0,
        bfloat16: bool = False,
        n_threads: int = 0,
        trained: bool = False,
    ):
        """Makes the network and the teacher's game.

        Args:
            parameters: to start from.
            settings: of the warm-up.
            game: CoinRun, hard for all its hazards.
            folder: where the save and the log are written.
            seed: of everything random but the levels.
            bfloat16: convolve in bfloat16.
            n_threads: threads of the engine; 0 for one a core.
            trained: the parameters are a trained network's, to go on from: batch
                normalisation is set up so that it changes nothing at first.

        Raises:
            SettingsError: the game is not CoinRun, or its state cannot be read.
            SaveError: the folder cannot be written.
        """
        from lucid_rl.training.tensorflow_warm_up import TensorFlowWarmUp

        if game.name != "coinrun" or game.use_generated_assets:
            raise SettingsError(
                "the warm-up's labels are CoinRun's, with its own sprites, but the "
                f"game is {game.name}: leave the warm-up off."
            )
        check_writable(folder)
        self.settings = settings
        self._folder = folder
        self._network = TensorFlowWarmUp(
            parameters,
            settings.loss,
            bfloat16,
            n_threads,
            seed,
            settings.first_trained_layer,
        )
        self._rng = np.random.default_rng([seed, 3])
        self.n_updates_done = 0
        self.n_frames_labelled = 0
        save = read_save(folder, WARM_UP_SAVE)
        if save is not None:
            self._network.set_state(save["network"])
            self.n_updates_done = save["n_updates_done"]
            self.n_frames_labelled = save["n_frames_labelled"]
            restore_generator(self._rng, save["rng"])
        levels = int(self._rng.integers(2**31))
        n_envs = settings.n_envs + settings.teacher.scouts.count
        self._game = make_game(game.replace(n_envs=n_envs, seed=levels))
        teacher_rng = np.random.default_rng(self._rng.integers(2**63))
        self._teacher = PlannerTeacher(self._game, teacher_rng, settings.teacher)
        self._buffer = FrameBuffer(settings.buffer_size)
        self._held_out = self._make_held_out(game)
        self._n_updates_here = 0  # since this process began, with an empty buffer
        self._to_unfold = trained and save is None

    def run(
        self, max_seconds: float | None = None, save_interval: float = 120.0
    ) -> Parameters:
        """Trains, and saves on an interval and at the end, however it comes.

        Args:
            max_seconds: time to stop after.
            save_interval: seconds between saves and lines of the log.

        Returns:
            The plain network's parameters, its policy sharpened. The save keeps it as
            it was.
        """
        start = last = time.monotonic()
        recent: list[dict[str, float]] = []
        executor = futures.ThreadPoolExecutor(1)
        try:
            out_of_time = self.n_updates_done >= self.settings.n_updates
            while not out_of_time:
                # The teacher plays on beside the updates, against the student as it
                # was when they began: what it does depends on no thread's speed.
                self._network.hold()
                played = executor.submit(self._play)
                for _ in range(self._n_updates_due()):
                    recent.append(self._update())
                    now = time.monotonic()
                    if now - last > save_interval:
                        self._log(recent, now - start)
                        self.save()
                        recent, last = [], now
                    out_of_time = self.n_updates_done >= self.settings.n_updates or (
                        max_seconds is not None and now - start > max_seconds
                    )
                    if out_of_time:
                        break
                frames = played.result()
                self._buffer.add(frames)
                self.n_frames_labelled += len(frames)
            if self._buffer.n_added:
                self._network.calibrate(self._minibatches())
        finally:
            executor.shutdown()
            if recent:
                self._log(recent, time.monotonic() - start)
            self.save()
            self._game.close()
        return sharpened(self._network.get_parameters(), self.settings.sharpness)

    def _play(self) -> Demonstrations:
        return self._teacher.play(self._network.play, self.settings.n_steps)

    def _make_held_out(self, game: GameSettings) -> Demonstrations | None:
        """Frames of the teacher's own, disturbed play: the same for every run."""
        settings = self.settings
        if not settings.n_held_out:
            return None
        teacher = dataclasses.replace(
            settings.teacher,
            student_share=0.0,
            random_share=0.2,
            sure_probability=0.0,  # which frames are kept is not to depend on the run
            plain_share=0.3,
            n_other_looks=0,
            scouts=ScoutSettings(),
            restarts=RestartSettings(),
        )
        game = game.replace(n_envs=_HELD_OUT_ENVS, seed=_HELD_OUT_SEED)
        buffer = FrameBuffer(settings.n_held_out)
        rng = np.random.default_rng(_HELD_OUT_SEED)
        self._network.hold()
        with make_game(game) as played:
            held_out_teacher = PlannerTeacher(played, rng, teacher)
            while buffer.n_added < settings.n_held_out:
                buffer.add(held_out_teacher.play(self._network.play, settings.n_steps))
        return buffer.all()

    def _n_updates_due(self) -> int:
        """As many as the reuse allows, once there is a fair sample of frames."""
        first = min(_FIRST_FRAMES, self.settings.buffer_size * _FIRST_SHARE)
        n_frames = self._buffer.n_added - first
        size = self.settings.minibatch_size
        if n_frames <= 0:
            return 0
        return max(0, int(n_frames * self.settings.reuse / size) - self._n_updates_here)

    def _update(self) -> dict[str, float]:
        if self._to_unfold:
            self._network.unfold(self._minibatches())
            self._to_unfold = False
        examples = self._buffer.draw(self.settings.minibatch_size, self._rng)
        rate = self.settings.learning_rate_at(self.n_updates_done)
        statistics = self._network.update(examples, rate)
        self.n_updates_done += 1
        self._n_updates_here += 1
        return statistics

    def _minibatches(self):
        size = self.settings.minibatch_size
        for _ in range(self.settings.n_calibration):
            yield self._buffer.draw(size, self._rng)

    def _log(self, recent: list[dict[str, float]], seconds: float) -> None:
        means = {name: float(np.mean([r[name] for r in recent])) for name in recent[0]}
        if self._held_out is not None:
            measured = self._network.measure(self._held_out)
            means |= {f"held_out_{name}": value for name, value in measured.items()}
        record: Mapping[str, Any] = {
            "updates": self.n_updates_done,
            "frames_labelled": self.n_frames_labelled,
            "seconds": seconds,
            **means,
        }
        with open(self._folder / WARM_UP_LOG, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        report(
            f"warm-up {self.n_updates_done:,} / {self.settings.n_updates:,} updates | "
            + " | ".join(f"{name} {value:.4f}" for name, value in means.items())
        )

    def save(self) -> None:
        """Writes the network, optimizer and counters."""
        state = {
            "network": self._network.get_state(),
            "n_updates_done": self.n_updates_done,
            "n_frames_labelled": self.n_frames_labelled,
            "rng": generator_state(self._rng),
        }
        write_save(state, self._folder, WARM_UP_SAVE)

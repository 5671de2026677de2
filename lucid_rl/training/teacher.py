"""Labelled frames of CoinRun: where objects are and what a planner would do."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.games.coinrun_objects import (
    HAZARD_CLASSES,
    OBJECT_CLASSES,
    batch_object_maps,
)
from lucid_rl.games.coinrun_planner import PlannerSettings, plan
from lucid_rl.games.tracked_game import TrackedGame
from lucid_rl.games.vector_game import VectorGame
from lucid_rl.training.demonstrations import Demonstrations
from lucid_rl.training.rollout import sample_actions

MAP_CLASSES = (
    "coin",
    "buzzsaw",
    "enemy_left",
    "enemy_right",
    "box",
    "lava",
    "wall_edge",
)
MAP_SIZE = 16  # cells along a side
_CLASS_INDICES = [OBJECT_CLASSES.index(name) for name in MAP_CLASSES]
_HAZARD_INDICES = (
    [OBJECT_CLASSES.index("buzzsaw")],
    [OBJECT_CLASSES.index(name) for name in HAZARD_CLASSES if name != "buzzsaw"],
)

Policy = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class TeacherSettings:
    """Who plays, and which frames are kept."""

    student_share: float = 0.5  # share of stretches that the student plays
    stretch_steps: float = 30.0  # mean length of a stretch
    random_share: float = 0.05  # share of the teacher's actions replaced by random ones
    keep_share: float = 0.5  # share of frames kept; those left out resemble others
    air_share: float = 0.2  # of these in the air, where little is left to decide
    plain_share: float = 0.1  # and of these without a hazard in view
    saw_share: float = 0.4  # or with buzzsaws only, the commonest hazard
    gamma: float = 0.999  # discount of the value function's targets
    planner: PlannerSettings = field(default_factory=PlannerSettings)

    def __post_init__(self) -> None:
        for name in (
            "student_share",
            "random_share",
            "keep_share",
            "air_share",
            "plain_share",
            "saw_share",
            "gamma",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(
                    f"{name} must lie in [0, 1], got {getattr(self, name)}"
                )
        if self.stretch_steps < 1:
            raise SettingsError(
                f"stretch_steps must be at least 1, got {self.stretch_steps}"
            )


class PlannerTeacher:
    """Plays CoinRun, alternating with a student, and labels what it sees.

    Labels of frames that the student led to are those of DAgger (Ross et al., 2011):
    the student learns to get out of situations that it gets into. A plan is followed
    as long as its actions are taken, so that one search labels many frames.
    """

    def __init__(
        self, game: VectorGame, rng: np.random.Generator, settings: TeacherSettings
    ):
        """Keeps the game.

        Args:
            game: Procgen's CoinRun.
            rng: decides who plays and which frames are kept.
            settings: how often.
        """
        self._game = TrackedGame(game)
        self._rng = rng
        self._settings = settings
        self._plans: list[list[int] | None] = [None] * game.n_envs
        self._stale = np.ones(game.n_envs, bool)
        self._by_student = np.zeros(game.n_envs, bool)

    def play(self, student: Policy, n_steps: int) -> Demonstrations:
        """Plays `n_steps` steps in every environment and labels the frames kept.

        Args:
            student: logits and values of observations.
            n_steps: of each environment.

        Returns:
            Labelled frames, in order of time.
        """
        parts = [self._play_step(student) for _ in range(n_steps)]
        return Demonstrations(*map(np.concatenate, zip(*parts, strict=True)))

    def _play_step(self, student):
        game, rng, settings = self._game, self._rng, self._settings
        n = game.n_envs
        step = game.observe()
        self._stale |= step.firsts
        switch = rng.random(n) < 1 / settings.stretch_steps
        chosen = rng.random(n) < settings.student_share
        self._by_student = np.where(switch, chosen, self._by_student)
        worlds = game.worlds()
        kept, maps = self._choose_frames(worlds)

        wanted = ~self._by_student
        wanted[kept] = True
        for i in np.flatnonzero(wanted & self._stale):
            self._plans[i] = plan(worlds[i], settings.planner)
            self._stale[i] = False

        labels = np.full(n, -1, np.int32)
        returns = np.full(n, np.nan, np.float32)
        for i in np.flatnonzero(wanted):
            remaining = self._plans[i]
            # A state without a plan is lost, but for a few too hard to search.
            returns[i] = settings.gamma ** len(remaining) if remaining else 0.0
            labels[i] = remaining[0] if remaining else -1
        frames = (
            step.observations[kept].copy(),
            labels[kept],
            returns[kept],
            maps,
            np.ones(len(kept), bool),
        )
        actions = self._choose(student, step.observations, labels)
        self._follow(actions)
        game.act(actions)
        return frames

    def _choose_frames(self, worlds):
        """Draws the frames to keep; returns their places and maps [k, 16, 16, K]."""
        rng, settings = self._rng, self._settings
        share = np.where(
            [world.has_support() for world in worlds], 1.0, settings.air_share
        )
        drawn = rng.random(len(worlds)) < settings.keep_share * share
        kept = np.flatnonzero(drawn)
        all_maps = batch_object_maps([worlds[i] for i in kept], MAP_SIZE)
        saws, others = (
            all_maps[:, indices].any(axis=(1, 2, 3)) for indices in _HAZARD_INDICES
        )
        share = np.where(saws, settings.saw_share, settings.plain_share)
        chosen = others | (rng.random(len(kept)) < share)
        maps = all_maps[chosen][:, _CLASS_INDICES].transpose(0, 2, 3, 1)
        return kept[chosen], np.ascontiguousarray(maps)

    def _choose(self, student, observations, labels):
        rng = self._rng
        n = len(labels)
        actions = np.where(
            rng.random(n) < self._settings.random_share,
            rng.integers(0, self._game.n_actions, n),
            labels,
        ).astype(np.int32)
        playing = np.flatnonzero(self._by_student | (labels < 0))
        if len(playing):
            logits, _ = student(observations[playing])
            actions[playing], _ = sample_actions(logits, rng)
        return actions

    def _follow(self, actions):
        """Goes on with plans whose action was taken; forgets the others."""
        for i, action in enumerate(actions):
            remaining = self._plans[i]
            if not self._stale[i] and remaining and remaining[0] == action:
                self._plans[i] = remaining[1:]
            elif remaining or self._stale[i]:
                self._stale[i] = True

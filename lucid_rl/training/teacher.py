"""Labelled frames of CoinRun: where objects are and what a planner would do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from lucid_rl.errors import SettingsError
from lucid_rl.games.coinrun_looks import with_looks_of
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES, batch_object_maps
from lucid_rl.games.coinrun_physics import X
from lucid_rl.games.coinrun_planner import (
    CarefulSettings,
    action_costs,
    actions_alike,
    careful_plan,
    deadly_actions,
    deadly_to_the_slow,
    hopeless_actions,
)
from lucid_rl.games.coinrun_search import TILES_PER_STEP
from lucid_rl.games.coinrun_world import World
from lucid_rl.games.procgen_state import parse_state
from lucid_rl.games.tracked_game import TrackedGame
from lucid_rl.games.vector_game import VectorGame
from lucid_rl.training.demonstrations import Demonstrations
from lucid_rl.training.restarts import Restarts, RestartSettings
from lucid_rl.training.rollout import sample_actions
from lucid_rl.training.scouts import Scouts, ScoutSettings
from lucid_rl.training.searches import SearchPool

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
_MARGIN = 7.0  # temperatures by which an action may cost more, to be in a label
_CLASS_INDICES = [OBJECT_CLASSES.index(name) for name in MAP_CLASSES]

# Of observations: logits, and what is to be learned from in their place.
Student = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class TeacherSettings:
    """Who plays, and which frames are kept.

    Attributes:
        student_share: share of stretches that the student plays.
        stretch_steps: mean length of a stretch.
        random_share: share of the teacher's actions replaced by random ones.
        keep_share: share of frames kept; those left out resemble others.
        air_share: and of these in the air, where less is left to decide.
        plain_share: and of these without a hazard close by, where the student is sure
            enough to do as the planner does. Where it is not, all are: who falls
            deeper than the picture does so where no hazard is in it.
        sure_probability: of what the planner does, to be sure enough.
        saw_share: or with buzzsaws only, the commonest hazard.
        near_left: tiles to the left of the agent where a hazard is close by.
        near_right: and to the right.
        hold: see `deadly_actions`: the student is no acrobat.
        reaction: see `deadly_actions`, where that leaves a way to live: who waits for
            the last step that leaves one must tell that step from the next.
        least_probability: of a student's action, for it to be asked whether it leaves a
            way on (`hopeless_actions`), which takes a search.
        gamma: discount of the value function's targets.
        detour: steps that a player needs to the coin, by those at top speed; for the
            value function's targets.
        temperature: of labels, in steps: an action whose way costs so much more than
            the best is 1/e as probable. With 0, a label is the best action alone.
        n_other_looks: other looks in which each frame is shown, beside its own, with
            the same labels: backgrounds, walls and agents are exchanged between frames.
        knows_levels: it goes by all hazards of a level and not only by those in the
            picture: for few levels, which a student can know by heart.
        planner: how it plans.
        restarts: episodes that begin shortly before earlier failures, the student's
            for the most part: what is not understood yet is shown more often.
        scouts: players of environments of their own, the last ones.
    """

    student_share: float = 0.8
    stretch_steps: float = 30.0
    random_share: float = 0.05
    keep_share: float = 0.9
    air_share: float = 0.8
    plain_share: float = 0.1
    sure_probability: float = 0.9
    saw_share: float = 0.7
    near_left: float = 2.0
    near_right: float = 6.5
    hold: int = 6
    reaction: int = 3
    least_probability: float = 0.02
    gamma: float = 0.999
    detour: float = 1.2
    temperature: float = 0.0
    n_other_looks: int = 0
    knows_levels: bool = False
    planner: CarefulSettings = field(default_factory=CarefulSettings)
    restarts: RestartSettings = field(default_factory=RestartSettings)
    scouts: ScoutSettings = field(default_factory=ScoutSettings)

    def __post_init__(self) -> None:
        for name in (
            "student_share",
            "random_share",
            "keep_share",
            "air_share",
            "plain_share",
            "sure_probability",
            "saw_share",
            "least_probability",
            "gamma",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(
                    f"{name} must lie in [0, 1], got {getattr(self, name)}"
                )
        for name, least in (
            ("stretch_steps", 1),
            ("n_other_looks", 0),
            ("temperature", 0),
        ):
            if not getattr(self, name) >= least:
                raise SettingsError(
                    f"{name} must be at least {least}, got {getattr(self, name)}"
                )


class PlannerTeacher:
    """Plays CoinRun, alternating with a student, and labels what it sees.

    Labels of frames that the student led to are those of DAgger (Ross et al., 2011):
    the student learns to get out of situations that it gets into. A label is what the
    planner would do, and which actions cannot be survived or leave no way on. Every
    label is of a plan of its own: on the ground a third of the actions of older plans,
    which saw less far, are others than a new one's, and no picture tells how old a
    plan is.
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
        self._pool = SearchPool()
        self._n_students = game.n_envs - settings.scouts.count
        self._by_student = np.zeros(self._n_students, bool)
        self._scouts = Scouts(settings.scouts, settings.planner, rng, self._pool)
        self._restarts = Restarts(self._game, settings.restarts, rng)
        self._ages = np.full(game.n_envs, -1)  # the first step is still to come

    def play(self, student: Student, n_steps: int) -> Demonstrations:
        """Plays `n_steps` steps in every environment and labels the frames kept.

        Args:
            student: gives logits for observations, and what its layers that are not
                trained made of these; where there are none, themselves.
            n_steps: of each environment.

        Returns:
            Labelled frames, in order of time.
        """
        parts = [self._play_step(student) for _ in range(n_steps)]
        return Demonstrations(*map(np.concatenate, zip(*parts, strict=True)))

    def _play_step(self, student: Student) -> tuple[np.ndarray, ...]:
        """Labels what is shown, takes a step, and returns the fields of the frames."""
        game, settings, n = self._game, self._settings, self._n_students
        self._begin_episodes()
        self._switch_players()
        # On unlimited levels nobody can learn to avoid what is not shown.
        worlds = [
            world if settings.knows_levels else world.as_seen()
            for world in game.worlds()
        ]
        at_stake, their_deadly = self._find_stakes(worlds)
        shown = np.append(np.arange(n), at_stake)
        logits, inputs = student(game.observe().observations[shown])
        policy = special.softmax(logits, axis=1)
        chosen, deadly = self._choose_frames(worlds[:n], policy[:n])
        is_kept = np.ones(len(shown), bool)
        is_kept[:n] = False
        is_kept[chosen] = True
        needed = is_kept.copy()
        needed[:n] |= ~self._by_student
        costs = self._search([worlds[i] for i in shown], needed, is_kept)
        kept = shown[is_kept]
        labels = self._label(
            kept,
            [worlds[i] for i in kept],
            costs[is_kept],
            np.append(deadly, their_deadly, axis=0),
            policy[is_kept] >= settings.least_probability,
        )
        looks = [inputs[is_kept]]
        looks += [student(pictures)[1] for pictures in self._other_looks(kept)]
        game.act(
            np.append(
                self._choose_actions(logits[:n], costs[:n]),
                np.array(self._scouts.act(worlds[n:]), np.int32),
            )
        )
        return (
            np.concatenate(looks),
            *(np.concatenate([label] * len(looks)) for label in labels),
        )

    def _switch_players(self):
        """Lets the student, or the teacher, play on for a stretch, here and there."""
        rng, settings, n = self._rng, self._settings, self._n_students
        switch = rng.random(n) < 1 / settings.stretch_steps
        chosen = rng.random(n) < settings.student_share
        self._by_student = np.where(switch, chosen, self._by_student)

    def _other_looks(self, kept: np.ndarray) -> list[np.ndarray]:
        """The frames kept with looks exchanged between them, each u8 [k, 64, 64, 3]."""
        game, environments = self._game, kept.tolist()
        if not self._settings.n_other_looks or not environments:
            return []
        states = [parse_state(state) for state in game.get_states(environments)]
        pictures = []
        for _ in range(self._settings.n_other_looks):
            others = self._rng.permutation(len(states))
            drawn = [
                with_looks_of(state, states[k]).to_bytes()
                for state, k in zip(states, others, strict=True)
            ]
            pictures.append(game.drawn_as(drawn, environments))
        return pictures

    def _search(
        self, worlds: Sequence[World], needed: np.ndarray, is_kept: np.ndarray
    ) -> np.ndarray:
        """Costs of actions beyond the best one's.

        Args:
            worlds: k of them.
            needed: bool [k], where to search at all.
            is_kept: bool [k], where a label will be made of them.

        Returns:
            Steps, f64 [k, A]; inf where no way is, and where there is no search.
        """
        costs = np.full((len(worlds), self._game.n_actions), np.inf)
        places = np.flatnonzero(needed)
        found = self._pool.find(
            lambda k: self._costs(worlds[k], bool(is_kept[k])), places
        )
        for k, its_costs in zip(places, found, strict=True):
            costs[k] = its_costs
        return costs

    def _label(
        self,
        kept: np.ndarray,
        worlds: Sequence[World],
        costs: np.ndarray,
        deadly: np.ndarray,
        likely: np.ndarray,
    ) -> tuple[np.ndarray, ...]:
        """Makes labels of what the searches found.

        Args:
            kept: int [k], environments.
            worlds: what is shown there.
            costs: f64 [k, A], those of `_search`.
            deadly: bool [k, A], actions that a slow player does not survive.
            likely: bool [k, A], what the student may do.

        Returns:
            The fields of `Demonstrations`, but for observations.
        """
        targets, deadly = self._label_actions(worlds, costs, deadly, likely)
        has_way = np.isfinite(costs).any(axis=1)
        maps = batch_object_maps([self._game.worlds()[i] for i in kept], MAP_SIZE)
        maps = maps[:, _CLASS_INDICES].transpose(0, 2, 3, 1)
        return (
            targets,
            deadly,
            self._returns(worlds, has_way),
            np.ascontiguousarray(maps),
            np.ones(len(kept), bool),
        )

    def _label_actions(
        self,
        worlds: Sequence[World],
        costs: np.ndarray,
        deadly: np.ndarray,
        likely: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of actions, and which are to blame; arguments as of `_label`.

        Returns:
            Probabilities, f32 [k, A], all 0 where there is nothing to be copied;
            actions to be blamed for a death or for leaving no way on, bool [k, A].
        """
        settings = self._settings
        has_way = np.isfinite(costs).any(axis=1)
        best = costs.argmin(axis=1)
        is_copied = has_way.copy()
        # Where the planner finds nothing there may still be a way to live; where
        # there is none, no action is to blame.
        deadly = deadly & ~deadly.all(axis=1, keepdims=True)
        for k in np.flatnonzero(has_way & deadly[np.arange(len(best)), best]):
            # In the air it is not to be copied; on the ground, who never dares gets
            # nowhere.
            if worlds[k].has_support():
                deadly[k] = deadly_actions(worlds[k], hold=settings.hold)
            else:
                is_copied[k] = False
        near = [
            k for k in np.flatnonzero(has_way) if any(self._hazards_near(worlds[k]))
        ]
        asked = likely & np.isinf(costs) & ~deadly
        hopeless = self._pool.find(
            lambda k: hopeless_actions(
                worlds[k], np.flatnonzero(asked[k]), settings.planner
            ),
            near,
        )
        for k, actions in zip(near, hopeless, strict=True):
            deadly[k] |= actions
        copied = np.flatnonzero(is_copied)
        deadly[copied, best[copied]] = False
        targets = np.zeros(deadly.shape, np.float32)
        targets[copied] = self._targets(costs[copied], deadly[copied])
        return targets, deadly

    def _costs(self, world: World, is_label: bool) -> np.ndarray:
        """Costs of actions beyond the best one's, f64 [A]; inf where no way is."""
        settings = self._settings
        if is_label and settings.temperature:
            margin = _MARGIN * settings.temperature
            return action_costs(world, settings.planner, margin)
        costs = np.full(self._game.n_actions, np.inf)
        costs[careful_plan(world, settings.planner)[:1]] = 0
        return costs

    def _targets(self, costs: np.ndarray, deadly: np.ndarray) -> np.ndarray:
        """Probabilities of actions by their costs, f64 [k, A]."""
        weights = np.exp(-costs / (self._settings.temperature or 1.0)) * ~deadly
        return weights / weights.sum(axis=1, keepdims=True)

    def _begin_episodes(self):
        """Lets those that are due begin before failures; does not change the step."""
        firsts = self._game.observe().firsts
        self._ages += 1
        ended = np.flatnonzero(firsts & (self._ages > 0))
        is_scout = ended >= self._n_students
        self._scouts.begin(ended[is_scout] - self._n_students)
        if self._settings.restarts.share:
            complete = self._game.last_level_complete()[ended]
            complete |= is_scout  # no failure of theirs: only students are to learn
            self._restarts.follow(self._ages, ended, complete)
        self._ages[ended] = 0

    def _choose_frames(self, worlds, policy):
        """Draws the environments whose frames are kept; deadly actions [k, A]."""
        rng, settings = self._rng, self._settings
        share = np.full(len(worlds), float(settings.keep_share))
        plain = np.zeros(len(worlds), bool)
        for i, world in enumerate(worlds):
            saws, others = self._hazards_near(world)
            if saws and not others:
                share[i] *= settings.saw_share
            if not world.has_support():
                share[i] *= settings.air_share
            plain[i] = not (saws or others)
        places = np.flatnonzero(plain)
        sure = self._pool.find(lambda i: self._is_sure(worlds[i], policy[i]), places)
        share[places[np.array(sure, bool)]] *= settings.plain_share
        drawn = np.flatnonzero(rng.random(len(worlds)) < share)
        return drawn, self._deadly(worlds, drawn)

    def _find_stakes(self, worlds):
        """Scouts' environments whose frames are kept; deadly actions [k, A]."""
        places = np.arange(self._n_students, len(worlds))
        share = self._settings.scouts.stake_share
        drawn = places[self._rng.random(len(places)) < share]
        near = [i for i in drawn if any(self._hazards_near(worlds[i]))]
        deadly = self._deadly(worlds, near)
        at_stake = deadly.any(axis=1) & ~deadly.all(axis=1)
        return np.array(near, int)[at_stake], deadly[at_stake]

    def _hazards_near(self, world: World) -> tuple[bool, bool]:
        """Whether a buzzsaw is close by, and whether an enemy or lava is."""
        settings = self._settings
        return world.hazards_between(-settings.near_left, settings.near_right)

    def _deadly(self, worlds, places):
        """Actions that a slow player does not survive, bool [k, A]."""
        settings = self._settings
        found = self._pool.find(
            lambda i: deadly_to_the_slow(worlds[i], settings.hold, settings.reaction),
            places,
        )
        return np.reshape(found, (len(places), self._game.n_actions)).astype(bool)

    def _is_sure(self, world: World, probabilities: np.ndarray) -> bool:
        """Whether the student will do as the planner does; also where that has no way.

        Args:
            world: what is shown.
            probabilities: f32 [A], the student's.
        """
        way = careful_plan(world, self._settings.planner)
        if not way:
            return True
        alike = actions_alike(way[0], world.has_support())
        return probabilities[alike].sum() >= self._settings.sure_probability

    def _returns(self, worlds, known):
        """The discounted probability of finishing for a careful player, f32 [k]."""
        distances = np.array([world.goal()[0] - world.agent[X] for world in worlds])
        steps = self._settings.detour * np.abs(distances) / TILES_PER_STEP
        return np.where(known, self._settings.gamma**steps, 0).astype(np.float32)

    def _choose_actions(self, logits, costs):
        """Students' environments' actions, int32 [n], by who plays there."""
        rng, n = self._rng, self._n_students
        actions = rng.integers(0, self._game.n_actions, n).astype(np.int32)
        follows = rng.random(n) >= self._settings.random_share
        by_student = self._by_student | ~np.isfinite(costs).any(axis=1)
        by_teacher = follows & ~by_student
        actions[by_teacher] = costs[by_teacher].argmin(axis=1)
        by_the_student, _ = sample_actions(logits, rng)
        return np.where(by_student, by_the_student, actions)

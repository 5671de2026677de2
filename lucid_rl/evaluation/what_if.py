"""Counterfactual play: two agents continue from one saved state of a game.

The original agent and a changed one play on, each many times and with the same random
numbers. Their failure rates measure the effect of the change at this moment (article,
"Leveraging the environment": exploring counterfactuals).
"""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lucid_rl.editing.for_model import object_directions
from lucid_rl.editing.paired_observations import ERASABLE_OBJECTS
from lucid_rl.errors import FileFormatError, InputError
from lucid_rl.evaluation.episodes import Episode
from lucid_rl.evaluation.play import own_levels, play
from lucid_rl.evaluation.players import cause_finder
from lucid_rl.evaluation.replay import one_environment, play_actions, replay_frames
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.games.registry import check_fits, game_settings, make_game
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.model.batching import batch_slices
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.reports import markdown_table
from lucid_rl.statistics import Difference, Proportion, compare
from lucid_rl.validation import Natural, Positive, Settings

_MOST_ENVS = 64


@dataclasses.dataclass(frozen=True)
class WhatIfSettings(Settings):
    """How agents play on from a moment."""

    n_samples: Positive = 64
    """Times that each agent plays on from a moment."""
    n_before: Natural = 24
    """Steps before a found moment from which agents play on."""
    seed: Natural = 0
    """Seed of the actions; sample i of both agents draws the same random numbers."""


@dataclasses.dataclass(frozen=True)
class Situation:
    """A moment of a game that play can go on from.

    Attributes:
        level_seed: the level.
        actions: u8 [t], the actions from the level's beginning to the moment.
        reward: sum of the rewards up to the moment.
        state: the game's state at the moment.
        observation: u8 [H, W, C], what is seen there.
    """

    level_seed: int
    actions: np.ndarray
    reward: float
    state: bytes = dataclasses.field(repr=False)
    observation: np.ndarray = dataclasses.field(repr=False)

    @property
    def step(self) -> int:
        """Steps since the level's beginning."""
        return len(self.actions)


@dataclasses.dataclass(frozen=True)
class Continuations:
    """How one agent played on.

    Attributes:
        name: of the agent.
        episodes: one for each sample, from the level's beginning: its actions begin
            with the situation's.
    """

    name: str
    episodes: tuple[Episode, ...]

    @property
    def failed(self) -> Proportion:
        """Fraction of the samples that failed, with Wilson's interval."""
        return Proportion.of(not episode.completed for episode in self.episodes)

    @property
    def causes(self) -> dict[str, int]:
        """Failed samples by cause, most frequent first."""
        causes = (e.outcome for e in self.episodes if not e.completed)
        return dict(Counter(causes).most_common())

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a results file."""
        return {
            "name": self.name,
            "failed": {**self.failed.as_dict(), "n": self.failed.n},
            "causes": self.causes,
        }


@dataclasses.dataclass(frozen=True)
class WhatIf:
    """Two agents playing on from the same moment.

    Attributes:
        situation: the moment.
        game: what is played.
        original: how the original agent played on.
        changed: how the changed one did.
    """

    situation: Situation
    game: GameSettings
    original: Continuations
    changed: Continuations

    @property
    def difference(self) -> Difference:
        """Failures of the changed agent less those of the original one.

        Fisher's exact test takes the samples as independent, although they share
        random numbers; with shared ones the test is conservative.
        """
        return compare(self.changed.failed, self.original.failed)

    @property
    def shown(self) -> int:
        """The sample to watch.

        The first in which only the one that fails more often fails; without such a
        sample the first one.
        """
        pairs = zip(self.original.episodes, self.changed.episodes, strict=True)
        more = self.changed.failed.count >= self.original.failed.count
        for sample, (original, changed) in enumerate(pairs):
            if original.completed is more and changed.completed is not more:
                return sample
        return 0

    def film(
        self, changed: bool, sample: int | None = None, full_resolution: bool = False
    ) -> Iterator[np.ndarray]:
        """Frames of a sample from the moment on.

        Args:
            changed: of the changed agent, or of the original one.
            sample: its number; `shown` by default.
            full_resolution: the game's large frames rather than observations.

        Yields:
            A frame for each action, u8 [H, W, C].
        """
        episodes = (self.changed if changed else self.original).episodes
        episode = episodes[self.shown if sample is None else sample]
        for t, frame in enumerate(replay_frames(episode, self.game, full_resolution)):
            if t >= self.situation.step:
                yield frame

    def table(self) -> str:
        """Failures of both with 95 % intervals and causes, as Markdown."""
        rows = [
            (
                agent.name,
                agent.failed,
                ", ".join(f"{k} {n}" for k, n in agent.causes.items()),
            )
            for agent in (self.original, self.changed)
        ]
        table = markdown_table(("agent", "failed", "causes"), rows)
        return f"{table}\n\n{self.difference.p_text}"

    def __repr__(self) -> str:
        agents = (self.original, self.changed)
        failed = ", ".join(f"{agent.name} failed {agent.failed}" for agent in agents)
        return f"WhatIf(level {self.situation.level_seed}, {failed})"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a results file."""
        return {
            "level_seed": self.situation.level_seed,
            "step": self.situation.step,
            "original": self.original.as_dict(),
            "changed": self.changed.as_dict(),
            "difference": self.difference.as_dict(),
            "shown": self.shown,
        }


def what_if(
    model: Any,
    change: Any,
    level_seed: int,
    actions: Sequence[int] | np.ndarray,
    *,
    game: GameSettings | None = None,
    settings: WhatIfSettings | None = None,
) -> WhatIf:
    """Plays on from a moment with an agent and with a changed one.

    Args:
        model: the agent: a `Model`, or what `load` takes.
        change: what is different: an object that the changed agent does not see
            (`ERASABLE_OBJECTS`, such as "buzzsaw"), or the changed agent itself.
        level_seed: the moment's level.
        actions: int [t], the actions from the level's beginning to the moment.
        game: what is played; by default the model's own game.
        settings: how often, and the seed.

    Returns:
        The fractions of failures, causes and films of both.

    Raises:
        InputError: the episode ends before the moment.
        GameError: the game cannot start given levels, or has no states.

    Example:
        >>> episode = lucid_rl.evaluate(model, 500).episodes[7]
        >>> before = episode.actions[:-24]
        >>> lucid_rl.what_if(model, "buzzsaw", episode.level_seed, before)
    """
    model = load(model)
    game = game or game_settings(model.args, model.n_actions, model.image_shape)
    found = situation(game, level_seed, actions)
    return play_both(model, changed_agent(model, change), found, game, settings)


def changed_agent(model: Model, change: Any) -> Model:
    """The agent that `what_if` compares with: see its `change`.

    Raises:
        InputError: the two have not as many actions.
    """
    if isinstance(change, str) and change in ERASABLE_OBJECTS:
        found = object_directions(model, change)
        return model.without(found.directions, found.layer)
    try:
        changed = load(change)
    except FileFormatError as error:
        known = ", ".join(ERASABLE_OBJECTS)
        raise FileFormatError(f"{error} Or one of the objects {known}.") from error
    if changed.n_actions != model.n_actions:
        raise InputError(
            f"{changed.name} has {changed.n_actions} actions, {model.name} "
            f"{model.n_actions}: expected as many"
        )
    return changed


def situation(
    game: GameSettings, level_seed: int, actions: Sequence[int] | np.ndarray
) -> Situation:
    """Plays a level up to a moment and saves the game's state.

    The arguments and errors are those of `what_if`.
    """
    actions = np.asarray(actions)
    if actions.ndim != 1 or (actions.size and actions.dtype.kind not in "iu"):
        raise InputError(
            f"actions are {actions.dtype} of shape {actions.shape}: expected whole "
            "numbers [t], such as an episode's actions[:t]"
        )
    actions = actions.astype(np.int64)
    with one_environment(game) as played:
        reward = 0.0
        for t, step in enumerate(play_actions(played, level_seed, actions)):
            if t and step.firsts[0]:
                raise InputError(
                    f"level {level_seed} ends after {t} actions, before the "
                    f"moment at {len(actions)}: these are actions of another level "
                    "or game"
                )
            reward += float(step.rewards[0]) if t else 0.0
        seen = step.observations[0].copy()
        (state,) = played.get_states()
    taken = actions.astype(np.uint8)
    return Situation(int(level_seed), taken, reward, state, seen)


def play_both(
    model: Model,
    changed: Model,
    moment: Situation,
    game: GameSettings,
    settings: WhatIfSettings | None = None,
) -> WhatIf:
    """Plays on from a situation with the original and the changed agent."""
    settings = settings or WhatIfSettings()
    original, other = (
        Continuations(agent.name, play_on(agent, moment, game, settings))
        for agent in (model, changed)
    )
    if other.name == original.name:
        other = dataclasses.replace(other, name=f"{other.name}, changed")
    return WhatIf(moment, game, original, other)


def play_on(
    model: Model, moment: Situation, game: GameSettings, settings: WhatIfSettings
) -> tuple[Episode, ...]:
    """An episode of each sample, from the level's beginning.

    The outcome of a failed one is its cause, where causes are known.
    """
    n_envs = min(_MOST_ENVS, settings.n_samples)
    played = game.replace(n_envs=n_envs, n_levels=0, start_level=0)
    episodes: list[Episode] = []
    with make_game(played) as vector:
        check_fits(vector, model.n_actions, model.image_shape)
        for rows in batch_slices(settings.n_samples, n_envs):
            vector.set_states([moment.state] * n_envs)
            turns = own_levels(range(rows.start, rows.stop), n_envs)
            episodes += play(vector, model, turns, settings.seed)
    whole = [
        dataclasses.replace(
            episode,
            level_seed=moment.level_seed,
            reward=moment.reward + episode.reward,
            actions=np.concatenate([moment.actions, episode.actions]),
        )
        for episode in sorted(episodes, key=lambda episode: episode.index)
    ]
    with contextlib.ExitStack() as stack:
        finish = cause_finder(EvaluationSettings(game=played), stack)
        return tuple(finish(whole))

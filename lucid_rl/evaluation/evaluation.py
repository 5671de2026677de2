"""Evaluation of a model on many levels.

The same model and settings give the same episodes, on any number of processes. An
evaluation that writes to a file keeps what it played when it is interrupted, and
resumes there when it is called again.
"""

import contextlib
import dataclasses
import functools
import html
import itertools
import os
import pathlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lucid_rl.errors import InputError, SettingsError
from lucid_rl.evaluation.episodes import (
    COMPLETED,
    FAILED,
    Episode,
    read_episodes,
    write_episodes,
)
from lucid_rl.evaluation.level_contents import kinds_of_levels, levels_with
from lucid_rl.evaluation.players import Player, play_episodes
from lucid_rl.evaluation.replay import replay_frames
from lucid_rl.evaluation.settings import NOT_KNOWN, EvaluationSettings
from lucid_rl.files import PathLike
from lucid_rl.folder_lock import folder_lock
from lucid_rl.games.coinrun_original_files import NAME as ORIGINAL_COINRUN
from lucid_rl.games.registry import game_settings, has_completion, saves_states
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.progress import progress
from lucid_rl.statistics import Mean, Proportion, compare
from lucid_rl.validation import check, instance_of, none
from lucid_rl.version import __version__

# How often episodes are written while more are played, in seconds.
_SAVE_EVERY_S = 30.0
# Settings of a game that change nothing about what is played.
_NO_EFFECT = ("n_threads", "isolated", "full_resolution", "seed")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Episodes of a model, and their statistics.

    Attributes:
        header: the model, the exact settings and the versions of what played.
        episodes: all of them, by index.
    """

    header: dict[str, Any]
    episodes: list[Episode]

    @property
    def settings(self) -> EvaluationSettings:
        """The settings in the header."""
        return EvaluationSettings.from_dict(self.header.get("settings", {}))

    @property
    def completed(self) -> Proportion:
        """Success rate: fraction of the levels that were completed."""
        return self.fraction_of(COMPLETED)

    @property
    def knows_causes(self) -> bool:
        """Whether causes of failure are known for the game."""
        game = self.header.get("settings", {}).get("game", {})
        return not (
            game.get("name") == ORIGINAL_COINRUN or game.get("use_generated_assets")
        )

    @property
    def causes_unknown(self) -> bool:
        """Whether there are failures whose causes are not known for the game."""
        unexplained = any(episode.outcome == FAILED for episode in self.episodes)
        return unexplained and not self.knows_causes

    @property
    def failed(self) -> Proportion:
        """Fraction of the levels that were not completed, whatever the cause."""
        return Proportion.of(not episode.completed for episode in self.episodes)

    def fraction_of(self, outcome: str) -> Proportion:
        """Fraction of the levels that ended in an outcome, such as "buzzsaw"."""
        return Proportion.of(episode.outcome == outcome for episode in self.episodes)

    def failures(self) -> dict[str, Proportion]:
        """Fraction of the levels failed for each cause, most frequent first."""
        counts = Counter(e.outcome for e in self.episodes if not e.completed)
        n = len(self.episodes)
        return {cause: Proportion(k, n) for cause, k in counts.most_common()}

    @functools.cached_property
    def completed_by_kind(self) -> dict[str, Proportion]:
        """Success rate on each kind of Procgen CoinRun's levels.

        Empty for games without readable states.
        """
        game = self.settings.played
        if game.name != "coinrun" or not saves_states(game):
            return {}
        seeds = [episode.level_seed for episode in self.episodes]
        completed = np.array([episode.completed for episode in self.episodes])
        kinds = kinds_of_levels(levels_with(game, seeds))
        return {
            kind: Proportion.of(completed[chosen])
            for kind, chosen in kinds.items()
            if chosen.any()
        }

    @property
    def mean_return(self) -> Mean:
        """Mean sum of rewards of an episode, in the game's own units."""
        return Mean.of([episode.reward for episode in self.episodes])

    def table(self) -> str:
        """Outcomes with 95 % intervals, as aligned text.

        Where a game's episodes cannot be completed, such as Atari's, the table has the
        mean return only.
        """
        rows: dict[str, Any] = {}
        if has_completion(self.settings.played):
            rows["completed"] = self.completed
            for kind, share in self.completed_by_kind.items():
                rows[f"  {kind} ({share.n})"] = share
            rows |= self.failures()
            if self.causes_unknown:
                rows["causes"] = NOT_KNOWN
        rows["mean return"] = self.mean_return
        width = max(map(len, rows))
        lines = [f"{name:{width}}  {value}" for name, value in rows.items()]
        return "\n".join([f"{len(self.episodes)} episodes", *lines])

    def compare(self, other: "Evaluation") -> str:
        """Outcomes of this evaluation beside another's, such as the unedited model's.

        Returns:
            Aligned text: for success and each cause of failure both fractions, the
            difference with its 95 % interval, and the p-value of Fisher's exact test.

        Raises:
            InputError: the two played other games, or one whose episodes cannot be
                completed.
        """
        game, others = self.settings.played, other.settings.played
        if game.name != others.name or not has_completion(game):
            raise InputError(
                f"{game.name} and {others.name}: expected evaluations of one game "
                "whose levels can be completed; others have a mean_return"
            )
        rows = [("", other._name, self._name, "difference", "")]
        for outcome in [COMPLETED, *(self.failures() | other.failures())]:
            before, now = other.fraction_of(outcome), self.fraction_of(outcome)
            found = compare(now, before)
            ends = f"({found.low:+.2%} to {found.high:+.2%})"
            percents = f"{before.fraction:.2%}", f"{now.fraction:.2%}"
            difference = f"{found.difference:+.2%} {ends}"
            rows.append((outcome, *percents, difference, found.p_text))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows
        )

    @property
    def _name(self) -> str:
        return str(self.header.get("model", {}).get("name", "unknown"))

    def __repr__(self) -> str:
        return f"Evaluation({self._name!r}, {len(self.episodes)} episodes)"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.table())}</pre>"

    def replay(
        self, episode: int, full_resolution: bool = False
    ) -> Iterator[np.ndarray]:
        """Replays an episode; yields the frame before each action.

        Args:
            episode: its index.
            full_resolution: yield the game's large frames, 512 x 512.

        Raises:
            InputError: there is no such episode.
            GameError: the game cannot repeat it.
        """
        found = {e.index: e for e in self.episodes}.get(episode)
        if found is None:
            raise InputError(
                f"there is no episode {episode!r}: expected one of the "
                f"{len(self.episodes)} played, numbered from 0"
            )
        return replay_frames(found, self.settings.played, full_resolution)

    def examples_of(self, outcome: str, n: int = 5) -> list[int]:
        """Indices of the first `n` episodes that ended in an outcome."""
        indices = (e.index for e in self.episodes if e.outcome == outcome)
        return list(itertools.islice(indices, n))

    def as_dict(self) -> dict[str, Any]:
        """Everything but the episodes, for a results file."""
        rewards = np.array([episode.reward for episode in self.episodes])
        lengths = np.array([len(episode.actions) for episode in self.episodes])
        outcomes: dict[str, Any] = {}
        if has_completion(self.settings.played):
            outcomes["completed"] = self.completed.as_dict()
            outcomes["failed"] = {
                cause: {**share.as_dict(), "examples": self.examples_of(cause)}
                for cause, share in self.failures().items()
            }
        return {
            **self.header,
            "n_episodes": len(self.episodes),
            **outcomes,
            "reward": _moments(rewards),
            "n_steps": _moments(lengths),
        }


def evaluate(
    model: Any,
    n_episodes: int = 1000,
    *,
    game: str | GameSettings | None = None,
    settings: EvaluationSettings | None = None,
    path: PathLike | None = None,
    n_workers: int | None = None,
) -> Evaluation:
    """Evaluates a model on levels, and finds the cause of each failure.

    Args:
        model: a `Model`, what `load` takes, or a policy: a function of observations
            that returns logits [N, A] and values [N].
        n_episodes: levels to play.
        game: what is played, a name or `GameSettings`; by default the model's own game,
            unlimited levels. A policy has none: give one.
        settings: everything else; replaces `n_episodes`.
        path: file to keep the episodes in (`.npz`). Episodes found there, of the
            same model and settings, are not played again. Its folder is locked.
        n_workers: processes to play in; None for one a core where there is enough
            to do. The result does not depend on it.

    Returns:
        The first `n_episodes` episodes and their summary.

    Raises:
        SettingsError: `path` holds episodes of another model or other settings; no
            game is known, or `game` and `settings` name two.
        InputError: the model has not as many actions as the game.
        GameError: the game cannot be made.
        SaveError: the folder of `path` cannot be written, or another run uses it.

    Example:
        >>> print(lucid_rl.evaluate("bundled", 500).table())
    """
    settings = settings or EvaluationSettings(n_episodes)
    check("settings", settings, instance_of(EvaluationSettings))
    check("game", game, instance_of(GameSettings) | instance_of(str) | none())
    bfloat16 = settings.bfloat16
    if isinstance(model, Model) or not callable(model):
        model = load(model, bfloat16=bfloat16)
        bfloat16 = model.bfloat16
    if isinstance(model, Model) and (
        isinstance(game, str) or settings.game is game is None
    ):
        game = game_settings(model.args, model.n_actions, model.image_shape, name=game)
    elif isinstance(game, str):
        game = GameSettings(game)
    if None not in (game, settings.game) and game != settings.game:
        raise SettingsError("game and settings.game differ: give one of them")
    settings = dataclasses.replace(
        settings, game=settings.game or game, bfloat16=bfloat16
    )
    header = {
        "lucid_rl": __version__,
        "model": _describe(model),
        "settings": settings.as_dict(),
        "engine": settings.engine(),
    }
    with contextlib.ExitStack() as stack:
        if path is not None:
            stack.enter_context(folder_lock(pathlib.Path(path).parent, "evaluation"))
        kept = _kept_episodes(path, header)
        missing = [i for i in range(settings.n_episodes) if i not in kept]
        if missing:
            _play(model, settings, missing, kept, header, path, n_workers)
    return Evaluation(header, [kept[i] for i in range(settings.n_episodes)])


def _play(
    model: Player,
    settings: EvaluationSettings,
    missing: list[int],
    kept: dict[int, Episode],
    header: dict[str, Any],
    path: PathLike | None,
    n_workers: int | None,
) -> None:
    """Plays the missing episodes, and writes all of them at intervals."""

    def save() -> None:
        if path is not None:
            write_episodes(kept.values(), header, path)

    save()  # fails now, not after hours, if the folder cannot be written
    played = play_episodes(model, settings, missing, n_workers)
    last_save = time.monotonic()
    try:
        with contextlib.closing(played):
            for episodes in progress(played, "playing levels", total=len(missing)):
                kept.update((episode.index, episode) for episode in episodes)
                if time.monotonic() - last_save > _SAVE_EVERY_S:
                    save()
                    last_save = time.monotonic()
    finally:
        save()


def _describe(model: Player) -> dict[str, Any]:
    """A model's name and the SHA-256 of its parameters, for a results file."""
    if isinstance(model, Model):
        return {"name": model.name, "sha256": model.digest}
    return {"name": getattr(model, "__qualname__", repr(model)), "sha256": None}


def read_evaluation(path: PathLike) -> Evaluation:
    """Reads an evaluation that `evaluate` wrote, complete or not.

    Raises:
        FileFormatError: the file holds no episodes.
    """
    episodes, header = read_episodes(path)
    return Evaluation(header, episodes)


def _kept_episodes(
    path: PathLike | None, header: Mapping[str, Any]
) -> dict[int, Episode]:
    if path is None or not os.path.exists(path):
        return {}
    episodes, kept_header = read_episodes(path)
    theirs, ours = _identity(kept_header), _identity(header)
    names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    if names:
        differences = "; ".join(
            f"{name} {theirs.get(name)!r}, now {ours.get(name)!r}" for name in names
        )
        raise SettingsError(
            f"{path} holds episodes of another evaluation ({differences}): give "
            "another path, or move the file away"
        )
    return {episode.index: episode for episode in episodes}


def _identity(header: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that all episodes of one evaluation share."""
    model, settings = header.get("model", {}), dict(header.get("settings", {}))
    game = settings.pop("game", {})
    # More episodes of the same are welcome.
    settings.pop("n_episodes", None)
    game = {name: v for name, v in game.items() if name not in _NO_EFFECT}
    return {
        "model": model.get("sha256") or model.get("name"),
        "engine": header.get("engine"),
        **settings,
        **game,
    }


def _moments(values: np.ndarray) -> dict[str, float]:
    """Mean, its standard error, and range, for a results file."""
    mean = Mean.of(values)
    return {
        "mean": mean.mean,
        "standard_error": mean.standard_error,
        "min": float(values.min()),
        "max": float(values.max()),
    }

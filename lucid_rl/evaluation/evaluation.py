"""Evaluations: a model plays many levels, and what came of it.

The same model and settings give the same episodes, on any number of processes. An
evaluation that writes to a file keeps what it played when it is interrupted, and
goes on from there when it is called again.
"""

import contextlib
import dataclasses
import functools
import itertools
import pathlib
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.evaluation.episodes import (
    COMPLETED,
    FAILED,
    Episode,
    read_episodes,
    write_episodes,
)
from lucid_rl.evaluation.level_contents import kinds_of_levels, levels_with
from lucid_rl.evaluation.players import (
    Player,
    describe_model,
    load_model,
    play_episodes,
)
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.evaluation.statistics import Proportion
from lucid_rl.files import PathLike
from lucid_rl.games.coinrun_original_files import NAME as ORIGINAL_COINRUN
from lucid_rl.games.registry import saves_states
from lucid_rl.progress import progress
from lucid_rl.version import __version__

# How often episodes are written while more are played, in seconds.
_SAVE_EVERY_S = 30.0
# Settings of a game that change nothing about what is played.
_NO_EFFECT = ("n_threads", "isolated", "full_resolution", "seed")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a model did.

    Attributes:
        header: the model, the exact settings and the versions of what played.
        episodes: all of them, by index.
    """

    header: dict[str, Any]
    episodes: list[Episode]

    @property
    def settings(self) -> EvaluationSettings:
        """The settings in the header."""
        return EvaluationSettings.from_dict(self.header["settings"])

    @property
    def completed(self) -> Proportion:
        """Share of the levels that were completed."""
        return self.share_of(COMPLETED)

    @property
    def tells_causes(self) -> bool:
        """Whether the game can tell what caused a failure."""
        game = self.header.get("settings", {}).get("game", {})
        return not (
            game.get("name") == ORIGINAL_COINRUN or game.get("use_generated_assets")
        )

    @property
    def causes_unknown(self) -> bool:
        """Whether there are failures of a game that cannot tell what caused them."""
        unexplained = any(episode.outcome == FAILED for episode in self.episodes)
        return unexplained and not self.tells_causes

    @property
    def failed(self) -> Proportion:
        """Share of the levels that were not completed, whatever the cause."""
        n = len(self.episodes)
        return Proportion(n - self.completed.count, n)

    def share_of(self, outcome: str) -> Proportion:
        """Share of the levels that ended in an outcome, such as "buzzsaw"."""
        count = sum(episode.outcome == outcome for episode in self.episodes)
        return Proportion(count, len(self.episodes))

    def failures(self) -> dict[str, Proportion]:
        """Share of the levels failed for each cause, most frequent first."""
        counts = Counter(e.outcome for e in self.episodes if not e.completed)
        n = len(self.episodes)
        return {cause: Proportion(k, n) for cause, k in counts.most_common()}

    @functools.cached_property
    def completed_by_kind(self) -> dict[str, Proportion]:
        """Share completed of each kind of Procgen CoinRun's levels that was played.

        Empty for games whose states do not tell.
        """
        game = self.settings.game
        if game.name != "coinrun" or not saves_states(game):
            return {}
        seeds = [episode.level_seed for episode in self.episodes]
        completed = np.array([episode.completed for episode in self.episodes])
        kinds = kinds_of_levels(levels_with(game, seeds))
        return {
            kind: Proportion(int(completed[chosen].sum()), int(chosen.sum()))
            for kind, chosen in kinds.items()
            if chosen.any()
        }

    def examples_of(self, outcome: str, n: int = 5) -> list[int]:
        """Indices of the first `n` episodes that ended in an outcome."""
        indices = (e.index for e in self.episodes if e.outcome == outcome)
        return list(itertools.islice(indices, n))

    def as_dict(self) -> dict[str, Any]:
        """Everything but the episodes, for a results file."""
        rewards = np.array([episode.reward for episode in self.episodes])
        lengths = np.array([len(episode.actions) for episode in self.episodes])
        return {
            **self.header,
            "n_episodes": len(self.episodes),
            "completed": self.completed.as_dict(),
            "failed": {
                cause: {**share.as_dict(), "examples": self.examples_of(cause)}
                for cause, share in self.failures().items()
            },
            "reward": _moments(rewards),
            "n_steps": _moments(lengths),
        }


def evaluate(
    model: Player,
    settings: EvaluationSettings,
    path: PathLike | None = None,
    n_workers: int | None = None,
) -> Evaluation:
    """Has a model play levels.

    Args:
        model: a checkpoint, the path of a `.jd` or `.model.pb` file, or a policy.
        settings: which levels, how many, and how actions are chosen.
        path: file to keep the episodes in (`.npz`). Episodes found there, of the
            same model and settings, are not played again.
        n_workers: processes to play in; None for one a core where there is enough
            to do. The result does not depend on it.

    Returns:
        The first `settings.n_episodes` episodes and their summary.

    Raises:
        SettingsError: `path` holds episodes of another model or other settings.
        InputError: the model has not as many actions as the game.
        GameError: the game cannot be made.
    """
    # Loaded once, so that what is described is what plays.
    model = load_model(model)
    header = {
        "lucid_rl": __version__,
        "model": describe_model(model),
        "settings": settings.as_dict(),
        "engine": settings.engine(),
    }
    kept = _kept_episodes(path, header)
    missing = [i for i in range(settings.n_episodes) if i not in kept]
    if missing:
        if path:
            # A folder that cannot be written to shows before hours are spent.
            write_episodes(kept.values(), header, path)
        played = play_episodes(model, settings, missing, n_workers)
        try:
            with contextlib.closing(played):
                last_save = time.monotonic()
                bar = progress(played, "playing levels", total=len(missing))
                for episode in bar:
                    kept[episode.index] = episode
                    if path and time.monotonic() - last_save > _SAVE_EVERY_S:
                        write_episodes(kept.values(), header, path)
                        last_save = time.monotonic()
        finally:
            if path:
                write_episodes(kept.values(), header, path)
    return Evaluation(header, [kept[i] for i in range(settings.n_episodes)])


def read_evaluation(path: PathLike) -> Evaluation:
    """The evaluation that `evaluate` kept in a file, as far as it went.

    Raises:
        FileFormatError: the file is no file of episodes.
    """
    episodes, header = read_episodes(path)
    return Evaluation(header, episodes)


def _kept_episodes(
    path: PathLike | None, header: Mapping[str, Any]
) -> dict[int, Episode]:
    if path is None or not pathlib.Path(path).exists():
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
    """What must be the same for episodes to belong to one evaluation."""
    model, settings = header.get("model", {}), dict(header.get("settings", {}))
    game = settings.pop("game", {})
    # More episodes of the same are welcome.
    settings.pop("n_episodes", None)
    game = {name: v for name, v in game.items() if name not in _NO_EFFECT}
    return {
        "model": model.get("sha256") or model.get("path"),
        "engine": header.get("engine"),
        **settings,
        **game,
    }


def _moments(values: np.ndarray) -> dict[str, float]:
    """Mean, its standard error, and range, for a results file."""
    spread = values.std(ddof=1) if len(values) > 1 else float("nan")
    return {
        "mean": float(values.mean()),
        "standard_error": float(spread / np.sqrt(len(values))),
        "min": float(values.min()),
        "max": float(values.max()),
    }

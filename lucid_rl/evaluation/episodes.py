"""Episodes, with what replaying them exactly needs."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lucid_rl import notebook
from lucid_rl.bounded import check_schema, parse_json, read_npz
from lucid_rl.errors import FileFormatError
from lucid_rl.files import PathLike, atomic_open

# Changes when older readers would misread the file.
FORMAT_VERSION = 1
COMPLETED = "completed"
# A failure whose cause was not sought.
FAILED = "failed"
# An episode of a game in which nothing is completed; its return says how it went.
ENDED = "ended"

_HEADER = {
    "model?": {"name?": (str, None), "sha256?": (str, None)},
    "settings?": {"game?": dict},
}

_KINDS = {
    "index": "i8",
    "level_seed": "i8",
    "n_actions": "i8",
    "actions": "u1",
    "reward": "f8",
    "outcome": "i2",
}


@dataclasses.dataclass(frozen=True)
class Episode:
    """An episode: one level, played once.

    Attributes:
        index: the episode's number in its evaluation.
        level_seed: the level, -1 where the game does not report it.
        actions: u8 [T], all actions up to the end.
        reward: sum of the rewards.
        outcome: `COMPLETED`, or what ended it: a cause of failure where that was
            found out, `FAILED` where not; `ENDED` where a game knows neither.
    """

    index: int
    level_seed: int
    actions: np.ndarray
    reward: float
    outcome: str

    @property
    def completed(self) -> bool:
        """Whether the level was completed."""
        return self.outcome == COMPLETED

    def __repr__(self) -> str:
        return notebook.summary(self)


def write_episodes(
    episodes: Iterable[Episode], header: Mapping[str, Any], path: PathLike
) -> None:
    """Writes episodes and the settings they were played with, atomically.

    Args:
        episodes: in any order; they are written by index.
        header: plain values that JSON can hold.
        path: an `.npz` file of plain arrays, which holds no pickle.
    """
    episodes = sorted(episodes, key=lambda episode: episode.index)
    outcomes = sorted({episode.outcome for episode in episodes})
    columns = {
        "index": [episode.index for episode in episodes],
        "level_seed": [episode.level_seed for episode in episodes],
        "n_actions": [len(episode.actions) for episode in episodes],
        "actions": np.concatenate([np.empty(0, "u1"), *(e.actions for e in episodes)]),
        "reward": [episode.reward for episode in episodes],
        "outcome": [outcomes.index(episode.outcome) for episode in episodes],
    }
    with atomic_open(path) as stream:
        np.savez_compressed(
            stream,
            format_version=np.array(FORMAT_VERSION),
            header=np.array(json.dumps(header, sort_keys=True)),
            outcome_names=np.array(outcomes, dtype=str),
            **{name: np.array(columns[name], _KINDS[name]) for name in _KINDS},
        )


def read_episodes(path: PathLike) -> tuple[list[Episode], dict[str, Any]]:
    """Reads what `write_episodes` wrote.

    Returns:
        The episodes by index, and the header.

    Raises:
        FileFormatError: the file cannot be read or its arrays do not fit together.
    """
    try:
        arrays = read_npz(path)
        version = int(arrays["format_version"])
        if version != FORMAT_VERSION:
            raise FileFormatError(
                f"{path}: episodes of format {version}, expected {FORMAT_VERSION}: "
                "play them again, or use the release that wrote them"
            )
        header = parse_json(str(arrays["header"]), f"{path}, a file of episodes")
        names = [str(name) for name in arrays["outcome_names"]]
        columns = {
            name: arrays[name].astype(kind, casting="safe").reshape(-1)
            for name, kind in _KINDS.items()
        }
    except (ValueError, TypeError, KeyError) as error:
        raise FileFormatError(
            f"cannot read {path} as a file of episodes: {error}"
        ) from error
    check_schema(header, _HEADER, f"{path}, its header")
    _check(path, columns, len(names))
    ends = np.cumsum(columns["n_actions"])
    actions = np.split(columns["actions"], ends[:-1])
    return [
        Episode(int(index), int(level_seed), taken, float(reward), names[outcome])
        for index, level_seed, taken, reward, outcome in zip(
            columns["index"],
            columns["level_seed"],
            actions,
            columns["reward"],
            columns["outcome"],
            strict=False,
        )
    ], header


def _check(path: PathLike, columns: Mapping[str, np.ndarray], n_names: int) -> None:
    index, outcome = columns["index"], columns["outcome"]
    lengths = {len(a) for name, a in columns.items() if name != "actions"}
    problem = None
    if len(lengths) != 1:
        problem = f"its columns have lengths {sorted(lengths)}"
    elif not _adds_up(columns["n_actions"], len(columns["actions"])):
        problem = "its actions do not add up"
    elif not np.isfinite(columns["reward"]).all():
        problem = "its rewards are not finite"
    elif len(index) and (index.min() < 0 or (np.diff(index) <= 0).any()):
        problem = "its episodes are not in order"
    elif len(index) and not 0 <= outcome.min() <= outcome.max() < n_names:
        problem = "it names an outcome that it does not list"
    if problem:
        raise FileFormatError(f"{path} is not a file of episodes: {problem}")


def _adds_up(counts: np.ndarray, n: int) -> bool:
    # A sum of numbers that are too large would overflow.
    return bool(((counts >= 0) & (counts <= n)).all()) and counts.sum() == n

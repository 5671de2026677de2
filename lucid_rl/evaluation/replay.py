"""Exact replays of episodes, as frames or films."""

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO

import numpy as np
from PIL import Image

from lucid_rl.errors import GameError, InputError
from lucid_rl.evaluation.episodes import Episode
from lucid_rl.files import PathLike, atomic_open
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import (
    FULL_RESOLUTION_SIZE,
    OBSERVATION_SIZE,
    GameSettings,
    GameStep,
    VectorGame,
)

# Procgen's own rate.
FRAMES_PER_SECOND = 15
FORMATS = (".gif", ".mp4")


@dataclasses.dataclass(frozen=True)
class Replay:
    """Observations and rewards of a replayed episode.

    Attributes:
        episode: which.
        observations: u8 [T, 64, 64, 3], what was seen before each action.
        rewards: f32 [T], what followed each.
    """

    episode: Episode
    observations: np.ndarray
    rewards: np.ndarray


def replay_frames(
    episode: Episode, settings: GameSettings, full_resolution: bool = False
) -> Iterator[np.ndarray]:
    """Replays an episode's actions and yields the frame before each.

    Args:
        episode: of a game that can start given levels.
        settings: of the game it was played in. Options that change only the picture
            may differ, such as `invisible`.
        full_resolution: yield the game's large frames rather than observations.

    Yields:
        A frame for each action, u8 [64, 64, 3] or [512, 512, 3].

    Raises:
        GameError: the game cannot start given levels, or the episode ends otherwise
            than it did: the settings or the engine are not those it was played with.
    """
    see = (lambda game: game.full_resolution()[0]) if full_resolution else _observation
    with one_environment(settings, full_resolution) as game:
        for frame, _ in _play_again(game, episode, see):
            yield frame


def replay_episodes(
    episodes: Iterable[Episode], settings: GameSettings
) -> Iterator[Replay]:
    """Replays episodes one after another; see `replay_frames`."""
    with one_environment(settings) as game:
        for episode in episodes:
            steps = _play_again(game, episode, _observation)
            frames, rewards = zip(*steps, strict=True)
            yield Replay(episode, np.array(frames), np.array(rewards, np.float32))


def play_actions(
    game: VectorGame, level_seed: int, actions: Iterable[int]
) -> Iterator[GameStep]:
    """Starts a level in a game of one environment, and takes actions.

    Yields:
        The level's first step, then the step after each action.

    Raises:
        GameError: the game cannot start a given level again.
    """
    if not game.chooses_levels:
        raise GameError(
            f"{game.settings.name} cannot start a given level again, so that its "
            "episodes cannot be replayed."
        )
    game.start_levels([0], [int(level_seed)])
    game.act(np.zeros(1, np.int64))
    yield game.observe()
    for action in actions:
        game.act(np.array([action]))
        yield game.observe()


def check_replayable(settings: GameSettings) -> None:
    """Raises `GameError` if the game's episodes cannot be replayed.

    A script can call it before it plays.
    """
    with one_environment(settings) as game:
        next(play_actions(game, 0, ()))


def one_environment(
    settings: GameSettings, full_resolution: bool = False
) -> VectorGame:
    """The same game with one environment, in which any level can be played."""
    return make_game(
        settings.replace(
            n_envs=1,
            n_levels=0,
            start_level=0,
            n_threads=1,
            full_resolution=full_resolution,
        )
    )


def _observation(game: VectorGame) -> np.ndarray:
    return game.observe().observations[0].copy()


def _play_again(
    game: VectorGame, episode: Episode, see: Callable[[VectorGame], np.ndarray]
) -> Iterator[tuple[np.ndarray, float]]:
    """What is seen before each action, and the reward that follows it."""
    steps = play_actions(game, episode.level_seed, episode.actions)
    next(steps)
    seen = see(game)
    reward, ended_at, completed = 0.0, 0, False
    for time, step in enumerate(steps):
        reward += float(step.rewards[0])
        ended = bool(step.firsts[0])
        yield seen, float(step.rewards[0])
        if ended:
            ended_at = time + 1
            completed = bool(game.last_level_complete()[0])
            break
        seen = see(game)
    found = (ended_at, completed, reward)
    expected = (len(episode.actions), episode.completed, episode.reward)
    if found != expected:
        raise GameError(
            f"episode {episode.index} does not repeat itself: (actions, completed, "
            f"reward) are {found}, recorded were {expected}. Give the settings that "
            "it was played with"
        )


def write_film(frames: Iterable[np.ndarray], path: PathLike) -> None:
    """Writes frames as a film, 15 a second, by its name's end: `.gif` or `.mp4`.

    Observations are enlarged, each pixel to a square, so that they can be watched.

    `frames` are u8 [height, width, 3] of one size, at least one. The file is
    written atomically; `.mp4` needs the package imageio-ffmpeg.

    Raises:
        InputError: another ending, no frames, or imageio-ffmpeg is not installed.
    """
    ending = pathlib.Path(path).suffix.lower()
    if ending not in FORMATS:
        raise InputError(f"cannot write {path}: expected {' or '.join(FORMATS)}")
    frames = (_enlarged(frame) for frame in frames)
    first = next(frames, None)
    if first is None:
        raise InputError(f"cannot write {path}: there are no frames")
    with atomic_open(path) as stream:
        if ending == ".gif":
            _write_gif(first, frames, stream)
        else:
            _write_mp4(first, frames, stream)


def _enlarged(frame: np.ndarray) -> np.ndarray:
    if len(frame) > OBSERVATION_SIZE:
        return frame
    factor = FULL_RESOLUTION_SIZE // OBSERVATION_SIZE // 2
    return frame.repeat(factor, axis=0).repeat(factor, axis=1)


def _write_gif(
    first: np.ndarray, others: Iterable[np.ndarray], stream: IO[bytes]
) -> None:
    Image.fromarray(first).save(
        stream,
        format="GIF",
        save_all=True,
        append_images=(Image.fromarray(frame) for frame in others),
        # The format counts hundredths of a second.
        duration=10 * round(100 / FRAMES_PER_SECOND),
        loop=0,
    )


def _write_mp4(
    first: np.ndarray, others: Iterable[np.ndarray], stream: IO[bytes]
) -> None:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise InputError(
            "an .mp4 needs the package imageio-ffmpeg (pip install imageio-ffmpeg); "
            "a .gif needs none"
        ) from error
    height, width = first.shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        # The encoder writes to a name, and back and forth.
        name = pathlib.Path(folder) / "film.mp4"
        writer = imageio_ffmpeg.write_frames(
            str(name), (width, height), fps=FRAMES_PER_SECOND, macro_block_size=1
        )
        with contextlib.closing(writer):
            writer.send(None)
            writer.send(np.ascontiguousarray(first))
            for frame in others:
                writer.send(np.ascontiguousarray(frame))
        stream.write(name.read_bytes())

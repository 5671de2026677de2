"""Play of an evaluation's levels, in this process or in one for each core."""

import contextlib
import dataclasses
import numbers
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TypeAlias, cast

import numpy as np

from lucid_rl.child_process import ChildProcess
from lucid_rl.errors import InputError
from lucid_rl.evaluation.episodes import Episode
from lucid_rl.evaluation.failure_causes import FailureClassifier
from lucid_rl.evaluation.play import given_levels, own_levels, play
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.games.registry import make_game
from lucid_rl.model.model import Model
from lucid_rl.sampling.actions import Policy

Player: TypeAlias = Model | Policy

# Episodes for each environment in a round. A process plays whole rounds; a game
# that cannot choose its levels is made anew for each.
_PER_ENV = 4
# A worker that is no longer needed has nothing to clean up.
_PATIENCE_S = 0.5


def play_episodes(
    model: Player,
    settings: EvaluationSettings,
    indices: Sequence[int],
    n_workers: int | None = None,
) -> Generator[list[Episode], None, None]:
    """Plays episodes of an evaluation, by index.

    `n_workers` is as in `evaluate`; a policy that is a function plays in this process.

    Yields:
        As each episode ends, the episodes that can be kept from then on. Where levels
        cannot be chosen they come a whole round at a time, and before that none: those
        of an interrupted round that have ended are its short ones.
    """
    rounds = sorted({index // _round_size(settings) for index in indices})
    n_cores = len(os.sched_getaffinity(0))
    if n_workers is None:
        n_workers = n_cores
    if not isinstance(n_workers, numbers.Integral) or n_workers < 1:
        raise InputError(f"n_workers={n_workers!r}: expected a whole number from 1 on")
    n_workers = min(n_workers, len(rounds))
    if n_workers == 1 or not isinstance(model, Model):
        yield from _play_part(model, settings, indices)
        return
    # One thread of TensorFlow's for each core in all.
    n_threads = str(max(1, n_cores // n_workers))
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    environment = {**dict.fromkeys(names, n_threads), "TF_CPP_MIN_LOG_LEVEL": "2"}
    with contextlib.ExitStack() as stack:
        children = {}
        for worker in range(n_workers):
            mine = set(rounds[worker::n_workers])
            part = [i for i in indices if i // _round_size(settings) in mine]
            child = ChildProcess(
                _serve_part,
                (model, settings, part),
                name=f"evaluation's player {worker + 1}",
                environment=environment,
                patience_s=_PATIENCE_S,
            )
            stack.callback(child.close)
            children[child.connection] = child
        while children:
            for connection in wait(list(children)):
                episodes = children[cast(Connection, connection)].receive()
                if episodes is None:
                    children.pop(cast(Connection, connection)).close()
                else:
                    yield episodes


def _serve_part(
    connection: Connection,
    model: Player,
    settings: EvaluationSettings,
    indices: Sequence[int],
) -> None:
    for episodes in _play_part(model, settings, indices):
        connection.send(episodes)
    connection.send(None)
    # The parent closes when it has read all.
    connection.recv()


def _play_part(
    model: Player, settings: EvaluationSettings, indices: Sequence[int]
) -> Iterator[list[Episode]]:
    """Plays episodes in this process; see `play_episodes`."""
    game_settings = settings.played.replace(seed=0)
    with contextlib.ExitStack() as stack:
        game = stack.enter_context(make_game(game_settings))
        finish = cause_finder(settings, stack)
        if game.chooses_levels:
            levels = given_levels(
                indices, settings.level_seeds()[list(indices)].tolist()
            )
            episodes = play(game, model, levels, settings.seed, settings.greedy)
            yield from ([episode] for episode in finish(episodes))
            return
    for number, wanted in _rounds(indices, _round_size(settings)):
        last = min((number + 1) * _round_size(settings), settings.n_episodes)
        everything = range(number * _round_size(settings), last)
        seed = int(np.random.default_rng([settings.seed, number, 2]).integers(2**31))
        with make_game(game_settings.replace(seed=seed)) as game:
            turns = own_levels(everything, game.n_envs)
            ended: list[Episode] = []
            for episode in play(game, model, turns, settings.seed, settings.greedy):
                if episode.index in wanted:
                    ended.append(episode)
                    yield ended if len(ended) == len(wanted) else []


def cause_finder(
    settings: EvaluationSettings, stack: contextlib.ExitStack
) -> Callable[[Iterable[Episode]], Iterator[Episode]]:
    """Makes a function that adds causes to failed episodes, where requested.

    Args:
        settings: of the evaluation.
        stack: closes the games that find causes.
    """
    if not settings.finds_causes:
        return iter
    classifier = stack.enter_context(FailureClassifier(settings.played))

    def finish(episodes: Iterable[Episode]) -> Iterator[Episode]:
        for episode in episodes:
            if not episode.completed:
                cause = classifier.classify(episode.level_seed, episode.actions).cause
                episode = dataclasses.replace(episode, outcome=cause)
            yield episode

    return finish


def _rounds(indices: Iterable[int], size: int) -> Iterator[tuple[int, set[int]]]:
    numbers = sorted({index // size for index in indices})
    for number in numbers:
        yield number, {index for index in indices if index // size == number}


def _round_size(settings: EvaluationSettings) -> int:
    return _PER_ENV * settings.played.n_envs

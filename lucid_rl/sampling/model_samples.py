"""Samples observations and trajectories of a model's own game."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from lucid_rl.checkpoints.checkpoint import Checkpoint
from lucid_rl.errors import InputError
from lucid_rl.games.gymnasium_game import GymnasiumGame
from lucid_rl.games.registry import check_fits, game_settings, make_game
from lucid_rl.games.vector_game import GameSettings, VectorGame
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.sampling import observations, trajectories
from lucid_rl.sampling.observations import Observations, ObservationSettings
from lucid_rl.sampling.trajectories import Trajectories, TrajectorySettings
from lucid_rl.validation import at_least, check

# A model, or what `load` takes.
ModelLike = Model | Checkpoint | str | os.PathLike
# A game's name, its options, a game that is made, or Gymnasium's vector environment;
# None for the model's own.
GameLike = Any
# Of `changes` below: what sampling itself sets.
_OF_ANY_GAME = {"n_envs", "seed", "full_resolution"}


def sample_observations(
    model: ModelLike,
    n: int = 2048,
    *,
    game: GameLike = None,
    seed: int = 0,
    n_envs: int | None = None,
    interval: int = 32,
    greedy: bool = False,
    states: bool = False,
    **options: Any,
) -> Observations:
    """Samples observations of a model's own game, `interval` steps apart.

    Args:
        model: a `Model`, or what `load` takes.
        n: number of observations.
        game: what to play instead: a game's name, `GameSettings`, Gymnasium's vector
            environment, or a game that is made, which is played on from where it stands
            and left open.
        seed: of the levels and of the actions.
        n_envs: environments that play together; None for the default, or as many as
            `game` has.
        interval: steps of each environment from one kept observation to the next; the
            article has 128, whose features 32 gives as well (docs/games.md).
        greedy: take the most probable actions rather than sampled ones.
        states: keep the game's states too.
        **options: fields of `GameSettings`, such as `n_levels=100`, or
            `training_levels=True` for the levels that the model was trained on.

    Returns:
        n observations, u8 [n, *model.image_shape], time-major.

    Raises:
        SettingsError: the model does not say its game, or there is none of that name.
        InputError: the game has another number of actions, or observations of another
            shape, than the model.
        GameError: the game is not installed.

    Example:
        >>> observations = lucid_rl.sample_observations(model, 2048).observations
    """
    model = load(model)
    if not isinstance(n, int | np.integer) or n < 1:
        raise InputError(f"n={n!r}: expected a whole number of at least 1")
    n_envs = _n_envs(game, n_envs, min(ObservationSettings.n_envs, n))
    check("n_envs", n_envs, at_least(1))
    settings = ObservationSettings(
        n_envs=n_envs,
        n_per_env=-(-n // n_envs),
        interval=interval,
        greedy=greedy,
        states=states,
    )
    with _game(model, game, {**options, "n_envs": n_envs, "seed": seed}) as played:
        rng = np.random.default_rng(seed)
        found = observations.sample_observations(played, model, settings, rng)
    return found[:n]


def sample_trajectories(
    model: ModelLike,
    n: int = TrajectorySettings.n_envs,
    *,
    n_steps: int = TrajectorySettings.n_steps,
    game: GameLike = None,
    seed: int = 0,
    greedy: bool = False,
    frame_size: int = 0,
    states: bool = False,
    **options: Any,
) -> Trajectories:
    """Samples trajectories of a model's own game: every step of each environment.

    Args:
        model: a `Model`, or what `load` takes.
        n: number of trajectories, one of each environment.
        n_steps: steps in each.
        game: as `sample_observations` takes it; a game that is made must have `n`
            environments.
        seed: of the levels and of the actions.
        greedy: take the most probable actions rather than sampled ones.
        frame_size: side in pixels of high-resolution frames to keep; 0 keeps none.
        states: keep the game's states too.
        **options: fields of `GameSettings`, or `training_levels=True`.

    Returns:
        The trajectories.

    Raises:
        SettingsError, InputError, GameError: as `sample_observations`.

    Example:
        >>> trajectories = lucid_rl.sample_trajectories(model, 8, n_steps=512)
    """
    model = load(model)
    settings = TrajectorySettings(
        n_envs=_n_envs(game, n, n),
        n_steps=n_steps,
        greedy=greedy,
        frame_size=frame_size,
        states=states,
    )
    changes = {"n_envs": n, "seed": seed, "full_resolution": bool(frame_size)}
    with _game(model, game, {**options, **changes}) as played:
        rng = np.random.default_rng(seed)
        return trajectories.sample_trajectories(played, model, settings, rng)


def _n_envs(game: GameLike, given: int | None, default: int) -> int:
    if given is not None or isinstance(game, GameSettings):
        return default if given is None else given
    # Gymnasium's vector environments have `num_envs`.
    return getattr(game, "n_envs", getattr(game, "num_envs", default))


@contextlib.contextmanager
def _game(
    model: Model, game: GameLike, changes: dict[str, Any]
) -> Iterator[VectorGame]:
    """The game to play; one that is made here is closed here."""
    if game is None or isinstance(game, str):
        settings = game_settings(
            model.args, model.n_actions, model.image_shape, name=game, **changes
        )
    elif isinstance(game, GameSettings):
        settings = game.replace(**changes)
    else:
        if unused := sorted(changes.keys() - _OF_ANY_GAME):
            raise InputError(
                f"{unused[0]}={changes[unused[0]]!r}: the game is made already; give "
                "its name or GameSettings, or make it so"
            )
        if hasattr(game, "single_observation_space"):
            game = GymnasiumGame(envs=game)
        if not hasattr(game, "observe"):
            raise InputError(
                f"game={game!r}: expected a name, GameSettings, a game, or Gymnasium's "
                "vector environments"
            )
        check_fits(game, model.n_actions, model.image_shape)
        yield game
        return
    with make_game(settings) as made:
        check_fits(made, model.n_actions, model.image_shape)
        yield made

"""Sampling of observations at intervals, to which features are fitted.

Observations that lie close together in time resemble each other, so one is kept
of each environment every so many steps (article, "Dimensionality reduction for
attribution").
"""

import dataclasses
from typing import Any

import numpy as np

from lucid_rl import notebook
from lucid_rl.errors import InputError
from lucid_rl.files import PathLike
from lucid_rl.games.vector_game import VectorGame
from lucid_rl.progress import progress
from lucid_rl.sampling.actions import Policy, choose_actions, policy_logits
from lucid_rl.sampling.array_files import check_shapes, read_arrays, write_arrays
from lucid_rl.validation import Positive, Settings, at_least, check

_N_SHOWN = 8  # in a notebook


@dataclasses.dataclass(frozen=True)
class ObservationSettings(Settings):
    """How observations are sampled; the defaults are the article's.

    Attributes:
        n_envs: environments; the game must have as many.
        n_per_env: observations kept of each environment.
        interval: steps from one kept observation to the next.
        greedy: take the most probable actions rather than sampled ones.
        states: keep the game's states too.
    """

    n_envs: Positive = 32
    n_per_env: Positive = 128
    interval: Positive = 128
    greedy: bool = False
    states: bool = False

    @property
    def n_observations(self) -> int:
        """Number of observations."""
        return self.n_envs * self.n_per_env

    def resized(self, n: int) -> "ObservationSettings":
        """The same for n observations, rounded up to whole environments.

        Raises:
            SettingsError: n is below 1.
        """
        check("n_observations", n, at_least(1))
        n_envs = min(self.n_envs, n)
        return dataclasses.replace(self, n_envs=n_envs, n_per_env=-(-n // n_envs))


@dataclasses.dataclass(frozen=True)
class Observations:
    """Sampled observations, time-major: all environments, then the next time.

    Functions that take observations take these as they are.

    Attributes:
        observations: u8 [N, height, width, channels].
        level_seeds: int64 [N], the level each was seen in; None if unknown.
        states: the game's state at each, if asked for.
    """

    observations: np.ndarray
    level_seeds: np.ndarray | None = None
    states: list[bytes] | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.observations, dtype, copy=bool(copy))

    def __len__(self) -> int:
        return len(self.observations)

    def __getitem__(self, rows: slice) -> "Observations":
        return Observations(
            self.observations[rows],
            None if self.level_seeds is None else self.level_seeds[rows],
            None if self.states is None else self.states[rows],
        )

    def __repr__(self) -> str:
        return notebook.summary(self)

    def _repr_html_(self) -> str:
        shown = pictures_of(self.observations[:_N_SHOWN])
        title = f"{len(self)} observations, the first {len(shown)}"
        return notebook.row(map(notebook.picture, shown), title)


def sample_observations(
    game: VectorGame,
    policy: Policy,
    settings: ObservationSettings,
    rng: np.random.Generator,
) -> Observations:
    """Plays `game` and keeps an observation every `interval` steps.

    The first kept ones lie `interval` steps after the start, where the
    environments no longer stand together at the beginning of their levels.

    Args:
        game: a game of `settings.n_envs` environments; it is played on from where
            it stands.
        policy: gives the logits of the actions.
        settings: how many, and how far apart.
        rng: source of the sampled actions.

    Returns:
        n_envs * n_per_env observations.

    Raises:
        InputError: the game has another number of environments.
    """
    check_n_envs(game, settings.n_envs)
    shape = (settings.n_per_env, *game.observe().observations.shape)
    kept = np.empty(shape, np.uint8)
    level_seeds = np.empty(shape[:2], np.int64)
    states: list[bytes] | None = [] if settings.states else None
    n_steps = settings.n_per_env * settings.interval
    for step in progress(range(1, n_steps + 1), "sampling observations"):
        logits = policy_logits(policy, game.observe().observations)
        game.act(choose_actions(logits, rng, settings.greedy))
        if step % settings.interval == 0:
            index = step // settings.interval - 1
            kept[index] = game.observe().observations
            level_seeds[index] = game.level_seeds()
            if states is not None:
                states.extend(game.get_states())
    return Observations(kept.reshape(-1, *shape[2:]), level_seeds.reshape(-1), states)


def newest_frames(observations: np.ndarray) -> np.ndarray:
    """The newest frame of observations [..., H, W, C], a view [..., H, W, 1 or 3].

    Frames are in colour where C is divisible by 3, otherwise grey.
    """
    return observations[..., -frame_channels(observations.shape[-1]) :]


def frame_channels(n_channels: int) -> int:
    """Channels of one frame of a stack: 3 where they are divisible by it, else 1."""
    return 3 if n_channels % 3 == 0 else 1


def pictures_of(observations: np.ndarray) -> np.ndarray:
    """`newest_frames` in colour, [..., H, W, 3]: grey has three equal channels."""
    frames = newest_frames(observations)
    return np.broadcast_to(frames, (*frames.shape[:-1], 3))


def write_observations(observations: Observations, path: PathLike) -> None:
    """Writes observations in the article's format; states are left out."""
    write_arrays(
        path,
        observations=observations.observations,
        level_seeds=observations.level_seeds,
    )


def read_observations(path: PathLike) -> Observations:
    """Reads an `observations.jd` of this package or of a released model.

    Raises:
        FileFormatError: the file cannot be read or holds no observations.
    """
    arrays = read_arrays(path, {"observations": "u1"}, {"level_seeds": "i8"})
    check_shapes(path, arrays, {"observations": "Nhwc", "level_seeds": "N"})
    return Observations(arrays["observations"], arrays.get("level_seeds"))


def check_n_envs(game: VectorGame, n_envs: int) -> None:
    """Raises `InputError` unless `game` has `n_envs` environments."""
    if game.n_envs != n_envs:
        raise InputError(
            f"a game of {game.n_envs} environments for sampling settings with "
            f"n_envs={n_envs}: make both the same"
        )

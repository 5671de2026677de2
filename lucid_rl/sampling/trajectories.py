"""Trajectories: every step of an agent's play."""

import dataclasses
from typing import Annotated, Any

import numpy as np
from PIL import Image

from lucid_rl import notebook
from lucid_rl.errors import FileFormatError, InputError
from lucid_rl.files import PathLike
from lucid_rl.games.vector_game import FULL_RESOLUTION_SIZE, VectorGame
from lucid_rl.notebook import Film
from lucid_rl.progress import progress
from lucid_rl.sampling.actions import Policy, choose_actions, policy_logits
from lucid_rl.sampling.array_files import (
    check_shapes,
    converted,
    read_arrays,
    write_arrays,
)
from lucid_rl.sampling.observations import check_n_envs, pictures_of
from lucid_rl.validation import Positive, Settings, one_of

# Arrays of a file and their types; the second three are this package's own.
_REQUIRED = {"observations": "u1", "actions": "i8", "rewards": "f4", "firsts": "?"}
_OPTIONAL = {
    "observations_full": "u1",
    "level_seeds": "i8",
    "last_observations": "u1",
    "last_firsts": "?",
}
_AXES = {
    "observations": "nthwc",
    **dict.fromkeys(("actions", "rewards", "firsts", "level_seeds"), "nt"),
    "observations_full": "ntyx3",
    "last_observations": "nhwc",
    "last_firsts": "n",
}
_FIELDS = {"observations_full": "frames"}  # where names differ
_FRAME_SIZES = (0, *(2**k for k in range(FULL_RESOLUTION_SIZE.bit_length())))
# Of trajectories in a notebook: how many are shown, and frames of each.
_N_SHOWN, _N_FRAMES = 8, 12


@dataclasses.dataclass(frozen=True)
class TrajectorySettings(Settings):
    """How trajectories are sampled; the defaults are the article's.

    Attributes:
        n_envs: trajectories, one of each environment; the game must have as many.
        n_steps: steps in each.
        greedy: take the most probable actions rather than sampled ones.
        frame_size: side in pixels of the high-resolution frames to keep, a divisor
            of 512; 0 keeps none. 8 trajectories of 512 frames of 256 pixels take
            0.8 GB.
        states: keep the game's states too, about 40 kB each for CoinRun.
    """

    n_envs: Positive = 8
    n_steps: Positive = 512
    greedy: bool = False
    frame_size: Annotated[int, one_of(_FRAME_SIZES)] = 0
    states: bool = False


@dataclasses.dataclass(frozen=True)
class Trajectories:
    """Trajectories: n environments, T steps each.

    Attributes:
        observations: u8 [n, T, height, width, channels].
        actions: int64 [n, T], chosen on seeing the observations.
        rewards: f32 [n, T], that followed the actions.
        firsts: bool [n, T], whether an observation is an episode's first.
        level_seeds: int64 [n, T], of the level shown; None if unknown.
        last_observations: u8 [n, height, width, channels], what the last actions led
            to; None if unknown, as in the article's files.
        last_firsts: bool [n], whether the last actions ended their episodes.
        frames: u8 [n, T, S, S, 3], the observations in higher resolution.
        states: the game's state at each step, by trajectory.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    firsts: np.ndarray
    level_seeds: np.ndarray | None = None
    last_observations: np.ndarray | None = None
    last_firsts: np.ndarray | None = None
    frames: np.ndarray | None = None
    states: list[list[bytes]] | None = None

    def __len__(self) -> int:
        return len(self.observations)

    def film(self, trajectory: int, start: int = 0, stop: int | None = None) -> Film:
        """Makes a film of one trajectory, for a notebook."""
        seen = self.observations if self.frames is None else self.frames
        title = f"trajectory {trajectory}, from step {start}"
        return Film(pictures_of(seen[trajectory, start:stop]), title=title)

    def __repr__(self) -> str:
        return notebook.summary(self)

    def _repr_html_(self) -> str:
        n, n_steps = self.actions.shape
        steps = np.linspace(0, n_steps - 1, min(_N_FRAMES, n_steps)).round().astype(int)
        rows = []
        for i in range(min(n, _N_SHOWN)):
            strip = np.concatenate(list(pictures_of(self.observations[i, steps])), 1)
            ended = int(self.firsts[i, 1:].sum())
            if self.last_firsts is not None:
                ended += int(self.last_firsts[i])
            rewarded = int((self.rewards[i] > 0).sum())
            film = notebook.picture(strip, width=64 * len(steps))
            rows.append((i, ended, rewarded, film))
        header = ("trajectory", "episodes ended", "rewards", f"{len(steps)} frames")
        return notebook.text(f"{n} trajectories of {n_steps} steps") + notebook.table(
            header, rows
        )


def sample_trajectories(
    game: VectorGame,
    policy: Policy,
    settings: TrajectorySettings,
    rng: np.random.Generator,
) -> Trajectories:
    """Plays `game` and keeps every step.

    Args:
        game: a game of `settings.n_envs` environments, made with `full_resolution`
            where frames are asked for; it is played on from where it stands.
        policy: gives the logits of the actions.
        settings: how many, how long, and what to keep.
        rng: source of the sampled actions.

    Returns:
        The trajectories.

    Raises:
        InputError: the game has another number of environments.
        GameError: frames or states that the game was not made for.
    """
    check_n_envs(game, settings.n_envs)
    first_step = game.observe()
    shape = (settings.n_envs, settings.n_steps)
    observations = np.empty((*shape, *first_step.observations.shape[1:]), np.uint8)
    actions = np.empty(shape, np.int64)
    rewards = np.empty(shape, np.float32)
    firsts = np.empty(shape, bool)
    level_seeds = np.empty(shape, np.int64)
    size = settings.frame_size
    frames = np.empty((*shape, size, size, 3), np.uint8) if size else None
    states: list[list[bytes]] | None = None
    if settings.states:
        states = [[] for _ in range(settings.n_envs)]
    for t in progress(range(settings.n_steps), "sampling trajectories"):
        step = game.observe()
        observations[:, t] = step.observations
        firsts[:, t] = step.firsts
        level_seeds[:, t] = game.level_seeds()
        if frames is not None:
            frames[:, t] = [_reduced(frame, size) for frame in game.full_resolution()]
        if states is not None:
            for kept, state in zip(states, game.get_states(), strict=True):
                kept.append(state)
        logits = policy_logits(policy, observations[:, t])
        actions[:, t] = choose_actions(logits, rng, settings.greedy)
        game.act(actions[:, t])
        rewards[:, t] = game.observe().rewards
    last_step = game.observe()
    return Trajectories(
        observations,
        actions,
        rewards,
        firsts,
        level_seeds,
        last_observations=last_step.observations.copy(),
        last_firsts=last_step.firsts.copy(),
        frames=frames,
        states=states,
    )


def write_trajectories(trajectories: Trajectories, path: PathLike) -> None:
    """Writes trajectories in the article's format; states are left out."""
    write_arrays(
        path,
        observations=trajectories.observations,
        actions=trajectories.actions,
        rewards=trajectories.rewards,
        firsts=trajectories.firsts,
        level_seeds=trajectories.level_seeds,
        last_observations=trajectories.last_observations,
        last_firsts=trajectories.last_firsts,
        observations_full=trajectories.frames,
    )


def read_trajectories(path: PathLike) -> Trajectories:
    """Reads a `trajectories.jd` of this package or of a released model.

    Raises:
        FileFormatError: the file cannot be read or its arrays do not fit together.
    """
    arrays = read_arrays(path, _REQUIRED, _OPTIONAL)
    check_shapes(path, arrays, _AXES)
    if arrays["actions"].min() < 0:
        raise FileFormatError(f"{path}: actions below 0")
    frames = arrays.pop("observations_full", None)
    return Trajectories(**arrays, frames=frames)  # type: ignore[arg-type]


def check_trajectories(trajectories: Trajectories, n_actions: int) -> Trajectories:
    """Trajectories whose arrays are as the class describes.

    Raises:
        InputError: they are not, do not fit together, or have other actions.
    """
    if not isinstance(trajectories, Trajectories):
        raise InputError(
            f"trajectories are {type(trajectories).__name__}: expected Trajectories, "
            "as sample_trajectories gives them"
        )
    names = {name: _FIELDS.get(name, name) for name in {**_REQUIRED, **_OPTIONAL}}
    given = {name: getattr(trajectories, field) for name, field in names.items()}
    given = {name: array for name, array in given.items() if array is not None}
    try:
        arrays = converted("trajectories", given, _REQUIRED, _OPTIONAL)
        check_shapes("trajectories", arrays, _AXES)
    except FileFormatError as error:
        raise InputError(str(error)) from error
    actions = arrays["actions"]
    if actions.min() < 0 or actions.max() >= n_actions:
        raise InputError(
            f"trajectories: actions from {actions.min()} to {actions.max()}: expected "
            f"0 to {n_actions - 1}, as the model chooses among"
        )
    changed: dict[str, Any] = {names[name]: array for name, array in arrays.items()}
    return dataclasses.replace(trajectories, **changed)


def _reduced(frame: np.ndarray, size: int) -> np.ndarray:
    if frame.shape[:2] == (size, size):
        return frame
    picture = Image.fromarray(frame)
    if len(frame) == frame.shape[1] and len(frame) % size == 0:
        return np.asarray(picture.reduce(len(frame) // size))
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX))

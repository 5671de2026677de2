"""Recorded observations and trajectories, in place of a game."""

import dataclasses

import numpy as np

from lucid_rl.errors import FileFormatError
from lucid_rl.files import PathLike
from lucid_rl.sampling.array_files import check_shapes, read_arrays
from lucid_rl.sampling.observations import Observations
from lucid_rl.sampling.trajectories import Trajectories

_OPTIONAL = {
    "actions": "i8",
    "rewards": "f4",
    "firsts": "?",
    "ends": "?",
    "action_names": "U",
}


@dataclasses.dataclass(frozen=True)
class RecordedSamples:
    """Contents of a file of recorded data.

    Attributes:
        observations: all of its observations.
        trajectories: the same as trajectories, where actions are recorded.
        action_names: name of each action; None if not recorded.
        n_recordings: recordings, all of one length, that the observations lie in.
    """

    observations: Observations
    trajectories: Trajectories | None = None
    action_names: list[str] | None = None
    n_recordings: int = 1


def load_samples(path: PathLike) -> RecordedSamples:
    """Reads recorded observations, and trajectories if actions come with them.

    Args:
        path: a `.npz` (`numpy.savez`) or `.jd` file of arrays, or a `.npy` file of
            `observations` alone. `observations`: u8 [N, H, W, C], one recording, or
            [n, T, H, W, C], n recordings of one length. The others have the shape of
            its first axes. `actions`: whole numbers; `rewards`, that followed them, by
            default 0; `firsts`, whether an observation begins an episode, or `ends`,
            whether an action ended one; by default a recording is one episode.
            `action_names`: text [A].

    Raises:
        FileFormatError: the file cannot be read, or its arrays do not fit together.

    Example:
        >>> np.savez("my.npz", observations=frames, actions=actions, ends=dones)
        >>> samples = lucid_rl.load_samples("my.npz")
        >>> attribution = lucid_rl.attribute(model, samples.observations, "2b")
    """
    arrays = read_arrays(path, {"observations": "u1"}, _OPTIONAL)
    names = arrays.pop("action_names", None)
    observations = arrays["observations"]
    axes = dict.fromkeys(arrays, "nt" if observations.ndim == 5 else "N")
    check_shapes(path, arrays, axes | {"observations": f"{axes['observations']}hwc"})
    if observations.ndim == 4:
        arrays = {name: array[None] for name, array in arrays.items()}
    flat = Observations(observations.reshape(-1, *observations.shape[-3:]))
    trajectories = _trajectories(arrays, path) if "actions" in arrays else None
    n = len(arrays["observations"])
    if names is None:
        return RecordedSamples(flat, trajectories, n_recordings=n)
    if trajectories and trajectories.actions.max() >= names.size:
        raise FileFormatError(
            f"{path}: action {trajectories.actions.max()}, but {names.size} "
            "action_names"
        )
    listed = [str(name) for name in names.ravel()]
    return RecordedSamples(flat, trajectories, listed, n)


def _trajectories(arrays: dict[str, np.ndarray], path: PathLike) -> Trajectories:
    actions = arrays["actions"]
    if actions.min() < 0:
        raise FileFormatError(f"{path}: actions below 0")
    firsts, last_firsts = arrays.get("firsts"), None
    if "ends" in arrays:
        if firsts is not None:
            raise FileFormatError(f"{path}: give firsts or ends, not both")
        ends = arrays["ends"]
        firsts, last_firsts = np.roll(ends, 1, axis=1), ends[:, -1]
    elif firsts is None:
        firsts = np.zeros(actions.shape, bool)
    firsts = firsts.copy()
    firsts[:, 0] = True
    rewards = arrays.get("rewards", np.zeros(actions.shape, np.float32))
    return Trajectories(
        arrays["observations"], actions, rewards, firsts, last_firsts=last_firsts
    )

"""Labelled frames, and a buffer that shuffles them."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Demonstrations:
    """Labelled frames for the warm-up; the first axis of every array is N."""

    observations: np.ndarray  # u8 [N, 64, 64, 3], or what frozen layers make of them
    targets: np.ndarray  # f32 [N, A], the teacher's policy; 0 where it has none
    deadly: np.ndarray  # bool [N, A], actions after which the agent is lost
    returns: np.ndarray  # f32 [N], targets of the value function; NaN for none
    maps: np.ndarray  # u8 [N, 16, 16, K], 1 where objects are
    has_maps: np.ndarray  # bool [N], whether `maps` is known

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: np.ndarray) -> "Demonstrations":
        """Returns the frames at `indices`."""
        return Demonstrations(
            **{f.name: getattr(self, f.name)[indices] for f in fields(self)}
        )


class FrameBuffer:
    """The latest frames, to draw from at random.

    Attributes:
        n_added: frames added so far, those overwritten included.
    """

    def __init__(self, size: int):
        """Sets the number of frames kept."""
        self._size = size
        self._frames: Demonstrations | None = None
        self.n_added = 0

    def add(self, frames: Demonstrations) -> None:
        """Adds frames in the place of the oldest."""
        if self._frames is None:
            arrays = {f.name: getattr(frames, f.name) for f in fields(frames)}
            self._frames = Demonstrations(
                **{
                    name: np.zeros((self._size, *array.shape[1:]), array.dtype)
                    for name, array in arrays.items()
                }
            )
        places = (self.n_added + np.arange(len(frames))) % self._size
        for f in fields(frames):
            getattr(self._frames, f.name)[places] = getattr(frames, f.name)
        self.n_added += len(frames)

    def all(self) -> Demonstrations:
        """Returns all frames kept."""
        assert self._frames is not None, "add frames first"
        return self._frames.take(np.arange(min(self.n_added, self._size)))

    def draw(self, n: int, rng: np.random.Generator) -> Demonstrations:
        """Returns `n` of the frames, drawn with replacement."""
        assert self._frames is not None, "add frames first"
        return self._frames.take(rng.integers(0, min(self.n_added, self._size), n))

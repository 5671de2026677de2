"""Recorded data of one's own."""

import numpy as np
import pytest

from lucid_rl.errors import FileFormatError
from lucid_rl.sampling.observations import newest_frames, read_observations
from lucid_rl.sampling.recorded import load_samples

FRAMES = np.arange(6 * 8 * 9 * 4, dtype=np.uint8).reshape(6, 8, 9, 4)
ACTIONS = np.array([0, 1, 2, 0, 1, 2])
ENDS = np.array([False, False, True, False, False, True])


def save(folder, **arrays):
    path = folder / "my.npz"
    np.savez(path, **arrays)
    return path


def test_observations_alone(tmp_path):
    found = load_samples(save(tmp_path, observations=FRAMES))
    np.testing.assert_array_equal(found.observations.observations, FRAMES)
    assert found.trajectories is None and found.action_names is None
    read = read_observations(tmp_path / "my.npz")
    np.testing.assert_array_equal(read.observations, FRAMES)


def test_an_array_alone(tmp_path):
    np.save(tmp_path / "my.npy", FRAMES)
    found = load_samples(tmp_path / "my.npy")
    np.testing.assert_array_equal(found.observations.observations, FRAMES)
    (tmp_path / "my.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(FileFormatError, match=r"my\.npy is not a valid \.npy file"):
        load_samples(tmp_path / "my.npy")


def test_one_recording(tmp_path):
    path = save(
        tmp_path,
        observations=FRAMES,
        actions=ACTIONS,
        rewards=ACTIONS * 0.5,
        ends=ENDS,
        action_names=["noop", "left", "right"],
    )
    found = load_samples(path)
    played = found.trajectories
    assert found.action_names == ["noop", "left", "right"]
    assert played.observations.shape == (1, 6, 8, 9, 4)
    assert played.firsts.tolist() == [[True, False, False, True, False, False]]
    assert played.last_firsts.tolist() == [True]
    assert played.rewards.tolist() == [[0, 0.5, 1, 0, 0.5, 1]]
    assert "1 trajectories" in played._repr_html_()


def test_several_recordings(tmp_path):
    shape = (2, 3)
    path = save(
        tmp_path,
        observations=FRAMES.reshape(*shape, *FRAMES.shape[1:]),
        actions=ACTIONS.reshape(shape),
    )
    found = load_samples(path)
    assert len(found.observations) == 6 and len(found.trajectories) == 2
    assert found.trajectories.firsts.tolist() == [[True, False, False]] * 2
    assert (found.trajectories.rewards == 0).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"observations": FRAMES.astype(np.float32)}, "float32, expected uint8"),
        ({"observations": FRAMES[0]}, r"shape \(8, 9, 4\)"),
        ({"observations": FRAMES[:0]}, "shape"),
        ({"actions": ACTIONS[:5]}, r"actions of shape \(5,\), expected \[6\]"),
        ({"actions": ACTIONS - 1}, "below 0"),
        ({"actions": ACTIONS * 0.5}, "actions is float64"),
        ({"rewards": np.full(6, np.nan)}, "not finite"),
        ({"firsts": ENDS}, "firsts or ends, not both"),
        ({"action_names": ["a", "b"]}, "action 2, but 2 action_names"),
        ({"action_names": np.arange(3)}, "action_names is int64"),
        ({"ends": ENDS.astype(int)}, "ends is int64"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused(tmp_path, changes, words):
    arrays = {"observations": FRAMES, "actions": ACTIONS, "ends": ENDS, **changes}
    with pytest.raises(FileFormatError, match=words):
        load_samples(save(tmp_path, **arrays))


def test_a_file_without_observations_or_with_objects_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="observations missing"):
        load_samples(save(tmp_path, frames=FRAMES))
    with pytest.raises(FileFormatError, match="not of numbers"):
        load_samples(save(tmp_path, observations=np.array([{}], object)))


@pytest.mark.parametrize(
    ("channels", "shown"), [(1, 1), (3, 3), (4, 1), (6, 3), (12, 3)]
)
def test_of_a_stack_the_last_frame_is_shown(channels, shown):
    stack = np.zeros((2, 4, 4, channels))
    stack[..., -shown:] = 1
    assert newest_frames(stack).shape == (2, 4, 4, shown)
    assert newest_frames(stack).all()

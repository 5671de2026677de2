import numpy as np
import pytest

from lucid_rl.errors import InputError
from lucid_rl.evaluation.moments import find_moments
from lucid_rl.evaluation.trajectory_episodes import episodes_within
from lucid_rl.sampling.trajectories import Trajectories


def _trajectories(**changes):
    firsts = np.zeros((2, 8), bool)
    firsts[0, [0, 3, 5]] = True
    firsts[1, 0] = True
    rewards = np.zeros((2, 8), np.float32)
    rewards[0, 2] = 10  # the first episode gets the coin, the second does not
    actions = np.arange(16).reshape(2, 8)
    observations = np.zeros((2, 8, 4, 4, 3), np.uint8)
    return Trajectories(observations, actions, rewards, firsts, **changes)


_VALUES = np.linspace(0, 1, 16, dtype=np.float32).reshape(2, 8)


def test_episodes_are_cut_where_the_next_begins():
    seeds = np.repeat([[7, 7, 7, 8, 8, 9, 9, 9]], 2, axis=0)
    found = episodes_within(_trajectories(level_seeds=seeds), _VALUES, 0.1)
    assert [(e.trajectory, e.start) for e in found] == [(0, 0), (0, 3)]
    first, second = (e.curve.episode for e in found)
    assert first.completed and not second.completed
    assert (first.level_seed, second.level_seed) == (7, 8)
    np.testing.assert_array_equal(second.actions, [3, 4])
    np.testing.assert_array_equal(found[0].curve.values, _VALUES[0, :3])
    np.testing.assert_allclose(found[0].curve.rewards, [0, 0, 1])
    assert [e.curve.episode.index for e in found] == [0, 1]


def test_one_that_is_still_going_on_is_no_failure():
    ended = _trajectories(last_firsts=np.array([True, False]))
    found = episodes_within(ended, _VALUES)
    assert [(e.trajectory, e.start) for e in found] == [(0, 0), (0, 3), (0, 5)]
    assert found[-1].curve.episode.level_seed == -1


def test_moments_are_found_in_them():
    episodes = episodes_within(_trajectories(), _VALUES)
    moments = find_moments([e.curve for e in episodes])
    failures = [m for m in moments if m.kind == "failure"]
    assert [(m.episode, m.step) for m in failures] == [(1, 1)]


def test_values_of_another_shape():
    with pytest.raises(InputError, match="2 trajectories of 8 steps"):
        episodes_within(_trajectories(), _VALUES[:1])

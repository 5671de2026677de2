import numpy as np
import pytest

from lucid_rl.errors import InputError
from lucid_rl.sampling.advantages import (
    bookmarks,
    episode_ends,
    generalized_advantages,
)


@pytest.fixture
def random_trajectories():
    rng = np.random.default_rng(0)
    shape = (4, 30)
    return {
        "values": rng.normal(size=shape).astype(np.float32),
        "rewards": rng.normal(size=shape).astype(np.float32),
        "firsts": rng.random(shape) < 0.15,
    }


def test_by_hand():
    # Two steps of one episode, then one of the next; gamma = lam = 1/2.
    advantages = generalized_advantages(
        values=np.array([[1.0, 2.0, 4.0]]),
        rewards=np.array([[0.0, 10.0, 1.0]]),
        firsts=np.array([[True, False, True]]),
        gamma=0.5,
        lam=0.5,
        last_values=np.array([6.0]),
    )
    # 1 + 6/2 - 4 = 0; 10 - 2 = 8; 0 + 2/2 - 1 + 8/4 = 2
    np.testing.assert_allclose(advantages, [[2, 8, 0]])
    assert advantages.dtype == np.float32


def test_without_the_last_value_the_last_step_counts_nothing():
    arrays = {
        "values": np.array([[1.0, 2.0, 4.0]]),
        "rewards": np.array([[0.0, 10.0, 100.0]]),
        "firsts": np.array([[True, False, False]]),
    }
    advantages = generalized_advantages(**arrays, gamma=0.5, lam=0.5)
    # 0; 10 + 4/2 - 2 = 10; 0 + 2/2 - 1 + 10/4 = 2.5
    np.testing.assert_allclose(advantages, [[2.5, 10, 0]])


def test_lambda_zero_is_the_one_step_error(random_trajectories):
    t = random_trajectories
    last = np.ones(4)
    advantages = generalized_advantages(**t, gamma=0.9, lam=0, last_values=last)
    following = np.column_stack([t["values"][:, 1:], last])
    expected = t["rewards"] + 0.9 * following * ~episode_ends(t["firsts"]) - t["values"]
    np.testing.assert_allclose(advantages, expected, rtol=1e-5)


def test_lambda_one_is_the_return_less_the_value(random_trajectories):
    t = random_trajectories
    last = np.full(4, 3.0)
    advantages = generalized_advantages(**t, gamma=0.9, lam=1, last_values=last)
    ends = episode_ends(t["firsts"])
    for i in range(4):
        future = last[i]
        for step in reversed(range(30)):
            future = t["rewards"][i, step] + 0.9 * future * (not ends[i, step])
            np.testing.assert_allclose(
                advantages[i, step], future - t["values"][i, step], atol=1e-5
            )


def test_nothing_crosses_an_episodes_end(random_trajectories):
    t = random_trajectories
    t["firsts"][:, 15] = True
    before = generalized_advantages(**t)
    t["rewards"][:, 15:] += 100
    t["values"][:, 15:] -= 50
    after = generalized_advantages(**t)
    np.testing.assert_array_equal(before[:, :15], after[:, :15])
    assert (before[:, 15:-1] != after[:, 15:-1]).all()


def test_the_last_action_may_end_its_episode():
    arrays = [np.zeros((1, 2)), np.ones((1, 2)), np.array([[True, False]])]
    cut = generalized_advantages(
        *arrays, 1.0, 1.0, last_values=np.array([5.0]), last_firsts=np.array([True])
    )
    np.testing.assert_allclose(cut, [[2, 1]])
    assert episode_ends(arrays[2], np.array([True])).tolist() == [[False, True]]


def test_shapes_and_discounts_are_checked():
    good = np.zeros((2, 3))
    with pytest.raises(InputError, match="share one shape"):
        generalized_advantages(good, np.zeros((2, 4)), good > 0)
    with pytest.raises(InputError, match="share one shape"):
        generalized_advantages(good[0], good[0], good[0] > 0)
    with pytest.raises(InputError, match="gamma and lam"):
        generalized_advantages(good, good, good > 0, gamma=1.5)


def test_bookmarks_by_hand():
    advantages = np.array([[1.0, 3.0, -2.0, -1.0, 0.5], [0.0, 0.0, 4.0, -6.0, 2.0]])
    firsts = np.array([[True, False, True, False, True], [False] * 2 + [True] * 3])
    high = bookmarks(advantages, firsts, highest=True)
    assert high.tolist() == [[1, 2], [0, 1], [1, 4], [0, 4]]
    low = bookmarks(advantages, firsts, highest=False)
    assert low.tolist() == [[1, 3], [0, 2]]
    assert bookmarks(advantages, firsts, highest=True, limit=1).tolist() == [[1, 2]]
    assert bookmarks(advantages * 0, firsts, highest=True).shape == (0, 2)

"""The article's published interface data: its advantages, rewards and ends."""

import os
import pathlib

import numpy as np
import pytest

from lucid_rl.games.coinrun_original import ACTION_COMBOS
from lucid_rl.sampling.advantages import generalized_advantages
from lucid_rl.sampling.recorded import load_samples

_FILE = (
    pathlib.Path(
        os.environ.get(
            "LUCID_RL_ARTICLE_DATA",
            pathlib.Path(__file__).parents[3] / "shared" / "article_data",
        )
    )
    / "interfaces.npz"
)
_LONG = ("header", "100_levels")
_CLIPS = (
    *("bug_coin", "bug_saw", "failure_down", "failure_obscured"),
    *("failure_offscreen", "failure_wait"),
)
# The page's numbers are rounded.
_ROUNDING = 6e-5

pytestmark = pytest.mark.skipif(
    not _FILE.is_file(), reason=f"no article data at {_FILE} (LUCID_RL_ARTICLE_DATA)"
)


@pytest.fixture(scope="module")
def data():
    with np.load(_FILE, allow_pickle=False) as arrays:
        return dict(arrays)


def firsts(dones):
    return np.concatenate([[True], dones[:-1] > 0])


@pytest.mark.parametrize("name", [*_LONG, *_CLIPS])
def test_advantages_are_the_articles(data, name):
    values, rewards, dones, expected = (
        data[f"{name}/{key}"] for key in ("values", "rewards", "dones", "advantages")
    )
    found = generalized_advantages(values[None], rewards[None], firsts(dones)[None])
    np.testing.assert_allclose(found[0], expected, atol=_ROUNDING)


@pytest.mark.parametrize("name", _LONG)
def test_reward_and_end_are_at_one_index_and_the_next_frame_is_another_level(
    data, name
):
    rewards, ends = data[f"{name}/rewards"], data[f"{name}/dones"] > 0
    assert ends.sum() == 8
    np.testing.assert_array_equal(rewards, np.where(ends, 10, 0))
    frames = data[f"{name}/observations"].astype(int)
    change = np.abs(frames[1:] - frames[:-1]).mean(axis=(1, 2, 3))
    # Within an episode the view scrolls; between two everything is another picture.
    assert change[ends[:-1]].min() > 2 * np.median(change[~ends[:-1]])


@pytest.mark.parametrize("name", _LONG)
def test_the_recordings_are_samples_of_ones_own(data, name, tmp_path):
    path = tmp_path / "my.npz"
    np.savez(
        path,
        observations=data[f"{name}/observations"],
        actions=data[f"{name}/actions"].astype(int),
        rewards=data[f"{name}/rewards"],
        ends=data[f"{name}/dones"] > 0,
        action_names=["+".join(keys) or "none" for keys in ACTION_COMBOS],
    )
    played = load_samples(path).trajectories
    assert played is not None
    np.testing.assert_array_equal(played.firsts[0], firsts(data[f"{name}/dones"]))

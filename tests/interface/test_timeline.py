"""Episodes and moments of trajectories made by hand."""

import numpy as np
import pytest

from lucid_rl.interface import timeline
from lucid_rl.sampling.trajectories import Trajectories


def _trajectories(**changes):
    """One trajectory of 10 steps: a failure (0-3), a success (4-7), the rest."""
    firsts = np.zeros((1, 10), bool)
    firsts[0, [0, 4, 8]] = True
    rewards = np.zeros((1, 10), np.float32)
    rewards[0, 7] = 10
    arrays = {
        "observations": np.zeros((1, 10, 4, 4, 3), np.uint8),
        "actions": np.zeros((1, 10), np.int64),
        "rewards": rewards,
        "firsts": firsts,
        "level_seeds": np.repeat([[11, 12, 13]], [4, 4, 2], axis=1),
    }
    return Trajectories(**arrays | changes)


REWARDS = _trajectories().rewards[0]


def test_episodes_end_where_the_next_begins():
    listed = timeline.episodes(_trajectories(), 0, "coinrun")
    assert listed == [
        {"start": 0, "end": 4, "level_seed": 11, "success": False},
        {"start": 4, "end": 8, "level_seed": 12, "success": True},
        {"start": 8, "end": None, "level_seed": 13, "success": None},
    ]
    assert timeline.trajectory_title(0, listed, REWARDS) == (
        "Trajectory 1: 1 succeeded, 1 failed"
    )


def test_the_last_episode_ends_where_the_last_action_ended_it():
    trajectories = _trajectories(last_firsts=np.array([True]))
    last = timeline.episodes(trajectories, 0, "coinrun")[-1]
    assert last == {"start": 8, "end": 10, "level_seed": 13, "success": False}


def test_success_is_unknown_where_rewards_do_not_tell():
    listed = timeline.episodes(_trajectories(level_seeds=None), 0, "starpilot")
    assert [episode["success"] for episode in listed] == [None, None, None]
    assert listed[0]["level_seed"] is None
    assert timeline.trajectory_title(2, listed, REWARDS) == (
        "Trajectory 3: 2 ended (return 0, 10)"
    )
    (note,) = timeline.returns_note([listed], REWARDS[None])
    assert note.startswith("Mean return of the 2 episodes that end: 5 (95% interval -4")


def test_a_trajectory_that_begins_in_an_episode_shows_that_episode():
    firsts = np.zeros((1, 10), bool)
    listed = timeline.episodes(_trajectories(firsts=firsts), 0, "coinrun")
    assert [(e["start"], e["end"]) for e in listed] == [(0, None)]
    assert "unfinished" in timeline.trajectory_title(0, listed, REWARDS)


def _moments(values, advantages):
    trajectories = _trajectories()
    listed = [timeline.episodes(trajectories, 0, "coinrun")]
    found = timeline.moments(
        trajectories, np.array([values]), np.array([advantages]), listed
    )
    kinds = {}
    for moment in found:
        kinds.setdefault(moment["kind"], []).append((moment["frame"], moment["score"]))
    return kinds


def test_moments_are_one_per_episode_best_first():
    advantages = [0, -1, -3, 0, 2, 0, -5, 0, 1, 0]
    kinds = _moments([0.0] * 10, advantages)
    assert kinds["advantage_low"] == [(6, -5), (2, -3)]
    assert kinds["advantage_high"] == [(4, 2), (8, 1)]
    assert kinds["failure"] == [(3, 0.0)]
    assert not {"value_fall", "value_rise"} & set(kinds)


def test_value_changes_do_not_cross_episodes_and_keep_apart():
    # The largest change, from frame 3 to 4, is that from one episode to the next.
    kinds = _moments([1, 1, 1, 1, 9, 9, 6, 7, 7, 7], [0.0] * 10)
    assert kinds["value_fall"] == [(6, -3)]
    assert kinds["value_rise"] == [(7, 1)]


def test_actions_without_effect_are_known_in_platform_games():
    keys = [["LEFT"], [], ["D"], ["UP", "RIGHT"], ["A"]]
    assert timeline.idle_actions(keys, "coinrun") == [1, 2, 4]
    assert timeline.idle_actions(keys, "starpilot") == []
    assert timeline.idle_actions(keys[:2], "coinrun") == []


@pytest.mark.parametrize(
    "keys, name",
    [
        (("LEFT", "DOWN"), "↙"),
        (("RIGHT", "UP"), "↗"),
        (("UP", "LEFT"), "↖"),
        ((), "no-op"),
        (("D",), "D"),
        (("A", "B"), "A+B"),
    ],
)
def test_action_names(keys, name):
    assert timeline.action_name(keys) == name


def test_actions_beyond_the_games_are_named_by_number():
    assert timeline.action_keys([["A"]], 3) == [["A"], ["action 1"], ["action 2"]]
    assert timeline.action_keys(None, 1) == [["action 0"]]

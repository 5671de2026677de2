"""Moments found on curves made up for the purpose."""

import numpy as np
import pytest

from lucid_rl.errors import InputError, SettingsError
from lucid_rl.evaluation import moments
from lucid_rl.evaluation.episodes import Episode
from lucid_rl.evaluation.moments import (
    MomentSettings,
    ValueCurve,
    find_moments,
    value_spikes,
)


def _curve(index, values, outcome="completed", last_reward=None):
    values = np.array(values, np.float32)
    rewards = np.zeros(len(values), np.float32)
    rewards[-1] = float(outcome == "completed") if last_reward is None else last_reward
    actions = np.zeros(len(values), np.uint8)
    return ValueCurve(Episode(index, index, actions, 10.0, outcome), values, rewards)


def _of_kind(found, kind):
    return [moment for moment in found if moment.kind == kind]


def test_spikes_worked_out_by_hand():
    steps, heights = value_spikes([0.5, 0.5, 0.7, 0.5, 0.4, 0.1, 0.4])
    np.testing.assert_array_equal(steps, [2, 5])
    np.testing.assert_allclose(heights, [0.2, -0.3])


@pytest.mark.parametrize(
    "values",
    [
        [0.5, 0.7, 0.7, 0.5],  # stays for two frames
        [0.5, 0.7, 0.65],  # hardly returns
        [0.5, 0.515, 0.5],  # is lower than asked for
        [0.1, 0.9],  # has a frame on one side only
        [0.9],
        [],
    ],
)
def test_what_is_no_spike(values):
    steps, heights = value_spikes(values)
    assert len(steps) == len(heights) == 0


def test_a_spike_may_drift_by_a_share_of_its_height():
    values = [0.5, 0.7, 0.55]  # height 0.175, drift 0.05
    assert len(value_spikes(values, MomentSettings(spike_drift=0.3))[0]) == 1
    assert len(value_spikes(values, MomentSettings(spike_drift=0.2))[0]) == 0


def test_advantages_worked_out_by_hand():
    # Errors: 0 + 0.9 * 0.6 - 0.5 = 0.04 and, the episode being over, 1 - 0.6 = 0.4.
    found = _curve(0, [0.5, 0.6]).advantages(gamma=0.9, lam=0.5)
    np.testing.assert_allclose(found, [0.04 + 0.9 * 0.5 * 0.4, 0.4], rtol=1e-6)


def test_failures_take_turns_by_cause_the_surest_first():
    curves = [
        _curve(0, [0.2, 0.3], "lava"),
        _curve(1, [0.2, 0.9], "buzzsaw"),
        _curve(2, [0.2, 0.8], "buzzsaw"),
        _curve(3, [0.2, 0.7], "buzzsaw"),
        _curve(4, [0.2, 0.95]),
    ]
    found = _of_kind(find_moments(curves, MomentSettings(n_of_each=3)), moments.FAILURE)
    assert [moment.episode for moment in found] == [1, 0, 2]
    assert [(moment.step, moment.reference) for moment in found] == [(1, 0)] * 3
    assert found[0].text == "failed: buzzsaw, value 0.90"


def test_an_unexplained_failure_is_not_called_failed_twice():
    [moment] = _of_kind(find_moments([_curve(0, [0.5], "failed")]), moments.FAILURE)
    assert moment.text == "failed, value 0.50"
    assert (moment.step, moment.reference) == (0, 0)


def test_advantages_are_the_most_extreme_and_one_of_each_episode():
    curves = [
        _curve(0, [0.9, 0.9, 0.9], "buzzsaw"),  # loses 0.9 at its end
        _curve(1, [0.9, 0.2, 0.2], "buzzsaw"),  # knows after the first step
        _curve(2, [0.1, 0.1, 0.1]),  # gains 0.9 at its end
    ]
    found = find_moments(curves, MomentSettings(n_of_each=2), gamma=1.0, lam=0.0)
    low = _of_kind(found, moments.ADVANTAGE_LOW)
    assert [(m.episode, m.step, m.reference) for m in low] == [(0, 2, 1), (1, 0, 1)]
    assert [m.score for m in low] == pytest.approx([-0.9, -0.7])
    [high] = _of_kind(found, moments.ADVANTAGE_HIGH)
    assert (high.episode, high.step, high.text) == (2, 2, "advantage +0.90")


def test_only_the_highest_spike_of_an_episode_is_shown():
    curves = [
        _curve(0, [0.5, 0.6, 0.5, 0.8, 0.5, 0.5, 0.3, 0.5]),
        _curve(1, [0.5, 0.95, 0.5]),
    ]
    found = find_moments(curves)
    up, down = _of_kind(found, moments.SPIKE_UP), _of_kind(found, moments.SPIKE_DOWN)
    assert [(m.episode, m.step, m.reference) for m in up] == [(1, 1, 0), (0, 3, 2)]
    assert [(m.episode, m.step) for m in down] == [(0, 6)]
    assert up[0].text == "value 0.50, 0.95, 0.50"
    assert list(dict.fromkeys(m.kind for m in found)) == [
        kind for kind in moments.KINDS if _of_kind(found, kind)
    ]


def test_nothing_is_found_in_no_episodes():
    assert find_moments([]) == []


@pytest.mark.parametrize(
    "values", [[[0.1, 0.2]], [0.1, float("nan"), 0.1], [0.1, float("inf"), 0.1]]
)
def test_values_that_are_no_curve(values):
    with pytest.raises(InputError, match="expected finite values"):
        value_spikes(values)


@pytest.mark.parametrize(
    "changes",
    [{"n_of_each": 0}, {"n_frames": 0}, {"spike_height": 0.0}, {"spike_drift": 1.5}],
)
def test_bad_settings(changes):
    with pytest.raises(SettingsError, match=f"{next(iter(changes))}="):
        MomentSettings(**changes)

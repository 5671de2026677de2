"""Averages of parameters over updates."""

import numpy as np

from lucid_rl.training.averages import ParameterAverages


def test_the_first_updates_count_alike_and_the_latest_for_more_later():
    averages = ParameterAverages()
    seen = []
    for value in (1.0, 3.0, 8.0, 0.0):
        averages.add({"w": np.full(2, value, np.float32)}, n_updates=3)
        seen.append(averages.parameters["w"])
    # Means of one, two and three; then a third of the way from 4 to 0.
    np.testing.assert_allclose([w[0] for w in seen], [1, 2, 4, 8 / 3], rtol=1e-6)
    assert seen[-1].dtype == np.float32


def test_averages_go_on_from_their_state_which_later_ones_leave_alone():
    whole = ParameterAverages()
    for value in range(4):
        whole.add({"w": np.float32([value])}, n_updates=2)
        if value == 1:
            state = whole.get_state()
    resumed = ParameterAverages()
    resumed.set_state(state)
    assert state["parameters"]["w"] == 0.5
    for value in (2, 3):
        resumed.add({"w": np.float32([value])}, n_updates=2)
    assert resumed.get_state() == whole.get_state()

"""Episodes that begin before failures: where, how often, and what comes after."""

import numpy as np
import pytest

from lucid_rl.errors import SettingsError
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training.noise import NoiseSettings
from lucid_rl.training.restarts import Restarts, RestartSettings
from lucid_rl.training.rollout import Group, collect
from lucid_rl.training.timing import Stopwatch

RIGHT_JUMP = 8


class Recorded:
    """A game whose states are the times at which they were asked for."""

    n_envs = 2

    def __init__(self):
        self.now = [b"first 0", b"first 1"]
        self.restored = []

    def get_states(self, environments):
        return [self.now[i] for i in environments]

    def set_states(self, states, environments):
        self.restored += zip(environments, states, strict=True)


def make(share, n_kept=1000):
    game = Recorded()
    settings = RestartSettings(share, 10, 45, 8, n_kept)
    return game, Restarts(game, settings, np.random.default_rng(0))


def play(game, restarts, n_steps):
    for age in range(n_steps):
        game.now = [f"{i} at {age}".encode() for i in range(2)]
        restarts.keep_states(np.array([age, age]))


def test_episodes_begin_as_long_before_a_failure_as_asked_for():
    for age in (20, 60, 61, 100):
        game, restarts = make(share=0.999)
        play(game, restarts, age)
        restarts.note_failure(0, age)
        restarts.begin(1)
        ((environment, state),) = game.restored
        assert environment == 1 and restarts.began.tolist() == [False, True]
        owner, _, time = state.decode().partition(" at ")
        assert owner == "0" and int(time) % 8 == 0 and 10 <= age - int(time) <= 45


def test_an_episode_too_short_for_it_is_no_beginning():
    game, restarts = make(share=0.999)
    play(game, restarts, 5)
    restarts.note_failure(0, 5)
    restarts.begin(0)
    assert not game.restored and not restarts.began.any()


def test_the_level_that_a_restart_displaced_comes_after_it():
    game, restarts = make(share=0.5)
    play(game, restarts, 30)
    restarts.note_failure(0, 30)
    streak, displaced = 0, None
    for level in range(50):
        game.now[0], game.restored = f"level {level}".encode(), []
        restarts.begin(0)
        if restarts.began[0]:
            displaced = displaced or game.now[0]
            streak += 1
        elif displaced:
            assert game.restored == [(0, displaced)]
            displaced = None
        else:
            assert not game.restored
    assert 10 < streak < 40


def test_only_so_many_states_are_kept():
    game, restarts = make(share=0.5, n_kept=3)
    for _ in range(10):
        play(game, restarts, 30)
        restarts.note_failure(0, 30)
    assert len(restarts.get_state()["kept"]) == 3


def test_what_fails_again_is_not_kept_again():
    game, restarts = make(share=0.999)
    play(game, restarts, 30)
    both, ages = np.array([0, 1]), np.array([30, 30])
    restarts.follow(ages, both, np.array([False, True]))
    assert restarts.began.all()
    kept = restarts.get_state()["kept"]
    assert len(kept) == 1
    play(game, restarts, 30)
    restarts.follow(ages, both, np.array([False, False]))
    assert restarts.get_state()["kept"] == kept


@pytest.mark.parametrize(
    "changes", [{"share": 1.0}, {"share": -0.1}, {"least_steps": 0}, {"most_steps": 25}]
)
def test_impossible_settings_are_refused(changes):
    with pytest.raises(SettingsError, match="restart"):
        RestartSettings(**changes)


class RunsAndJumps:
    """Does nothing else, until it meets a hazard."""

    def perceive(self, observations):
        return observations

    def act(self, observations):
        logits = np.full((len(observations), 15), -50, np.float32)
        logits[:, RIGHT_JUMP] = 50
        return logits, np.zeros(len(observations), np.float32)


def group():
    game = make_game(GameSettings(n_envs=16, seed=4))
    restarts = RestartSettings(share=0.7, least_steps=2, most_steps=20, interval=4)
    return Group(game, NoiseSettings(), (1,), restarts)


def test_restarts_of_a_real_game_fail_where_they_did_and_do_not_count():
    first = group()
    try:
        rollout, episodes = collect([first], RunsAndJumps(), 150, Stopwatch())[0]
        # Doing the same from the same states leads to the same end.
        assert len(episodes.restarts_finished) > 20
        assert not any(episodes.restarts_finished)
        n_ends = rollout.firsts[1:].sum() + rollout.next_firsts.sum()
        n_counted = len(episodes.finished) + len(episodes.restarts_finished)
        assert n_ends == n_counted and len(episodes.lengths) == len(episodes.finished)
    finally:
        first.game.close()


def test_a_resumed_group_restarts_as_it_would_have():
    first, second = group(), group()
    try:
        collect([first], RunsAndJumps(), 100, Stopwatch())
        state = first.get_state()
        expected, counted = collect([first], RunsAndJumps(), 40, Stopwatch())[0]
        second.set_state(state)
        found, counted_again = collect([second], RunsAndJumps(), 40, Stopwatch())[0]
        np.testing.assert_array_equal(found.observations, expected.observations)
        np.testing.assert_array_equal(found.firsts, expected.firsts)
        assert counted == counted_again and counted.restarts_finished
    finally:
        first.game.close()
        second.game.close()

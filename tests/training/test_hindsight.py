"""Where failed episodes were lost, found when they are over."""

import numpy as np
import pytest

from lucid_rl.errors import SettingsError
from lucid_rl.games.coinrun_planner import careful_plan, lives_on
from lucid_rl.games.registry import make_game
from lucid_rl.games.tracked_game import TrackedGame
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training.hindsight import HindsightSettings, Moment, find_mistake
from lucid_rl.training.noise import NoiseSettings
from lucid_rl.training.rollout import Group, collect
from lucid_rl.training.settings import TrainSettings
from lucid_rl.training.timing import Stopwatch
from tests.training.test_restarts import RunsAndJumps

SETTINGS = HindsightSettings(used=True)
N_ENVS = 32


@pytest.fixture(scope="module")
def failures():
    """The moments of episodes of one who runs and jumps, and dies."""
    rng = np.random.default_rng(0)
    logits = np.zeros((N_ENVS, 15), np.float32)
    logits[:, 7:9] = 5
    played, failed = [[] for _ in range(N_ENVS)], []
    with TrackedGame(make_game(GameSettings(n_envs=N_ENVS, seed=4))) as game:
        for _ in range(150):
            firsts = game.observe().firsts
            complete = game.last_level_complete()
            for i in np.flatnonzero(firsts):
                if played[i] and not complete[i]:
                    failed.append(played[i])
                played[i] = []
            actions = np.where(
                rng.random(N_ENVS) < 0.9, rng.integers(7, 9, N_ENVS), 4
            ).astype(np.int32)
            for moments, world, action in zip(
                played, game.worlds(), actions, strict=True
            ):
                moments.append(Moment(world.copy(), logits[0], int(action)))
            game.act(actions)
    return failed


def test_who_plays_carefully_lives_before_a_loss_and_not_after(failures):
    n_found = 0
    for moments in failures:
        n_lost, deadly = find_mistake(moments, SETTINGS)
        if not deadly.any():
            continue
        n_found += 1
        n_steps = n_lost + SETTINGS.survival
        decisive = moments[-n_lost - 1]
        assert lives_on(decisive.world, n_steps + 1)
        if n_lost:
            assert not lives_on(moments[-n_lost].world, n_steps)
        # What was done is to blame, what the planner does is not.
        assert deadly[decisive.action]
        way = careful_plan(decisive.world.as_seen())
        assert not way or not deadly[way[0]]
    assert n_found > 20


def test_what_was_lost_before_the_first_moment_has_nothing_to_blame(failures):
    n_checked = 0
    for moments in failures:
        n_lost, deadly = find_mistake(moments, SETTINGS)
        rest = moments[-n_lost:]
        survived = [
            lives_on(moment.world, n_left + SETTINGS.survival)
            for n_left, moment in zip(range(n_lost, 0, -1), rest, strict=False)
        ]
        if deadly.any() and n_lost > 1 and not any(survived):
            n_checked += 1
            n_lost_of_rest, deadly = find_mistake(rest, SETTINGS)
            assert n_lost_of_rest == len(rest) and not deadly.any()
            # Farther back than is looked at nobody knows.
            short = HindsightSettings(used=True, most_steps=n_lost)
            n_lost_in_short, deadly = find_mistake(moments, short)
            assert n_lost_in_short == 0 and not deadly.any()
    assert n_checked > 5


class Hopes(RunsAndJumps):
    def act(self, observations):
        logits, values = super().act(observations)
        return logits, values + np.float32(0.5)


def collect_with(hindsight):
    game = make_game(GameSettings(n_envs=N_ENVS, seed=4))
    group = Group(game, NoiseSettings(), (1,), hindsight=hindsight)
    ((first, episodes),) = collect([group], Hopes(), 64, Stopwatch())
    ((second, _),) = collect([group], Hopes(), 64, Stopwatch())
    game.close()
    return first, second, episodes


def test_a_lost_level_is_worth_nothing_and_the_blame_falls_on_one_action():
    plain, plain_second, episodes = collect_with(HindsightSettings())
    known, known_second, _ = collect_with(SETTINGS)
    for before, after in ((plain, known), (plain_second, known_second)):
        # It changes nothing of what is played.
        np.testing.assert_array_equal(before.actions, after.actions)
        np.testing.assert_array_equal(before.observations, after.observations)
        assert not before.deadly.any()
        lost = after.values != before.values
        assert (after.values[lost] == 0).all()
        batch = after.batch(0.999, 0.95, 0.1)
        assert not batch.returns[lost.T.reshape(-1)].any()
        blamed = after.deadly.any(axis=2)
        assert not (blamed & lost).any() and not after.deadly.all(axis=2).any()
        taken = np.take_along_axis(after.deadly, after.actions[..., None], 2)[..., 0]
        assert (taken == blamed).all()
    assert 0 < known.deadly.any(axis=2).sum() <= episodes.finished.count(False)
    assert (known.values != plain.values).sum() > 10


def test_other_games_have_no_hindsight():
    with pytest.raises(SettingsError, match="hindsight"):
        TrainSettings(game=GameSettings(name="maze"), hindsight=SETTINGS)
    with pytest.raises(SettingsError, match="least_probability"):
        HindsightSettings(least_probability=2)
    with pytest.raises(SettingsError, match="most_steps"):
        HindsightSettings(most_steps=0)

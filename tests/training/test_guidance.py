"""What PPO is told of CoinRun's rules while a policy plays."""

import numpy as np
import pytest

from lucid_rl.errors import SettingsError
from lucid_rl.games.coinrun_planner import (
    careful_plan,
    deadly_actions,
    deadly_to_the_slow,
    hopeless_actions,
    plan,
)
from lucid_rl.games.registry import make_game
from lucid_rl.games.tracked_game import TrackedGame
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.training.guidance import NO_ADVICE, GuidanceSettings, Guide
from lucid_rl.training.noise import NoiseSettings
from lucid_rl.training.rollout import Group, collect
from lucid_rl.training.timing import Stopwatch
from tests.training.test_restarts import RunsAndJumps

SETTINGS = GameSettings(n_envs=16, seed=4)
EVEN = np.zeros((16, 15), np.float32)  # logits: all actions alike


def test_the_lost_are_lost_until_they_die_and_others_have_a_way():
    rng = np.random.default_rng(0)
    n_lost = n_deadly = 0
    with TrackedGame(make_game(SETTINGS)) as game:
        guide = Guide(game, GuidanceSettings(risk_share=1.0), rng)
        before = np.zeros(16, bool)
        for _ in range(120):
            step = game.observe()
            # Whoever was lost has died, or still is.
            died = step.firsts & ~game.last_level_complete()
            guide.look(step.firsts)
            deadly, lost, _ = guide.hints(EVEN)
            assert (lost | died)[before].all()
            assert not deadly[lost].any() and not deadly.all(axis=1).any()
            n_deadly += deadly.any(axis=1).sum()
            for i in np.flatnonzero(lost & ~before)[:2]:
                n_lost += 1
                assert deadly_actions(game.worlds()[i], hold=1).all()
                assert plan(game.worlds()[i]) is None
            before = lost
            game.act(np.where(rng.random(16) < 0.9, 8, rng.integers(0, 15, 16)))
    assert n_lost > 5 and n_deadly > 20


def test_only_a_share_of_the_frames_is_looked_at():
    class Counting(Guide):
        n = 0

        def _look_at(self, *frame):
            self.n += 1
            return super()._look_at(*frame)

    with TrackedGame(make_game(SETTINGS)) as game:
        guide = Counting(
            game,
            GuidanceSettings(risk_share=0.25, advice_share=0.0),
            np.random.default_rng(0),
        )
        for _ in range(50):
            guide.look(game.observe().firsts)
            guide.hints(EVEN)
            game.act(np.full(16, 4))
    assert 0.15 < guide.n / (50 * 16) < 0.35


def test_what_the_policy_may_do_is_asked_for_a_way_on():
    """Running right for sure, or jumping half of the time."""
    settings = GuidanceSettings(risk_share=1.0, advice_share=0.0)
    rng = np.random.default_rng(0)
    logits = np.full((16, 15), -20, np.float32)
    logits[:, [7, 8]] = 0
    n_only_hopeless = 0
    with TrackedGame(make_game(SETTINGS)) as game:
        guide = Guide(game, settings, rng)
        for _ in range(400):
            guide.look(game.observe().firsts)
            deadly, lost, _ = guide.hints(logits)
            for i, world in enumerate(game.worlds()):
                seen = world.as_seen()
                slow = deadly_to_the_slow(seen, settings.hold, settings.reaction)
                slow &= ~slow.all()
                if lost[i] or not any(world.hazards_between(-2, 7)):
                    assert not deadly[i].any()
                    continue
                asked = [a for a in (7, 8) if not slow[a]]
                hopeless = hopeless_actions(seen, asked, settings.planner)
                assert np.array_equal(deadly[i], slow | hopeless)
                n_only_hopeless += (hopeless & ~slow).any()
            game.act(rng.choice([7, 8], 16))
    assert n_only_hopeless > 10


def test_advice_is_what_a_planner_does_that_sees_the_picture():
    settings = GuidanceSettings(risk_share=0, advice_share=1.0)
    rng, n_advised = np.random.default_rng(0), 0
    with TrackedGame(make_game(SETTINGS)) as game:
        guide = Guide(game, settings, rng)
        for _ in range(60):
            guide.look(game.observe().firsts)
            deadly, _, advice = guide.hints(EVEN)
            assert not deadly.any()
            for i in np.flatnonzero(advice != NO_ADVICE):
                world = game.worlds()[i]
                assert any(world.hazards_between(-2, 7))
                assert advice[i] == careful_plan(world.as_seen())[0]
                n_advised += 1
            game.act(np.where(rng.random(16) < 0.9, 8, rng.integers(0, 15, 16)))
    assert n_advised > 20


def test_a_groups_labels_reach_its_batch_and_the_lost_are_worth_nothing():
    class Hopeful(RunsAndJumps):
        def act(self, observations):
            logits, _ = super().act(observations)
            return logits, np.ones(len(observations), np.float32)

    game = make_game(SETTINGS)
    group = Group(
        game, NoiseSettings(), (0,), guidance=GuidanceSettings(risk_share=1.0)
    )
    with game:
        rollout, _ = collect([group], Hopeful(), 200, Stopwatch())[0]
    assert set(np.unique(rollout.values)) == {0, 1}
    batch = rollout.batch(gamma=0.9, lam=0.95, reward_scale=0.1)
    assert batch.deadly.shape == (len(batch), 15) and batch.deadly.any()
    values = rollout.values.T.ravel()
    np.testing.assert_array_equal(batch.returns[values == 0], 0)
    np.testing.assert_array_equal(batch.advantages[values == 0], 0)
    # The choice that lost it is to blame for all that was hoped for.
    falls = np.flatnonzero((values[:-1] == 1) & (values[1:] == 0))
    inside = falls[~rollout.firsts.T.ravel()[falls + 1]]
    np.testing.assert_allclose(batch.advantages[inside], -1)
    assert len(inside) > 5


@pytest.mark.parametrize("changes", [{"risk_share": 1.1}, {"hold": 0}, {"reaction": 0}])
def test_impossible_settings_are_refused(changes):
    with pytest.raises(SettingsError, match=r"risk_share must lie|needs hold"):
        GuidanceSettings(**changes)

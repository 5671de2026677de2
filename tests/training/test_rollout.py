"""Collecting: what goes where, on a game that is known by hand."""

import numpy as np
import pytest

from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings, GameStep
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.logs import Stopwatch
from lucid_rl.training.noise import NoiseSettings
from lucid_rl.training.ppo import draw_minibatches, normalize
from lucid_rl.training.rollout import (
    Environments,
    collect,
    concatenate,
    make_batch,
    sample_actions,
)


class Corridor:
    """Episodes of three steps; the last pays 10 if its action was 1."""

    settings = GameSettings()
    n_envs, n_actions = 2, 2

    def __init__(self):
        self.t = np.array([0, 1])
        self.rewards = np.zeros(2, np.float32)
        self.complete = np.zeros(2, bool)
        self.frames = np.zeros((2, 64, 64, 3), np.uint8)

    def observe(self):
        self.frames[:] = self.t[:, None, None, None]
        return GameStep(self.rewards, self.frames, self.t == 0)

    def act(self, actions):
        ends = self.t == 2
        self.rewards = np.where(ends & (actions == 1), 10, 0).astype(np.float32)
        self.complete = ends & (actions == 1)
        self.t = np.where(ends, 0, self.t + 1)

    def last_level_complete(self):
        return self.complete


class Always:
    """Takes one action; its value is the picture's brightness."""

    def __init__(self, action):
        self.action = action

    def act(self, observations):
        logits = np.full((len(observations), 2), -50, np.float32)
        logits[:, self.action] = 50
        return logits, observations[:, 0, 0, 0].astype(np.float32)


def collect_corridor(action, n_steps=7, teacher=None):
    group = Environments(Corridor(), NoiseSettings(), (0,))
    (rollout,) = collect([group], Always(action), n_steps, Stopwatch(), teacher)
    return rollout, group.take_episodes()


def test_a_reward_goes_with_the_action_that_earned_it():
    rollout, episodes = collect_corridor(1)
    times = rollout["observations"][:, :, 0, 0, 0]
    np.testing.assert_array_equal(times[:, 0], [0, 1, 2, 0, 1, 2, 0, 1])
    np.testing.assert_array_equal(rollout["rewards"][1:], 10 * (times[:-1] == 2))
    np.testing.assert_array_equal(rollout["firsts"], times == 0)
    np.testing.assert_array_equal(rollout["values"], times)
    assert (rollout["actions"] == 1).all()
    np.testing.assert_allclose(rollout["log_probabilities"], 0, atol=1e-6)
    assert [e.success for e in episodes] == [True] * 4
    # The second environment was met in the middle of its first episode.
    assert sorted(e.length for e in episodes) == [2, 3, 3, 3]
    assert sorted(e.environment for e in episodes) == [0, 0, 1, 1]


def test_failed_episodes_are_counted_as_such():
    rollout, episodes = collect_corridor(0)
    assert not rollout["rewards"].any()
    assert [e.success for e in episodes] == [False] * 4


def test_advantages_by_hand():
    rollout, _ = collect_corridor(1, n_steps=3)
    batch = make_batch(rollout, gamma=0.5, lam=0.5, reward_scale=0.1)
    # First environment: values 0, 1, 2, then an end that pays 1.
    errors = [0 + 0.5 * 1 - 0, 0 + 0.5 * 2 - 1, 1 - 2]
    expected = [
        errors[0] + 0.25 * errors[1] + 0.0625 * errors[2],
        errors[1] + 0.25 * errors[2],
        errors[2],
    ]
    np.testing.assert_allclose(batch["advantages"][:3], expected, rtol=1e-6)
    np.testing.assert_allclose(
        batch["returns"], batch["advantages"] + batch["values"], rtol=1e-6
    )
    np.testing.assert_array_equal(batch["observations"][:3, 0, 0, 0], [0, 1, 2])


def test_a_teachers_outputs_come_with_the_transitions():
    rollout, _ = collect_corridor(1, n_steps=3, teacher=Always(0))
    batch = make_batch(rollout, 0.9, 0.9, 1.0)
    assert (batch["actions"] == 1).all()
    np.testing.assert_array_equal(batch["teacher_logits"], [[50, -50]] * 6)
    np.testing.assert_array_equal(batch["teacher_values"][:3], [0, 1, 2])


def test_actions_follow_the_policy():
    logits = np.log(np.tile([[0.1, 0.6, 0.3]], (20000, 1))).astype(np.float32)
    actions, log_probabilities = sample_actions(logits, np.random.default_rng(0))
    shares = np.bincount(actions) / len(actions)
    np.testing.assert_allclose(shares, [0.1, 0.6, 0.3], atol=0.02)
    np.testing.assert_allclose(
        np.exp(log_probabilities), np.array([0.1, 0.6, 0.3])[actions], rtol=1e-5
    )


def test_minibatches_take_every_transition_once_and_equally_from_groups():
    config = TrainConfig(
        game=GameSettings(n_envs=4), n_steps=8, n_minibatches=2, n_epochs=3
    )
    minibatches = draw_minibatches(config, np.random.default_rng(0))
    assert minibatches.shape == (6, 2, 8)
    for epoch in minibatches.reshape(3, 2, 2, 8):
        for group in range(2):
            np.testing.assert_array_equal(np.sort(epoch[:, group].ravel()), range(16))


def test_normalized_advantages():
    normal = normalize(np.random.default_rng(0).normal(3, 5, 100))
    assert normal.dtype == np.float32
    assert normal.mean() == pytest.approx(0, abs=1e-6)
    assert normal.std() == pytest.approx(1, rel=1e-5)


def test_batches_concatenate_in_order():
    rollout, _ = collect_corridor(1, n_steps=3)
    batch = make_batch(rollout, 0.9, 0.9, 1.0)
    both = concatenate([batch, batch])
    assert len(both["returns"]) == 2 * len(batch["returns"])
    np.testing.assert_array_equal(both["returns"][:6], batch["returns"])


@pytest.mark.parametrize("generated", [False, True])
def test_a_groups_state_restores_its_rollouts(generated):
    def group():
        settings = GameSettings(n_envs=3, use_generated_assets=generated)
        return Environments(make_game(settings), NoiseSettings(pixel_std=0.1), (5,))

    first = group()
    collect([first], Always(1), 20, Stopwatch())
    state = first.get_state()
    (expected,) = collect([first], Always(1), 5, Stopwatch())
    second = group()
    second.set_state(state)
    (found,) = collect([second], Always(1), 5, Stopwatch())
    if generated:  # its levels start anew; its random numbers do not
        assert state["games"] is None
    else:
        np.testing.assert_array_equal(found["observations"], expected["observations"])
        np.testing.assert_array_equal(found["rewards"], expected["rewards"])
        np.testing.assert_array_equal(found["firsts"], expected["firsts"])
    first.game.close()
    second.game.close()

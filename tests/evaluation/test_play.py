import numpy as np
import pytest

from lucid_rl.errors import InputError
from lucid_rl.evaluation.episodes import COMPLETED, FAILED
from lucid_rl.evaluation.play import given_levels, own_levels, play
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings
from tests.evaluation.players import coin_policy, eager_policy, known_game


def by_index(episodes):
    episodes = list(episodes)
    ordered = {episode.index: episode for episode in episodes}
    assert len(ordered) == len(episodes)
    return [ordered[index] for index in sorted(ordered)]


def assert_same(first, second):
    assert len(first) == len(second)
    for mine, its in zip(first, second, strict=True):
        assert (mine.index, mine.level_seed) == (its.index, its.level_seed)
        assert (mine.outcome, mine.reward) == (its.outcome, its.reward)
        np.testing.assert_array_equal(mine.actions, its.actions)


@pytest.mark.parametrize("n_envs", [1, 7, 64, 100])
def test_every_level_is_played_once_and_to_its_end(n_envs):
    seeds = np.random.default_rng(0).integers(1, 60, 200).tolist()
    indices = list(range(1000, 1200))
    played = play(known_game(n_envs), coin_policy, given_levels(indices, seeds), 0)
    episodes = by_index(played)
    assert [e.index for e in episodes] == indices
    for episode, seed in zip(episodes, seeds, strict=True):
        assert episode.level_seed == len(episode.actions) == seed
        assert episode.outcome == (COMPLETED if seed % 2 == 0 else FAILED)
        assert episode.reward == episode.actions.sum()


def test_an_episode_depends_on_nothing_but_seed_and_index():
    seeds = np.random.default_rng(0).integers(1, 60, 90)
    everything = given_levels(range(90), seeds.tolist())
    one_by_one = by_index(play(known_game(1), coin_policy, everything, 5))
    some = np.random.default_rng(1).permutation(90)[:40]
    plan = given_levels(some.tolist(), seeds[some].tolist())
    others = by_index(play(known_game(16), coin_policy, plan, 5))
    assert_same([one_by_one[i] for i in sorted(some)], others)
    plan = given_levels(range(90), seeds.tolist())
    other_seed = by_index(play(known_game(1), coin_policy, plan, 6))
    assert sum(e.reward for e in other_seed) != sum(e.reward for e in one_by_one)


def test_very_long_episodes():
    plan = given_levels([0, 1, 2], [5000, 7, 2049])
    episodes = by_index(play(known_game(2), coin_policy, plan, 0))
    assert [len(episode.actions) for episode in episodes] == [5000, 7, 2049]
    # The actions are not one block of random numbers over and over.
    actions = episodes[0].actions
    assert abs(actions.mean() - 0.5) < 0.03
    for period in (256, 1024):
        assert abs((actions[period:] == actions[:-period]).mean() - 0.5) < 0.05


def test_own_levels_are_counted_without_bias():
    """Episodes of 3 steps fail and are a third of all; those of 44 are completed."""
    n_envs, n_each = 50, 4
    plan = own_levels(range(n_envs * n_each), n_envs)
    game = known_game(n_envs, chooses_levels=False)
    played = list(play(game, coin_policy, plan, 0))
    short = np.array([len(episode.actions) == 3 for episode in played])
    assert abs(short.mean() - 1 / 3) < 0.1
    # The first to end would have told another story.
    assert short[:20].all()
    # They are each environment's first four, whatever their lengths.
    lengths = np.zeros((n_each, n_envs), int)
    for episode in by_index(played):
        lengths[divmod(episode.index, n_envs)] = len(episode.actions)
    game = known_game(n_envs)
    taken = [[] for _ in range(n_envs)]
    while min(map(len, taken)) < n_each:
        before = game.level_seeds()
        game.act(np.zeros(n_envs))
        for i in np.flatnonzero(game.observe().firsts):
            taken[i].append(before[i])
    np.testing.assert_array_equal(lengths.T, [levels[:n_each] for levels in taken])


def test_idle_environments_cost_the_network_little():
    sizes = []

    def policy(observations):
        sizes.append(len(observations))
        return coin_policy(observations)

    plan = given_levels(range(33), [10] * 32 + [500])
    list(play(known_game(32), policy, plan, 0))
    assert set(sizes) == {32, 1}
    assert sizes.count(1) >= 480


def test_levels_of_a_real_game_are_the_same_in_any_company():
    seeds = list(range(50, 74))
    results = []
    for n_envs in (3, 16):
        with make_game(GameSettings(n_envs=n_envs, seed=n_envs)) as game:
            plan = given_levels(range(24), seeds)
            results.append(by_index(play(game, eager_policy, plan, 2)))
    assert_same(*results)
    assert [episode.level_seed for episode in results[0]] == seeds
    completed = [episode.completed for episode in results[0]]
    assert any(completed) and not all(completed)
    for episode in results[0]:
        assert episode.reward == (10.0 if episode.completed else 0.0)


def test_greedy_actions():
    with make_game(GameSettings(n_envs=4)) as game:
        plan = given_levels(range(4), range(4))
        for episode in play(game, eager_policy, plan, 0, greedy=True):
            assert (episode.actions == 8).all()


def test_a_model_of_another_game_is_refused():
    with make_game(GameSettings(n_envs=2)) as game:
        plan = given_levels([0], [0])
        with pytest.raises(InputError, match=r"2 actions.*coinrun.*15"):
            list(play(game, coin_policy, plan, 0))
    with pytest.raises(InputError):
        given_levels([0, 1], [0])

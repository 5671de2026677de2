"""Causes of failure: deaths made by hand, and two rules on real failures."""

import dataclasses

import numpy as np
import pytest

from lucid_rl.errors import GameError, InputError, SettingsError
from lucid_rl.evaluation.dangers import DANGERS, touching_dangers, without
from lucid_rl.evaluation.failure_causes import (
    CAUSES,
    FailureClassifier,
)
from lucid_rl.games.procgen_state import (
    ENEMY,
    GOAL,
    LAVA_TOP,
    SAW,
    SPACE,
    parse_state,
)
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings

NO_OP, RIGHT = 4, 7
SETTINGS = GameSettings()


@dataclasses.dataclass(frozen=True)
class Episode:
    level_seed: int
    actions: np.ndarray


def classify_failures(episodes, settings):
    with FailureClassifier(settings) as classifier:
        return [classifier.classify(e.level_seed, e.actions) for e in episodes]


def play_failures(n_failures, settings, seed=0):
    """Failed episodes of a policy that runs and jumps to the right, mostly."""
    rng = np.random.default_rng(seed)
    failures = []
    with make_game(settings) as game:
        n = game.n_envs
        actions_so_far = [[] for _ in range(n)]
        seeds, held = game.level_seeds(), np.full(n, RIGHT)
        while len(failures) < n_failures:
            fresh = rng.choice([1, 4, 7, 7, 7, 8, 8], n)
            held = np.where(rng.random(n) < 0.3, fresh, held)
            game.act(held)
            rewards, _, firsts = game.observe()
            for i in range(n):
                actions_so_far[i].append(held[i])
                if firsts[i]:
                    if rewards[i] == 0:
                        actions = np.array(actions_so_far[i])
                        failures.append(Episode(int(seeds[i]), actions))
                    actions_so_far[i] = []
            seeds = game.level_seeds()
    return failures[:n_failures]


@pytest.fixture(scope="module")
def failures():
    return play_failures(40, GameSettings(n_envs=32, seed=5))


@pytest.fixture(scope="module")
def classifier():
    with FailureClassifier(SETTINGS) as classifier:
        yield classifier


@pytest.fixture(scope="module")
def room():
    """An agent at rest on the floor of an empty room."""
    with make_game(GameSettings(n_envs=1, n_levels=1, start_level=5)) as game:
        for _ in range(3):
            game.act(np.array([NO_OP]))
        state = parse_state(game.get_states()[0])
    state.grid[1:-1, 1:-1] = SPACE
    state.entities = state.entities[:1]
    return state


def with_object(state, kind, dx, vx=0.0):
    """Adds a saw or enemy at the agent's height, `dx` tiles to the right of it."""
    thing = state.entities[:1].copy()
    thing["type"] = thing["image_type"] = kind
    thing["x"] += np.float32(dx)
    thing["image_theme"] = 0
    thing["vx"], thing["vy"], thing["rx"], thing["ry"] = vx, 0, 0.5, 0.5
    thing["y"] = 1.5
    thing["smart_step"] = kind == ENEMY
    changed = state.copy()
    changed.entities = np.concatenate([state.entities, thing])
    return changed


def test_each_danger_by_hand(room, classifier):
    lava = room.copy()
    lava.grid[1, 1] = LAVA_TOP
    late = room.copy()
    late.episode["cur_time"] = 999
    scenes = {
        "buzzsaw": with_object(room, SAW, 0.8),
        "enemy_moving_left": with_object(room, ENEMY, 1.1, vx=-0.15),
        "enemy_moving_right": with_object(room, ENEMY, 0.5, vx=0.15),
        "lava": lava,
        "timeout": late,
    }
    assert set(scenes) == set(DANGERS)
    for danger, scene in scenes.items():
        found = classifier.classify_state(scene, NO_OP)
        assert found.cause == found.cause_by_position == danger
        assert found.preventing == found.touching == (danger,)
        assert found.position[0] == pytest.approx(1.5)


@pytest.mark.parametrize(
    "first, second",
    [
        ((SAW, 0.8, 0.0), (ENEMY, 0.7, -0.15)),
        ((ENEMY, 0.7, -0.15), (ENEMY, 0.5, 0.15)),
    ],
)
def test_two_dangers_at_once_are_multiple(room, classifier, first, second):
    scene = with_object(with_object(room, *first), *second)
    found = classifier.classify_state(scene, NO_OP)
    assert found.cause == found.cause_by_position == "multiple"
    assert found.preventing == () and len(found.touching) == 2


def test_two_of_a_kind_are_that_kind(room, classifier):
    scene = with_object(with_object(room, SAW, 0.8), SAW, 0.6)
    assert classifier.classify_state(scene, NO_OP).cause == "buzzsaw"


def test_direction_is_that_after_the_step(room, classifier):
    """An enemy that turns at a wall in the fatal step counts as it then moves."""
    scene = with_object(room, ENEMY, 0.05, vx=-0.15)  # the wall is half a tile left
    assert classifier.classify_state(scene, NO_OP).cause == "enemy_moving_right"


def test_a_danger_near_by_is_not_blamed(room, classifier):
    """The saw out of reach stays innocent of a death by the enemy."""
    scene = with_object(with_object(room, SAW, 1.3), ENEMY, 1.1, vx=-0.15)
    found = classifier.classify_state(scene, NO_OP)
    assert found.preventing == found.touching == ("enemy_moving_left",)


def test_without_changes_no_movement(room):
    scene = with_object(room, ENEMY, 5, vx=-0.15)
    for danger in DANGERS:
        for name in ("x", "y", "vx", "type", "rx"):
            safe = without(scene, danger)
            assert np.array_equal(safe.entities[name], scene.entities[name])


def test_live_states_touch_nothing():
    """No state from which an episode went on satisfies the rule of positions."""
    rng = np.random.default_rng(0)
    with make_game(GameSettings(n_envs=32, seed=9)) as game:
        before = [parse_state(data) for data in game.get_states()]
        n_checked = 0
        for _ in range(40):
            game.act(rng.choice([1, 7, 7, 8], 32))
            firsts = game.observe().firsts.copy()
            after = [parse_state(data) for data in game.get_states()]
            for old, new, first in zip(before, after, firsts, strict=True):
                if not first:
                    assert touching_dangers(old, new) == ()
                    n_checked += 1
            before = after
    assert n_checked > 1000


def assert_explained(episodes, causes):
    assert len(causes) == len(episodes)
    for episode, found in zip(episodes, causes, strict=True):
        assert found.cause in CAUSES
        assert found.cause == found.cause_by_position
        assert found.n_steps == len(episode.actions)
        assert len(found.preventing) == (found.cause != "multiple")


def test_two_rules_agree_on_real_failures(failures):
    causes = classify_failures(failures, SETTINGS)
    assert_explained(failures, causes)
    assert {"buzzsaw", "enemy_moving_left"} <= {found.cause for found in causes}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["hard", "easy"])
def test_two_rules_agree_on_hundreds_of_failures(mode):
    settings = GameSettings(n_envs=64, seed=6, distribution_mode=mode)
    episodes = play_failures(400, settings)
    assert_explained(episodes, classify_failures(episodes, settings))


def test_options_of_the_picture_change_nothing(failures):
    few = failures[:8]
    once = classify_failures(few, SETTINGS)
    settings = GameSettings(
        n_envs=5, seed=3, invisible=("buzzsaw",), paint_vel_info=False, n_levels=7
    )
    assert classify_failures(few, settings) == once


def test_episodes_with_invisible_objects():
    settings = GameSettings(n_envs=16, seed=8, invisible=("buzzsaw",))
    episodes = play_failures(6, settings)
    assert_explained(episodes, classify_failures(episodes, settings))


def test_a_thousand_actions_are_a_timeout(classifier):
    found = classifier.classify(17, np.full(1000, NO_OP))
    assert found.cause == "timeout" and found.n_steps == 1000


def test_records_that_do_not_fail_are_refused(room, classifier, failures):
    episode = failures[0]
    with pytest.raises(GameError, match="continues"):
        classifier.classify(episode.level_seed, episode.actions[:-1])
    longer = np.append(episode.actions, NO_OP)
    with pytest.raises(GameError, match="does not fail with the last"):
        classifier.classify(episode.level_seed, longer)
    with pytest.raises(GameError, match="has not failed"):
        classifier.classify_state(room, NO_OP)
    coin = room.copy()
    coin.grid[1, 1] = GOAL
    with pytest.raises(GameError, match="coin"):
        classifier.classify_state(coin, NO_OP)


@pytest.mark.parametrize("actions", [[], np.zeros((3, 2), int), np.array([0.5])])
def test_actions_that_are_none_are_refused(classifier, actions):
    with pytest.raises(InputError, match="actions"):
        classifier.classify(3, actions)


def test_other_games_are_refused():
    with pytest.raises(SettingsError, match="coinrun"):
        FailureClassifier(GameSettings(name="maze"))
    with pytest.raises(SettingsError, match="generated"):
        FailureClassifier(GameSettings(use_generated_assets=True))

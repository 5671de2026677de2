"""Two agents that play on from one saved moment, and their films in a page."""

import dataclasses
import json

import numpy as np
import pytest

import lucid_rl
from lucid_rl.checkpoints.architectures import POLICY_BIAS, tensor_name
from lucid_rl.errors import BundleError, InputError
from lucid_rl.evaluation.evaluation import evaluate
from lucid_rl.evaluation.replay import replay_episodes
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.evaluation.what_if import (
    Continuations,
    WhatIf,
    WhatIfSettings,
    play_both,
    situation,
    what_if,
)
from lucid_rl.evaluation.what_if_page import (
    PART,
    ShownWhatIf,
    add_to_page,
    moment_of_address,
    situation_in_page,
)
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interface.bundle import read_bundle, write_part
from lucid_rl.interface.parts import Layout, Part

_GAME = GameSettings(n_envs=4)


@pytest.fixture(scope="module")
def model():
    return lucid_rl.load("bundled")


@pytest.fixture(scope="module")
def episode(model):
    settings = EvaluationSettings(n_episodes=4, game=_GAME, seed=1)
    episodes = evaluate(model, settings=settings, n_workers=1).episodes
    return max(episodes, key=lambda e: len(e.actions))


@pytest.fixture(scope="module")
def moment(episode):
    return situation(_GAME, episode.level_seed, episode.actions[:30])


@pytest.fixture(scope="module")
def result(model, moment):
    # No feature of the layer is left: the changed agent sees nothing.
    blind = model.without(np.eye(model.layer_shape("2b")[-1]), "2b")
    return play_both(model, blind, moment, _GAME, WhatIfSettings(n_samples=6))


def test_samples_go_on_from_the_moment(episode, moment, result):
    [replay] = replay_episodes([episode], _GAME)
    np.testing.assert_array_equal(moment.observation, replay.observations[30])
    for agent in (result.original, result.changed):
        assert [e.index for e in agent.episodes] == list(range(6))
        for sample in agent.episodes:
            np.testing.assert_array_equal(sample.actions[:30], episode.actions[:30])
        # Played from the level's beginning, each ends as it did from the state; a
        # GameError says so otherwise.
        assert len(list(replay_episodes(agent.episodes, _GAME))) == 6
    film = list(result.film(changed=False))
    np.testing.assert_array_equal(film[0], moment.observation)
    shown = result.original.episodes[result.shown]
    assert len(film) == len(shown.actions) - 30


def test_both_agents_draw_the_same_random_numbers(model, moment):
    settings = WhatIfSettings(n_samples=3)
    same = play_both(model, model, moment, _GAME, settings)
    for one, other in zip(same.original.episodes, same.changed.episodes, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
    assert same.difference.difference == 0 and same.shown == 0
    other_seed = dataclasses.replace(settings, seed=1)
    again = play_both(model, model, moment, _GAME, other_seed)
    actions = [
        b"".join(e.actions.tobytes() for e in found.original.episodes)
        for found in (same, again)
    ]
    assert actions[0] != actions[1]


def test_more_samples_begin_with_the_same(model, moment, result):
    two = play_both(model, model, moment, _GAME, WhatIfSettings(n_samples=2))
    for one, other in zip(
        two.original.episodes, result.original.episodes, strict=False
    ):
        np.testing.assert_array_equal(one.actions, other.actions)


def test_the_film_shows_a_sample_in_which_they_differ(result):
    def agent(*completed):
        episodes = zip(result.original.episodes, completed, strict=False)
        outcomes = [
            dataclasses.replace(e, outcome="completed" if done else "buzzsaw")
            for e, done in episodes
        ]
        return Continuations("agent", tuple(outcomes))

    def shown(original, changed):
        return WhatIf(result.situation, _GAME, agent(*original), agent(*changed)).shown

    assert shown((False, True, True), (True, True, False)) == 2
    assert shown((False, True, False), (True, True, True)) == 0
    assert shown((False, False), (False, False)) == 0
    found = WhatIf(result.situation, _GAME, agent(True, False), agent(False, False))
    assert found.changed.failed.count == 2 and found.changed.causes == {"buzzsaw": 2}
    assert "buzzsaw 1" in found.table() and json.dumps(found.as_dict())


def test_a_moment_after_the_end_is_refused(episode):
    with pytest.raises(InputError, match="before the moment"):
        situation(_GAME, episode.level_seed, [*episode.actions, 0])


def test_an_agent_of_other_actions_is_refused(model, episode):
    narrow = {
        name: model.checkpoint.params[name][..., :3]
        for name in (tensor_name("pi", "w"), POLICY_BIAS)
    }
    other = lucid_rl.load(model.checkpoint.replace_params(narrow))
    with pytest.raises(InputError, match="3 actions"):
        what_if(model, other, episode.level_seed, episode.actions[:3], game=_GAME)


def _page(folder, episode, start):
    """The parts of a page that are read, with one clip."""
    [replay] = replay_episodes([episode], _GAME)
    actions = episode.actions[start:]
    whole = {"start": 0, "end": len(actions), "level_seed": episode.level_seed}
    entry = {"length": len(actions), "episodes": [whole], "title": ""}
    entry["actions_before"] = episode.actions[:start].tolist()
    meta = {"models": [], "trajectories": [entry], "environment": _GAME.as_dict()}
    write_part(Part.encode("manifest", meta, {"actions": actions}), folder)
    layout = {"observations": Layout("webp", 0, (len(actions),))}
    frames = {"observations": replay.observations[start:]}
    write_part(Part.encode("frames", {}, frames, layout), folder)


def test_a_page_s_moment_by_its_address(tmp_path, episode, moment):
    _page(tmp_path, episode, start=20)
    address = f"file://{tmp_path}/index.html#trajectory=1&frame=11&layer=2b"
    path, trajectory, frame = moment_of_address(address)
    assert (path, trajectory, frame) == (tmp_path, 0, 10)
    found, game = situation_in_page(read_bundle(path), trajectory, frame)
    assert game == _GAME and found.step == 30
    assert found.state == moment.state
    with pytest.raises(InputError, match="no frame"):
        situation_in_page(read_bundle(path), 0, 10_000)
    for wrong in ("page", "page#trajectory=1", "page#trajectory=0&frame=1"):
        with pytest.raises(InputError, match="names no moment"):
            moment_of_address(wrong)


def test_a_page_of_other_frames_is_refused(tmp_path, episode):
    other = dataclasses.replace(episode, actions=episode.actions.copy())
    _page(tmp_path, other, start=20)
    bundle = read_bundle(tmp_path)
    bundle.manifest["trajectories"][0]["actions_before"][:] = [0] * 20
    with pytest.raises(InputError, match="played again"):
        situation_in_page(bundle, 0, 10)


def test_films_are_added_to_a_page(tmp_path, episode, result):
    _page(tmp_path, episode, start=20)
    first = ShownWhatIf(0, 10, "buzzsaw", result, seed=0)
    add_to_page(tmp_path, [first])
    # Another moment joins it, and the same one is replaced.
    add_to_page(tmp_path, [dataclasses.replace(first, frame=11)])
    add_to_page(tmp_path, [first])
    bundle = read_bundle(tmp_path)
    assert bundle.manifest["what_if"] == PART
    part = bundle.part(PART)
    moments = {moment["frame"]: moment for moment in part.meta["moments"]}
    assert set(moments) == {10, 11} and len(part.meta["moments"]) == 2
    assert len(part.entries) == 4
    lengths = [entry["shape"][0] for entry in part.entries]
    for moment in moments.values():
        for side, changed in (("original", False), ("changed", True)):
            film = moment[side]["film"]
            start = sum(lengths[:film])
            frames = part.array("observations", start, start + lengths[film])
            np.testing.assert_array_equal(frames, list(result.film(changed))[:200])
            assert moment[side]["failed"]["n"] == 6
    with pytest.raises(InputError, match="no frame"):
        add_to_page(tmp_path, [dataclasses.replace(first, frame=10_000)])
    with pytest.raises(BundleError):
        add_to_page(tmp_path / "nothing", [first])

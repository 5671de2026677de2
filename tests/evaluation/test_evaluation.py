import dataclasses
import itertools
import json

import numpy as np
import pytest

from lucid_rl import bundled_checkpoint_path, load_checkpoint
from lucid_rl.errors import InputError, SaveError, SettingsError
from lucid_rl.evaluation import evaluation as evaluation_module
from lucid_rl.evaluation.evaluation import evaluate, read_evaluation
from lucid_rl.evaluation.failure_causes import CAUSES
from lucid_rl.evaluation.many import evaluate_into, evaluate_many
from lucid_rl.evaluation.players import play_episodes
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.folder_lock import folder_lock
from lucid_rl.games.procgen_engine import N_LEVEL_SEEDS
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.model.loading import load
from tests.evaluation.players import blind_policy, eager_policy
from tests.evaluation.test_play import assert_same

TINY = EvaluationSettings(n_episodes=48, game=GameSettings(n_envs=8), seed=1)


@pytest.fixture(scope="module")
def whole():
    return evaluate(eager_policy, settings=TINY)


def test_everything_adds_up(whole):
    assert len(whole.episodes) == 48
    results = whole.as_dict()
    counts = [cause["count"] for cause in results["failed"].values()]
    assert results["completed"]["count"] + sum(counts) == 48
    assert counts == sorted(counts, reverse=True) and len(counts) > 1
    assert set(results["failed"]) <= set(CAUSES)
    assert results["reward"]["mean"] == pytest.approx(10 * whole.completed.fraction)
    for cause, numbers in results["failed"].items():
        assert 0 < len(numbers["examples"]) <= 5
        for index in numbers["examples"]:
            assert whole.episodes[index].outcome == cause
    levels = [episode.level_seed for episode in whole.episodes]
    np.testing.assert_array_equal(levels, TINY.level_seeds())
    # JSON holds it all, and gives the settings back.
    assert EvaluationSettings.from_dict(
        json.loads(json.dumps(results))["settings"]
    ) == (TINY)


def test_an_evaluation_beside_another(whole):
    lost = [dataclasses.replace(e, outcome="buzzsaw") for e in whole.episodes]
    worse = dataclasses.replace(whole, episodes=lost)
    _, completed, *causes = worse.compare(whole).splitlines()
    before = whole.completed.fraction
    assert completed.split()[:4] == [
        *("completed", f"{before:.2%}", "0.00%", f"{-before:+.2%}")
    ]
    rows = {line.split()[0]: line for line in causes}
    assert rows.keys() == {"buzzsaw", *whole.failures()}
    assert "100.00%" in rows["buzzsaw"] and "p < 1e-09" in rows["buzzsaw"]
    header = {**whole.header, "settings": {"game": {"name": "starpilot"}}}
    with pytest.raises(InputError, match="of one game"):
        whole.compare(dataclasses.replace(whole, header=header))


def test_an_atari_games_results_are_returns():
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")

    def fire(observations):
        logits = np.zeros((len(observations), 4), np.float32)
        return logits, logits[:, 0]

    game = GameSettings("gymnasium:ALE/Breakout-v5", wrappers="atari", n_envs=2)
    found = evaluate(fire, settings=EvaluationSettings(3, game=game), n_workers=1)
    assert {episode.outcome for episode in found.episodes} == {"ended"}
    results = found.as_dict()
    assert not {"completed", "failed"} & set(results)
    returns = [episode.reward for episode in found.episodes]
    assert results["reward"]["mean"] == pytest.approx(np.mean(returns))
    table = found.table()
    assert "mean return" in table and "failed" not in table


def test_same_seed_same_result(whole):
    again = evaluate(eager_policy, settings=TINY)
    assert_same(whole.episodes, again.episodes)
    assert whole.as_dict() == again.as_dict()
    other = evaluate(
        eager_policy, settings=EvaluationSettings(n_episodes=8, game=TINY.game, seed=2)
    )
    assert [e.level_seed for e in other.episodes] != [
        e.level_seed for e in whole.episodes[:8]
    ]


def stopping_policy(n_calls):
    calls = itertools.count()

    def policy(observations):
        if next(calls) == n_calls:
            raise KeyboardInterrupt
        return eager_policy(observations)

    policy.__qualname__ = eager_policy.__qualname__
    return policy


def test_an_interrupted_evaluation_goes_on(whole, tmp_path, monkeypatch):
    path = tmp_path / "episodes.npz"
    for n_calls in (150, 40):
        with pytest.raises(KeyboardInterrupt):
            evaluate(stopping_policy(n_calls), settings=TINY, path=path)
    kept = read_evaluation(path).episodes
    assert 0 < len(kept) < 48
    played = []
    original = evaluation_module.play_episodes

    def watched(model, settings, indices, n_workers):
        played.extend(indices)
        return original(model, settings, indices, n_workers)

    monkeypatch.setattr(evaluation_module, "play_episodes", watched)
    evaluation = evaluate(eager_policy, settings=TINY, path=path)
    assert_same(evaluation.episodes, whole.episodes)
    assert sorted([e.index for e in kept] + played) == list(range(48))
    played.clear()
    # Nothing is left to play; a longer evaluation plays only what is new.
    assert_same(
        evaluate(eager_policy, settings=TINY, path=path).episodes, whole.episodes
    )
    assert not played
    longer = EvaluationSettings(n_episodes=52, game=TINY.game, seed=1)
    assert_same(
        evaluate(eager_policy, settings=longer, path=path).episodes[:48], whole.episodes
    )
    assert played == [48, 49, 50, 51]
    shorter = EvaluationSettings(n_episodes=10, game=TINY.game, seed=1)
    assert_same(
        evaluate(eager_policy, settings=shorter, path=path).episodes,
        whole.episodes[:10],
    )


def test_episodes_of_another_evaluation_are_left_alone(tmp_path):
    path = tmp_path / "episodes.npz"
    few = EvaluationSettings(n_episodes=2, game=GameSettings(n_envs=2))
    evaluate(eager_policy, settings=few, path=path)
    before = path.read_bytes()
    for settings, words in (
        (EvaluationSettings(n_episodes=2, game=few.game, seed=4), "seed 0, now 4"),
        (EvaluationSettings(n_episodes=2, game=few.game, greedy=True), "greedy"),
        (
            EvaluationSettings(n_episodes=2, game=few.game.replace(n_levels=5)),
            "n_levels 0, now 5",
        ),
    ):
        with pytest.raises(SettingsError, match=words):
            evaluate(eager_policy, settings=settings, path=path)
    with pytest.raises(SettingsError, match="blind_policy"):
        evaluate(blind_policy, settings=few, path=path)
    assert path.read_bytes() == before


def test_who_does_not_look_does_not_mind_invisible_objects():
    visible = evaluate(blind_policy, settings=TINY)
    hidden = evaluate(
        blind_policy,
        settings=EvaluationSettings(
            n_episodes=48, game=TINY.game.replace(invisible=("buzzsaw",)), seed=1
        ),
    )
    assert_same(visible.episodes, hidden.episodes)
    assert visible.fraction_of("buzzsaw").count > 3


def test_levels_to_train_on_are_played_equally_often():
    game = GameSettings(n_envs=8, n_levels=6, start_level=30)
    settings = EvaluationSettings(n_episodes=20, game=game, causes=False)
    evaluation = evaluate(eager_policy, settings=settings)
    counts = np.bincount([e.level_seed for e in evaluation.episodes], minlength=36)
    assert counts[:30].sum() == 0
    assert set(counts[30:]) == {3, 4}
    assert set(evaluation.as_dict()["failed"]) <= {"failed"}


@pytest.mark.parametrize("n_levels", [0, 7, 200, 2**21])
def test_more_episodes_begin_with_the_same_levels(n_levels):
    game = GameSettings(n_levels=n_levels, start_level=3 if n_levels else 0)
    many = EvaluationSettings(n_episodes=1000, game=game).level_seeds()
    few = EvaluationSettings(n_episodes=300, game=game).level_seeds()
    np.testing.assert_array_equal(many[:300], few)
    last = game.start_level + (n_levels or N_LEVEL_SEEDS)
    assert game.start_level <= many.min() and many.max() < last
    if n_levels in (0, 2**21):
        # Drawn from the whole range.
        assert len(np.unique(many)) > 990
        assert many.mean() == pytest.approx(last / 2, rel=0.1)


@pytest.mark.parametrize("name", ["maze", "starpilot", "dodgeball"])
def test_other_games(name):
    game = GameSettings(name=name, n_envs=4, distribution_mode="easy")
    settings = EvaluationSettings(n_episodes=5, game=game)
    evaluation = evaluate(eager_policy, settings=settings)
    assert len(evaluation.episodes) == 5
    assert {e.outcome for e in evaluation.episodes} <= {"completed", "failed"}


def test_a_game_that_cannot_choose_its_levels(tmp_path):
    """It plays whole rounds, of which an interruption keeps all or nothing."""
    game = GameSettings(n_envs=4, use_generated_assets=True)
    settings = EvaluationSettings(n_episodes=37, game=game)
    whole = evaluate(blind_policy, settings=settings)
    assert [episode.index for episode in whole.episodes] == list(range(37))
    path = tmp_path / "episodes.npz"

    calls = itertools.count()

    def policy(observations):
        if next(calls) == 450:
            raise KeyboardInterrupt
        return blind_policy(observations)

    policy.__qualname__ = blind_policy.__qualname__
    with pytest.raises(KeyboardInterrupt):
        evaluate(policy, settings=settings, path=path)
    assert len(read_evaluation(path).episodes) in (16, 32)
    assert_same(
        evaluate(blind_policy, settings=settings, path=path).episodes, whole.episodes
    )


def test_progress_within_a_round_whose_episodes_are_kept_together():
    game = GameSettings(n_envs=4, use_generated_assets=True)
    settings = EvaluationSettings(n_episodes=18, game=game)
    played = list(play_episodes(blind_policy, settings, range(18), n_workers=1))
    assert [len(kept) for kept in played] == [*[0] * 15, 16, 0, 2]
    assert sorted(episode.index for episode in played[15]) == list(range(16))


def test_bad_input():
    with pytest.raises(SettingsError, match="n_episodes=0"):
        EvaluationSettings(n_episodes=0)
    with pytest.raises(SettingsError, match="seed=-1"):
        EvaluationSettings(seed=-1)
    with pytest.raises(SettingsError, match="no settings"):
        EvaluationSettings.from_dict({"game": {"moon": 1}})
    with pytest.raises(InputError, match="n_workers=0"):
        evaluate(eager_policy, settings=TINY, n_workers=0)
    with pytest.raises(SettingsError, match="pong"):
        evaluate(
            eager_policy, settings=EvaluationSettings(game=GameSettings(name="pong"))
        )

    def nine_actions(observations):
        return np.zeros((len(observations), 9)), np.zeros(len(observations))

    with pytest.raises(InputError, match="9 actions"):
        evaluate(nine_actions, settings=TINY)
    with pytest.raises(SettingsError, match="game=3: expected a GameSettings"):
        evaluate(eager_policy, 1, game=3)
    with pytest.raises(SettingsError, match="settings=3: expected a EvaluationSet"):
        evaluate(eager_policy, settings=3)
    nothing = np.full((8, 15), np.nan)
    for found, words in (
        (np.zeros((8, 15)), "returned ndarray: expected a pair"),
        ((np.zeros((1, 15)), np.zeros(1)), r"shape \(1, 15\): expected numbers \[8"),
        ((nothing, np.zeros(8)), "not finite"),
    ):
        with pytest.raises(InputError, match=words):
            evaluate(lambda _, found=found: found, settings=TINY)


def test_a_model_in_memory_plays_its_own_game_and_is_named():
    model = load("bundled")
    found = evaluate(model, 3, n_workers=1)
    assert found.header["model"] == {"name": model.name, "sha256": model.digest}
    assert found.settings.game.name == "coinrun" and len(found.episodes) == 3
    text = found.table()
    assert text.startswith("3 episodes") and "completed" in text
    assert "mean return" in text
    frames = list(found.replay(1))
    assert len(frames) == len(found.episodes[1].actions)
    assert frames[0].shape == (64, 64, 3)
    with pytest.raises(InputError, match="no episode 3"):
        found.replay(3)


def test_settings_without_a_game_play_the_models_own():
    # A trained model, whose episodes are short.
    bundled = load_checkpoint(bundled_checkpoint_path())
    other = dataclasses.replace(bundled, args={**bundled.args, "paint_vel_info": None})
    for checkpoint, painted in ((bundled, True), (other, False)):
        found = evaluate(load(checkpoint), settings=EvaluationSettings(1, greedy=True))
        assert found.settings.greedy
        assert found.settings.played.paint_vel_info is painted
    maze = GameSettings(name="maze", n_envs=1)
    assert evaluate(other, 1, game=maze).settings.game.name == "maze"
    assert evaluate(other, 1, game="maze").settings.game.name == "maze"
    with_game = EvaluationSettings(1, maze)
    assert evaluate(other, settings=with_game).settings.game.name == "maze"


def test_a_folder_in_use_is_refused(tmp_path):
    with (
        folder_lock(tmp_path, "the other run"),
        pytest.raises(SaveError, match="in use by the other run"),
    ):
        evaluate(eager_policy, settings=TINY, path=tmp_path / "episodes.npz")


def test_files_of_several_evaluations(tmp_path):
    few = EvaluationSettings(n_episodes=4, game=GameSettings(n_envs=4))
    easy = EvaluationSettings(
        n_episodes=4, game=GameSettings(n_envs=4, distribution_mode="easy")
    )
    results = evaluate_many(
        {"eager": (eager_policy, few), "blind": (blind_policy, easy)}, tmp_path
    )
    for name, evaluation in results.items():
        written = json.loads((tmp_path / name / "evaluation.json").read_text())
        assert written.pop("command")
        kinds = written.pop("completed_by_kind")
        assert {
            kind: (found["count"], found["of"]) for kind, found in kinds.items()
        } == {
            kind: (share.count, share.n)
            for kind, share in evaluation.completed_by_kind.items()
        }
        assert written == json.loads(json.dumps(evaluation.as_dict()))
        kept = read_evaluation(tmp_path / name / "episodes.npz")
        assert_same(kept.episodes, evaluation.episodes)
    assert_same(
        evaluate_into(eager_policy, few, tmp_path / "alone").episodes,
        results["eager"].episodes,
    )


@pytest.mark.slow
def test_processes_change_nothing(tmp_path):
    checkpoint = load_checkpoint(bundled_checkpoint_path())
    load(checkpoint).save(tmp_path / "model.pb")
    # Two rounds, so two processes have something to do.
    settings = EvaluationSettings(n_episodes=16, game=GameSettings(n_envs=2))
    alone = evaluate(checkpoint, settings=settings, n_workers=1)
    for model in (checkpoint, tmp_path / "model.pb"):
        assert_same(
            alone.episodes, evaluate(model, settings=settings, n_workers=2).episodes
        )


@pytest.mark.slow
def test_ray_changes_nothing(tmp_path):
    ray = pytest.importorskip("ray", reason="an optional extra")
    model = load_checkpoint(bundled_checkpoint_path())
    models = {
        name: (model, EvaluationSettings(n_episodes=3, game=GameSettings(), seed=seed))
        for seed, name in enumerate(("first", "second"))
    }
    try:
        found = evaluate_many(models, tmp_path, ray_address="local")
    finally:
        ray.shutdown()
    for name, (_, settings) in models.items():
        expected = evaluate(model, settings=settings, n_workers=1)
        assert_same(found[name].episodes, expected.episodes)
        assert (tmp_path / name / "evaluation.json").exists()

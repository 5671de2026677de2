"""Nothing analyses a model on another game than its own without being told to."""

import dataclasses
import importlib
import pkgutil

import pytest

import lucid_rl
from lucid_rl.errors import InputError, SettingsError
from lucid_rl.evaluation.evaluation import evaluate
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.experiments import article_experiments
from lucid_rl.experiments.article_experiments import draw_features, repeat_experiments
from lucid_rl.experiments.comparison_settings import ComparisonSettings
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.model.loading import load
from lucid_rl.training.config import TrainConfig

# A training run has no model yet; a teacher's game is compared with it.
_WITH_DEFAULT = {TrainConfig}


def test_no_settings_name_a_game_by_themselves():
    found, wrong = set(), set()
    for module in pkgutil.walk_packages(lucid_rl.__path__, "lucid_rl."):
        for kind in vars(importlib.import_module(module.name)).values():
            if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
                continue
            for field in dataclasses.fields(kind):
                if field.name != "game" or field.default is dataclasses.MISSING:
                    has_factory = field.default_factory is not dataclasses.MISSING
                    wrong |= {kind} if field.name == "game" and has_factory else set()
                    continue
                found.add(kind)
                wrong |= {kind} if field.default is not None else set()
    assert {EvaluationSettings, ComparisonSettings} <= found
    assert wrong == _WITH_DEFAULT


@pytest.fixture
def unpainted(checkpoint_a):
    """A model as the article's, whose file leaves `paint_vel_info` to the engine."""
    return dataclasses.replace(
        checkpoint_a, args={**checkpoint_a.args, "paint_vel_info": None}
    )


class _Stopped(Exception):
    pass


@pytest.mark.parametrize("run", [repeat_experiments, draw_features])
def test_the_article_is_compared_on_the_models_own_game(
    run, unpainted, tmp_path, monkeypatch
):
    seen = []

    def search(model, settings, folder):
        seen.append(settings.played)
        raise _Stopped

    monkeypatch.setattr(article_experiments, "search_features", search)
    told = GameSettings()
    for settings in (ComparisonSettings(), ComparisonSettings(game=told)):
        with pytest.raises(_Stopped):
            run(unpainted, settings, tmp_path)
    assert seen[0].paint_vel_info is False and seen[0].distribution_mode == "easy"
    assert seen[1] == told


def test_a_model_of_another_game_is_refused(unpainted, tmp_path):
    maze = dataclasses.replace(unpainted, args={**unpainted.args, "env_name": "maze"})
    with pytest.raises(SettingsError, match="got the game 'maze'"):
        repeat_experiments(maze, ComparisonSettings(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_in_memory_is_not_said_to_play_another_game(unpainted):
    with pytest.raises(InputError, match="loaded already"):
        load(load(unpainted), game="maze")
    with pytest.raises(InputError, match="a model of type int"):
        load(3)


def test_no_game_is_an_error_where_there_is_no_model(unpainted):
    def policy(observations):
        raise AssertionError("it plays")

    with pytest.raises(SettingsError, match="game=None: only a model says"):
        evaluate(policy, 1)
    with pytest.raises(SettingsError, match="for_model"):
        _ = ComparisonSettings().played
    own = ComparisonSettings().for_model(load(unpainted)).played
    assert own.paint_vel_info is False
    with pytest.raises(SettingsError, match="give one of them"):
        other = EvaluationSettings(1, GameSettings(distribution_mode="easy"))
        evaluate(unpainted, game=GameSettings(), settings=other)

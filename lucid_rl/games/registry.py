"""The registry of games, and the game that a model plays.

`game_settings` decides which game and which of its options a model is analysed on.
"""

import difflib
import warnings
from collections.abc import Mapping
from typing import Any

from lucid_rl.errors import InputError, SettingsError
from lucid_rl.games import coinrun_original, gymnasium_game, procgen_game
from lucid_rl.games.engine import Engine
from lucid_rl.games.frame_stack import StackedGame
from lucid_rl.games.model_args import fields_from_args, not_played
from lucid_rl.games.vector_game import GameSettings, VectorGame, check_options
from lucid_rl.validation import is_set

ENGINES: tuple[Engine, ...] = (
    procgen_game.ENGINE,
    coinrun_original.ENGINE,
    gymnasium_game.ENGINE,
)

# What the article's training script calls the game.
_ALIASES = {"coinrun_old": coinrun_original.NAME}


def game_settings(
    args: Mapping[str, Any],
    n_logits: int | None = None,
    image_shape: tuple[int, int, int] | None = None,
    *,
    training_levels: bool = False,
    **overrides: Any,
) -> GameSettings:
    """The game that a model was trained on, and the options it saw.

    What `overrides` say comes first, then what `args` say, then the engine's own
    defaults (docs/released_models.md has the table).

    Args:
        args: a checkpoint's `args`.
        n_logits: the model's number of logits; chooses between the original CoinRun's
            7 and 9 actions, and is checked.
        image_shape: the model's (height, width, channels); tells how many frames an
            observation has, and is checked.
        training_levels: play the levels that the model was trained on. By default the
            levels are unlimited.
        **overrides: fields of `GameSettings`; None is ignored.

    Raises:
        SettingsError: nothing says which game, there is none of that name, or it has
            no such options.
        InputError: the game has another number of actions than the model, or frames
            of another shape.
    """
    check_options(overrides)
    overrides = {name: value for name, value in overrides.items() if value is not None}
    given = overrides.pop("name", None)
    name = check_name(given) if given else _name_from_args(args)
    engine = engine_of(name)
    if _is_atari(args):
        args = {"wrappers": "atari", **args}
    fields = fields_from_args(args, engine.arguments, of_levels=training_levels)
    if name == coinrun_original.NAME and n_logits == len(
        coinrun_original.ACTION_COMBOS
    ):
        fields["n_actions"] = n_logits
    if "n_levels" in overrides:
        # Levels are chosen as a whole.
        for field in ("start_level", "level_set_seed"):
            fields.pop(field, None)
    if unknown := not_played(args):
        warnings.warn(
            f"the model was trained with {unknown}, which {engine.title} does not have",
            stacklevel=2,
        )
    settings = GameSettings(name=name, **{**fields, **overrides})
    check_game(settings)
    if image_shape is not None and "frame_stack" not in overrides:
        n_frames, rest = divmod(image_shape[-1], engine.outline(settings)[1][-1])
        if n_frames and not rest:
            settings = settings.replace(frame_stack=n_frames)
    if n_logits is not None:
        check_fits(settings, n_logits, image_shape)
    return settings


def describe(settings: GameSettings) -> str:
    """Describes a game in one line, for a script to print."""
    engine = engine_of(settings.name)
    parts = list(engine.describe(settings))
    if settings.frame_stack != 1:
        parts.append(f"stack of {settings.frame_stack} frames")
    if settings.invisible:
        parts.append(f"invisible {', '.join(settings.invisible)}")
    return f"plays {settings.name} ({engine.title}), {', '.join(parts)}"


def own_options(settings: GameSettings) -> dict[str, Any]:
    """`GameSettings.as_dict` without options that only other engines have."""
    others = _fields_of_others(engine_of(settings.name))
    return {f: value for f, value in settings.as_dict().items() if f not in others}


def _fields_of_others(engine: Engine) -> set[str]:
    return set().union(*(other.fields for other in ENGINES)) - engine.fields


def check_fits(
    game: GameSettings | VectorGame,
    n_logits: int,
    image_shape: tuple[int, ...] | None = None,
) -> None:
    """Checks that a model can play a game.

    Args:
        game: a game, or the settings of one.
        n_logits: the model's number of actions.
        image_shape: shape of the observations that it takes; None passes any.

    Raises:
        InputError: the game has another number of actions, or observations of another
            shape.
    """
    if isinstance(game, GameSettings):
        settings, (n_actions, shape) = game, engine_of(game.name).outline(game)
        shape = (*shape[:2], shape[2] * (game.frame_stack or 1))
    else:
        settings, n_actions = game.settings, game.n_actions
        height, width, channels = game.observe().observations.shape[1:]
        shape = (height, width, channels)
    if n_actions != n_logits:
        raise InputError(
            f"the model chooses among {n_logits} actions, but {settings.name} has "
            f"{n_actions}: name the game that it was trained on (--game, or game=)"
        )
    if image_shape is not None and shape != tuple(image_shape):
        raise InputError(
            f"the model takes observations of shape {tuple(image_shape)}, but "
            f"{settings.name} shows {shape}: name the game that it was trained on "
            "(--game), and its wrappers or frame_stack"
        )


def check_name(name: Any) -> str:
    """The name of a game, with the article's names replaced by this package's.

    Raises:
        SettingsError: there is no such game; close matches are suggested.
    """
    if isinstance(name, str):
        name = _ALIASES.get(name, name)
        if any(engine.has(name) for engine in ENGINES):
            return name
    known = known_games()
    close = difflib.get_close_matches(str(name), known, n=3)
    advice = f"did you mean {' or '.join(close)}?" if close else "there are "
    raise SettingsError(
        f"unknown game {name!r:.80}: {advice}{'' if close else ', '.join(known)}"
    )


def known_games() -> list[str]:
    """Names of all games; those of an engine with a prefix by an example."""
    return [name for engine in ENGINES for name in engine.names]


def engine_of(name: str) -> Engine:
    """The engine that a game runs on; `SettingsError` if there is none."""
    name = check_name(name)
    return next(engine for engine in ENGINES if engine.has(name))


def check_game(settings: GameSettings) -> None:
    """Raises `SettingsError` if there is no such game or it lacks an option."""
    engine, default = engine_of(settings.name), GameSettings()
    for field in sorted(_fields_of_others(engine)):
        if (given := getattr(settings, field)) != getattr(default, field):
            raise SettingsError(
                f"{field}={given!r}: {settings.name} has no option of that name"
            )
    engine.check(settings)


def engine_version(settings: GameSettings) -> str:
    """What plays a game, for a results file: its package and version, or its hash."""
    return engine_of(settings.name).version(settings)


def saves_states(settings: GameSettings) -> bool:
    """Whether `VectorGame.get_states` works."""
    return engine_of(settings.name).saves_states(settings)


def has_completion(settings: GameSettings) -> bool:
    """Whether a game's episodes can be completed; otherwise only returns count."""
    return engine_of(settings.name).has_completion


def make_game(settings: GameSettings) -> VectorGame:
    """Makes a game, in a process of its own where its engine needs one.

    Engines are imported when a game is made, so that files can be analysed where no
    game is installed.

    Raises:
        SettingsError: the settings do not fit the game.
        GameError: the game is not installed or cannot be started.
    """
    check_game(settings)
    game = engine_of(settings.name).make(settings)
    assert settings.frame_stack is not None
    if settings.frame_stack > 1:
        return StackedGame(game, settings.frame_stack)
    return game


def _name_from_args(args: Mapping[str, Any]) -> str:
    name = args.get("env_name")
    if _is_atari(args) and isinstance(args.get("env_id"), str):
        # The article's own environments: its script knows them in small letters.
        kind = "v0" if is_set(args.get("use_sticky_actions")) else "v4"
        wanted = f"{args['env_id']}NoFrameskip-{kind}".lower()
        known = gymnasium_game.import_gymnasium().registry
        name = gymnasium_game.PREFIX + next(
            (name for name in known if name.lower() == wanted), wanted
        )
    if name is None:
        raise SettingsError(
            "the model's file does not say which game it plays: give it as --game (or "
            f"game=), one of {', '.join(known_games())}"
        )
    try:
        return check_name(name)
    except SettingsError as error:
        raise SettingsError(
            f"{error} (the model's file says so; --game, or game=, names another)"
        ) from error


def _is_atari(args: Mapping[str, Any]) -> bool:
    kind = args.get("env_kind")
    return isinstance(kind, str) and kind == "atari"

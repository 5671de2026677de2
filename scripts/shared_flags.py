"""Flags that several scripts share: which game is played, and how a model is read."""

from collections.abc import Callable
from typing import Any

from absl import flags

from lucid_rl.errors import InputError
from lucid_rl.flags import define_changes, define_integers
from lucid_rl.games.coinrun_original_files import (
    ASSETS_VARIABLE,
    LIBRARY_VARIABLE,
    use_engine_files,
)
from lucid_rl.games.registry import describe, game_settings
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model

# Flags belong to the script that asks for them.
flags.disclaim_key_flags()


def define_engine_flags() -> Callable[[], None]:
    """Defines where the original CoinRun lies; returns a function that uses it."""
    library = flags.DEFINE_string(
        "coinrun_library",
        None,
        "The original CoinRun's shared library, for coinrun_original; "
        f"{LIBRARY_VARIABLE} by default.",
    )
    assets = flags.DEFINE_string(
        "coinrun_assets",
        None,
        f"The original CoinRun's folder of pictures; {ASSETS_VARIABLE} by default.",
    )
    return lambda: use_engine_files(library.value, assets.value)


def define_game_flags(*fields: str) -> Callable[[Model], GameSettings]:
    """Defines flags of `GameSettings` in place of what a model's file says.

    Args:
        *fields: of `GameSettings`; the flag of `name` is --game.

    Returns:
        A function that prints and returns the game a model is analysed on.
    """
    changes = _game_changes(fields, "By default the model's.")

    def read(model: Model) -> GameSettings:
        game = game_settings(
            model.args, model.n_actions, model.image_shape, **changes()
        )
        print(describe(game))
        return game

    return read


def define_model_flags(*fields: str) -> Callable[..., Model]:
    """Defines what a file may not tell.

    Args:
        *fields: of `GameSettings`, to tell what the model was trained on; the flag of
            `name` is --game.

    Returns:
        `load` with these flags; it prints what is assumed of a file.
    """
    game = _game_changes(fields, "By default as the model's file says.")
    logits = flags.DEFINE_string(
        "logits_name", None, "Output of the policy, where a graph's file has several."
    )
    value = flags.DEFINE_string(
        "value_name", None, "Output of the value function, likewise."
    )
    pixels = define_integers(
        "input_range", (), "Pixels that a graph takes, 0,255 or 0,1, if not shown."
    )

    def read(spec: str, **options: Any) -> Model:
        given = {"logits_name": logits.value, "value_name": value.value}
        options |= {name: told for name, told in given.items() if told is not None}
        if pixels():
            if len(pixels()) != 2:
                raise InputError("--input_range takes black and white, as in 0,255")
            options["input_range"] = pixels()
        args = game()
        model = load(spec, game=args.pop("name", None), args=args, **options)
        for note in model.notes:
            print(f"{spec}: {note}")
        return model

    return read


def _game_changes(fields: tuple[str, ...], note: str) -> Callable[[], dict[str, Any]]:
    names = {field: "game" if field == "name" else field for field in fields}
    return define_changes(GameSettings, names, note)

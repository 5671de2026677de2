"""Flags that several scripts share: which game is played, and where its engine lies."""

from collections.abc import Callable

from absl import flags

from lucid_rl.flags import define_changes
from lucid_rl.games.coinrun_original_files import (
    ASSETS_VARIABLE,
    LIBRARY_VARIABLE,
    use_engine_files,
)
from lucid_rl.games.registry import describe, game_settings
from lucid_rl.games.vector_game import GameSettings
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
    names = {field: "game" if field == "name" else field for field in fields}
    changes = define_changes(GameSettings, names, "By default the model's.")

    def read(model: Model) -> GameSettings:
        game = game_settings(
            model.args, model.n_actions, model.image_shape, **changes()
        )
        print(describe(game))
        return game

    return read

"""Flags that several scripts share: how a model's file is read."""

from collections.abc import Callable
from typing import Any

from absl import flags

from lucid_rl.errors import InputError
from lucid_rl.flags import define_changes, define_integers
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model

# Flags belong to the script that asks for them.
flags.disclaim_key_flags()


def define_model_flags(*fields: str) -> Callable[..., Model]:
    """Defines what a file may not tell.

    Args:
        *fields: of `GameSettings`, to tell what the model was trained on; the flag of
            `name` is --game.

    Returns:
        `load` with these flags; it prints what is assumed of a file.
    """
    names = {field: "game" if field == "name" else field for field in fields}
    game = define_changes(GameSettings, names, "By default as the model's file says.")
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

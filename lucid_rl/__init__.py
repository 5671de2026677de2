"""lucid_rl: look inside vision-based reinforcement-learning agents.

A reproduction of the Distill article "Understanding RL Vision" (Hilton et al.,
2020) on current TensorFlow and Lucid. Importing the package is cheap: rooms
that need TensorFlow import it when they are imported themselves.
"""

import os

from lucid_rl.checkpoints.checkpoint import (
    Checkpoint,
    bundled_checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)
from lucid_rl.version import __version__

# TensorFlow reads this when it is imported. By itself it leaves oneDNN out on
# processors without instructions for neural networks, where it makes convolutions fast
# all the same (docs/dependencies.md).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__all__ = [
    "Checkpoint",
    "__version__",
    "bundled_checkpoint_path",
    "load_checkpoint",
    "save_checkpoint",
]

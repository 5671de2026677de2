"""lucid_rl: look inside vision-based reinforcement-learning agents.

A reproduction of the Distill article "Understanding RL Vision" (Hilton et al.,
2020) on current TensorFlow and Lucid. Importing the package is cheap: rooms
that need TensorFlow import it when they are imported themselves.
"""

from lucid_rl.checkpoints.checkpoint import (
    Checkpoint,
    bundled_checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)
from lucid_rl.version import __version__

__all__ = [
    "Checkpoint",
    "__version__",
    "bundled_checkpoint_path",
    "load_checkpoint",
    "save_checkpoint",
]

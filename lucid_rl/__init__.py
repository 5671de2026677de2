"""lucid_rl: look inside vision-based reinforcement-learning agents.

    import lucid_rl as lr

    model = lr.load("bundled")
    observations = lr.sample_observations(model, 512).observations
    attribution = lr.attribute(model, observations, "2b")
    nmf = lr.NMF(n_features=8).fit(attribution)

The names of this module are listed in `__init__.pyi` and loaded when they are first
used: importing the package is cheap, and TensorFlow is imported with the first model.
"""

import os

import lazy_loader

from lucid_rl.model.lucid_finder import make_importable
from lucid_rl.version import __version__ as __version__

# TensorFlow reads this when it is imported. By itself it leaves oneDNN out on
# processors without instructions for neural networks, where it makes convolutions fast
# all the same (docs/architecture.md).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Code written for Lucid 0.3.10, such as the article's notebook, needs no other change.
make_importable(
    supplied={
        "lucid.scratch.rl_util": "lucid_rl.rl_util",
        "lucid.scratch.parameter_editor": "lucid_rl.rl_util.parameter_editor",
    }
)

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

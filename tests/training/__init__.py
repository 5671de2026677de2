"""Tests of training."""

import importlib.metadata

_KERAS = importlib.metadata.version("keras").split(".")
# Muon of earlier Keras leaves convolutions' kernels to Adam, and is refused.
OPTIMIZER = "muon" if (int(_KERAS[0]), int(_KERAS[1])) >= (3, 13) else "adam"

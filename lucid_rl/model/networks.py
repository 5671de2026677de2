"""The architectures, defined once over the operations of whichever library runs them.

* clear: the article's (appendix "Architecture"): five convolutions with ReLU,
  L2 pooling after all but 2a, two dense layers.
* impala: Espeholt et al. 2018 (arXiv 1802.01561), the large network without LSTM.
* impala_torch: the same, with max-pooling windows placed as in programs for PyTorch.
* nature: Mnih et al. 2015, with valid padding.

`model.architectures` builds the article's graphs from them, `training.network` what is
trained.
"""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from lucid_rl.checkpoints.architectures import CONV_LAYERS
from lucid_rl.errors import ModelError

Tensor = Any


class Operations(Protocol):
    """The operations of a network, over parameters by name.

    Activations are [N, H, W, C]; `name` is a layer's within "ppo2_model/pi/".
    """

    def scope(self, name: str) -> AbstractContextManager:
        """Names what is computed in the block, where a library names its nodes."""

    def convolution(self, x: Tensor, name: str) -> Tensor:
        """Convolution of stride 1 with "same" padding, and bias."""

    def valid_convolution(self, x: Tensor, name: str, stride: int) -> Tensor:
        """Strided convolution without padding, and bias."""

    def relu(self, x: Tensor) -> Tensor:
        """max(x, 0)."""

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """X + y."""

    def l2_pool(self, x: Tensor) -> Tensor:
        """sqrt(mean of squares over 2x2 + 1e-8)."""

    def max_pool(self, x: Tensor, pad_before: bool) -> Tensor:
        """Largest of 3x3 at stride 2; windows begin a pixel before, or end behind."""

    def flatten(self, x: Tensor) -> Tensor:
        """[N, H * W * C]."""

    def dense(self, x: Tensor, name: str) -> Tensor:
        """Matrix product, bias and ReLU."""

    def affine(self, x: Tensor, name: str) -> Tensor:
        """Matrix product and bias."""


def features(architecture: str, net: Operations, x: Tensor) -> Tensor:
    """Computes what the policy and value heads read, [N, F].

    `x` is observations in [0, 1], [N, H, W, C].

    Raises:
        ModelError: the architecture is not in
            `checkpoints.architectures.ARCHITECTURES`.
    """
    if architecture == "clear":
        return _clear(net, x)
    if architecture in ("impala", "impala_torch"):
        return _impala(net, x, pad_before=architecture == "impala_torch")
    if architecture == "nature":
        return _nature(net, x)
    raise ModelError(
        f"unknown architecture {architecture!r}: expected one of {sorted(CONV_LAYERS)}."
    )


def _clear(net, x):
    for layer in CONV_LAYERS["clear"]:
        with net.scope(layer):
            x = net.relu(net.convolution(x, f"{layer}/conv2d"))
            if layer != "2a":
                x = net.l2_pool(x)
    return net.dense(net.dense(net.flatten(x), "dense"), "dense_1")


def _impala(net, x, pad_before):
    *convolutions, dense = (f"layer_{index}" for index in range(16))
    names = iter(convolutions)
    for stage in range(3):
        x = net.convolution(x, next(names))
        with net.scope("max_pooling2d" + (f"_{stage}" if stage else "")):
            x = net.max_pool(x, pad_before)
        for _ in range(2):
            y = net.convolution(net.relu(x), next(names))
            y = net.convolution(net.relu(y), next(names))
            x = net.add(y, x)
    return net.dense(net.relu(net.flatten(x)), dense)


def _nature(net, x):
    for name, stride in (("c1", 4), ("c2", 2), ("c3", 1)):
        x = net.relu(net.valid_convolution(x, name, stride))
    return net.relu(net.affine(net.flatten(x), "fc1"))

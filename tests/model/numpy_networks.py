"""The architectures in plain numpy, written from their descriptions."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lucid_rl.checkpoints.architectures import parameter_shapes


def random_params(architecture, n_actions=15, seed=0):
    """Parameters of a layer's inputs' scale, biases included."""
    rng = np.random.default_rng(seed)
    return {
        name: (
            rng.normal(size=shape) * np.sqrt(2 / max(1, np.prod(shape[:-1])))
            if name.endswith(("kernel:0", "w:0"))
            else 0.1 * rng.normal(size=shape)
        ).astype(np.float32)
        for name, shape in parameter_shapes(architecture, n_actions).items()
    }


def forward(params, architecture, observations):
    """Layers by short name, logits and value, float64, of observations in [0, 1]."""
    params = {
        name.removeprefix("ppo2_model/").removesuffix(":0"): value.astype(np.float64)
        for name, value in params.items()
    }
    trunk = {
        "clear": _clear,
        "impala": _impala,
        "impala_torch": _impala_torch,
        "nature": _nature,
    }[architecture]
    layers, features = trunk(params, observations.astype(np.float64))
    layers["logits"] = features @ params["pi/w"] + params["pi/b"]
    layers["value"] = (features @ params["vf/w"] + params["vf/b"])[:, 0]
    return layers


def _clear(params, x):
    layers = {}
    for name in ("1a", "2a", "2b", "3a", "4a"):
        x = layers[name] = relu(_conv(params, f"pi/{name}/conv2d", x))
        if name != "2a":
            squares = _windows(x**2, size=2, stride=2)
            x = np.sqrt(squares.mean(axis=(-2, -1)) + 1e-8)
    x = x.reshape(len(x), -1)
    for name in ("dense", "dense_1"):
        x = relu(x @ params[f"pi/{name}/kernel"] + params[f"pi/{name}/bias"])
    return layers, x


def _impala_torch(params, x):
    return _impala(params, x, pool_margin=(1, 0))


def _impala(params, x, pool_margin=(0, 1)):
    layers = {}
    names = iter(f"layer_{i}" for i in range(15))

    def conv(x):
        return _conv(params, f"pi/{next(names)}", x)

    for stage in range(3):
        padded = np.pad(
            conv(x),
            ((0, 0), pool_margin, pool_margin, (0, 0)),
            constant_values=-np.inf,
        )
        x = _windows(padded, size=3, stride=2).max(axis=(-2, -1))
        layers[f"layer_{5 * stage}"] = x
        for block in range(2):
            x = x + conv(relu(conv(relu(x))))
            layers[f"layer_{5 * stage + 2 * block + 2}"] = x
    x = relu(x.reshape(len(x), -1))
    return layers, relu(x @ params["pi/layer_15/kernel"] + params["pi/layer_15/bias"])


def _nature(params, x):
    layers = {}
    for name, stride in (("c1", 4), ("c2", 2), ("c3", 1)):
        kernel = params[f"pi/{name}/w"]
        windows = _windows(x, len(kernel), stride)  # [N, H, W, C, h, w]
        x = np.einsum("nxychw,hwco->nxyo", windows, kernel, optimize=True)
        x = layers[name] = relu(x + params[f"pi/{name}/b"].ravel())
    x = x.reshape(len(x), -1)
    return layers, relu(x @ params["pi/fc1/w"] + params["pi/fc1/b"])


def relu(x):
    return np.maximum(x, 0)


def _conv(params, name, x):
    """Convolution with zeros around and bias."""
    kernel = params[f"{name}/kernel"]
    margin = len(kernel) // 2
    x = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    windows = _windows(x, len(kernel), stride=1)
    outputs = np.einsum("nxychw,hwco->nxyo", windows, kernel, optimize=True)
    return outputs + params[f"{name}/bias"]


def _windows(x, size, stride):
    return sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]

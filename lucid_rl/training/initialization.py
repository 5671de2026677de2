"""Parameters to start training from."""

import numpy as np

from lucid_rl.checkpoints.architectures import parameter_shapes

Parameters = dict[str, np.ndarray]  # "ppo2_model/pi/1a/conv2d/kernel:0" -> float32

_HE_SCALE = 0.7  # L2 pooling raises magnitudes, so full He initialisation is too large
_HEAD_SCALES = {"ppo2_model/pi/w:0": 0.01, "ppo2_model/vf/w:0": 1.0}


def initial_parameters(
    architecture: str, n_actions: int, scheme: str, rng: np.random.Generator
) -> Parameters:
    """Draws a network's parameters.

    Args:
        architecture: one of the checkpoint format's.
        n_actions: outputs of the policy.
        scheme: "glorot" as in the article's code (uniform, by the mean of the
            fans), or "he": normal with 0.7 times He's standard
            deviation.
        rng: where the draws come from.

    Returns:
        float32 arrays by checkpoint name; biases are 0. The policy's head is
        small, so that play starts out uniform; both heads have orthogonal
        columns scaled as in the article's code.
    """
    return {
        name: _draw(name, shape, scheme, rng).astype(np.float32)
        for name, shape in parameter_shapes(architecture, n_actions).items()
    }


def _draw(name, shape, scheme, rng):
    if name in _HEAD_SCALES:
        basis, _ = np.linalg.qr(rng.standard_normal(shape))
        return _HEAD_SCALES[name] * basis
    if name.endswith(("bias:0", "/b:0")):
        return np.zeros(shape)
    fan_in = int(np.prod(shape[:-1]))
    fan_out = int(np.prod(shape[:-2])) * shape[-1]
    if scheme == "he":
        return rng.standard_normal(shape) * _HE_SCALE * np.sqrt(2 / fan_in)
    limit = np.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)

"""rl_util's activations, gradients and attributions for any model and tensor."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.interpret.quadrature import quadrature
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.lucid_network import network_of


def default_score_fn(t: Any) -> Any:
    """Sums a tensor over all but its first axis."""
    return tf.reduce_sum(t, axis=list(range(1, len(t.shape))))


def get_acts(model: Any, layer_name: str, obses: np.ndarray) -> np.ndarray:
    """Activations of a tensor, f32 [N, ...].

    Args:
        model: a Lucid model, a Model or a path.
        layer_name: the tensor's name in the model's graph, without ":0".
        obses: floats in [0, 1], [N, H, W, C].
    """
    return network_of(model).activations(layer_name, obses)


def get_grad_or_attr(
    model: Any,
    layer_name: str,
    prev_layer_name: str | None,
    obses: np.ndarray,
    *,
    act_dir: np.ndarray | None = None,
    act_poses: np.ndarray | None = None,
    score_fn: Callable[[Any], Any] = default_score_fn,
    grad_or_attr: str,
    override: Mapping[str, Any] | None = None,
    integrate_steps: int = 1,
) -> np.ndarray:
    """Gradient of a layer's score, or its attribution, to an earlier layer.

    f32 [N, ...]. With n steps the gradient is the mean of those at alpha / n times the
    earlier layer's activation, alpha = 1..n; attribution is that times the activation.

    Args:
        model: a Lucid model, a Model or a path.
        layer_name: tensor that is scored.
        prev_layer_name: tensor that is differentiated by; None for observations.
        obses: floats in [0, 1], [N, H, W, C].
        act_dir: f32 [channels], multiplied into the scored layer.
        act_poses: int [N, 2], the position scored in each observation; by default all.
        score_fn: TensorFlow function from the scored tensor to scores; it must keep the
            batch axis, of which it sees a part at a time. Pass the same function object
            again to reuse its graph.
        grad_or_attr: "grad" or "attr".
        override: gradient functions by operation, as from `maxpool_override()`.
        integrate_steps: number of points of the right Riemann sum.
    """
    if grad_or_attr not in ("grad", "attr"):
        raise InputError(f'grad_or_attr is "grad" or "attr", got {grad_or_attr!r}')
    network = network_of(model, override)
    acts = network.activations(prev_layer_name or "input", obses)
    alphas, weights = quadrature("right_riemann", max(1, integrate_steps))
    grad = np.zeros_like(acts)
    for alpha, weight in zip(alphas, weights, strict=True):
        grad += weight * network.gradient(
            layer_name,
            prev_layer_name,
            obses,
            acts * np.float32(alpha),
            score=score_fn,
            direction=act_dir,
            positions=act_poses,
        )
    return acts * grad if grad_or_attr == "attr" else grad


def get_attr(
    model: Any,
    layer_name: str,
    prev_layer_name: str | None,
    obses: np.ndarray,
    **kwargs: Any,
) -> np.ndarray:
    """Attribution of a layer's score to an earlier one; see `get_grad_or_attr`."""
    kwargs["grad_or_attr"] = "attr"
    return get_grad_or_attr(model, layer_name, prev_layer_name, obses, **kwargs)


def get_grad(
    model: Any, layer_name: str, obses: np.ndarray, **kwargs: Any
) -> np.ndarray:
    """Gradient of a layer's score by the observations; see `get_grad_or_attr`."""
    kwargs["grad_or_attr"] = "grad"
    return get_grad_or_attr(model, layer_name, None, obses, **kwargs)


def get_var(model: Any, var_name: str) -> np.ndarray:
    """Value of one of the model's constants, such as a kernel, by its name."""
    return network_of(model).constant(var_name)


def get_shape(model: Any, node_name: str) -> list[int | None]:
    """Static shape of a tensor; None where it depends on the observations."""
    return network_of(model).tensor(node_name).shape.as_list()


def maxpool_override() -> dict[str, Any]:
    """Makes max-pools pass gradients as smooth L2 / L1 pools do, for `override`."""
    return {"MaxPool": _smooth_max_pool_gradient}


def _smooth_max_pool_gradient(op: Any, grad: Any) -> Any:
    """Gradient of avg(x²) / (0.01 + avg|x|) in place of max(x)'s."""
    (x,) = op.inputs
    window = [op.get_attr(name) for name in ("ksize", "strides", "padding")]
    pooled = tf.nn.avg_pool(x**2, *window) / (1e-2 + tf.nn.avg_pool(tf.abs(x), *window))
    return tf.gradients(pooled, [x], grad)[0]

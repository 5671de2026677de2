"""rl_util's multi-path attribution: integrated gradients along piecewise-linear paths.

Half of the NMF features run ahead of the other half on the way from 0 to the
activation; attribution is averaged over ways to choose the half.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from lucid_rl.interpret.quadrature import quadrature
from lucid_rl.model.lucid_network import network_of
from lucid_rl.rl_util.attribution import default_score_fn


def get_paths(
    acts: np.ndarray, nmf: Any, *, max_paths: int | None, integrate_steps: int
) -> Iterator[list[np.ndarray]]:
    """Paths from 0 to the activations, each a list of activations that ends in `acts`.

    Features of the leading half move as 1 - (1 - alpha)², the others as alpha², the
    rest that NMF does not explain as alpha.

    Args:
        acts: f32 [..., C].
        nmf: has `features`, `transform` and `inverse_transform`.
        max_paths: this many at most, drawn by numpy's global generator; None for all.
        integrate_steps: points on each path.
    """
    leads = list(_leading_halves(nmf.features, max_paths))
    reduced = nmf.transform(acts)
    residual = acts - nmf.inverse_transform(reduced)
    for lead in leads:
        yield list(_path(reduced, residual, nmf, lead, integrate_steps))


def get_multi_path_attr(
    model: Any,
    layer_name: str,
    prev_layer_name: str | None,
    obses: np.ndarray,
    prev_nmf: Any,
    *,
    act_dir: np.ndarray | None = None,
    act_poses: np.ndarray | None = None,
    score_fn: Callable[[Any], Any] = default_score_fn,
    override: Mapping[str, Any] | None = None,
    max_paths: int | None = 50,
    integrate_steps: int = 10,
) -> np.ndarray:
    """Attribution averaged over the paths of `get_paths`, f32 [N, ...].

    `prev_nmf` is a LayerNMF of `prev_layer_name`, the tensor that attribution goes to;
    the other arguments are those of `get_grad_or_attr` and `get_paths`.
    """
    network = network_of(model, override)
    leads = list(_leading_halves(prev_nmf.features, max_paths))
    acts = network.activations(prev_layer_name or "input", obses)
    reduced = prev_nmf.transform(acts)
    residual = acts - prev_nmf.inverse_transform(reduced)
    total = np.zeros_like(acts)
    for lead in leads:
        before = np.zeros_like(acts)
        for point in _path(reduced, residual, prev_nmf, lead, integrate_steps):
            total += (point - before) * network.gradient(
                layer_name,
                prev_layer_name,
                obses,
                point,
                score=score_fn,
                direction=act_dir,
                positions=act_poses,
            )
            before = point
    return total / np.float32(len(leads))


def _leading_halves(n_features: int, max_paths: int | None) -> Iterator[np.ndarray]:
    """Masks f64 [K] of leading features; each comes with its complement."""
    halves = list(itertools.combinations(range(n_features), n_features // 2))
    if n_features % 2 == 0:
        # The others are complements of these.
        halves = [half for half in halves if 0 in half]
    if max_paths is not None:
        # Draws in the original's order, so that a seed of numpy's own means the same.
        n_halves = min((max_paths + 1) // 2, len(halves))
        drawn = np.random.choice(len(halves), size=n_halves, replace=False)
        halves = [halves[index] for index in drawn]
    for i, half in enumerate(halves):
        mask = np.zeros(n_features)
        mask[list(half)] = 1.0
        # In the original the half first lags, then leads.
        masks = [1.0 - mask, mask]
        if max_paths is not None and 2 * i + 1 == max_paths:
            masks = [masks[int(np.random.choice([False, True]))]]
        yield from masks


def _path(
    reduced: np.ndarray, residual: np.ndarray, nmf: Any, lead: np.ndarray, n_steps: int
) -> Iterator[np.ndarray]:
    alphas, _ = quadrature("right_riemann", n_steps)
    for alpha in alphas:
        ahead, behind = 1.0 - (1.0 - alpha) ** 2, alpha**2
        coordinates = (lead * ahead + (1.0 - lead) * behind).astype(np.float32)
        point = nmf.inverse_transform(reduced * coordinates)
        yield point + residual * np.float32(alpha)

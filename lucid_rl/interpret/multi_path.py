"""Integrated gradients averaged over several paths (article, appendix).

On a straight path all features of a layer grow together. Here one half of the
features runs ahead of the other: the leading half moves as 1 - (1 - alpha)^2, the
rest as alpha^2, and what the features do not explain as alpha. Attributions are
averaged over ways to choose the half, each together with its complement.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.interpret.attribution import Attribution, LayerMethod, run_methods
from lucid_rl.interpret.feature_set import FeatureSet
from lucid_rl.interpret.targets import Target, target_list
from lucid_rl.model.batching import BATCH_BYTES
from lucid_rl.model.model import Model
from lucid_rl.validation import Positive, Settings


@dataclasses.dataclass(frozen=True)
class MultiPathSettings(Settings):
    """How attributions along several paths are computed.

    Attributes:
        method: "difference_quotients" between successive points of a path, or
            "integrated_gradients": gradients at the later point of each segment, as
            the article's code does.
        n_steps: steps of each path.
        max_paths: this many paths at most, drawn at random; None for all.
        memory_bytes: limit of the arrays of one pass, results aside.
    """

    method: Literal["difference_quotients", "integrated_gradients"] = (
        "difference_quotients"
    )
    n_steps: Positive = 10
    max_paths: Positive | None = 50
    memory_bytes: Positive = BATCH_BYTES


def leading_halves(
    n_features: int, max_paths: int | None, rng: np.random.Generator
) -> np.ndarray:
    """Chooses which features lead on each path, bool [paths, n_features].

    Paths come in pairs of a half and its complement, but for the last where max_paths
    is odd; `rng` draws among them where there are more.

    Raises:
        SettingsError: there are fewer than two features.
    """
    if n_features < 2:
        raise SettingsError(
            f"several paths need at least 2 features, not {n_features}."
        )
    choices = itertools.combinations(range(n_features), n_features // 2)
    # With an even number of features each split occurs twice.
    halves = [c for c in choices if n_features % 2 or 0 in c]
    if max_paths is not None and (max_paths + 1) // 2 < len(halves):
        chosen = rng.choice(len(halves), (max_paths + 1) // 2, replace=False)
        halves = [halves[i] for i in chosen]
    leads = np.zeros((len(halves), 2, n_features), bool)
    for lead, half in zip(leads[:, 0], halves, strict=True):
        lead[list(half)] = True
    leads[:, 1] = ~leads[:, 0]
    return leads.reshape(-1, n_features)[:max_paths]


def attribute_along_paths(
    model: Model,
    observations: np.ndarray,
    layer: str,
    features: FeatureSet,
    rng: np.random.Generator,
    target: Target | Sequence[Target] | None = None,
    settings: MultiPathSettings | None = None,
) -> Attribution:
    """Attributes targets to a layer along several paths from 0 to its activation.

    The mean over paths, whose completeness gap is rounding error for difference
    quotients. `rng` draws the paths where there are more than settings allow.

    Raises:
        InputError: the observations do not fit the model.
        ModelError: the layer or a target does not exist.
        SettingsError: there are fewer than two features.
    """
    settings = settings or MultiPathSettings()
    function = model.layer_function(layer, [t.tensor for t in target_list(target)])
    leads = leading_halves(len(features.directions), settings.max_paths, rng)
    quotients = settings.method == "difference_quotients"
    along = _quotients_along if quotients else _gradients_along

    def compute(points, seeds, batch):
        values = [np.zeros_like(points) for _ in seeds]
        for lead in leads:
            path = _path(points, features, lead, settings.n_steps)
            found = along(function, path, seeds, batch)
            for value, part in zip(values, found, strict=True):
                value += part / len(leads)
        return values, function.changes(points, seeds, batch)

    n_bytes = function.path_quotients.bytes_per_point * (settings.n_steps + 1)
    methods = {layer: LayerMethod(function, compute, n_bytes)}
    observations = model.check_observations(observations)
    return run_methods(model, observations, methods, target, settings.memory_bytes)[
        layer
    ]


def _path(ends, features, lead, n_steps):
    """Points [n_steps + 1, B, ..., C] from 0 to the ends."""
    directions = np.asarray(features.directions, np.float32)
    amounts = features.transform(ends)
    rest = ends - amounts @ directions
    points = np.empty((n_steps + 1, *ends.shape), np.float32)
    for point, alpha in zip(points, np.linspace(0, 1, n_steps + 1), strict=True):
        progress = np.where(lead, 1 - (1 - alpha) ** 2, alpha**2).astype(np.float32)
        point[:] = (amounts * progress) @ directions + rest * np.float32(alpha)
    return points


def _quotients_along(function, points, seeds, batch):
    quotients = function.path_quotients(points, seeds, batch)
    steps = np.diff(points, axis=0)
    return [(steps * quotient).sum(axis=0) for quotient in quotients]


def _gradients_along(function, points, seeds, batch):
    n_steps = len(points) - 1
    later = points[1:].reshape(-1, *points.shape[2:])
    repeated = [np.concatenate([seed] * n_steps) for seed in seeds]
    gradients = function.gradients(later, repeated, np.concatenate([batch] * n_steps))
    steps = np.diff(points, axis=0)
    return [(steps * g.reshape(steps.shape)).sum(axis=0) for g in gradients]

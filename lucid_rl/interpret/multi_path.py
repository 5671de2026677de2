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
from lucid_rl.interpret.attribution import Attribution
from lucid_rl.interpret.feature_set import FeatureSet
from lucid_rl.interpret.targets import Target, target_list
from lucid_rl.model.batching import BATCH_BYTES, batch_slices, rows_within
from lucid_rl.model.model import Model
from lucid_rl.validation import at_least, check_fields, none, one_of

METHODS = ("difference_quotients", "integrated_gradients")


@dataclasses.dataclass(frozen=True)
class MultiPathSettings:
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
    n_steps: int = 10
    max_paths: int | None = 50
    memory_bytes: int = BATCH_BYTES

    def __post_init__(self):
        """Raises SettingsError where a setting is out of range."""
        check_fields(
            self,
            method=one_of(METHODS),
            n_steps=at_least(1),
            max_paths=none() | at_least(1),
            memory_bytes=at_least(1),
        )


def leading_halves(
    n_features: int, max_paths: int | None, rng: np.random.Generator
) -> np.ndarray:
    """Which features lead on each path.

    Args:
        n_features: number of features.
        max_paths: number of paths at most.
        rng: draws among them where there are more.

    Returns:
        bool [paths, n_features]; paths come in pairs of a half and its complement,
        but for the last where max_paths is odd.

    Raises:
        SettingsError: there are fewer than two features.
    """
    if n_features < 2:
        raise SettingsError(
            f"several paths need at least 2 features, not {n_features}."
        )
    choices = itertools.combinations(range(n_features), n_features // 2)
    # Of an even number each split would come twice, once as its own complement.
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

    Args:
        model: the network.
        observations: uint8 or floats in [0, 1], [N, H, W, 3].
        layer: name of the layer.
        features: the layer's features, such as an `NMF`.
        rng: draws the paths where there are more than settings allow.
        target: one or several, as in `attribute`; the value function by default.
        settings: method, steps, paths and memory.

    Returns:
        The mean over paths, whose completeness gap is rounding error for difference
        quotients.

    Raises:
        InputError: the observations do not fit the model.
        ModelError: the layer or a target does not exist.
        SettingsError: there are fewer than two features.
    """
    settings = settings or MultiPathSettings()
    chosen = target_list(target)
    single = target is None or isinstance(target, Target)
    function = model.layer_function(layer, [entry.tensor for entry in chosen])
    observations = model.check_observations(observations)
    leads = leading_halves(len(features.directions), settings.max_paths, rng)
    along = (
        _quotients_along
        if settings.method == "difference_quotients"
        else _gradients_along
    )
    n = len(observations)
    values = np.zeros((len(chosen), n, *function.shape), np.float32)
    totals = np.empty((len(chosen), n), np.float32)
    per_ray = function.path_quotients.bytes_per_point * (settings.n_steps + 1)
    for rows in batch_slices(n, rows_within(settings.memory_bytes, per_ray)):
        batch = model.float_observations(observations[rows], first=rows.start)
        shapes = function.target_shapes()
        seeds = [o.seeds(rows, s) for o, s in zip(chosen, shapes, strict=True)]
        (ends,) = model.run([function.activation], batch)
        for lead in leads:
            points = _path(ends, features, lead, settings.n_steps)
            for i, found in enumerate(along(function, points, seeds, batch)):
                values[i, rows] += found / len(leads)
        finals = function.values(ends, batch)
        starts = function.starts(ends, batch)
        for i, (final, start) in enumerate(zip(finals, starts, strict=True)):
            change = seeds[i] * (final - start)
            totals[i, rows] = change.reshape(len(batch), -1).sum(axis=1)
    gap = values.sum(axis=tuple(range(2, values.ndim))) - totals
    if single:
        values, totals, gap = values[0], totals[0], gap[0]
    names = tuple(entry.name for entry in chosen)
    return Attribution(layer, names, values, totals, gap)


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

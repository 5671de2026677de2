"""Attribution of the network's value or policy to the activations of a layer.

Along the straight-line path from 0 to the activation a, as in the article: integrated
gradients (Sundararajan et al. 2017, arXiv 1703.01365), attr = a * integral over alpha
in [0, 1] of dF/da at alpha * a. The attributions of one observation should sum to
F(a) - F(0), which is called completeness; by how much they miss it is the completeness
gap. Gradients, gradient times activation and occlusion are there for comparison.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args, overload

import numpy as np
from numpy.typing import ArrayLike

from lucid_rl import notebook
from lucid_rl.errors import InputError, SettingsError
from lucid_rl.interpret.feature_set import FeatureSet
from lucid_rl.interpret.occlusion import Occlusion
from lucid_rl.interpret.quadrature import quadrature
from lucid_rl.interpret.targets import (
    Target,
    custom,
    direction,
    logit,
    logits,
    target_list,
    value,
)
from lucid_rl.model.batching import BATCH_BYTES, batch_slices, rows_within
from lucid_rl.model.layer_function import LayerFunction, weighted_sums
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.progress import progress
from lucid_rl.validation import Positive, Settings

__all__ = [
    "METHODS",
    "Attribution",
    "AttributionSettings",
    "Target",
    "attribute",
    "custom",
    "direction",
    "logit",
    "logits",
    "value",
]

Method = Literal[
    "difference_quotients",
    "integrated_gradients",
    "gradient_x_activation",
    "gradient",
    "occlusion",
]
METHODS: tuple[str, ...] = get_args(Method)
_COMPLETE = ("difference_quotients", "integrated_gradients", "gradient_x_activation")
_N_SHOWN = 6  # observations of an attribution in a notebook


@dataclasses.dataclass(frozen=True)
class AttributionSettings(Settings):
    """How attributions are computed.

    Attributes:
        method: "difference_quotients" integrates along the straight-line path from 0
            to the activation by difference quotients over n_steps segments, shorter
            near 0: DeepLIFT's rescale rule (arXiv 1704.02685) on each segment, with the
            segment's start as reference. Its completeness gap is rounding error, and
            of the methods here it comes closest to the integral for its cost.
            "integrated_gradients" takes gradients at n_steps points of the path; with
            the default quadrature and 10 steps it is the article's. The others do not
            integrate: "gradient_x_activation", "gradient", and "occlusion" (the loss
            of the target without a channel or feature).
        n_steps: segments, or points, of the path.
        quadrature: of "integrated_gradients": "right_riemann" (the article's),
            "midpoint" or "gauss_legendre".
        occlude_with: "zero" or "mean" (over the observations given): what occlusion
            puts in place of a channel or feature.
        memory_bytes: limit of the arrays of one pass, results and the network aside.
        batch_size: observations per pass; None takes what memory_bytes allows.
    """

    method: Method = "difference_quotients"
    n_steps: Positive = 10
    quadrature: Literal["right_riemann", "midpoint", "gauss_legendre"] = "right_riemann"
    occlude_with: Literal["zero", "mean"] = "zero"
    memory_bytes: Positive = BATCH_BYTES
    batch_size: Positive | None = None


@dataclasses.dataclass(frozen=True)
class Attribution:
    """Attributions with their completeness gap.

    Attributes:
        layer: what is attributed to, as it was asked for.
        targets: names of what is attributed.
        values: f32 [N, *layer shape], or [T, N, *layer shape] for a list of targets;
            the fields below then have the same leading T. Occlusion has one value for
            each channel or feature, [N, 1, 1, C].
        totals: f32 [N], F(a) - F(0).
        completeness_gap: f32 [N], the sum of values less totals (captum's convergence
            delta); None for the methods whose values are not meant to add up.
    """

    layer: str
    targets: tuple[str, ...]
    values: np.ndarray
    totals: np.ndarray
    completeness_gap: np.ndarray | None

    def by_channel(self) -> np.ndarray:
        """Sums over positions, f32 [..., N, C]."""
        positions = tuple(range(self.totals.ndim, self.values.ndim - 1))
        return self.values.sum(axis=positions)

    def relative_gap(self) -> np.ndarray:
        """Mean |completeness gap| over mean |total| for each target; f32 scalar or [T].

        For difference quotients it is rounding error at any number of steps, and no
        measure of how close to the integral the values are.

        Raises:
            SettingsError: the method's values are not meant to add up.
        """
        if self.completeness_gap is None:
            raise SettingsError("only attributions that add up have a gap.")
        gap = np.abs(self.completeness_gap).mean(axis=-1)
        return gap / np.abs(self.totals).mean(axis=-1)

    def __repr__(self) -> str:
        return notebook.summary(self)

    def _repr_html_(self) -> str:
        several = self.totals.ndim == 2
        values = self.values if several else self.values[None]
        totals = np.atleast_2d(self.totals)
        gap = self.completeness_gap
        gaps = None if gap is None else np.atleast_2d(gap)
        parts = [
            notebook.text(f"Attribution to layer {self.layer}, {values.shape[1:]}")
        ]
        for i, name in enumerate(self.targets):
            figures = []
            for n, total in enumerate(totals[i, :_N_SHOWN]):
                caption = f"observation {n}\ntotal {total:+.3f}"
                if gaps is not None:
                    caption += f", gap {gaps[i, n]:+.1e}"
                if values.ndim < 5:  # a layer without positions
                    figures.append(notebook.text(caption))
                    continue
                positions = values[i, n].sum(axis=-1)
                figures.append(notebook.picture(_two_colours(positions), caption))
            parts.append(notebook.row(figures, f"of {name} (blue for, orange against)"))
        return "".join(parts)


@overload
def attribute(
    model: Any,
    observations: ArrayLike,
    layer: str,
    target: Target | Sequence[Target] | None = ...,
    *,
    method: Method | None = ...,
    n_steps: int | None = ...,
    settings: AttributionSettings | None = ...,
    features: FeatureSet | None = ...,
) -> Attribution: ...


@overload
def attribute(
    model: Any,
    observations: ArrayLike,
    layer: Sequence[str],
    target: Target | Sequence[Target] | None = ...,
    *,
    method: Method | None = ...,
    n_steps: int | None = ...,
    settings: AttributionSettings | None = ...,
    features: FeatureSet | None = ...,
) -> dict[str, Attribution]: ...


def attribute(
    model: Any,
    observations: Any,
    layer: str | Sequence[str],
    target: Target | Sequence[Target] | None = None,
    *,
    method: Method | None = None,
    n_steps: int | None = None,
    settings: AttributionSettings | None = None,
    features: FeatureSet | None = None,
) -> Attribution | dict[str, Attribution]:
    """Attributes targets, such as the value function, to a layer's activations.

    Args:
        model: a `Model`, or what `load` takes.
        observations: uint8, or floats in [0, 1], [N, H, W, C]; or `Observations`.
        layer: name of the layer, "input" for the observations themselves; or several,
            which share one forward pass.
        target: `value()`, `logit(i)`, `logits(actions)`, `direction(...)` or
            `custom(...)`, or several of these; the value function by default.
        method: in place of `settings.method`; "difference_quotients" by default.
        n_steps: in place of `settings.n_steps`; 10 by default.
        settings: method, steps, memory; `AttributionSettings()` by default.
        features: for occlusion, features to take away in place of channels.

    Returns:
        The attributions, with the completeness gap of each observation; for several
        layers a dict of them by name.

    Raises:
        InputError: the observations or targets do not fit the model, or a layer comes
            after a target.
        ModelError: the layer or a target does not exist.
        SettingsError: a setting is out of range.

    Example:
        >>> attribution = attribute(model, observations, "2b", logit(3), n_steps=20)
        >>> attribution.values, attribution.completeness_gap
    """
    changes: dict[str, Any] = {"method": method, "n_steps": n_steps}
    settings = dataclasses.replace(
        settings or AttributionSettings(),
        **{name: given for name, given in changes.items() if given is not None},
    )
    chosen = target_list(target)
    layers = [layer] if isinstance(layer, str) else list(layer)
    if not layers:
        raise InputError("there is no layer to attribute to: expected one or more.")
    model = load(model)
    observations = model.check_observations(observations)
    tensors = [entry.tensor for entry in chosen]
    for name, entry in itertools.product(layers, chosen):
        source, goal = map(model.node_name, (name, entry.tensor.name))
        if source != goal and model.index.reaches(goal, [source]):
            raise InputError(
                f"layer {name} comes after {entry.name}: attribute it to an earlier "
                "layer"
            )
    methods = {
        name: _method(
            model.layer_function(name, tensors), settings, features, observations
        )
        for name in layers
    }
    results = run_methods(
        model,
        observations,
        methods,
        target,
        settings.memory_bytes,
        settings.batch_size,
        complete=settings.method in _COMPLETE,
    )
    return results[layer] if isinstance(layer, str) else results


@dataclasses.dataclass(frozen=True)
class LayerMethod:
    """A way to attribute targets to a layer.

    Attributes:
        function: the network from the layer onward.
        compute: from the layer's activations f32 [B, *shape], seeds (for each target
            weights of its tensor, f32 [B, ...]) and float observations to values
            [B, *result_shape] and totals [B] for each target.
        bytes_per_observation: about how much memory one observation takes.
        result_shape: of one observation's values; by default the layer's.
    """

    function: LayerFunction
    compute: Callable[[np.ndarray, list[np.ndarray], np.ndarray], tuple[Any, Any]]
    bytes_per_observation: int
    result_shape: tuple[int, ...] | None = None


def run_methods(
    model: Model,
    observations: np.ndarray,
    methods: Mapping[str, LayerMethod],
    target: Target | Sequence[Target] | None,
    memory_bytes: int = BATCH_BYTES,
    batch_size: int | None = None,
    complete: bool = True,
) -> dict[str, Attribution]:
    """Attributes targets to layers, each by its method, in batches.

    Observations are those that `Model.check_observations` returns. `memory_bytes`
    limits the arrays of one pass; `batch_size` replaces it. `complete`: whether values
    are meant to add up to totals.
    """
    targets, n = target_list(target), len(observations)
    found = {
        layer: (
            np.empty(
                (len(targets), n, *(method.result_shape or method.function.shape)),
                np.float32,
            ),
            np.empty((len(targets), n), np.float32),
        )
        for layer, method in methods.items()
    }
    batch_size = batch_size or min(
        rows_within(memory_bytes, method.bytes_per_observation)
        for method in methods.values()
    )
    tensors = [method.function.activation for method in methods.values()]
    batches = list(batch_slices(n, batch_size))
    for rows in progress(batches, "attribution", delay=5):
        batch = model.float_observations(observations[rows], first=rows.start)
        activations = model.run(tensors, batch)
        for (layer, method), points in zip(methods.items(), activations, strict=True):
            shapes = method.function.target_shapes()
            seeds = [t.seeds(rows, s) for t, s in zip(targets, shapes, strict=True)]
            parts = method.compute(points, seeds, batch)
            for kept, of_targets in zip(found[layer], parts, strict=True):
                for i, part in enumerate(of_targets):
                    kept[i, rows] = part
    single = target is None or isinstance(target, Target)
    names = tuple(entry.name for entry in targets)
    results = {}
    for layer, (values, totals) in found.items():
        gap = None
        if complete:
            gap = values.sum(axis=tuple(range(2, values.ndim))) - totals
        if single:
            values, totals = values[0], totals[0]
            gap = None if gap is None else gap[0]
        results[layer] = Attribution(layer, names, values, totals, gap)
    return results


def _gradients(function: LayerFunction, times_activation: bool) -> LayerMethod:
    """Gradients at the activation, or these times the activation."""

    def compute(points, seeds, batch):
        found = function.gradients(points, seeds, batch)
        if times_activation:
            found = [points * gradient for gradient in found]
        return found, function.changes(points, seeds, batch)

    return LayerMethod(function, compute, 2 * function.model.forward_bytes)


def _integrated_gradients(
    function: LayerFunction, settings: AttributionSettings
) -> LayerMethod:
    """Weighted sums of gradients at points of the path."""
    alphas, weights = quadrature(settings.quadrature, settings.n_steps)
    # Points that do not fit into memory together are computed in turns.
    n_bytes = function.line_gradients.bytes_per_observation
    n_at_once = min(rows_within(settings.memory_bytes, n_bytes(1)), settings.n_steps)

    def compute(points, seeds, batch):
        sums: list = [0] * len(seeds)
        for turn in batch_slices(len(alphas), n_at_once):
            part = function.line_gradients(
                points, alphas[turn], weights[turn], seeds, batch
            )
            sums = [s + p for s, p in zip(sums, part, strict=True)]
        return [points * s for s in sums], function.changes(points, seeds, batch)

    return LayerMethod(function, compute, n_bytes(n_at_once))


def _difference_quotients(function: LayerFunction, n_steps: int) -> LayerMethod:
    """Mean difference quotients over segments of the path."""

    def compute(points, seeds, batch):
        found, starts, ends = function.line_quotients(points, n_steps, seeds, batch)
        changes = [end - start for start, end in zip(starts, ends, strict=True)]
        return [points * q for q in found], weighted_sums(seeds, changes)

    n_bytes = function.line_quotients.bytes_per_observation(n_steps)
    return LayerMethod(function, compute, n_bytes)


def _method(function, settings, features, observations):
    if features is not None and settings.method != "occlusion":
        raise SettingsError(
            f"features are for the method 'occlusion', not {settings.method!r}; "
            "reduce the attributions with NMF.reduce instead."
        )
    if settings.method == "occlusion":
        occlusion = Occlusion(function, settings, features, observations)
        return LayerMethod(
            function, occlusion, occlusion.n_bytes, occlusion.result_shape
        )
    if settings.method == "difference_quotients":
        return _difference_quotients(function, settings.n_steps)
    if settings.method == "integrated_gradients":
        return _integrated_gradients(function, settings)
    return _gradients(function, settings.method == "gradient_x_activation")


def _two_colours(positions: np.ndarray) -> np.ndarray:
    """Attribution [h, w]: white where there is none, blue for, orange against."""
    part = positions / max(float(np.abs(positions).max()), 1e-30)
    blue, orange = np.maximum(part, 0), np.maximum(-part, 0)
    return np.stack([1 - blue, 1 - 0.6 * np.abs(part), 1 - orange], axis=-1)

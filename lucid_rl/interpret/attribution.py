"""Attribution of the network's outputs to the activations of a layer.

Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) on hidden layers,
from 0 to the activation a, as in the article: attr = a * integral over alpha in
[0, 1] of dF/da at alpha * a. The attributions of one observation should sum to
F(a) - F(0); by how much they miss it is the completeness gap. Gradients, gradient
times activation and occlusion go through the same call, for comparison.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from lucid_rl import notebook
from lucid_rl.errors import InputError, SettingsError
from lucid_rl.interpret.occlusion import FeatureSet, Occluder
from lucid_rl.interpret.outputs import (
    Output,
    custom,
    direction,
    logit,
    logit_group,
    output_list,
    value,
)
from lucid_rl.interpret.quadrature import RULES as NODE_RULES
from lucid_rl.interpret.quadrature import quadrature
from lucid_rl.model.batching import BATCH_BYTES, batch_slices, rows_within
from lucid_rl.model.layer_function import LayerFunction
from lucid_rl.model.model import Model

__all__ = [
    "METHODS",
    "RULES",
    "Attribution",
    "AttributionSettings",
    "Output",
    "attribute",
    "attribute_layers",
    "custom",
    "direction",
    "logit",
    "logit_group",
    "value",
]

METHODS = (
    "integrated_gradients",
    "gradient_x_activation",
    "gradient",
    "occlusion",
)
RULES = ("secant", *NODE_RULES)
_N_SHOWN = 6  # observations of an attribution in a notebook


@dataclasses.dataclass(frozen=True)
class AttributionSettings:
    """How attributions are computed.

    Attributes:
        method: one of `METHODS`.
        rule: how integrated gradients are integrated, one of `RULES`. "secant" takes
            difference quotients over n_nodes equal cells of the ray, cut finer in the
            later parts of the network; it leaves no completeness gap and comes
            closest to the integral for its cost. The others take gradients at
            n_nodes points of the ray; the article's is "right_riemann" with 10.
        n_nodes: cells or points.
        occlude_with: "zero" or "mean" (over the observations given): what occlusion
            puts in place of a channel or feature.
        memory_bytes: bound of the arrays of one pass, results and the network aside.
        batch_size: observations per pass; None takes what memory_bytes allows.
    """

    method: str = "integrated_gradients"
    rule: str = "secant"
    n_nodes: int = 4
    occlude_with: str = "zero"
    memory_bytes: int = BATCH_BYTES
    batch_size: int | None = None

    def __post_init__(self):
        """Raises SettingsError where a setting is out of range."""
        for name, allowed in (
            ("method", METHODS),
            ("rule", RULES),
            ("occlude_with", ("zero", "mean")),
        ):
            if getattr(self, name) not in allowed:
                raise SettingsError(
                    f"{name} is {getattr(self, name)!r}: expected one of "
                    f"{', '.join(allowed)}."
                )
        for name in ("n_nodes", "memory_bytes", "batch_size"):
            number = getattr(self, name)
            whole = isinstance(number, int | np.integer) and number >= 1
            if number is not None and not whole:
                raise SettingsError(
                    f"{name} is {number!r}: expected a whole number of at least 1."
                )


@dataclasses.dataclass(frozen=True)
class Attribution:
    """Attributions with their error.

    Attributes:
        layer: what is attributed to, as it was asked for.
        outputs: names of what is attributed.
        values: f32 [N, *layer shape], or [O, N, *layer shape] where several outputs
            were asked for; the fields below then have the same leading O. Occlusion
            has one value for each channel or feature, [N, 1, 1, C].
        totals: f32 [N], F(a) - F(0).
        gap: f32 [N], the sum of values less totals; None for the methods whose values
            are not meant to add up.
    """

    layer: str
    outputs: tuple[str, ...]
    values: np.ndarray
    totals: np.ndarray
    gap: np.ndarray | None

    def by_channel(self) -> np.ndarray:
        """Sums over positions, f32 [..., N, C]."""
        positions = tuple(range(self.totals.ndim, self.values.ndim - 1))
        return self.values.sum(axis=positions)

    def relative_gap(self) -> np.ndarray:
        """Mean |gap| over mean |total|, for each output; f32 scalar or [O].

        For the rule "secant" it is rounding error at any number of cells, and no
        measure of how close to the integral the values are.

        Raises:
            SettingsError: the method's values are not meant to add up.
        """
        if self.gap is None:
            raise SettingsError("only attributions that add up have a gap.")
        return np.abs(self.gap).mean(axis=-1) / np.abs(self.totals).mean(axis=-1)

    def __repr__(self) -> str:
        return notebook.summary(self)

    def _repr_html_(self) -> str:
        several = self.totals.ndim == 2
        values = self.values if several else self.values[None]
        totals = np.atleast_2d(self.totals)
        gaps = None if self.gap is None else np.atleast_2d(self.gap)
        parts = [
            notebook.text(f"Attribution to layer {self.layer}, {values.shape[1:]}")
        ]
        for i, name in enumerate(self.outputs):
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


def attribute(
    model: Model,
    observations: np.ndarray,
    layer: str,
    outputs: Output | Sequence[Output] | None = None,
    settings: AttributionSettings | None = None,
    features: FeatureSet | None = None,
) -> Attribution:
    """Attributes outputs of the network to a layer's activations.

    Args:
        model: the network.
        observations: uint8 or floats in [0, 1], [N, H, W, 3].
        layer: name of the layer, "input" for the observations themselves.
        outputs: one output, or several, which share forward passes; the value
            function by default.
        settings: method, rule and memory.
        features: for occlusion, features to take away in place of channels.

    Returns:
        The attributions, with the completeness gap of each observation.

    Raises:
        InputError: the observations or outputs do not fit the model.
        ModelError: the layer or an output does not exist.
    """
    found = attribute_layers(
        model, observations, (layer,), outputs, settings, features=features
    )
    return found[layer]


def attribute_layers(
    model: Model,
    observations: np.ndarray,
    layers: Sequence[str],
    outputs: Output | Sequence[Output] | None = None,
    settings: AttributionSettings | None = None,
    features: FeatureSet | None = None,
) -> dict[str, Attribution]:
    """Attributes to several layers, which share one forward pass.

    Args:
        model: as in `attribute`.
        observations: as in `attribute`.
        layers: names of layers.
        outputs: as in `attribute`.
        settings: as in `attribute`.
        features: as in `attribute`.

    Returns:
        For each layer what `attribute` returns.

    Raises:
        InputError: as in `attribute`.
        ModelError: as in `attribute`.
    """
    settings = settings or AttributionSettings()
    chosen = output_list(outputs)
    single = outputs is None or isinstance(outputs, Output)
    if not layers:
        raise InputError("there is no layer to attribute to: expected one or more.")
    targets = [output.target for output in chosen]
    functions = {layer: model.layer_function(layer, targets) for layer in layers}
    observations = model.check_observations(observations)
    n = len(observations)
    methods = {
        layer: _method(function, settings, features, observations)
        for layer, function in functions.items()
    }
    results = {
        layer: (
            np.empty((len(chosen), n, *method.result_shape), np.float32),
            np.empty((len(chosen), n), np.float32),
        )
        for layer, method in methods.items()
    }
    batch_size = settings.batch_size or min(
        rows_within(settings.memory_bytes, method.bytes_per_observation)
        for method in methods.values()
    )
    for rows in batch_slices(n, batch_size):
        batch = model.float_observations(observations[rows], first=rows.start)
        activations = model.run([f.activation for f in functions.values()], batch)
        for layer, points in zip(functions, activations, strict=True):
            shapes = functions[layer].target_shapes()
            seeds = [o.seeds(rows, s) for o, s in zip(chosen, shapes, strict=True)]
            values, totals = methods[layer](points, seeds, batch)
            for i in range(len(chosen)):
                results[layer][0][i, rows] = values[i]
                results[layer][1][i, rows] = totals[i]
    names = tuple(output.name for output in chosen)
    adds_up = settings.method in ("integrated_gradients", "gradient_x_activation")
    found = {}
    for layer, (values, totals) in results.items():
        gap = None
        if adds_up:
            gap = values.sum(axis=tuple(range(2, values.ndim))) - totals
        if single:
            values, totals = values[0], totals[0]
            gap = None if gap is None else gap[0]
        found[layer] = Attribution(layer, names, values, totals, gap)
    return found


class _Gradients:
    """Gradients at the activation, or these times the activation."""

    def __init__(self, function: LayerFunction, times_activation: bool):
        self._function = function
        self._times_activation = times_activation
        self.result_shape = function.shape
        self.bytes_per_observation = 2 * function.model.forward_bytes

    def __call__(self, points, seeds, batch):
        gradients = self._function.gradients(points, seeds, batch)
        if self._times_activation:
            gradients = [points * gradient for gradient in gradients]
        ends = self._function.values(points, batch)
        starts = self._function.starts(points, batch)
        return gradients, _changes(seeds, starts, ends)


class _NodeSums:
    """Integrated gradients by a rule with nodes and weights."""

    def __init__(self, function: LayerFunction, settings: AttributionSettings):
        self._function = function
        self._nodes, self._weights = quadrature(settings.rule, settings.n_nodes)
        self.result_shape = function.shape
        # More nodes than fit are taken in turns.
        self._turn = rows_within(settings.memory_bytes, function.rays.bytes_per_node)
        self.bytes_per_observation = function.rays.bytes_per_node * min(
            self._turn, settings.n_nodes
        )

    def __call__(self, points, seeds, batch):
        sums: list = [0] * len(seeds)
        for turn in batch_slices(len(self._nodes), self._turn):
            part = self._function.rays(
                points, self._nodes[turn], self._weights[turn], seeds, batch
            )
            sums = [s + p for s, p in zip(sums, part, strict=True)]
        ends = self._function.values(points, batch)
        starts = self._function.starts(points, batch)
        return [points * s for s in sums], _changes(seeds, starts, ends)


class _Quotients:
    """Integrated gradients by difference quotients."""

    def __init__(self, function: LayerFunction, settings: AttributionSettings):
        self._function = function
        self._n_cells = settings.n_nodes
        self.result_shape = function.shape
        self.bytes_per_observation = function.quotients.bytes_per_ray(self._n_cells)

    def __call__(self, points, seeds, batch):
        quotients, starts, ends = self._function.quotients(
            points, self._n_cells, seeds, batch
        )
        return [points * q for q in quotients], _changes(seeds, starts, ends)


def _method(function, settings, features, observations):
    if features is not None and settings.method != "occlusion":
        raise SettingsError(
            f"features are for the method 'occlusion', not {settings.method!r}; "
            "reduce the attributions by the factorization instead."
        )
    if settings.method == "occlusion":
        return Occluder(function, settings, features, observations)
    if settings.method != "integrated_gradients":
        return _Gradients(function, settings.method == "gradient_x_activation")
    rule = _Quotients if settings.rule == "secant" else _NodeSums
    return rule(function, settings)


def _two_colours(positions: np.ndarray) -> np.ndarray:
    """Attribution [h, w]: white where there is none, blue for, orange against."""
    share = positions / max(float(np.abs(positions).max()), 1e-30)
    blue, orange = np.maximum(share, 0), np.maximum(-share, 0)
    return np.stack([1 - blue, 1 - 0.6 * np.abs(share), 1 - orange], axis=-1)


def _changes(seeds, starts, ends):
    """F at the ends less F at the starts, f32 [B] for each output."""
    return [
        (seed * (end - start)).reshape(len(seed), -1).sum(axis=1)
        for seed, start, end in zip(seeds, starts, ends, strict=True)
    ]

"""How far attributions are from what they stand for.

    python -m benchmarks.attribution_error
    python -m benchmarks.attribution_error --model=released:procgen/coinrun

(1) Quadrature: for each layer, rule and number of steps, four errors of value
attributions against an integral by 512 midpoints, computed from the layer's own
gradients with no short cut:

* attribution: L1 distance over all positions and channels, relative;
* channel: the largest error of a channel's total;
* feature: the same of 8 features by NMF and their residual;
* gap: |sum of attributions - (F(a) - F(0))|,

the last three as means over observations over the mean |F(a) - F(0)|. The cost is
counted in multiply-adds, in units of one gradient from the layer onward. (2) Trust:
how well each method's channels, and features of NMF, agree with what the value loses
when the channel or feature is taken away. Writes
benchmarks/results/attribution_error_released.json, or _bundled, of which
`benchmarks.tables` makes tables.
"""

import argparse
from typing import Any, Literal

import numpy as np
import scipy.stats

from benchmarks.measuring import sampled_observations, write_result
from lucid_rl.interpret.accuracy import total_error
from lucid_rl.interpret.attribution import (
    Attribution,
    AttributionSettings,
    attribute,
    value,
)
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.multi_path import MultiPathSettings, attribute_along_paths
from lucid_rl.interpret.nmf import NMF
from lucid_rl.interpret.quadrature import RULES as QUADRATURES
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model

RULES = ("difference_quotients", *QUADRATURES)
STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 16, 20)
MORE_STEPS = (*STEPS, 40)
"""For the rules that converge slowly."""
ERROR_TOLERANCE = 0.01
"""Of mean |F(a) - F(0)|: of a feature's total, and of the gap."""
OCCLUSIONS: tuple[Literal["zero", "mean"], ...] = ("zero", "mean")


def integral(
    model: Model, observations: np.ndarray, layer: str, n_steps: int
) -> np.ndarray:
    """Value attributions from gradients at many midpoints, with no short cut."""
    function = model.layer_function(layer, [value().tensor])
    points = model.activations(observations, [layer])[layer]
    floats = model.float_observations(observations)
    found = np.empty_like(points)
    for i in range(len(points)):
        total = np.zeros(points.shape[1:], np.float64)
        for alphas in np.array_split((np.arange(n_steps) + 0.5) / n_steps, 16):
            along = points[i] * alphas[:, None, None, None].astype(np.float32)
            seeds = [np.ones(len(alphas), np.float32)]
            seen = np.repeat(floats[i : i + 1], len(alphas), axis=0)
            total += function.gradients(along, seeds, seen)[0].sum(axis=0)
        found[i] = points[i] * (total / n_steps)
    return found


def distance(found: np.ndarray, reference: np.ndarray) -> float:
    """L1 distance, relative."""
    return float(np.abs(found - reference).sum() / np.abs(reference).sum())


def errors(
    found: Attribution, reference: np.ndarray, features: NMF
) -> dict[str, float]:
    """The four errors of the module's docstring."""
    assert found.completeness_gap is not None
    change = np.abs(found.totals).mean()
    return {
        "attribution": distance(found.values, reference),
        "channel": total_error(found.values, reference, found.totals),
        "feature": total_error(found.values, reference, found.totals, features),
        "gap": float(np.abs(found.completeness_gap).mean() / change),
    }


def quadratures(
    model: Model,
    observations: np.ndarray,
    layer: str,
    reference: np.ndarray,
    features: NMF,
) -> list[dict[str, Any]]:
    """A row for each rule and number of steps."""
    function = model.layer_function(layer, [value().tensor])
    rows = []
    for rule in RULES:
        way = (
            function.line_quotients
            if rule == "difference_quotients"
            else function.line_gradients
        )
        for n_steps in STEPS if rule == "difference_quotients" else MORE_STEPS:
            settings = _settings(rule, n_steps)
            found = attribute(model, observations, layer, settings=settings)
            cost = way.multiplications(n_steps) / function.multiplications
            row = {"rule": rule, "n_steps": n_steps, "cost": cost}
            rows.append({**row, **errors(found, reference, features)})
    return rows


def _settings(rule: Any, n_steps: int) -> AttributionSettings:
    if rule == "difference_quotients":
        return AttributionSettings(rule, n_steps)
    return AttributionSettings("integrated_gradients", n_steps, rule)


def cheapest(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any] | None]:
    """For each rule, and of all, the cheapest row that meets the error tolerance."""
    found: dict[str, dict[str, Any] | None] = {}
    for rule in (*RULES, "any"):
        good = [
            row
            for row in rows
            if rule in (row["rule"], "any")
            and max(row["feature"], row["gap"]) <= ERROR_TOLERANCE
        ]
        found[rule] = min(good, key=lambda row: row["cost"], default=None)
    return found


def methods(
    model: Model, observations: np.ndarray, layer: str, features: NMF
) -> dict[str, np.ndarray]:
    """Attributions by each method, f32 [N, H, W, C]."""
    settings = {
        "difference quotients": AttributionSettings(),
        "the article's 10 steps": AttributionSettings(
            method="integrated_gradients", n_steps=10
        ),
        "gradient x activation": AttributionSettings(method="gradient_x_activation"),
        "gradient": AttributionSettings(method="gradient"),
    }
    found = {
        name: attribute(model, observations, layer, settings=chosen).values
        for name, chosen in settings.items()
    }
    found["along 10 paths"] = attribute_along_paths(
        model,
        observations,
        layer,
        features,
        np.random.default_rng(0),
        settings=MultiPathSettings(n_steps=6, max_paths=10),
    ).values
    return found


def agreement(found: np.ndarray, lost: np.ndarray) -> dict[str, float]:
    """How well totals [N, K] agree with what taking each away loses [N, K].

    Returns:
        Means over observations of the correlation and of the rank correlation over
        channels (or features), and the share of observations in which the same one
        matters most.
    """
    pairs = [(f, x) for f, x in zip(found, lost, strict=True) if f.std() and x.std()]
    largest = np.abs(found).argmax(axis=1) == np.abs(lost).argmax(axis=1)
    return {
        "correlation": float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])),
        "rank_correlation": float(
            np.mean([scipy.stats.spearmanr(*pair).statistic for pair in pairs])
        ),
        "same_largest": float(largest.mean()),
    }


def trust(
    model: Model, observations: np.ndarray, layer: str, features: NMF
) -> list[dict[str, Any]]:
    """A row for each method and thing that is taken away."""
    found = methods(model, observations, layer, features)
    rows = []
    for occlude_with in OCCLUSIONS:
        settings = AttributionSettings(method="occlusion", occlude_with=occlude_with)
        for taken, directions in (("channel", None), ("feature", features)):
            lost = attribute(
                model, observations, layer, settings=settings, features=directions
            ).by_channel()
            for name, values in found.items():
                reduced = values if directions is None else directions.reduce(values)[0]
                row = {"method": name, "taken": taken, "replaced_by": occlude_with}
                rows.append({**row, **agreement(reduced.sum(axis=(1, 2)), lost)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--observations", type=int, default=8, help="for quadrature")
    parser.add_argument("--reference_steps", type=int, default=512)
    parser.add_argument("--trust_observations", type=int, default=32)
    parser.add_argument("--layers", default="1a,2a,2b,3a,4a")
    chosen = parser.parse_args()
    model = load(chosen.model)
    observations = sampled_observations(
        max(chosen.observations, chosen.trust_observations), model=model
    )
    result: dict[str, Any] = {**vars(chosen), "error_tolerance": ERROR_TOLERANCE}
    result |= {"quadrature": {}, "cheapest": {}, "trust": {}}
    for layer in chosen.layers.split(","):
        few = observations[: chosen.observations]
        features = fit_features(model, observations, layer)
        reference = integral(model, few, layer, chosen.reference_steps)
        rows = quadratures(model, few, layer, reference, features)
        result["quadrature"][layer] = rows
        result["cheapest"][layer] = cheapest(rows)
        result["trust"][layer] = trust(
            model, observations[: chosen.trust_observations], layer, features
        )
    kind = "bundled" if chosen.model == "bundled" else "released"
    print(write_result("attribution_error", result, f"attribution_error_{kind}"))


if __name__ == "__main__":
    main()

"""NMF, its transform and dataset examples: time, memory and what sampling loses.

    python -m benchmarks.nmf --observations=64 --layers=1a,2b,4a

On observations that the bundled model plays: (1) a layer's features from
observations to directions, and 16 dataset visualisations, against Lucid 0.3.10's
rl_util, each in a process of its own; (2) the fit alone against scikit-learn's on
the same rows; (3) directions from samples of rows against those from all; (4) the
exact transform against others. Writes benchmarks/results/nmf.json, of which
`benchmarks.tables` makes tables.
"""

import argparse
import functools
import json
import pathlib
import tempfile
from typing import Any

import numpy as np
import scipy.optimize
import sklearn.decomposition

from benchmarks.measuring import (
    fastest,
    peak_mb,
    run_apart,
    sampled_observations,
    timed,
    write_result,
)
from lucid_rl import bundled_checkpoint_path
from lucid_rl.interpret.attribution import AttributionSettings, attribute
from lucid_rl.interpret.dataset_examples import spatial_examples
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.interpret.patches import render_examples
from lucid_rl.model.loading import load

STEPS = ("fit", "visualise")
_JUDGED_ROWS = 100_000
_SUBDIVISIONS = (0.25, 0.5, 1.0, 2.0)
_EXPANSIONS = (1, 2, 4, 8)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each direction of `a` with its partner in `b`."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    similarities = a @ b.T
    return similarities[scipy.optimize.linear_sum_assignment(-similarities)]


def explained(factorization: NMF, rows: np.ndarray) -> float:
    rest = rows - factorization.inverse_transform(factorization.transform(rows))
    return 1 - float(np.square(rest).sum() / np.square(rows).sum())


def our_features(model_path: str, observations: np.ndarray, layer: str) -> dict:
    """The same as `original.features`, with the article's quadrature."""
    model = load(model_path)
    article = AttributionSettings(method="integrated_gradients", n_steps=10)

    def fit() -> tuple[NMF, np.ndarray]:
        fitted = fit_features(model, observations, layer, attribution=article)
        chunks = np.array_split(observations, -(-len(observations) // 64))
        return fitted, np.concatenate(
            [fitted.transform(model.activations(c, [layer])[layer]) for c in chunks]
        )

    def visualise() -> None:
        for subdivision in _SUBDIVISIONS:
            grid = spatial_examples(reduced[..., 0], subdivision)
            for expansion in _EXPANSIONS:
                size = expansion * observations.shape[1] // reduced.shape[1]
                render_examples(grid, observations, size)

    (fitted, reduced), fit_time = timed(fit)
    fit_mb = peak_mb()
    _, vis_time = timed(visualise)
    return {
        "fit": {**fit_time, "peak_mb": fit_mb},
        "visualise": {**vis_time, "peak_mb": peak_mb()},
        "iterations": fitted.fit_info["n_iterations"],
        "directions": fitted.directions.tolist(),
    }


def least(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The least times and peaks of the same program's runs."""
    return {**runs[0], **fastest([{s: r[s] for s in STEPS} for r in runs])}


def against_original(
    observations: np.ndarray, layers: list[str], repeats: int
) -> dict[str, Any]:
    results: dict[str, Any] = {}
    model = load(bundled_checkpoint_path())
    with tempfile.TemporaryDirectory() as folder:
        model_path = str(pathlib.Path(folder, "model.pb"))
        observations_path = str(pathlib.Path(folder, "observations.npy"))
        model.save(model_path)
        np.save(observations_path, observations)
        for layer in layers:
            files = [model_path, observations_path]
            node = model.node_name(layer)
            sides = {
                "ours": ("benchmarks.nmf", ["--features", *files, layer]),
                "original": ("benchmarks.original", ["features", *files, node]),
            }
            # They take turns, so that what else the machine does hits both alike.
            runs = [
                {name: run_apart(*program) for name, program in sides.items()}
                for _ in range(repeats)
            ]
            results[layer] = {name: least([r[name] for r in runs]) for name in sides}
            directions = (
                np.array(side.pop("directions"), np.float32)
                for side in results[layer].values()
            )
            results[layer]["least_cosine"] = float(cosines(*directions).min())
    return results


def fits(values: np.ndarray) -> dict[str, Any]:
    """The same rows through scikit-learn and through ours."""
    flat = values.reshape(-1, values.shape[-1])
    rows = np.concatenate([np.maximum(flat, 0), np.maximum(-flat, 0)])
    rows = rows[rows.any(axis=1)]
    estimator = sklearn.decomposition.NMF(8, init="nndsvd", random_state=0)
    _, reference_time = timed(lambda: estimator.fit(rows))
    fitted, our_time = timed(
        lambda: NMF(settings=NMFSettings(max_rows=len(rows))).fit(rows)
    )
    result = {
        "rows": len(rows),
        "scikit_learn": {**reference_time, "iterations": estimator.n_iter_},
        "ours": {**our_time, "iterations": fitted.fit_info["n_iterations"]},
        "least_cosine": float(cosines(fitted.directions, estimator.components_).min()),
    }
    result["transform"] = transforms(fitted, rows[:: max(1, len(rows) // 100_000)])
    return result


def transforms(fitted: NMF, rows: np.ndarray) -> dict[str, float]:
    """Microseconds per row of three ways to find the weights."""
    estimator = sklearn.decomposition.NMF(fitted.n_features)
    estimator.components_ = fitted.directions
    estimator.n_components_ = fitted.n_features
    estimator.n_features_in_ = fitted.n_channels
    ours, our_time = timed(lambda: fitted.transform(rows))
    _, reference_time = timed(lambda: estimator.transform(rows))
    few = rows[:2000]
    exact, exact_time = timed(
        lambda: np.stack([scipy.optimize.nnls(fitted.directions.T, x)[0] for x in few])
    )
    return {
        "ours_us": 1e6 * our_time["cpu_seconds"] / len(rows),
        "scikit_learn_us": 1e6 * reference_time["cpu_seconds"] / len(rows),
        "scipy_us": 1e6 * exact_time["cpu_seconds"] / len(few),
        "largest_error": float(np.abs(ours[:2000] - exact).max() / exact.max()),
    }


def samples(values: np.ndarray, sizes: list[int]) -> list[dict[str, Any]]:
    """Directions from samples of rows, three of each size, against those from all."""

    def fit(max_rows: int, seed: int) -> NMF:
        return NMF(settings=NMFSettings(max_rows=max_rows, seed=seed)).fit(values)

    whole = fit(2 * values.size, seed=3)
    rows = values.reshape(-1, values.shape[-1])
    judged = np.random.default_rng(1).permutation(rows)[:_JUDGED_ROWS]
    judged = np.concatenate([np.maximum(judged, 0), np.maximum(-judged, 0)])
    best = explained(whole, judged)
    found = []
    for size in sizes:
        if size >= whole.fit_info["n_rows"]:
            break
        for seed in range(3):
            few, time = timed(functools.partial(fit, size, seed))
            least_cosine = float(cosines(few.directions, whole.directions).min())
            found.append(
                {
                    "of_rows": whole.fit_info["n_rows"],
                    "rows": size,
                    "seed": seed,
                    "least_cosine": least_cosine,
                    "explained": explained(few, judged),
                    "explained_by_all": best,
                    **time,
                }
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--observations", type=int, default=64)
    parser.add_argument("--layers", default="1a,2b,4a")
    parser.add_argument("--repeats", type=int, default=2, help="against rl_util")
    parser.add_argument("--rows", default="10000,30000,100000,300000")
    parser.add_argument("--features", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.features:
        model_path, path, layer = chosen.features
        print(json.dumps(our_features(model_path, np.load(path), layer)))
        return
    layers = chosen.layers.split(",")
    sizes = [int(n) for n in chosen.rows.split(",")]
    observations = sampled_observations(chosen.observations)
    result: dict[str, Any] = {
        "observations": chosen.observations,
        "against_original": against_original(observations, layers, chosen.repeats),
        "fit": {},
        "samples": {},
    }
    model = load(bundled_checkpoint_path())
    for layer in layers:
        values = attribute(model, observations, layer).values
        result["samples"][layer] = samples(values, sizes)
        result["fit"][layer] = fits(values)
        del values
    print(write_result("nmf", result))


if __name__ == "__main__":
    main()

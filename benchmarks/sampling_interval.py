"""How far apart observations have to lie: features of layer 2b by spacing.

    python -m benchmarks.sampling_interval
    python -m benchmarks.sampling_interval --model=released:procgen/coinrun
    python -m benchmarks.sampling_interval --model=released:procgen/coinrun --objects

The article keeps one observation of 32 environments every 128 steps. For each cheaper
spacing, features are fitted to as many observations, and each feature of the article's
spacing is compared with the one that is nearest to it. What two seeds of the article's
spacing have in common is the most that can be expected.
"""

import argparse
import itertools
import time
from typing import Any

import numpy as np

from benchmarks.measuring import print_table, write_result
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES, object_maps
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.sampling.model_samples import sample_observations

_LAYER, _N_FEATURES = "2b", 8
_ARTICLE = (32, 128)
# Environments, and steps from one kept observation to the next.
_SPACINGS = (_ARTICLE, (32, 32), (128, 32), (128, 16), (256, 32))
# Also the number of observations. The first is as close to the article's as is cheap.
_SHORT_SPACINGS = ((64, 32, 1024), (128, 4, 4096), (256, 3, 4096))


def directions(model: Model, spacing: tuple[int, int], n: int, seed: int) -> Any:
    """Unit feature directions [K, C], and seconds spent on sampling."""
    n_envs, interval = spacing
    start = time.perf_counter()
    sampled = sample_observations(model, n, n_envs=n_envs, interval=interval, seed=seed)
    seconds = time.perf_counter() - start
    fitted = fit_features(
        model,
        sampled.observations,
        _LAYER,
        nmf=NMFSettings(n_features=_N_FEATURES, seed=0),
    ).directions
    return fitted / np.linalg.norm(fitted, axis=1, keepdims=True), seconds


def visible(model: Model, n_envs: int, interval: int, n: int) -> dict[str, Any]:
    """In what fraction of observations some objects are visible, and the cost."""
    start = time.process_time()
    sampled = sample_observations(
        model, n, n_envs=n_envs, interval=interval, seed=1, states=True
    )
    seconds = time.process_time() - start
    assert sampled.states is not None and sampled.level_seeds is not None
    maps = np.stack([object_maps(state) for state in sampled.states])
    fractions = maps.any(axis=(2, 3)).mean(axis=0)
    return {
        "n_envs": n_envs,
        "interval": interval,
        "n": n,
        "processor_seconds": round(seconds, 1),
        "levels": len(np.unique(sampled.level_seeds)),
        **{
            name: round(float(fractions[OBJECT_CLASSES.index(name)]), 3)
            for name in ("coin", "buzzsaw", "enemy_left", "enemy_right")
        },
    }


def cosines(reference: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Of each reference direction, the cosine with the nearest found one."""
    return (reference @ found.T).max(axis=1)


def main() -> None:
    """Measures all spacings."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--n", type=int, default=1024)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--objects", action="store_true")
    arguments = parser.parse_args()
    model = load(arguments.model)
    if arguments.objects:
        rows = [visible(model, *spacing) for spacing in _SHORT_SPACINGS]
        print_table(list(rows[0]), [list(row.values()) for row in rows])
        result = {"model": arguments.model, "rows": rows}
        print(write_result("sampling_interval", result, "sampling_objects"))
        return
    rows = []
    references: list[np.ndarray] = []
    for spacing in _SPACINGS:
        runs = [
            directions(model, spacing, arguments.n, seed)
            for seed in range(arguments.seeds)
        ]
        fitted = [run[0] for run in runs]
        if spacing == _ARTICLE:
            references = fitted
            pairs = list(itertools.permutations(fitted, 2))
        else:
            pairs = list(itertools.product(references, fitted))
        found = np.stack([cosines(a, b) for a, b in pairs])
        n_envs, interval = spacing
        rows.append(
            {
                "n_envs": n_envs,
                "interval": interval,
                "steps": -(-arguments.n // n_envs) * interval * n_envs,
                "seconds": round(float(np.mean([run[1] for run in runs])), 1),
                "cosine_mean": round(float(found.mean()), 3),
                "cosine_median": round(float(np.median(found)), 3),
                "cosine_lowest": round(float(found.min(axis=1).mean()), 3),
            }
        )
        print_table(list(rows[0]), [list(row.values()) for row in rows[-1:]])
    print_table(list(rows[0]), [list(row.values()) for row in rows])
    result = {
        "model": arguments.model,
        "layer": _LAYER,
        "n_features": _N_FEATURES,
        "n": arguments.n,
        "rows": rows,
    }
    print(write_result("sampling_interval", result))


if __name__ == "__main__":
    main()

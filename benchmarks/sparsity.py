"""How sparse models are: activations above 0, and how few pairs hold the attribution.

    python -m benchmarks.sparsity \
        --models=released:procgen/coinrun,bundled:distilled,bundled

Prints a table and writes benchmarks/results/sparsity.json.
"""

from typing import Any

import numpy as np
from absl import app, flags

import lucid_rl as lr
from benchmarks.measuring import write_result

_MODELS = flags.DEFINE_list(
    "models", ["bundled:distilled", "bundled"], "What `lucid_rl.load` takes."
)
_LAYER = flags.DEFINE_string("layer", "2b", "Whose attributions are ranked.")

N_OBSERVATIONS = 512  # of each model's own play
N_ATTRIBUTED = 64
N_PAIRS = 100


def measure(spec: str, layer: str) -> dict[str, Any]:
    """Percentages of a model's activations above 0, and of attribution in few pairs."""
    model = lr.load(spec)
    observations = lr.sample_observations(model, N_OBSERVATIONS).observations
    activations = model.activations(observations, model.layers)
    attribution = lr.attribute(model, observations[:N_ATTRIBUTED], layer, lr.value())
    sizes = np.abs(attribution.values).reshape(N_ATTRIBUTED, -1)
    largest = -np.partition(-sizes, N_PAIRS - 1, axis=1)[:, :N_PAIRS]
    in_largest = np.mean(largest.sum(axis=1) / sizes.sum(axis=1))
    return {
        "model": spec,
        "sha256": model.digest,
        "active_percent": {
            name: round(100 * float(np.mean(a > 0)), 2)
            for name, a in activations.items()
        },
        "layer": layer,
        f"percent_in_top_{N_PAIRS}_of_{sizes.shape[1]}": round(
            100 * float(in_largest), 1
        ),
    }


def main(_: list[str]) -> None:
    found = [measure(spec, _LAYER.value) for spec in _MODELS.value]
    print(*found, sep="\n")
    write_result("sparsity", {"models": found})


if __name__ == "__main__":
    app.run(main)

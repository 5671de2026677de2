"""What value attributions of layer 2b, and features of them, leave unexplained.

    python -m benchmarks.completeness --model=released:procgen/coinrun

By method: the standard deviation over observations of value - sum of attributions,
which would be 0 if attributions were complete. By number of features: the residual
fraction, and the channel with the largest part of the attributions' absolute sum.
Writes benchmarks/results/completeness.json.
"""

import argparse
from typing import Literal

import numpy as np

import lucid_rl as lr
from benchmarks.measuring import print_table, sampled_observations, write_result

LAYER = "2b"
METHODS = {
    "the article's rule, 10 steps": lr.AttributionSettings("integrated_gradients", 10),
    "the article's rule, 50 steps": lr.AttributionSettings("integrated_gradients", 50),
    "difference quotients": lr.AttributionSettings(),
}
N_FEATURES: tuple[int | Literal["auto"], ...] = (8, 10, 12, 16, "auto")


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--observations", type=int, default=256)
    options = parser.parse_args()
    model = lr.load(options.model)
    observations = sampled_observations(options.observations, model=model)
    _, values = model(observations)
    left = {}
    for name, settings in METHODS.items():
        found = lr.attribute(model, observations, LAYER, settings=settings)
        left[name] = float((values - found.values.sum(axis=(1, 2, 3))).std())
    print_table(["method", "std of value - sum"], list(left.items()))
    rows = []
    for n_features in N_FEATURES:
        nmf = lr.NMF(n_features=n_features).fit(found)  # of difference quotients
        rows.append([n_features, nmf.n_features, nmf.residual_fraction(found)])
    print_table(["n_features", "fitted", "residual fraction"], rows)
    by_channel = np.abs(found.values).sum(axis=(0, 1, 2))
    squares = np.square(found.values).sum(axis=(0, 1, 2))
    largest = int(by_channel.argmax())
    result = {
        **vars(options),
        "layer": LAYER,
        "value_std": float(values.std()),
        "value_minus_sum_std": left,
        "residual_fractions": {str(n): fraction for n, _, fraction in rows},
        "auto_n_features": rows[-1][1],
        "largest_channel": {
            "channel": largest,
            "fraction_of_absolute_sum": float(by_channel[largest] / by_channel.sum()),
            "fraction_of_squares": float(squares[largest] / squares.sum()),
        },
    }
    print(write_result("completeness", result))


if __name__ == "__main__":
    main()

"""Colouring, smoothing and opacity, against Lucid 0.3.10's rl_util.

    python -m benchmarks.colour --frames=512

One call on a batch of frames of 32x32 positions and 8 features, as when pictures of
one sign of one trajectory's attribution are made. Prints a table of processor
seconds (and of wall-clock ones) and writes benchmarks/results/colour.json.
"""

import argparse
import pathlib
import tempfile

import numpy as np

from benchmarks.measuring import (
    LUCID_0310,
    fastest,
    print_table,
    run_apart,
    timed,
    write_result,
)
from lucid_rl.interpret.colour import brightness_to_opacity, colour_features
from lucid_rl.interpret.smoothing import norm_filter, smooth


def ours(weights: np.ndarray) -> dict[str, dict[str, float]]:
    kernel = norm_filter(15)
    rgb, colouring = timed(lambda: colour_features(weights))
    smoothed, smoothing = timed(lambda: smooth(rgb, kernel))
    _, opacity = timed(lambda: brightness_to_opacity(smoothed))
    return {"colour": colouring, "smooth": smoothing, "opacity": opacity}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=512)
    parser.add_argument("--size", type=int, default=32, help="positions on a side")
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (chosen.frames, chosen.size, chosen.size, 8)
    # Sparse, as attribution is.
    weights = rng.random(shape, np.float32) * (rng.random(shape) < 0.05)
    weights = weights.astype(np.float32)
    ours(weights[:2])
    result = fastest([ours(weights) for _ in range(3)])
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "weights.npy")
        np.save(path, weights)
        original = (
            run_apart("benchmarks.original", ["colours", str(path)])
            if LUCID_0310.exists()
            else {}
        )
    rows = []
    for step in [*result, "all"]:
        totals = [
            sum(source[s]["cpu_seconds"] for s in (result if step == "all" else [step]))
            if source
            else float("nan")
            for source in (original, result)
        ]
        rows.append([step, *totals, totals[0] / totals[1]])
    print_table(["CPU seconds", "Lucid 0.3.10", "lucid_rl", "times faster"], rows)
    write_result(
        "colour",
        {
            "shape": shape,
            "original": original,
            "ours": result,
            "times_faster": {row[0]: row[3] for row in rows},
        },
    )


if __name__ == "__main__":
    main()

"""Colouring, smoothing and opacity, against Lucid 0.3.10's rl_util.

    python -m benchmarks.colour --frames=512

One call on a batch of frames of 32x32 positions and 8 features, as when pictures of
one sign of one trajectory's attribution are made; each in a process of its own. Prints
a table of processor seconds and peaks of memory, and writes
benchmarks/results/colour.json.
"""

import argparse
import json
import pathlib
import tempfile

import numpy as np

from benchmarks.measuring import (
    LUCID_0310,
    fastest,
    peak_mb,
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


def work(path: str) -> dict:
    """Ours, in the form of `original.colours`."""
    weights = np.load(path)
    ours(weights[:2])
    return {**fastest([ours(weights) for _ in range(3)]), "peak_mb": peak_mb()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=512)
    parser.add_argument("--size", type=int, default=32, help="positions on a side")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        print(json.dumps(work(chosen.work)))
        return
    rng = np.random.default_rng(0)
    shape = (chosen.frames, chosen.size, chosen.size, 8)
    # Sparse, as attribution is.
    weights = rng.random(shape, np.float32) * (rng.random(shape) < 0.05)
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder, "weights.npy"))
        np.save(path, weights.astype(np.float32))
        result = run_apart("benchmarks.colour", ["--work", path])
        original = (
            run_apart("benchmarks.original", ["colours", path])
            if LUCID_0310.exists()
            else {}
        )
    steps = [step for step in result if step != "peak_mb"]
    rows = []
    for step in [*steps, "all"]:
        totals = [
            sum(source[s]["cpu_seconds"] for s in (steps if step == "all" else [step]))
            if source
            else float("nan")
            for source in (original, result)
        ]
        rows.append([step, *totals, totals[0] / totals[1]])
    print_table(["CPU seconds", "Lucid 0.3.10", "lucid_rl", "times faster"], rows)
    print(f"peak MB: {original.get('peak_mb')}, {result['peak_mb']}")
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

"""Feature visualization against Lucid's `render_vis`, in one run.

    python -m benchmarks.feature_visualization
    python -m benchmarks.feature_visualization --steps=64 --repeats=1

The same settings for both: directions of layer 2b at its centre, in one batch,
Fourier and decorrelated colours, a jitter of 2. The two take turns, each in a process
of its own; the table shows medians. On a machine with other work, the processor's
seconds say more than those of the clock.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import statistics
from typing import Any

import numpy as np

from benchmarks.measuring import RESULTS, peak_mb, timed

LAYER = "2b"


def _ours(model: Any, vectors: np.ndarray, steps: int) -> None:
    from lucid_rl.interpret.visualization.objectives import directions
    from lucid_rl.interpret.visualization.visualize import (
        VisualizationSettings,
        visualize,
    )

    visualize(model, directions(LAYER, vectors), VisualizationSettings(steps=steps))


def _lucids(model: Any, vectors: np.ndarray, steps: int) -> None:
    from lucid_rl.model import lucid_bridge as bridge
    from lucid_rl.model.lucid_network import lucid_model

    objectives = bridge.objectives
    node = model.node_name(LAYER)
    bridge.render.render_vis(
        lucid_model(model),
        sum(
            objectives.direction_neuron(node, vector, batch=i)
            for i, vector in enumerate(vectors)
        ),
        lambda: bridge.param.image(64, batch=len(vectors)),
        transforms=[bridge.transform.jitter(2)],
        thresholds=(steps - 1,),  # it makes one step more
        verbose=False,
    )


_FUNCTIONS = {"lucid_rl": _ours, "lucid render_vis": _lucids}


def _measure(name: str, n_images: int, steps: int, queue: Any) -> None:
    from lucid_rl.checkpoints.checkpoint import bundled_checkpoint_path
    from lucid_rl.model.graph_model import GraphModel

    model = GraphModel.from_checkpoint(bundled_checkpoint_path())
    n_channels = model.layer_shape(LAYER)[-1]
    rng = np.random.default_rng(0)
    vectors = rng.random((n_images, n_channels), np.float32)
    _FUNCTIONS[name](model, vectors, 2)  # imports and first calls
    _, times = timed(lambda: _FUNCTIONS[name](model, vectors, steps))
    queue.put({**times, "peak_mb": peak_mb()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--steps", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", default=RESULTS / "feature_visualization.json")
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in _FUNCTIONS}
    for _ in range(args.repeats):
        for name in _FUNCTIONS:
            queue = context.Queue()
            process = context.Process(
                target=_measure, args=(name, args.images, args.steps, queue)
            )
            process.start()
            found[name].append(queue.get())
            process.join()
    rows = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for name, runs in found.items()
    }
    ours, lucids = rows.values()
    ratios = {key: lucids[key] / ours[key] for key in ("seconds", "cpu_seconds")}
    print(f"{args.images} directions of {LAYER}, {args.steps} steps, 64x64")
    print(f"{'':18} {'seconds':>9} {'CPU seconds':>13} {'peak MB':>9}")
    for name, row in rows.items():
        print(f"{name:18} {row['seconds']:9.1f} ", end="")
        print(f"{row['cpu_seconds']:13.1f} {row['peak_mb']:9.0f}")
    print(f"{'ratio':18} {ratios['seconds']:9.2f} {ratios['cpu_seconds']:13.2f}")
    path = pathlib.Path(args.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    command = f"--images={args.images} --steps={args.steps} --repeats={args.repeats}"
    result = {
        "command": f"python -m benchmarks.feature_visualization {command}",
        "processors": os.cpu_count(),
        "load_average": os.getloadavg()[1],
        "ratios": ratios,
        "runs": found,
    }
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

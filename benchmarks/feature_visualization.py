"""Feature visualization against Lucid's `render_vis`, in one run.

    python -m benchmarks.feature_visualization
    python -m benchmarks.feature_visualization --steps=512 --repeats=1 --full_steps=0

The same settings for both: 16 directions of layer 2b of the bundled model in one batch,
64x64, Fourier and decorrelated colours, a jitter of 2; at the layer's centre, as in the
article, and for the mean over positions. The two take turns, each in a process of its
own, and the least times count; pairs of `--full_steps` follow, once. Prints a table
of processor seconds (and of wall-clock ones) and writes
benchmarks/results/feature_visualization.json.
"""

import argparse
from typing import Any

import numpy as np

from benchmarks.measuring import (
    Worker,
    fastest,
    peak_mb,
    print_table,
    serve,
    timed,
    write_result,
)
from lucid_rl.checkpoints.checkpoint import bundled_checkpoint_path
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model

MODULE = "benchmarks.feature_visualization"
PROGRAMS = ("lucid", "lucid_rl")
PLACES = ("centre", "all")
LAYER = "2b"


def ours(model: Model, vectors: np.ndarray, place: Any, steps: int) -> None:
    from lucid_rl.interpret.visualization.objectives import directions
    from lucid_rl.interpret.visualization.visualize import (
        VisualizationSettings,
        visualize,
    )

    settings = VisualizationSettings(steps=steps)
    visualize(model, directions(LAYER, vectors, place), settings)


def lucids(model: Model, vectors: np.ndarray, place: Any, steps: int) -> None:
    from lucid_rl.model import lucid_bridge as bridge
    from lucid_rl.model.lucid_network import lucid_model

    objectives = bridge.objectives
    node = model.node_name(LAYER)
    direction = {"centre": objectives.direction_neuron, "all": objectives.direction}
    bridge.render.render_vis(
        lucid_model(model),
        sum(
            direction[place](node, vector, batch=i) for i, vector in enumerate(vectors)
        ),
        lambda: bridge.param.image(64, batch=len(vectors)),
        transforms=[bridge.transform.jitter(2)],
        thresholds=(steps - 1,),  # it makes one step more
        verbose=False,
    )


def work(program: str, n_images: int) -> None:
    """One side: answers requests {place, steps} with its times and peak memory."""
    model = load(bundled_checkpoint_path())
    n_channels = model.layer_shape(LAYER)[-1]
    vectors = np.random.default_rng(0).random((n_images, n_channels), np.float32)
    function = {"lucid_rl": ours, "lucid": lucids}[program]
    function(model, vectors[:1], "centre", 2)  # imports

    def answer(place: str, steps: int) -> dict[str, Any]:
        _, times = timed(lambda: function(model, vectors, place, steps))
        return {"times": times, "peak_mb": peak_mb()}

    serve(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--steps", type=int, default=96, help="of the repeated pairs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--full_steps", type=int, default=512, help="of a pair more each; 0 for none"
    )
    parser.add_argument("--work", choices=PROGRAMS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        work(chosen.work, chosen.images)
        return
    workers = [
        (name, Worker(MODULE, [f"--work={name}", f"--images={chosen.images}"]))
        for name in PROGRAMS
    ]
    schedule = [(place, chosen.steps, chosen.repeats) for place in PLACES]
    if chosen.full_steps:
        schedule += [(place, chosen.full_steps, 1) for place in PLACES]
    results: dict[str, Any] = {}
    rows = []
    for place, steps, repeats in schedule:
        answers = [
            {name: worker.ask(place=place, steps=steps) for name, worker in workers}
            for _ in range(repeats)
        ]
        times = [{name: found[name]["times"] for name in PROGRAMS} for found in answers]
        best = fastest(times)
        peaks = {name: answers[-1][name]["peak_mb"] for name in PROGRAMS}
        theirs, mine = best["lucid"], best["lucid_rl"]
        faster = {unit: theirs[unit] / mine[unit] for unit in mine}
        case = f"{place}, {steps} steps"
        results[case] = {
            "repeats": repeats,
            **best,
            "peak_mb": peaks,
            "times_faster": faster,
        }
        rows.append([case, theirs["cpu_seconds"], mine["cpu_seconds"]])
        rows[-1] += [faster["cpu_seconds"], faster["seconds"], *peaks.values()]
    for _, worker in workers:
        worker.close()
    header = ["CPU seconds", "Lucid", "lucid_rl", "times faster", "by the clock"]
    print_table([*header, "Lucid, peak MB", "lucid_rl"], rows)
    write_result("feature_visualization", {"images": chosen.images, "cases": results})


if __name__ == "__main__":
    main()

"""Attribution against Lucid 0.3.10's rl_util: time, and fraction of the peak.

    python -m benchmarks.attribution --observations=64

Both work on the bundled model, on observations that it plays, on the same TensorFlow,
each in a process of its own. They take turns, and the least of several times counts,
because what else the machine does would otherwise decide. Lucid's is the article's
right Riemann sum of 10 steps; ours are

* equal steps: the same rule, by this package;
* equal accuracy: the fewest steps of the default rule whose attributions are at least
  as close to the integral as Lucid's (the reference has many steps, of the layer's own
  gradients), in float32 and with convolutions in bfloat16.

Writes benchmarks/results/attribution.json, of which `benchmarks.tables` makes tables.
"""

import argparse
import functools
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.attribution_error import distance, integral
from benchmarks.measuring import (
    Worker,
    sampled_observations,
    serve,
    timed,
    write_result,
)
from lucid_rl import bundled_checkpoint_path
from lucid_rl.interpret.attribution import (
    AttributionSettings,
    attribute,
    logit,
    value,
)
from lucid_rl.model.affine_prefix import multiplications
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model

ARTICLE = AttributionSettings(method="integrated_gradients", n_steps=10)
_CHUNK = 64  # observations whose attributions are in memory at once
UNITS = ("seconds", "cpu_seconds")
VARIANTS = ("equal steps", "equal accuracy", "with bfloat16")


def errors(
    observations: np.ndarray, layers: list[str], reference_steps: int
) -> dict[str, dict[str, Any]]:
    """Error of the article's rule and the steps of ours that are no worse."""
    model, rounded = (
        load(bundled_checkpoint_path(), bfloat16=bfloat16) for bfloat16 in (False, True)
    )

    def error(model: Model, settings: AttributionSettings) -> float:
        found = attribute(model, observations, layer, settings=settings)
        return distance(found.values, reference)

    results: dict[str, dict[str, Any]] = {}
    for layer in layers:
        reference = integral(model, observations, layer, reference_steps)
        article = error(model, ARTICLE)
        results[layer] = {"article": article}
        for name, own in (("float32", model), ("bfloat16", rounded)):
            for n_steps in range(1, 11):
                own_error = error(own, AttributionSettings(n_steps=n_steps))
                if own_error <= article:
                    break
            results[layer][name] = {"n_steps": n_steps, "error": own_error}
        exact = attribute(model, observations, layer, settings=ARTICLE).values
        same = attribute(rounded, observations, layer, settings=ARTICLE).values
        results[layer]["of_bfloat16_alone"] = distance(same, exact)
    return results


def multiplications_of_article(model: Model, layer: str) -> int:
    """Of convolutions and matrix products, for one observation."""
    function = model.layer_function(layer, [value().tensor])
    before = multiplications(model.index, model.graph, (), (function.layer,))
    # Forward to the layer, along the ray, and once more for F(a).
    along = function.line_gradients.multiplications(ARTICLE.n_steps)
    return before + along + function.multiplications // 2


def ours(model_path: str, observations: np.ndarray) -> None:
    """Answers requests for attributions, and for `peak`."""
    models = {
        bfloat16: load(model_path, bfloat16=bfloat16) for bfloat16 in (False, True)
    }

    def answer(
        layers: list[str],
        n: int,
        settings: dict[str, dict[str, Any]],
        logits: int = 0,
        bfloat16: bool = False,
    ) -> dict[str, Any]:
        outputs = [value(), *map(logit, range(logits))]

        def run() -> None:
            for layer in layers:
                for start in range(0, n, _CHUNK):
                    rows = observations[start : min(n, start + _CHUNK)]
                    attribute(
                        models[bfloat16],
                        rows,
                        layer,
                        outputs if logits else None,
                        settings=AttributionSettings(**settings[layer]),
                    )

        return timed(run)[1]

    answers: dict[str, Callable[..., dict[str, Any]]]
    answers = {"attribute": answer, "peak": peak}
    serve(lambda task="attribute", **request: answers[task](**request))


def peak() -> dict[str, float]:
    """Least times of a convolution of 2 * 10^9 multiply-adds."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.Variable(tf.random.normal((76, 32, 32, 32)))
        kernel = tf.Variable(tf.random.normal((5, 5, 32, 32)))
        convolution = tf.nn.conv2d(images, kernel, 1, "SAME").op
        session.run(tf.global_variables_initializer())
        return least([timed(lambda: session.run(convolution))[1] for _ in range(4)])


def least(times: list[dict[str, Any]]) -> dict[str, float]:
    """The least of wall-clock and of processor seconds."""
    return {unit: min(t[unit] for t in times) for unit in UNITS}


class Contest:
    """Two workers that take turns at the same tasks."""

    def __init__(self, files: list[str], repeats: int):
        self._repeats = repeats
        self.ours = Worker("benchmarks.attribution", ["--worker", *files])
        self.original = Worker("benchmarks.original", ["attributions", *files])

    def time(
        self, original: dict[str, Any], ours: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        """Least times of the original's task and of each of ours, by name."""
        times: dict[str, list] = {"original": [], **{name: [] for name in ours}}
        # What is built once; the original builds at every call.
        for task in ours.values():
            self.ours.ask(**{**task, "n": 1})
        for _ in range(self._repeats):
            times["original"].append(self.original.ask(**original))
            for name, task in ours.items():
                times[name].append(self.ours.ask(**task))
        return with_ratios({name: least(runs) for name, runs in times.items()})

    def close(self) -> None:
        """Ends both."""
        self.ours.close()
        self.original.close()


def variants(found_errors: dict, layers: list[str], n: int) -> dict[str, Any]:
    """Our tasks beside the original's."""
    article = {"method": ARTICLE.method, "n_steps": ARTICLE.n_steps}
    steps = {
        precision: {
            k: {"n_steps": found_errors[k][precision]["n_steps"]} for k in layers
        }
        for precision in ("float32", "bfloat16")
    }
    task = {"layers": layers, "n": n}
    return {
        "equal steps": {**task, "settings": dict.fromkeys(layers, article)},
        "equal accuracy": {**task, "settings": steps["float32"]},
        "with bfloat16": {**task, "settings": steps["bfloat16"], "bfloat16": True},
    }


def speed(
    model: Model,
    files: list[str],
    n: int,
    repeats: int,
    found_errors: dict[str, Any],
) -> dict[str, Any]:
    """Times for each layer, for all, and for several outputs at once."""
    layers = list(found_errors)
    contest = Contest(files, repeats)
    results: dict[str, Any] = {}
    try:
        for layer in layers:
            tasks = variants(found_errors, [layer], n)
            peaks = [contest.ours.ask(task="peak")]
            found = contest.time({"nodes": [model.node_name(layer)], "n": n}, tasks)
            peaks.append(contest.ours.ask(task="peak"))
            found["peak"] = least(peaks)
            billions = multiplications_of_article(model, layer) * n / 2e9
            found["equal steps"]["share_of_peak"] = {
                unit: billions * found["peak"][unit] / found["equal steps"][unit]
                for unit in UNITS
            }
            results[layer] = found
        results["all"] = totals([results[layer] for layer in layers])
        tasks = variants(found_errors, ["2b"], _CHUNK)
        tasks = {name: {**task, "logits": 4} for name, task in tasks.items()}
        original = {"nodes": [model.node_name("2b")], "n": _CHUNK, "logits": 4}
        results["2b, 5 outputs"] = contest.time(original, tasks)
    finally:
        contest.close()
    return results


def totals(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums over layers of their times, and the ratios of these."""
    found: dict[str, Any] = {
        name: {unit: sum(r[name][unit] for r in results) for unit in UNITS}
        for name in results[0]
        if name != "peak"
    }
    return with_ratios(found)


def with_ratios(found: dict[str, Any]) -> dict[str, Any]:
    """Adds how many times faster than the original each of ours is."""
    for name in VARIANTS:
        found[name]["times_faster"] = {
            unit: found["original"][unit] / found[name][unit] for unit in UNITS
        }
    return found


def several_outputs(
    model: Model, observations: np.ndarray, layer: str, repeats: int
) -> list[dict[str, float]]:
    """Milliseconds an observation for one logit, and for each further one.

    Outputs share the passes forward and take turns backward. Were it faster to send
    them backward in one batch, larger batches of observations would be, too.
    """
    logits = [logit(i) for i in range(model.n_actions)]
    rows = []
    for n in (1, 4, 16, 64):
        one, all_of_them = (
            least([timed(call)[1] for call in [call] * (repeats * 16 // n + 2)])
            for call in (
                functools.partial(attribute, model, observations[:n], layer, outputs)
                for outputs in (logits[:1], logits)
            )
        )
        row: dict[str, float] = {"observations": n}
        for unit in UNITS:
            further = (all_of_them[unit] - one[unit]) / (len(logits) - 1)
            row[f"one_{unit}"] = one[unit] / n
            row[f"further_{unit}"] = further / n
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--observations", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--layers", default="1a,2a,2b,3a,4a")
    parser.add_argument("--reference_observations", type=int, default=8)
    parser.add_argument("--reference_steps", type=int, default=512)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        ours(chosen.worker[0], np.load(chosen.worker[1]))
        return
    observations = sampled_observations(chosen.observations)
    model = load(bundled_checkpoint_path())
    found_errors = errors(
        observations[:: -(-len(observations) // chosen.reference_observations)],
        chosen.layers.split(","),
        chosen.reference_steps,
    )
    with tempfile.TemporaryDirectory() as folder:
        files = [str(pathlib.Path(folder, name)) for name in ("model.pb", "seen.npy")]
        model.save(files[0])
        np.save(files[1], observations)
        result = {
            **{k: v for k, v in vars(chosen).items() if k != "worker"},
            "errors": found_errors,
            "speed": speed(
                model, files, chosen.observations, chosen.repeats, found_errors
            ),
            "several_outputs": several_outputs(
                model, observations, "2b", chosen.repeats
            ),
        }
    print(write_result("attribution", result))


if __name__ == "__main__":
    main()

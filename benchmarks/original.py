"""One task done by `lucid.scratch.rl_util` of Lucid 0.3.10, in a process of its own.

    python -m benchmarks.original features <model.pb> <observations.npy> <layer>
    python -m benchmarks.original attributions <model.pb> <observations.npy>
    python -m benchmarks.original colours <weights.npy>

Prints JSON: the seconds of each step and the peak of memory; "attributions" answers
the requests of a `measuring.Worker`. Lucid 0.3.10 is looked for in
.venv/lucid-0.3.10 (`make bench` puts it there) or in the folder that LUCID_0310 names.
"""

import json
import sys
from typing import Any

import numpy as np

from benchmarks.measuring import LUCID_0310, fastest, peak_mb, serve, timed

_VALUE = "ppo2_model/strided_slice"
_LOGITS = "ppo2_model/pi_1/add"
_COMBINATIONS = [(s, e) for s in (0.25, 0.5, 1, 2) for e in (1, 2, 4, 8)]


def rl_util() -> Any:
    """Lucid's rl_util on current TensorFlow."""
    sys.path.insert(0, str(LUCID_0310))
    from lucid_rl.model import lucid_bridge

    return lucid_bridge.rl_util


def features(model_path: str, observations: np.ndarray, layer: str) -> dict:
    """Attributions, fit and reduced activations of a layer; then visualisations."""
    original = rl_util()
    from lucid_rl.model import lucid_bridge

    # scikit-learn of the article's age began from nndsvd.
    old = {"init": "nndsvd", "random_state": 0}
    reducer = original.ChannelReducer
    initialise = reducer.__init__

    def initialise_as_then(self, n_components):
        initialise(self, n_components, **old)

    reducer.__init__ = initialise_as_then
    model = lucid_bridge.load_model(model_path)
    floats = observations / np.float32(255)
    nmf, fit = timed(
        lambda: original.LayerNMF(
            model, layer, floats, features=8, attr_layer_name=_VALUE
        )
    )
    fit_mb = peak_mb()
    _, vis = timed(
        lambda: [
            nmf.vis_dataset(0, subdiv_mult=s, expand_mult=e) for s, e in _COMBINATIONS
        ]
    )
    return {
        "fit": {**fit, "peak_mb": fit_mb},
        "visualise": {**vis, "peak_mb": peak_mb()},
        "iterations": nmf.reducer._reducer.n_iter_,
        "directions": nmf.channel_dirs.tolist(),
    }


def attributions(model_path: str, observations: np.ndarray) -> None:
    """Answers requests for attributions to a layer with the article's rule."""
    original = rl_util()
    from lucid_rl.model import lucid_bridge

    model = lucid_bridge.load_model(model_path)
    floats = observations / np.float32(255)

    def answer(nodes: list[str], n: int, logits: int = 0) -> dict[str, Any]:
        def run() -> None:
            for node in nodes:
                original.get_attr(model, _VALUE, node, floats[:n], integrate_steps=10)
                for i in range(logits):
                    original.get_attr(
                        model,
                        _LOGITS,
                        node,
                        floats[:n],
                        integrate_steps=10,
                        score_fn=lambda t, i=i: t[..., i],
                    )

        return {**timed(run)[1], "peak_mb": peak_mb()}

    serve(answer)


def colours(weights: np.ndarray) -> dict:
    """Colouring, smoothing and opacity of weights [N, H, W, K]."""
    original = rl_util()
    kernel = original.norm_filter(15)

    def run() -> dict:
        rgb, colouring = timed(lambda: original.channels_to_rgb(weights))
        smoothed, smoothing = timed(lambda: original.conv2d(rgb, kernel))
        _, opacity = timed(lambda: original.brightness_to_opacity(smoothed))
        return {"colour": colouring, "smooth": smoothing, "opacity": opacity}

    return fastest([run() for _ in range(3)])


def main(task: str, *arguments: str) -> None:
    if task == "attributions":
        model_path, observations = arguments
        attributions(model_path, np.load(observations))
        return
    if task == "features":
        model_path, observations, layer = arguments
        result = features(model_path, np.load(observations), layer)
    else:
        result = colours(np.load(arguments[0]))
    print(json.dumps({**result, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main(*sys.argv[1:])

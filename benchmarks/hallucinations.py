"""Hallucinated coins and buzzsaws in a model's play, for docs/moments.md.

    python -m benchmarks.hallucinations --model=released:procgen/coinrun

Writes benchmarks/results/hallucinations.json: the criteria, the detectors and what was
found, strongest first. With --picture, draws the three strongest of each object, with
circles around the places.
"""

import argparse
import dataclasses
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

import lucid_rl as lr
from benchmarks.measuring import write_result
from lucid_rl.editing.feature_naming import (
    measure_features,
    sample_labelled_observations,
)
from lucid_rl.evaluation.hallucinations import (
    Hallucination,
    HallucinationSettings,
    find_hallucinations,
)
from lucid_rl.sampling.observations import Observations

_OBJECTS = ("coin", "buzzsaw")
_LAYER = "2b"
_SPACING: dict[str, Any] = {"n_envs": 128, "interval": 4}  # as the page's
_N_SHOWN = 3
_FRAME, _GAP = 192, 4  # pixels of the figure
_RADIUS = 18


def draw(rows: list[list[Hallucination]], sampled: Observations, path: str) -> None:
    """Draws a row of observations for each object."""
    side = _FRAME + _GAP
    sheet = Image.new("RGB", (_N_SHOWN * side, len(rows) * side), "white")
    for y, row in enumerate(rows):
        for x, one in enumerate(row[:_N_SHOWN]):
            picture = Image.fromarray(sampled.observations[one.observation])
            picture = picture.resize((_FRAME, _FRAME), Image.Resampling.NEAREST)
            centre = one.column * _FRAME, one.row * _FRAME
            ImageDraw.Draw(picture).circle(centre, _RADIUS, outline="white", width=2)
            sheet.paste(picture, (x * side, y * side))
    sheet.save(path)


def main() -> None:
    """Searches, reports and draws."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--observations", type=int, default=3072)
    parser.add_argument("--usual", type=int, default=1024)
    parser.add_argument("--picture")
    arguments = parser.parse_args()
    model = lr.load(arguments.model)
    usual = sample_labelled_observations(model, arguments.usual, seed=0, **_SPACING)
    attribution = lr.attribute(model, usual.observations[:256], _LAYER, n_steps=4)
    nmf = lr.NMF(n_features=8).fit(attribution)
    measured = measure_features(model, nmf, usual)
    precisions = {
        name: [measured.average_precision(k, name) for k in range(8)]
        for name in _OBJECTS
    }
    detectors = {int(np.argmax(p)): name for name, p in precisions.items()}
    n = arguments.observations
    sampled = sample_labelled_observations(model, n, seed=1, **_SPACING)
    settings = HallucinationSettings()
    found = find_hallucinations(model, sampled, nmf, detectors, measured, settings)
    rows = [[one for one in found if one.object_class == name] for name in _OBJECTS]
    for row in rows:
        print(*row[:_N_SHOWN], sep="\n")
    if arguments.picture:
        draw(rows, sampled, arguments.picture)
    assert sampled.level_seeds is not None
    result = {
        "model": arguments.model,
        "observations": len(sampled),
        "settings": dataclasses.asdict(settings),
        "detectors": {
            name: {"feature": k, "average_precision": precisions[name][k]}
            for k, name in detectors.items()
        },
        "found": [
            {
                "level_seed": int(sampled.level_seeds[one.observation]),
                "value": float(
                    model(sampled.observations[[one.observation]])[1].item()
                ),
                **dataclasses.asdict(one),
            }
            for one in found
        ],
    }
    print(write_result("hallucinations", result))


if __name__ == "__main__":
    main()

"""Blindness against side effects of edits, by layer, what is removed, and strength.

    python -m benchmarks.edit_trade_off --model=released:procgen/coinrun

Both are predicted from pairs of observations with and without the object, before any
level is played: how much of the object's effect on the policy an edit removes, and how
far it moves the policy where only another object is shown. Writes
benchmarks/results/edit_trade_off.json with all edits, and edit_trade_off.md with those
that no other edit of their layer beats in both.
"""

import argparse
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

import lucid_rl as lr
from benchmarks.measuring import write_result
from lucid_rl.editing.feature_naming import measure_features
from lucid_rl.editing.object_directions import predict_effects, rank_directions
from lucid_rl.editing.paired_observations import ObservationPairs, draw_pairs
from lucid_rl.games.registry import game_settings
from lucid_rl.interpret.features import fit_features
from lucid_rl.reports import markdown_table
from lucid_rl.sampling.observations import Observations

NAME = "edit_trade_off"
OBJECTS = ("buzzsaw", "enemy_left")
LAYERS = ("2b", "3a", "4a")
RIDGES = (0.1, 1.0)
STRENGTHS = (0.5, 1.0)
N_DIRECTIONS = 4
N_FEATURES = 3


def trade_off(
    model: lr.Model, sampled: Observations, pairs: ObservationPairs, layer: str
) -> Iterator[dict[str, Any]]:
    """Predicted effects of edits at a layer."""
    nmf = fit_features(model, sampled.observations, layer)
    measured = measure_features(model, nmf, sampled)
    for name in OBJECTS:
        precisions = [
            measured.average_precision(feature, name)
            for feature in range(nmf.n_features)
        ]
        ranked = {"features": nmf.directions[np.argsort(precisions)[::-1]]}
        for ridge in RIDGES:
            found = rank_directions(model, pairs, name, layer, ridge)
            ranked[f"directions, ridge {ridge:g}"] = found[:N_DIRECTIONS]
        edits = [
            (kind, n, directions[:n])
            for kind, directions in ranked.items()
            for n in range(1, (N_FEATURES if kind == "features" else N_DIRECTIONS) + 1)
        ]
        for strength in STRENGTHS:
            effects = predict_effects(
                model, [edit[-1] for edit in edits], layer, pairs, name, strength
            )
            for (kind, n, _), effect in zip(edits, effects, strict=True):
                elsewhere = {k: round(v, 4) for k, v in effect.by_object.items()}
                yield {
                    "object": name,
                    "layer": layer,
                    "removed": kind,
                    "number": n,
                    "strength": strength,
                    "blindness": round(effect.blindness, 3),
                    "elsewhere": elsewhere,
                    "worst": max(elsewhere.values()),
                }


def best(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that none beats in blindness and in the worst side effect."""
    front: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: (row["worst"], -row["blindness"])):
        if row["blindness"] > max([0, *(one["blindness"] for one in front)]):
            front.append(row)
    return front


def report(result: dict[str, Any]) -> str:
    """Markdown: a table for each object."""
    parts = [f"`{result['command']}`"]
    for name in OBJECTS:
        fronts = [
            row
            for layer in LAYERS
            for row in best(
                [
                    row
                    for row in result["rows"]
                    if (row["object"], row["layer"]) == (name, layer)
                ]
            )
        ]
        others = list(fronts[0]["elsewhere"])
        cells = (
            (
                *(row["layer"], row["removed"], row["number"], row["strength"]),
                f"{row['blindness']:.0%}",
                *(f"{row['elsewhere'][other]:.3f}" for other in others),
            )
            for row in fronts
        )
        header = ("layer", "removed", "number", "strength", "blindness", *others)
        parts.append(f"## {name}\n\n{markdown_table(header, cells)}")
    parts.append(
        "Blindness: fraction of the object's effect on the policy that is gone. The "
        "other columns: mean KL divergence (nats) from the unedited policy where that "
        "object is shown and the removed one is not."
    )
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Predicts and reports."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--n_observations", type=int, default=512)
    options = parser.parse_args()
    model = lr.load(options.model)
    game = game_settings(model.args, model.n_actions, model.image_shape)
    sampled = lr.sample_observations(
        model, options.n_observations, game=game, states=True
    )
    pairs = draw_pairs(sampled, game)
    shown = {name: int(visible.sum()) for name, visible in pairs.visible.items()}
    rows = [row for layer in LAYERS for row in trade_off(model, sampled, pairs, layer)]
    result = {
        **vars(options),
        "sha256": model.digest,
        "observations_with": shown,
        "rows": rows,
    }
    path = write_result(NAME, result)
    text = report(json.loads(path.read_text()))
    path.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()

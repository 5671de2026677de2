"""The bundle's first part: what there is, the timelines, and the moments in them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.interface import timeline
from lucid_rl.interface.names import Names
from lucid_rl.interface.parts import Part
from lucid_rl.interface.samples import Samples
from lucid_rl.interface.settings import INPUT_LAYER
from lucid_rl.sampling.trajectories import Trajectories
from lucid_rl.version import __version__

_COLOURS = ("red", "green", "blue")


@dataclasses.dataclass(frozen=True)
class LayerResults:
    """What was computed of one layer.

    Attributes:
        layer: its short name.
        shape: (H, W, C).
        part: attributions of the value function, and the legend.
        policy_part: attributions of actions, if they were asked for.
        without_part: the outputs without each feature (`without.without_part`).
        directions: of its features, f32 [K, C]; None where it has none.
    """

    layer: str
    shape: tuple[int, ...]
    part: Part
    policy_part: Part | None
    without_part: Part | None = None
    directions: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class ModelResults:
    """What was computed of one model.

    Attributes:
        key: its id in the bundle.
        name: for display.
        gamma: discount of a step.
        lam: discount of a step's own error.
        reward_scale: factor of rewards, in the value function's units.
        values: f32 [n, T], at every frame of the trajectories.
        logits: f32 [n, T, A].
        last_values: f32 [n], after the last action; None if unknown.
        layers: in the page's order.
        network_part: the model itself (`network.network_part`), if the page has it.
    """

    key: str
    name: str
    gamma: float
    lam: float
    reward_scale: float
    values: np.ndarray
    logits: np.ndarray
    last_values: np.ndarray | None
    layers: tuple[LayerResults, ...]
    network_part: Part | None = None


def manifest_part(
    models: list[ModelResults],
    samples: Samples,
    names: Names,
    *,
    title: str | None,
    created_with: dict[str, Any],
    notes: tuple[str, ...],
) -> Part:
    """Writes the manifest.

    The first of the models acted. By default the title names them; `created_with`
    are settings, `notes` sentences for the page.
    """
    first = models[0]
    trajectories = samples.trajectories
    game = str(samples.environment.get("name", ""))
    clips = samples.clips
    entries = _entries(trajectories, game) if clips is None else clips.entries
    arrays: dict[str, np.ndarray] = {
        "actions": trajectories.actions.reshape(-1).astype(np.uint8),
        "rewards": trajectories.rewards.reshape(-1).astype(np.float32),
        "firsts": trajectories.firsts.reshape(-1).astype(np.uint8),
    }
    found = []
    for model in models:
        advantages = timeline.advantages_of(
            trajectories,
            model.values,
            model.last_values,
            model.gamma,
            model.lam,
            model.reward_scale,
        )
        arrays[f"{model.key}/values"] = model.values.reshape(-1)
        arrays[f"{model.key}/advantages"] = advantages.reshape(-1)
        arrays[f"{model.key}/logits"] = model.logits.reshape(-1, model.logits.shape[-1])
        if clips is not None:
            found = clips.moments
        elif model is first:
            listed = [entry["episodes"] for entry in entries]
            found = timeline.moments(trajectories, model.values, advantages, listed)
    returns = []
    if clips is None:
        listed = [entry["episodes"] for entry in entries]
        returns = timeline.returns_note(listed, trajectories.rewards)
    keys = timeline.action_keys(samples.action_combos, first.logits.shape[-1])
    frames = samples.frames
    meta = {
        "title": title or " and ".join(model.name for model in models),
        "package_version": __version__,
        "created_with": created_with,
        "environment": samples.environment,
        "observation_shape": list(trajectories.observations.shape[2:]),
        "action_combos": keys,
        "idle_actions": timeline.idle_actions(keys, game),
        "action_names": [timeline.action_name(combo) for combo in keys],
        "gamma": first.gamma,
        "lambda": first.lam,
        "trajectories": entries,
        "moments": found,
        "models": [_model_entry(model, names) for model in models],
        "default_layer": default_layer([entry.layer for entry in first.layers]),
        "full_resolution": None if frames is None else frames.entries[0]["shape"][1],
        "notes": [*samples.notes, *returns, *notes],
    }
    return Part.encode("manifest", meta, arrays)


def default_layer(layers: Sequence[str]) -> str:
    """The layer that a page shows first: the middle one of the hidden layers shown."""
    shown = [layer for layer in layers if layer != INPUT_LAYER] or list(layers)
    return shown[len(shown) // 2]


def _entries(trajectories: Trajectories, game: str) -> list[dict[str, Any]]:
    listed = [
        timeline.episodes(trajectories, i, game) for i in range(len(trajectories))
    ]
    return [
        {
            "length": trajectories.actions.shape[1],
            "episodes": episodes,
            "title": timeline.trajectory_title(i, episodes, trajectories.rewards[i]),
        }
        for i, episodes in enumerate(listed)
    ]


def _is_gradient(entry: LayerResults) -> bool:
    return entry.part.meta["kind"] == "gradient"


def _model_entry(model: ModelResults, names: Names) -> dict[str, Any]:
    return {
        "id": model.key,
        "name": model.name,
        "network_part": model.network_part.name if model.network_part else None,
        "layers": [_layer_entry(entry, names) for entry in model.layers],
    }


def _layer_entry(entry: LayerResults, names: Names) -> dict[str, Any]:
    shares = entry.part.meta["shares"]
    if _is_gradient(entry):
        n_features = len(shares)
        given = dict(enumerate(_COLOURS)) if n_features == len(_COLOURS) else {}
    else:
        n_features = len(shares) - 1  # the last is the residual's
        given = names.get(entry.layer, {})
    return {
        "id": entry.layer,
        "shape": list(entry.shape),
        "part": entry.part.name,
        "policy_part": entry.policy_part.name if entry.policy_part else None,
        "without_part": entry.without_part.name if entry.without_part else None,
        "kind": entry.part.meta["kind"],
        "n_features": n_features,
        "features": [
            {"name": given.get(k), "share": shares[k], **_objects_of(entry, k)}
            for k in range(n_features)
        ],
        "residual_share": None if _is_gradient(entry) else shares[-1],
    }


def _objects_of(entry: LayerResults, feature: int) -> dict[str, Any]:
    listed = entry.part.meta.get("objects", [])
    return {"objects": listed[feature]} if feature < len(listed) else {}

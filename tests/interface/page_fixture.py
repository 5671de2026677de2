"""A synthetic bundle with everything a bundle can hold, and its numbers.

Two models, three trajectories, an input layer with gradients, two hidden layers
(the deeper one with attribution of every action), full-size frames, and names.
"""

import dataclasses
import itertools
import pathlib

import numpy as np

from lucid_rl.interface.bundle import policy_parts
from lucid_rl.interface.page import write_page
from lucid_rl.interface.parts import Layout, Part
from lucid_rl.interface.quantization import dequantize, frame_scales, quantize

SIDE = 64
FULL_SIDE = 128
LENGTHS = (280, 80, 40)
PIECES = (200, 80, 80, 40)
"""Frames that the page decodes together; the first trajectory takes two pieces."""
N_FRAMES = sum(LENGTHS)
N_EXAMPLES = 48
STATED_ERROR = 0.0042
"""Of layer 2b; of the other it is unknown."""
MODELS = ("model", "edited")
LAYERS = {"2b": (32, 4), "4a": (8, 8)}  # height and width, features
CODE_LEVELS = {"input": 255, "2b": 255, "4a": 31}
COMBOS = [
    ["DOWN", "LEFT"],
    ["LEFT"],
    ["LEFT", "UP"],
    ["DOWN"],
    [],
    ["UP"],
    ["DOWN", "RIGHT"],
    ["RIGHT"],
    ["RIGHT", "UP"],
    ["D"],
    ["A"],
]
NAMES = ["↙", "←", "↖", "↓", "no-op", "↑", "↘", "→", "↗", "D", "A"]
IDLE = [4, 9, 10]
"""Actions without effect: no key, and keys that the game does not read."""
OBJECTS = {
    0: [
        {"object": "buzzsaw", "ratio": 41.5, "average_precision": 0.62},
        {"object": "coin", "ratio": 3.2, "average_precision": 0.09},
    ],
    3: [{"object": "coin", "ratio": 165.0, "average_precision": 0.09}],
}
"""By feature of layer 2b."""
LOGIT_SCALE = 0.001
HOSTILE_NAME = '</script><img src=x onerror="window.injected = 1">'
"""A feature's name that would run if it were taken for markup."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """What the page should know of one layer: attributions after quantization.

    Attributes:
        scale: the display scale.
        maps: float32 [maps, S, H, W].
        totals: float32 [S, maps].
    """

    scale: float
    maps: np.ndarray
    totals: np.ndarray


@dataclasses.dataclass(frozen=True)
class SyntheticBundle:
    """The numbers behind a page; layers by (model, layer), actions by layer."""

    observations: np.ndarray
    full: np.ndarray
    values: dict[str, np.ndarray]
    logits: np.ndarray
    actions: np.ndarray
    layers: dict[tuple[str, str], Layer]
    actions_4a: list[Layer]
    values_without: np.ndarray
    logits_without: np.ndarray
    parts: list[Part]


def scene(t: float, side: int, rng: np.random.Generator) -> np.ndarray:
    """A moving platform scene, uint8 [side, side, 3]."""
    y, x = np.mgrid[:side, :side] * (SIDE / side)
    sky = np.stack([30 + y * 0.8, 60 + y * 1.1, 120 + y * 0.9], -1)
    ground = (y > 44 + 4 * np.sin((x + 2 * t) / 9)) | (
        (np.floor((x + 2 * t) / 16) % 4 == 0) & (y > 36)
    )
    image = np.where(ground[..., None], [106, 84, 60], sky)
    brick = ground & (((x + 2 * t).astype(int) % 8 == 0) | (y.astype(int) % 8 == 0))
    image = np.where(brick[..., None], [74, 58, 44], image)
    coin = np.hypot((x + 2 * t) % 96 - 60, y - 28) < 4
    image = np.where(coin[..., None], [250, 208, 60], image)
    saw = np.hypot((x + 2 * t) % 140 - 90, y - 42) < 5
    image = np.where(saw[..., None], [190, 196, 204], image)
    agent = (np.abs(x - 32) < 3) & (np.abs(y - (38 - 9 * abs(np.sin(t / 7)))) < 5)
    image = np.where(agent[..., None], [90, 190, 120], image)
    return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def make_bundle(n_features_4a: int = 8, seed: int = 0) -> SyntheticBundle:
    """Makes the bundle's numbers and parts from a seed."""
    rng = np.random.default_rng(seed)
    observations = np.stack([scene(t, SIDE, rng) for t in range(N_FRAMES)])
    in_full = range(LENGTHS[0], LENGTHS[0] + LENGTHS[1])  # the second trajectory
    full = np.stack([scene(t, FULL_SIDE, rng) for t in in_full])
    values = {m: _walk(rng, N_FRAMES, 0.85, 0.06, low=0.2, high=0.99) for m in MODELS}
    advantages = {
        m: _walk(rng, N_FRAMES, 0.0, 0.05, low=-0.6, high=0.6) for m in MODELS
    }
    logits = np.stack([_walk(rng, N_FRAMES, 0, 0.4, low=-3, high=3) for _ in COMBOS], 1)
    actions = logits.argmax(1).astype(np.uint8)
    firsts = np.zeros(N_FRAMES, np.uint8)
    trajectories, offset = [], 0
    for number, length in enumerate(LENGTHS):
        cuts = [0, *(c for c in (87, 171) if c < length - 5), None]
        episodes = [
            {
                "start": start,
                "end": end,
                "level_seed": 1000 * number + i,
                "success": None if end is None else i % 2 == 0,
            }
            for i, (start, end) in enumerate(itertools.pairwise(cuts))
        ]
        firsts[[offset + e["start"] for e in episodes]] = 1
        trajectories.append(
            {
                "length": length,
                "title": f"Trajectory {number + 1}",
                "episodes": episodes,
            }
        )
        offset += length
    rewards = np.zeros(N_FRAMES, np.float32)
    rewards[86] = 10

    layers, parts = {}, []
    listed = {m: [] for m in MODELS}
    for m in MODELS:
        layers[m, "input"], part = _gradient_part(m, rng)
        parts.append(part)
        listed[m].append(
            _layer_info(m, "input", (SIDE, SIDE, 3), "gradient", [None] * 3)
        )
        for name, (side, k) in LAYERS.items():
            layers[m, name], part = _attribution_part(m, name, side, k, rng)
            parts.append(part)
            names = ["buzzsaw", None, HOSTILE_NAME, "coin"] + [None] * (k - 4)
            info = _layer_info(m, name, (side, side, 32), "attribution", names)
            info["residual_share"] = _residual_share(layers[m, name].maps)
            listed[m].append(info)
        for feature, found in OBJECTS.items():
            listed[m][1]["features"][feature]["objects"] = found
        listed[m][-1]["policy_part"] = f"{m}/4a/policy" if m == MODELS[0] else None
    actions_4a, part = _policy_part(rng)
    parts += policy_parts(part)

    values_without, logits_without, part = _without_part(rng, values["model"], logits)
    parts.append(part)
    listed["model"][1]["without_part"] = part.name

    arrays = {"actions": actions, "rewards": rewards, "firsts": firsts}
    for m in MODELS:
        arrays |= {f"{m}/values": values[m], f"{m}/advantages": advantages[m]}
        arrays[f"{m}/logits"] = logits
    manifest = {
        "title": "Synthetic interface",
        "package_version": "0",
        "created_with": {"seed": seed},
        "environment": {
            "name": "coinrun",
            "distribution_mode": "hard",
            "paint_vel_info": True,
        },
        "observation_shape": [SIDE, SIDE, 3],
        "action_combos": COMBOS,
        "action_names": NAMES,
        "idle_actions": IDLE,
        "gamma": 0.999,
        "lambda": 0.95,
        "trajectories": trajectories,
        "moments": [
            _moment(1, 52, "advantage_low", -0.51),
            _moment(0, 49, "advantage_low", -0.32),
            _moment(0, 61, "advantage_high", 0.44),
            _moment(0, 86, "failure", 0.91),
            *(_moment(0, 9 + i, "value_fall", -0.1) for i in range(8)),
        ],
        "models": [
            {"id": m, "name": name, "layers": listed[m]}
            for m, name in zip(MODELS, ("coinrun_hard", "buzzsaw-blind"), strict=True)
        ],
        "default_layer": "2b",
        "full_resolution": FULL_SIDE,
        "notes": ["Made of random numbers."],
    }
    examples = observations[rng.choice(N_FRAMES, N_EXAMPLES, replace=False)]
    frames = Layout("webp", 0, LENGTHS)
    parts += [
        Part.encode(
            "frames", {}, {"observations": observations}, {"observations": frames}
        ),
        Part.encode(
            "examples", {}, {"observations": examples}, {"observations": Layout("png")}
        ),
        Part.encode(
            "frames_full",
            {"frames": list(in_full)},
            {"observations_full": full},
            {"observations_full": Layout("webp", 0, (50, 30))},
        ),
        Part.encode("manifest", manifest, arrays),
    ]
    return SyntheticBundle(
        *(observations, full, values, logits, actions, layers, actions_4a),
        *(values_without, logits_without, parts),
    )


def write_synthetic_page(
    bundle: SyntheticBundle, folder: pathlib.Path, **options: object
) -> pathlib.Path:
    """Writes the page; returns its path."""
    return write_page(bundle.parts, folder, **options)


def _walk(rng, n, start, step, low, high) -> np.ndarray:
    walk = start + np.cumsum(rng.normal(0, step, n))
    span = high - low
    folded = np.abs((walk - low) % (2 * span) - span)  # reflected at both ends
    return (high - folded).astype(np.float32)


def _blobs(rng, n_maps: int, side: int) -> np.ndarray:
    """Sparse moving blobs of either sign, float32 [maps, S, H, W]."""
    y, x = np.mgrid[:side, :side] / side
    t = np.arange(N_FRAMES)[:, None, None]
    maps = np.zeros((n_maps, N_FRAMES, side, side), np.float32)
    for m in range(n_maps):
        for sign in (1, -1):
            cx = (rng.random() + 0.01 * t * rng.choice([1, -1])) % 1
            cy = 0.5 + 0.4 * np.sin(t / rng.uniform(10, 40) + m)
            near = np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) * 300))
            near[near < 0.05] = 0
            strength = rng.gamma(2.0, 0.002, (N_FRAMES, 1, 1)) * (1 + (m == 0))
            maps[m] += sign * strength * near
    return maps


def _encoded(
    maps: np.ndarray, levels: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scales = frame_scales(maps)
    codes = quantize(maps, scales, levels)
    return scales, codes, dequantize(codes, scales, levels)


def _attribution_part(m, name, side, k, rng) -> tuple[Layer, Part]:
    maps = _blobs(rng, k + 1, side)
    maps[-1] *= 0.3
    scales, codes, decoded = _encoded(maps, CODE_LEVELS[name])
    totals = maps.sum((2, 3)).T.astype(np.float32)
    sums = totals.sum(1)
    completeness = np.stack([sums, sums + rng.normal(0, 1e-3, sums.shape)], 1)
    scale = float(np.median(np.abs(maps[:-1]).max((0, 2, 3))))
    grid = (k, 4, 4)
    arrays = {
        "attribution": codes,
        "frame_scale": scales,
        "totals": totals,
        "completeness": completeness.astype(np.float32),
        "thumbnail_index": rng.integers(0, N_EXAMPLES, grid).astype(np.int32),
        "thumbnail_y": rng.integers(0, side, grid).astype(np.int16),
        "thumbnail_x": rng.integers(0, side, grid).astype(np.int16),
        "thumbnail_weight": rng.integers(60, 256, grid).astype(np.uint8),
    }
    meta = {
        "model": m,
        "layer": name,
        "output": "value",
        "kind": "attribution",
        "code_levels": CODE_LEVELS[name],
        "scale": scale,
        "quadrature": {
            "rule": "gauss_legendre",
            "n_nodes": 5,
            "mean_gap": 1e-3,
            "mean_total": 0.1,
            "error": STATED_ERROR if name == "2b" else None,
        },
        "thumbnail": {"rows": 4, "columns": 4},
        "maps": [],
    }
    for multiple in (0.25, 0.5, 1, 2):
        rows = int(side * multiple)
        y, x = np.mgrid[:rows, :rows] / rows
        weight = np.clip(320 * np.exp(-4 * ((x - 0.6) ** 2 + (y - 0.5) ** 2)), 0, 255)
        index = rng.integers(0, N_EXAMPLES, (k, rows, rows)).astype(np.int32)
        index[:, 0, 0] = -1
        arrays[f"map{multiple:g}_largest"] = np.arange(1, k + 1, dtype=np.float32)
        arrays[f"map{multiple:g}_value"] = np.repeat(
            np.rint(65_535 * weight / 255)[None], k, 0
        ).astype(np.uint16)
        arrays[f"map{multiple:g}_index"] = index
        arrays[f"map{multiple:g}_weight"] = np.repeat(weight[None], k, 0).astype(
            np.uint8
        )
        meta["maps"].append({"multiple": multiple, "rows": rows, "columns": rows})
    part = Part.encode(
        f"{m}/{name}", meta, arrays, {"attribution": Layout("webp", 1, PIECES)}
    )
    return Layer(scale, decoded, totals), part


def _residual_share(maps: np.ndarray) -> float:
    absolute = np.abs(maps).sum((1, 2, 3), dtype=np.float64)
    return float(absolute[-1] / absolute.sum())


def _without_part(rng, values, logits) -> tuple[np.ndarray, np.ndarray, Part]:
    """The outputs without each feature of 2b: values [K, S], logits [K, S, A]."""
    k = LAYERS["2b"][1]
    without = values - rng.uniform(0, 0.3, (k, 1)).astype(np.float32)
    codes = np.rint(
        (logits[::-1] + rng.normal(0, 0.2, (k, *logits.shape))) / LOGIT_SCALE
    ).astype(np.int16)
    arrays = {"values": without.astype(np.float32), "logits": codes}
    part = Part.encode("model/2b/without", {"logit_scale": LOGIT_SCALE}, arrays)
    return arrays["values"], codes * LOGIT_SCALE, part


def _gradient_part(m, rng) -> tuple[Layer, Part]:
    maps = _blobs(rng, 3, SIDE)
    scales, codes, decoded = _encoded(maps, CODE_LEVELS["input"])
    totals = maps.sum((2, 3)).T.astype(np.float32)
    scale = float(np.median(np.abs(maps).max((0, 2, 3))))
    meta = {
        "model": m,
        "layer": "input",
        "output": "value",
        "kind": "gradient",
        "code_levels": CODE_LEVELS["input"],
        "scale": scale,
    }
    arrays = {"attribution": codes, "frame_scale": scales, "totals": totals}
    layouts = {"attribution": Layout("webp", 1, PIECES)}
    return Layer(scale, decoded, totals), Part.encode(
        f"{m}/input", meta, arrays, layouts
    )


def _policy_part(rng) -> tuple[list[Layer], Part]:
    side, k = LAYERS["4a"]
    maps = np.stack([_blobs(rng, k + 1, side) for _ in COMBOS])  # [A, maps, S, H, W]
    scales, codes, decoded = _encoded(maps, CODE_LEVELS["4a"])
    totals = maps.sum((3, 4)).swapaxes(1, 2).astype(np.float32)  # [A, S, maps]
    sums = totals.sum(2)
    scale = float(np.median(np.abs(maps[:, :-1]).max((0, 1, 3, 4))))
    meta = {
        "model": MODELS[0],
        "layer": "4a",
        "output": "policy",
        "kind": "attribution",
        "code_levels": CODE_LEVELS["4a"],
        "scale": scale,
    }
    arrays = {f"attribution/{a}": codes[a] for a in range(len(COMBOS))}
    layouts = {name: Layout("gzip", 1, LENGTHS) for name in arrays}
    arrays |= {
        "frame_scale": scales,
        "totals": totals,
        "completeness": np.stack([sums, sums], 2),
    }
    part = Part.encode(f"{MODELS[0]}/4a/policy", meta, arrays, layouts)
    return [Layer(scale, decoded[a], totals[a]) for a in range(len(COMBOS))], part


def _layer_info(m, name, shape, kind, names) -> dict:
    shares = 1 / (1 + np.arange(len(names)))
    return {
        "id": name,
        "shape": list(shape),
        "part": f"{m}/{name}",
        "policy_part": None,
        "kind": kind,
        "n_features": len(names),
        "features": [
            {"name": n, "share": float(s)}
            for n, s in zip(names, shares / shares.sum(), strict=True)
        ],
    }


def _moment(trajectory, frame, kind, score) -> dict:
    text = f"{kind} {score:+.2f}"
    return {
        "trajectory": trajectory,
        "frame": frame,
        "kind": kind,
        "score": score,
        "text": text,
    }

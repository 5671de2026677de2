"""How fast the page opens and plays, in headless Chromium.

    python -m benchmarks.page_speed --page=outputs/interface/index.html
    python -m benchmarks.page_speed   # a bundle of the default run's size, made up

Prints a table and writes benchmarks/results/page_speed.json; on a busy machine pages
come out slower. "usable" is the
time from opening the page to the first attribution on view; "frames/s" counts the
frames drawn while playing at `--fps` for `--seconds`.
"""

import argparse
import pathlib
import tempfile

import numpy as np
from playwright.sync_api import CDPSession, Page, sync_playwright

from benchmarks.measuring import write_result
from lucid_rl.interface.page import write_page
from lucid_rl.interface.parts import Layout, Part
from lucid_rl.interface.quantization import LEVELS

_K = 8
_SIDES = {"1a": 64, "2a": 32, "2b": 32, "3a": 16, "4a": 8}
_ACTIONS = 15
_DENSITY = 0.1  # of positions and features that hold attribution

_WATCH = """
window.usableAt = null;
const timer = setInterval(() => {
  const drawn = window.lucidRL?.inspect()?.drawn;
  if (drawn?.[0]?.pictures.length) {
    window.usableAt = performance.now();
    clearInterval(timer);
  }
}, 5);
"""
_PLAY = """
async ([fps, seconds]) => {
  const field = document.querySelector('[data-testid=fps]');
  field.value = fps;
  field.dispatchEvent(new Event('change', { bubbles: true }));
  document.querySelector('[data-testid=start]').click();
  document.querySelector('[data-testid=play]').click();
  const seen = new Set();
  const times = [];
  const start = performance.now();
  for (let now = start; now < start + 1000 * seconds; ) {
    now = await new Promise(requestAnimationFrame);
    times.push(now);
    const row = window.lucidRL.lastDrawn();
    if (row !== null) seen.add(row);
  }
  const gaps = times.slice(1).map((t, i) => t - times[i]).sort((a, b) => a - b);
  return {
    frames_per_second: (seen.size - 1) / seconds,
    slowest_5_percent_ms: gaps[Math.floor(0.95 * gaps.length)],
  };
}
"""


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--page", help="an interface's index.html; default: made up")
    parser.add_argument("--trajectories", type=int, default=8, help="made up")
    parser.add_argument("--frames", type=int, default=512, help="of each, made up")
    parser.add_argument("--layers", default="", help="comma separated; default: all")
    parser.add_argument("--fps", type=int, default=60, help="speed asked for")
    parser.add_argument("--seconds", type=float, default=5, help="of play, a layer")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="executable")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = (
            pathlib.Path(arguments.page)
            if arguments.page
            else _made_up(folder, arguments.trajectories, arguments.frames)
        )
        result = _measure(page.resolve(), arguments)
    print(f"size {result['megabytes']:.1f} MB in {result['files']} files")
    print(f"usable after {result['usable_s']:.2f} s")
    for layer, row in result["layers"].items():
        print(
            f"{layer:>6}: {row['frames_per_second']:5.1f} frames/s, "
            f"95 % of screens within {row['slowest_5_percent_ms']:.0f} ms; "
            f"{row['main_thread_ms']:.1f} ms of the main thread's CPU a frame"
        )
    write_result("page_speed", result)


def _measure(path: pathlib.Path, arguments: argparse.Namespace) -> dict:
    files = [path, *(path.parent / "data").glob("*.js")]
    result: dict = {
        "page": arguments.page
        or f"made up: {arguments.trajectories} x {arguments.frames} frames",
        "files": len(files),
        "megabytes": sum(f.stat().st_size for f in files) / 1e6,
        "layers": {},
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=arguments.chromium, args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.set_default_timeout(120_000)
        page.add_init_script(_WATCH)
        page.goto(path.as_uri())
        page.wait_for_function("window.usableAt !== null")
        result["usable_s"] = page.evaluate("window.usableAt") / 1000
        layers = [name for name in arguments.layers.split(",") if name] or _layers(page)
        for layer in layers:
            page.evaluate(
                "id => document.querySelector(`[data-testid=layer-${id}]`).click()",
                layer,
            )
            page.wait_for_function(
                "id => { const i = window.lucidRL.inspect();"
                " return i.layer === id && i.drawn[0]?.s === i.s"
                " && i.drawn[0].layer === id; }",
                arg=layer,
            )
            before = _thread_times(session)
            row = page.evaluate(_PLAY, [arguments.fps, arguments.seconds])
            after = _thread_times(session)
            n_frames = max(1, row["frames_per_second"] * arguments.seconds)
            for what, key in (("Task", "main_thread_ms"), ("Script", "script_ms")):
                name = f"{what}Duration"
                row[key] = 1000 * (after[name] - before[name]) / n_frames
            result["layers"][layer] = row
            page.click("[data-testid=start]")
        browser.close()
    return result


def _thread_times(session: CDPSession) -> dict[str, float]:
    """CPU seconds of the page's main thread, by kind of work."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in metrics}


def _layers(page: Page) -> list[str]:
    return page.eval_on_selector_all(
        "[name=layer]", "inputs => inputs.map(i => i.value)"
    )


def _made_up(folder: str, n: int, length: int) -> pathlib.Path:
    """A bundle as large as the default run's; attribution about as sparse."""
    rng = np.random.default_rng(0)
    n_frames = n * length
    lengths = (length,) * n
    blocks = rng.integers(0, 256, (n_frames // 16, 8, 8, 3), dtype=np.uint8)
    frames = np.kron(blocks.repeat(16, 0), np.ones((1, 8, 8, 1), np.uint8))
    parts = [
        Part.encode(
            "frames",
            {},
            {"observations": frames},
            {"observations": Layout("webp", 0, lengths)},
        ),
        Part.encode(
            "examples",
            {},
            {"observations": frames[::8]},
            {"observations": Layout("webp")},
        ),
    ]
    layers = []
    for name, side in _SIDES.items():
        parts.append(_layer_part(name, side, lengths, rng))
        layers.append(
            {
                "id": name,
                "shape": [side, side, 32],
                "part": f"model/{name}",
                "policy_part": None,
                "kind": "attribution",
                "n_features": _K,
                "features": [{"name": None, "share": 1 / _K}] * _K,
            }
        )
    manifest = {
        "title": "Made up",
        "package_version": "",
        "created_with": {},
        "environment": {},
        "observation_shape": [64, 64, 3],
        "action_combos": [[f"A{i}"] for i in range(_ACTIONS)],
        "action_names": [f"A{i}" for i in range(_ACTIONS)],
        "gamma": 0.999,
        "lambda": 0.95,
        "trajectories": [
            {
                "length": length,
                "title": "",
                "episodes": [
                    {"start": 0, "end": None, "level_seed": i, "success": None}
                ],
            }
            for i in range(n)
        ],
        "moments": [],
        "models": [{"id": "model", "name": "made up", "layers": layers}],
        "default_layer": "2b",
        "full_resolution": None,
        "notes": [],
    }
    walk = rng.normal(0, 0.05, (2, n_frames)).cumsum(1).astype(np.float32)
    arrays = {
        "actions": rng.integers(0, _ACTIONS, n_frames).astype(np.uint8),
        "rewards": np.zeros(n_frames, np.float32),
        "firsts": np.zeros(n_frames, np.uint8),
        "model/values": walk[0],
        "model/advantages": walk[1],
        "model/logits": rng.normal(size=(n_frames, _ACTIONS)).astype(np.float32),
    }
    parts.append(Part.encode("manifest", manifest, arrays))
    return write_page(parts, folder)


def _layer_part(name: str, side: int, lengths: tuple, rng: np.random.Generator) -> Part:
    n_frames = sum(lengths)
    shape = (_K + 1, n_frames, side, side)
    codes = np.zeros(shape, np.int8)
    for frames in np.array_split(codes, 64, axis=1):  # views, by a few frames
        there = rng.random(frames.shape, np.float32) < _DENSITY
        frames[there] = rng.laplace(0, 16, np.count_nonzero(there)).clip(-127, 127)
    grid = (_K, 4, 4)
    arrays = {
        "attribution": codes,
        "frame_scale": np.ones(n_frames, np.float32),
        "totals": codes.sum((2, 3), dtype=np.float32).T.copy(),
        "completeness": np.zeros((n_frames, 2), np.float32),
        "thumbnail_index": rng.integers(0, n_frames // 8, grid).astype(np.int32),
        "thumbnail_y": rng.integers(0, side, grid).astype(np.int16),
        "thumbnail_x": rng.integers(0, side, grid).astype(np.int16),
        "thumbnail_weight": np.full(grid, 255, np.uint8),
    }
    meta = {
        "model": "model",
        "layer": name,
        "output": "value",
        "kind": "attribution",
        "code_levels": LEVELS,
        "scale": 1.0,
        "thumbnail": {"rows": 4, "columns": 4},
        "maps": [],
    }
    layouts = {"attribution": Layout("webp", 1, lengths)}
    return Part.encode(f"model/{name}", meta, arrays, layouts)


if __name__ == "__main__":
    main()

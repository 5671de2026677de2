"""How long the model takes in the page: "What if", in headless Chromium.

    python -m benchmarks.live_model --model=released:procgen/coinrun

Makes a small page of a model with attributions of 10 steps, opens "What if" from disk,
goes through frames and takes the times that the page's own thread measures: of value
and policy, and of these with the attribution. On a busy machine the least time is
nearest to what a free one takes. Writes benchmarks/results/live_model.json.
"""

import argparse
import dataclasses
import json
import pathlib
import statistics
import tempfile

from playwright.sync_api import sync_playwright

from benchmarks.measuring import write_result
from lucid_rl.interface import InterfaceSettings, make_interface
from lucid_rl.interpret.attribution import AttributionSettings

_READY = """() => {
    const found = window.lucidRL?.inspect()?.whatIf;
    return found && !found.computing && (found.error || found.after?.maps);
}"""


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="bundled", help="as make_interface takes it")
    parser.add_argument("--layers", default="1a,2b,4a", help="comma separated")
    parser.add_argument("--steps", type=int, default=10, help="of attributions")
    parser.add_argument("--frames", type=int, default=30, help="for each layer")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="executable")
    arguments = parser.parse_args()
    layers = arguments.layers.split(",")
    with tempfile.TemporaryDirectory() as folder:
        small = InterfaceSettings(
            model=arguments.model,
            layers=tuple(layers),
            input_gradients=False,
            output_dir=pathlib.Path(folder) / "page",
            early_page=False,
        ).quick()
        page = make_interface(
            dataclasses.replace(
                small, attribution=AttributionSettings(n_steps=arguments.steps)
            )
        )
        data = page.parent / "data"
        parts = ("engine.js", "model_network.js")
        result = {
            "megabytes": {part: (data / part).stat().st_size / 1e6 for part in parts},
            "ms": _measure(page, layers, arguments),
        }
    print(json.dumps(result, indent=1))
    write_result("live_model", result)


def _measure(page: pathlib.Path, layers: list[str], arguments) -> dict:
    results = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=arguments.chromium, args=["--no-sandbox"]
        )
        for layer in layers:
            view = browser.new_page()
            view.set_default_timeout(120_000)
            view.goto(f"{page.as_uri()}#layer={layer}")
            view.get_by_test_id("open-what-if").click()
            view.wait_for_function(_READY)
            times = []
            for frame in range(2, 2 + arguments.frames):
                view.get_by_test_id("forward").click()
                view.wait_for_function(
                    f"() => ({_READY})() && lucidRL.inspect().s + 1 === {frame}"
                )
                found = view.evaluate("lucidRL.inspect().whatIf")
                if found["error"]:
                    raise SystemExit(found["error"])
                times.append(found["after"]["ms"])
            view.close()
            names = ("value and policy", "with attribution")
            results[layer] = {
                name: {"least": min(column), "median": statistics.median(column)}
                for name, column in zip(names, zip(*times, strict=True), strict=True)
            }
        browser.close()
    return results


if __name__ == "__main__":
    main()

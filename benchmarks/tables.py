"""Writes the tables of docs/attribution_results.md from the committed results.

    python -m benchmarks.tables

The results are those of benchmarks.attribution, attribution_error, nmf and colour.
What stands between `<!-- begin NAME -->` and `<!-- end NAME -->` is replaced.
"""

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.measuring import RESULTS, ROOT
from lucid_rl.files import atomic_open

DOCUMENT = ROOT / "docs" / "attribution_results.md"
MODELS = ("released", "bundled")
_STEPS = (1, 2, 3, 4, 6, 8, 10, 20)
_COLOUR_STEPS = ("colour", "smooth", "opacity")
_VARIANTS = {
    "equal steps": "equal steps",
    "equal accuracy": "equal accuracy",
    "with bfloat16": "equal accuracy, bfloat16",
}


def load(name: str) -> dict[str, Any]:
    """A result of benchmarks/results."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def markdown(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; numbers are given to two or three digits."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_text, line)) + " |" for line in lines)


def _text(cell: Any) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.2g}"


def percent(share: float) -> str:
    """0.0123 as 1.2 %."""
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def times(ratio: float) -> str:
    """1.234 as 1.2x."""
    return f"{ratio:.1f}x" if ratio < 20 else f"{ratio:.0f}x"


def quadrature(key: str, model: str) -> str:
    """One kind of error of every rule and number of steps."""
    result = load(f"attribution_error_{model}")
    rows = []
    for layer, found in result["quadrature"].items():
        errors = {(r["rule"], r["n_steps"]): r for r in found}
        for rule in dict.fromkeys(r["rule"] for r in found):
            if key == "gap" and rule == "difference_quotients":
                continue
            cells = [percent(errors[rule, n][key]) for n in _STEPS]
            rows.append([f"{layer} `{rule}`", *cells])
    return markdown(["steps", *map(str, _STEPS)], rows)


def costs() -> str:
    """Multiplications of every rule, in gradients from the layer onward."""
    result = load("attribution_error_released")
    rows = []
    for layer, found in result["quadrature"].items():
        cost = {(r["rule"], r["n_steps"]): r["cost"] for r in found}
        for rule, name in (
            ("difference_quotients", "difference quotients"),
            ("midpoint", "the others"),
        ):
            rows.append([f"{layer} {name}", *(f"{cost[rule, n]:.1f}" for n in _STEPS)])
    return markdown(["steps", *map(str, _STEPS)], rows)


def cheapest(model: str) -> str:
    """The cheapest of each rule within the error tolerance."""
    result = load(f"attribution_error_{model}")
    rows = []
    for layer, found in result["cheapest"].items():
        rows.append([layer])
        for rule in (
            "difference_quotients",
            "midpoint",
            "gauss_legendre",
            "right_riemann",
        ):
            row = found[rule]
            tried = [r for r in result["quadrature"][layer] if r["rule"] == rule]
            rows[-1].append(
                f"{row['n_steps']} ({row['cost']:.1f})"
                if row
                else f"over {max(r['n_steps'] for r in tried)}"
            )
    return markdown(
        [
            "layer",
            "difference quotients",
            "`midpoint`",
            "`gauss_legendre`",
            "`right_riemann`",
        ],
        rows,
    )


def trust(model: str) -> str:
    """Correlations of each method with occlusion, by layer."""
    result = load(f"attribution_error_{model}")["trust"]
    methods = list(dict.fromkeys(r["method"] for rows in result.values() for r in rows))
    rows = []
    for replaced_by in ("zero", "mean"):
        for taken in ("channel", "feature"):
            for method in methods:
                chosen = [
                    next(
                        r
                        for r in found
                        if (r["method"], r["taken"], r["replaced_by"])
                        == (method, taken, replaced_by)
                    )
                    for found in result.values()
                ]
                rows.append(
                    [
                        f"{taken} to {replaced_by}",
                        method,
                        *(
                            f"{r['correlation']:.2f} ({r['same_largest']:.0%})"
                            for r in chosen
                        ),
                    ]
                )
    return markdown(["taken away", "method", *result], rows)


def bfloat16() -> str:
    """Errors that bfloat16 adds, and the steps that make up for them."""
    result = load("attribution")["errors"]
    rows = [
        [
            layer,
            percent(found["article"]),
            f"{found['float32']['n_steps']}: {percent(found['float32']['error'])}",
            f"{found['bfloat16']['n_steps']}: {percent(found['bfloat16']['error'])}",
            percent(found["of_bfloat16_alone"]),
        ]
        for layer, found in result.items()
    ]
    header = ["layer", "article's rule", "steps: error", "with bfloat16"]
    return markdown([*header, "of bfloat16 alone"], rows)


def speed() -> str:
    """How many times faster than rl_util."""
    rows = []
    for task, found in load("attribution")["speed"].items():
        ratios = [
            f"{times(found[v]['times_faster']['cpu_seconds'])} "
            f"({times(found[v]['times_faster']['seconds'])})"
            for v in _VARIANTS
        ]
        share = found["equal steps"].get("share_of_peak")
        rows.append(
            [
                "all five" if task == "all" else task,
                f"{found['original']['cpu_seconds']:.2g}",
                *ratios,
                f"{share['cpu_seconds']:.0%}" if share else "",
            ]
        )
    header = ["layer", "rl_util, CPU-s", *_VARIANTS.values(), "share of the peak"]
    return markdown(header, rows)


def several_outputs() -> str:
    """What one output and what each further one takes."""
    rows = [
        [
            row["observations"],
            f"{1e3 * row['one_cpu_seconds']:.1f}",
            f"{1e3 * row['further_cpu_seconds']:.2f}",
        ]
        for row in load("attribution")["several_outputs"]
    ]
    return markdown(["observations at once", "one logit", "each further"], rows)


def memory() -> str:
    """Peaks at 4,096 observations."""
    rows = [
        [
            layer,
            found["original"],
            found["ours"],
            percent(found["share"]),
            found["ours_kept_whole"],
            percent(found["share_kept_whole"]),
        ]
        for layer, found in load("attribution")["memory"].items()
    ]
    return markdown(
        ["layer", "rl_util, MB", "in chunks of 64", "share", "kept whole", "share"],
        rows,
    )


def nmf_speed() -> str:
    """Features and pictures against rl_util."""
    names = {"fit": "attributions, NMF, transform", "visualise": "16 pictures"}
    rows = []
    for layer, found in load("nmf")["against_original"].items():
        for step, name in names.items():
            original, ours = found["original"][step], found["ours"][step]
            rows.append(
                [
                    f"{layer}, {name}",
                    f"{original['cpu_seconds']:.2g}",
                    f"{ours['cpu_seconds']:.2g}",
                    f"{times(original['cpu_seconds'] / ours['cpu_seconds'])} "
                    f"({times(original['seconds'] / ours['seconds'])})",
                    f"{original['peak_mb']:.0f}",
                    f"{ours['peak_mb']:.0f}",
                    f"{found['least_cosine']:.5f}" if step == "fit" else "",
                ]
            )
    colours = load("colour")
    for step, ratio in colours["times_faster"].items():
        steps = _COLOUR_STEPS if step == "all" else (step,)
        sides = (colours["original"], colours["ours"])
        seconds = [sum(side[s]["cpu_seconds"] for s in steps) for side in sides]
        peaks = [f"{side['peak_mb']:.0f}" if step == "all" else "" for side in sides]
        name = "colour, smooth and opacity" if step == "all" else step
        rows.append(
            [
                f"{name}, {colours['shape'][0]} frames",
                *(f"{s:.2g}" for s in seconds),
                times(ratio),
                *peaks,
                "",
            ]
        )
    header = ["", "rl_util, CPU-s", "here, CPU-s", "faster", "rl_util, MB", "here, MB"]
    return markdown([*header, "least cosine"], rows)


def nmf_fit() -> str:
    """Ours against scikit-learn's fit and transform."""
    rows = []
    for layer, found in load("nmf")["fit"].items():
        transform = found["transform"]
        rows.append(
            [
                layer,
                f"{found['rows']:,}",
                f"{found['scikit_learn']['cpu_seconds']:.2g}",
                f"{found['ours']['cpu_seconds']:.2g}",
                f"{1 - found['least_cosine']:.0e}",
                f"{transform['scipy_us']:.2g}",
                f"{transform['scikit_learn_us']:.2g}",
                f"{transform['ours_us']:.2g}",
                f"{transform['largest_error']:.0e}",
            ]
        )
    return markdown(
        [
            "layer",
            "rows",
            "fit: scikit-learn, CPU-s",
            "here",
            "1 - least cosine",
            "transform: scipy, µs a row",
            "scikit-learn",
            "here",
            "error here",
        ],
        rows,
    )


def nmf_samples() -> str:
    """What a sample of rows loses."""
    result = load("nmf")
    case = result["many"]
    groups = {
        f"{result['observations']} of {layer}": found
        for layer, found in result["samples"].items()
    }
    groups[f"{case['observations']:,} of {case['layer']}"] = case["samples"]
    rows = []
    for name, found in groups.items():
        for size in dict.fromkeys(s["rows"] for s in found):
            drawn = [s for s in found if s["rows"] == size]
            worst = min(s["least_cosine"] for s in drawn)
            least = min(s["explained"] for s in drawn)
            rows.append(
                [
                    name,
                    f"{drawn[0]['of_rows'] / 1e6:.2g}",
                    f"{drawn[0]['reference_rows'] / 1e6:.2g}",
                    f"{size:,}",
                    f"{worst:.4f}",
                    f"{least:.4f}",
                    f"{drawn[0]['explained_by_reference']:.4f}",
                ]
            )
    return markdown(
        [
            "observations",
            "million rows",
            "in the reference",
            "in the sample",
            "least cosine",
            "explained",
            "by the reference",
        ],
        rows,
    )


def nmf_many() -> str:
    """Time and memory of the interface's own case."""
    case = load("nmf")["many"]
    found = case["features"]
    return markdown(
        ["observations", "layer", "million rows", "CPU-s", "seconds", "peak MB"],
        [
            [
                f"{case['observations']:,}",
                case["layer"],
                f"{found['fit']['n_rows'] / 1e6:.2g}",
                f"{found['cpu_seconds']:.0f}",
                f"{found['seconds']:.0f}",
                f"{found['peak_mb']:.0f}",
            ]
        ],
    )


_ERRORS: dict[str, Callable[[str], str]] = {
    "attribution error": functools.partial(quadrature, "attribution"),
    "feature error": functools.partial(quadrature, "feature"),
    "gap": functools.partial(quadrature, "gap"),
    "cheapest": cheapest,
    "trust": trust,
}
TABLES: dict[str, Callable[[], str]] = {
    **{
        f"{name}, {model}": functools.partial(table, model)
        for name, table in _ERRORS.items()
        for model in MODELS
    },
    "costs": costs,
    "bfloat16": bfloat16,
    "speed": speed,
    "several outputs": several_outputs,
    "memory": memory,
    "nmf speed": nmf_speed,
    "nmf fit": nmf_fit,
    "nmf samples": nmf_samples,
    "nmf many": nmf_many,
}


def filled(text: str) -> str:
    """The document with its tables written anew.

    Raises:
        ValueError: the document has no place for a table.
    """
    for name, table in TABLES.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if (text.count(begin), text.count(end)) != (1, 1):
            raise ValueError(f"the document needs one {begin} and one {end}.")
        before, rest = text.split(begin)
        after = rest.split(end)[1]
        try:
            found = table()
        except FileNotFoundError:
            found = "Not measured yet."
        text = f"{before}{begin}\n{found}\n{end}{after}"
    return text


def main() -> None:
    text = filled(DOCUMENT.read_text(encoding="utf-8"))
    with atomic_open(DOCUMENT) as stream:
        stream.write(text.encode())
    print(DOCUMENT)


if __name__ == "__main__":
    main()

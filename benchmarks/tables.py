"""Writes benchmarks/results/attribution.md from the results beside it.

    python -m benchmarks.tables

The results are those of benchmarks.attribution, attribution_error, nmf and colour.
"""

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.measuring import RESULTS
from lucid_rl.files import write_text
from lucid_rl.reports import markdown_table

DOCUMENT = RESULTS / "attribution.md"
_MODELS = {"Released model": "released", "Bundled model": "bundled"}
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
    return markdown_table(header, (map(_text, row) for row in rows))


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
        ratios = [times(found[v]["times_faster"]["cpu_seconds"]) for v in _VARIANTS]
        share = found["equal steps"].get("share_of_peak")
        rows.append(
            [
                "all five" if task == "all" else task,
                f"{found['original']['cpu_seconds']:.2g}",
                *ratios,
                f"{share['cpu_seconds']:.0%}" if share else "",
            ]
        )
    header = ["layer", "rl_util, CPU-s", *_VARIANTS.values(), "fraction of the peak"]
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
                    times(original["cpu_seconds"] / ours["cpu_seconds"]),
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
    rows = []
    for layer, found in load("nmf")["samples"].items():
        for size in dict.fromkeys(s["rows"] for s in found):
            drawn = [s for s in found if s["rows"] == size]
            rows.append(
                [
                    layer,
                    f"{drawn[0]['of_rows']:,}",
                    f"{size:,}",
                    f"{min(s['least_cosine'] for s in drawn):.4f}",
                    f"{min(s['explained'] for s in drawn):.4f}",
                    f"{drawn[0]['explained_by_all']:.4f}",
                ]
            )
    header = ["layer", "rows", "in the sample", "least cosine", "explained", "by all"]
    return markdown(header, rows)


def _both(table: Callable[[str], str]) -> str:
    return "\n\n".join(f"{name}:\n\n{table(m)}" for name, m in _MODELS.items())


def document() -> str:
    """All tables with what they show."""
    attribution, nmf = load("attribution"), load("nmf")
    parts = [
        """\
# Attribution and NMF: results

Written by `python -m benchmarks.tables` from the JSON files beside it, each of which
names its command. [attribution.md](../../docs/attribution.md) explains methods and
terms. The released model is `procgen/coinrun`, the other one `bundled`, of the same
architecture.

## Error of the integral

Against an integral by 512 midpoints of the layer's own gradients
(`python -m benchmarks.attribution_error`, with `--model` for the released model); means
over 8 observations (bundled model: 4).

**Totals of features**: largest error among 8 features and the residual, summed over an
observation, relative to the mean |F(a) - F(0)|.""",
        _both(functools.partial(quadrature, "feature")),
        "**Attributions**: relative L1 distance over all positions and channels.",
        _both(functools.partial(quadrature, "attribution")),
        """\
**Completeness gap**, relative to the mean |F(a) - F(0)|. That of difference quotients
is rounding error (1e-6).""",
        _both(functools.partial(quadrature, "gap")),
        """\
**Cost** in multiplications, in units of one gradient from the layer onward; the
reference costs 512.""",
        costs(),
        """\
**The cheapest within 1 %**, for totals of features and the gap: steps, with the cost in
brackets.""",
        _both(cheapest),
        """\
## Agreement with occlusion

Correlation, over channels or features, of an observation's totals with what the value
loses when each is set to zero, or to its mean over observations; in brackets, how often
both name the same one as the most important. Means over 32 observations (bundled model:
16).""",
        _both(trust),
        f"""\
## bfloat16

L1 error of the article's rule; the fewest steps of difference quotients that are no
worse, and their error, in float32 and in bfloat16; and the distance between the
article's rule in both (bundled model, {attribution["processor"]}).""",
        bfloat16(),
        f"""\
## Speed and memory against `lucid.scratch.rl_util`

Lucid 0.3.10 on the same TensorFlow, value attributions of
{attribution["observations"]} observations of the bundled model
(`{attribution["command"]}`; {attribution["processor"]}).
Columns after the first say how many times fewer processor seconds this package takes.
The machine was shared with other work; the two take turns, and the least of
{attribution["repeats"]} times counts. Graphs, which this package builds once for each
layer and rl_util at every call, are there before its clock starts.
"Equal steps" is the article's rule on both sides, "equal accuracy" the fewest steps of
difference quotients that are no worse. The fraction of the peak is that of a
convolution of 32 to 32 channels in the same run.""",
        speed(),
        "Processor milliseconds for each observation, layer 2b:",
        several_outputs(),
        f"""\
Features of {nmf["observations"]} observations, dataset examples, colours, with peaks of
memory (`{nmf["command"]}`, `{load("colour")["command"]}`). The time to
build graphs, once for each model and layer, is included here. rl_util takes all
observations in one batch, so that its peak grows with their number:""",
        nmf_speed(),
        """\
## NMF

Fit and transform against scikit-learn's, whose transform is a descent that stops at a
tolerance, and against `scipy.optimize.nnls`, which is exact, as this package's is:""",
        nmf_fit(),
        """\
What a sample of rows loses, against a fit of all rows; the worst of three draws.
"Explained" is the fraction of the rows' sum of squares. A least cosine near 0 is that
of another local optimum, which may explain more than the fit of all rows.""",
        nmf_samples(),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    write_text(DOCUMENT, document())
    print(DOCUMENT)


if __name__ == "__main__":
    main()

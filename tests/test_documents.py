"""Documents: links lead somewhere, commands have their flags, figures have a result."""

import ast
import functools
import json
import re
import textwrap

import pytest

from benchmarks.tables import percent
from scripts.cli import commands
from tests.programs import ROOT, run_script

DOCUMENTS = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "lucid_rl/data/*.md",
        "benchmarks/results/*.md",
    )
    for path in ROOT.glob(pattern)
)
_NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"(?:lucid-rl|python -m scripts\.) ?([\w-]+)((?: [^`\n]*)?)")


def _text(name):
    return " ".join((ROOT / name).read_text(encoding="utf-8").split())


def _result(name):
    return json.loads((ROOT / f"benchmarks/results/{name}.json").read_text())


def _anchors(path):
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=_NAMES)
def test_links(path):
    for link in _LINK.findall(path.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=_NAMES)
def test_python_can_be_parsed(path):
    text = path.read_text(encoding="utf-8")
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        ast.parse(textwrap.dedent(code))


@functools.cache
def _flags(script):
    done = run_script(script, "--help")
    found = re.findall(r"^\s+--(\[no\])?([\w-]+):", done.stdout, re.MULTILINE)
    return {name for _, name in found} | {"no" + name for no, name in found if no}


@pytest.mark.slow
@pytest.mark.parametrize("path", DOCUMENTS, ids=_NAMES)
def test_commands_have_the_flags_that_are_given(path):
    # The cards of models made by earlier code give that code's commands.
    if path.stem in ("coinrun_hard", "coinrun_100_levels"):
        return
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for name, given in _COMMAND.findall(text):
        script = commands()[name.replace("_", "-")]
        used = re.findall(r"(?:^| )--([\w-]+)", given.split(" #")[0])
        assert set(used) <= _flags(script) | {"help"}, (name, used)


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("benchmarks/results/*.json")), ids=lambda path: path.stem
)
def test_results_name_their_command(path):
    command = json.loads(path.read_text())["command"]
    assert "python -m " in command or command.startswith("lucid-rl "), command
    assert str(ROOT.parent) not in command, command
    benchmark = re.match(r"python -m benchmarks\.(\w+)", command)
    if benchmark:
        source = (ROOT / f"benchmarks/{benchmark[1]}.py").read_text()
        for flag in re.findall(r"--(\w+)", command):
            assert f'"--{flag}"' in source or f'"{flag}"' in source, flag
    table = path.with_suffix(".md")
    # Tables of several results name a command for each.
    if table.exists() and path.stem not in ("attribution", "feature_visualization"):
        assert table.read_text().startswith(f"`{command}`\n\n")


def test_the_cost_of_evaluations():
    text = _text("docs/games.md")
    result = _result("evaluation")
    cpu = [
        f"{result['evaluation'][precision]['cpu_minutes_for_10000_levels']:.0f}"
        for precision in ("float32", "bfloat16")
    ]
    assert (
        f"{cpu[0]} minutes of processor time in float32, {cpu[1]} in bfloat16" in text
    )
    assert f"`{result['command']}`" in text


@pytest.mark.parametrize("name", ["100_levels", "100_levels_own", "distilled"])
def test_success_rates_of_bundled_models(name):
    card = _text(f"lucid_rl/data/coinrun_{name.removesuffix('_own')}.md")
    completed = _result(f"evaluation_{name}")["completed"]
    found = [completed[key] for key in ("share", "low", "high")]
    fractions = "{:.3f} ({:.3f} to {:.3f})".format(*found)
    percents = "{:.1f} % ({:.1f} to {:.1f})".format(*(100 * x for x in found))
    assert fractions in card.replace("**", "") or percents in card, fractions


def test_the_two_rules_on_failures():
    text = _text("docs/games.md")
    causes = _result("failure_causes")
    assert causes["failures"] == causes["rules_agree"]
    assert f"agree on all {causes['failures']} failures" in text


@pytest.mark.parametrize("name", ["comparison_released", "comparison_bundled"])
def test_failures_by_cause(name):
    text = _text("docs/results.md").replace("**", "")
    for row in _result(name)["rows"].values():
        failed = row["failed"].values()
        cells = [f"{100 * cause['share']:.2f}" for cause in failed]
        assert f"| {' | '.join(cells)} |" in text, cells


def test_errors_of_attributions():
    text = _text("docs/attribution.md")
    rows = _result("attribution_error_released")["quadrature"]
    shown = [("difference_quotients", n) for n in (4, 10, 20)]
    for layer, found in rows.items():
        errors = {(row["rule"], row["n_steps"]): row["feature"] for row in found}
        cells = [percent(errors[key]) for key in [*shown, ("right_riemann", 10)]]
        assert f"| {layer} | {' | '.join(cells)} |" in text, layer


def test_completeness_and_residuals():
    text = _text("docs/attribution.md")
    result = _result("completeness")
    assert f"`{result['command']}`" in text
    spread = f"{result['value_std']:.2f}"
    for left in list(result["value_minus_sum_std"].values())[:2]:
        assert f"| {left:.2f} | {spread} |" in text
    for n in ("8", "10", "12", "16"):
        assert f"{100 * result['residual_fractions'][n]:.1f} %" in text
    assert f"here {result['auto_n_features']}." in text


def test_success_by_kind_of_level():
    card = _text("lucid_rl/data/coinrun_hard.md")
    for kind in _result("evaluation_bundled")["completed_by_kind"].values():
        assert f"| {kind['share']:.3f} of {kind['of']} |" in card


def test_counterfactuals_of_the_released_model():
    text = _text("docs/moments.md")
    examples = _result("counterfactuals")["examples"]
    for name, example in examples.items():
        assert f"(level {example['level_seed']}" in text.partition(f"**{name}. ")[2]
    shown = [("A", "36", "original"), ("A", "36", "changed"), ("B", "53", "original")]
    for name, step, agent in [*shown, ("C", "88", "original"), ("C", "88", "changed")]:
        found = examples[name]["from_step"][step][agent]["failed"]
        share, low, high = (100 * found[key] for key in ("share", "low", "high"))
        percents = f"{share:.0f} % ({low:.0f} to {high:.0f})"
        assert percents in text, (name, step, agent)


def test_counterfactuals_of_failures():
    text = _text("docs/moments.md")
    for name, failure in _result("moments")["failures"].items():
        section = text.partition(f"**{name}. ")[2].partition("**F. ")[0]
        assert f"level {failure['level_seed']}" in section
        for key in ("failed", "failed_with_change"):
            low, high = (round(100 * failure[key][end]) for end in ("low", "high"))
            percents = f"{100 * failure[key]['share']:.0f} % ({low} to {high})"
            assert percents in section, percents

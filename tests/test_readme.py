"""The README's Python and the examples run as they stand, in small."""

import pathlib
import re
import runpy

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SMALLER = {
    "512": "32",
    "n_episodes=200": "n_episodes=8",
    "compare_to=blind)": "compare_to=blind, settings=lr.InterfaceSettings().quick())",
}


@pytest.mark.slow
def test_the_readmes_python_runs(tmp_path, monkeypatch):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for given, smaller in SMALLER.items():
        assert given in code
        code = code.replace(given, smaller)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert (tmp_path / "page" / "index.html").is_file()
    assert (tmp_path / "blind.jd").is_file()


@pytest.mark.slow
def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    example = runpy.run_path(str(ROOT / "examples" / "first_steps.py"))
    example["main"]("bundled", "8", "32")
    assert (tmp_path / "first_steps" / "page" / "index.html").is_file()
    assert "nearest: feature" in capsys.readouterr().out


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150

"""Bazel's files name everything that they should; Bazel itself is not needed."""

import ast
import pathlib

import pytest
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).parents[1]
LOCK = dict(
    line.split("==")
    for line in (ROOT / "requirements_lock.txt").read_text().splitlines()
    if not line.startswith("#")
)


def calls(path, function):
    """The calls of a rule in a BUILD file: to `ast` it is Python."""
    return [
        node
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == function
    ]


def first_arguments(path, function):
    return [call.args[0].value for call in calls(path, function)]


def keyword(call, name):
    return next(k.value for k in call.keywords if k.arg == name)


def setup_list(name):
    tree = ast.parse((ROOT / "setup.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


@pytest.mark.parametrize("folder", ["scripts", "benchmarks"])
def test_every_program_has_a_target(folder):
    binaries = calls(f"{folder}/BUILD.bazel", "py_binary")
    names = [keyword(call, "name").value for call in binaries]
    sources = [ast.literal_eval(keyword(call, "srcs")) for call in binaries]
    programs = {
        path.stem
        for path in (ROOT / folder).glob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    assert set(names) == programs and len(names) == len(programs)
    assert sources == [[f"{name}.py"] for name in names]


def test_every_test_file_has_a_target():
    named = first_arguments("tests/BUILD.bazel", "pytest_test")
    files = {
        str(p.relative_to(ROOT / "tests")) for p in ROOT.glob("tests/**/test_*.py")
    }
    assert set(named) == files and len(named) == len(files)


def test_every_module_is_in_the_library():
    (library,) = calls("lucid_rl/BUILD.bazel", "py_library")
    assert ast.unparse(keyword(library, "srcs")) == "glob(['**/*.py'])"
    # A folder with a BUILD file of its own is left out of its parent's globs.
    for folder in ("lucid_rl", "tests"):
        found = sorted(
            str(path.relative_to(ROOT))
            for name in ("BUILD", "BUILD.bazel")
            for path in (ROOT / folder).rglob(name)
        )
        assert found == [f"{folder}/BUILD.bazel"]


def test_every_file_that_ships_is_in_the_library():
    (library,) = calls("lucid_rl/BUILD.bazel", "py_library")
    patterns = ast.literal_eval(keyword(library, "data").args[0])
    matched = {
        path for pattern in patterns for path in ROOT.glob(f"lucid_rl/{pattern}")
    }
    shipped = {
        path
        for path in (ROOT / "lucid_rl").rglob("*")
        if path.is_file()
        and path.parent.name != "__pycache__"
        and path.suffix != ".py"
        and path.name != "BUILD.bazel"
    }
    assert shipped <= matched


def test_the_library_needs_what_setup_py_installs():
    named = set(first_arguments("lucid_rl/BUILD.bazel", "requirement"))
    wanted = {Requirement(text).name for text in setup_list("_INSTALL_REQUIRES")}
    # The toolchain is Python 3.11.
    assert named == wanted - {"procgen"}


def test_the_lock_meets_setup_py():
    extras = setup_list("_EXTRAS_REQUIRE")
    texts = setup_list("_INSTALL_REQUIRES")
    texts += extras["dev"] + extras["jax"] + extras["ray"]
    for requirement in map(Requirement, texts):
        marker = requirement.marker
        if marker is None or marker.evaluate({"python_version": "3.11"}):
            version = LOCK[requirement.name]
            assert requirement.specifier.contains(version), requirement


def test_what_targets_need_is_locked():
    for path in ("lucid_rl/BUILD.bazel", "tests/BUILD.bazel", "tests/pytest_test.bzl"):
        for name in first_arguments(path, "requirement"):
            assert name in LOCK, name

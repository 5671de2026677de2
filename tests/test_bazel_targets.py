"""The versions that Bazel locks are those that setup.py allows."""

import ast
import pathlib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parents[1]
LOCK = {
    canonicalize_name(line.split("==")[0]): line.split("==")[1]
    for line in (ROOT / "requirements_lock.txt").read_text().splitlines()
    if not line.startswith("#")
}


def setup_list(name):
    tree = ast.parse((ROOT / "setup.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


def test_the_lock_meets_setup_py():
    texts = setup_list("_INSTALL_REQUIRES")
    for extra in setup_list("_EXTRAS_REQUIRE").values():
        texts = texts + extra
    for requirement in map(Requirement, texts):
        marker = requirement.marker
        if marker is None or marker.evaluate({"python_version": "3.11"}):
            version = LOCK[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), requirement

"""What importing the package does, and does not."""

import importlib.metadata
import os
import pathlib
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def imports(**environment):
    """Imports lucid_rl in a new process and returns what oneDNN's switch then is."""
    kept = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    program = (
        "import lucid_rl, os, sys; assert 'tensorflow' not in sys.modules; "
        "print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_tensorflow_is_left_alone_but_for_its_quick_convolutions():
    assert imports() == "1"


@pytest.mark.parametrize("wish", ["0", "1"])
def test_who_switches_them_keeps_them_so(wish):
    assert imports(TF_ENABLE_ONEDNN_OPTS=wish) == wish


def test_no_module_imports_tensorflow_before_it_computes():
    """Scripts answer --help and wrong flags without waiting for it."""
    program = (
        "import importlib, pkgutil, sys, lucid_rl\n"
        "for module in pkgutil.walk_packages(lucid_rl.__path__, 'lucid_rl.'):\n"
        "    if not module.name.startswith('lucid_rl.training'):\n"
        "        importlib.import_module(module.name)\n"
        "        assert 'tensorflow' not in sys.modules, module.name\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def _installed_with(requirement: Requirement, found: dict[str, str]) -> dict[str, str]:
    """Versions of a package and of all that it needs, by name, added to `found`."""
    name = canonicalize_name(requirement.name)
    package = importlib.metadata.distribution(name)
    known = found.get(name) is not None
    found[name] = package.version
    if known and not requirement.extras:
        return found
    for line in package.requires or ():
        need = Requirement(line)
        extras = requirement.extras or {""}
        if need.marker is None or any(
            need.marker.evaluate({"extra": e}) for e in extras
        ):
            _installed_with(need, found)
    return found


def test_the_lock_is_what_developers_install():
    root = pathlib.Path(__file__).parents[1]
    text = (root / "requirements_lock.txt").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    locked = {canonicalize_name(n): v for n, v in (x.split("==") for x in lines)}
    installed = _installed_with(Requirement("lucid_rl[dev]"), {})
    del installed["lucid-rl"]
    for unlocked in ("pip", "setuptools", "wheel"):  # which pip does not freeze
        installed.pop(unlocked, None)
    if any(installed.get(name, version) != version for name, version in locked.items()):
        pytest.skip("other versions than the lock's are installed")
    assert installed.keys() == locked.keys()

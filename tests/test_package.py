"""What importing the package does, and does not."""

import os
import subprocess
import sys

import pytest


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

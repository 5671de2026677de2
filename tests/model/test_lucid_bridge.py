"""Lucid on current TensorFlow, in processes of their own."""

import os
import pathlib
import shutil

import pytest

from tests.programs import run_python

ROOT = pathlib.Path(__file__).resolve().parents[2]
LUCID_0310 = pathlib.Path(os.environ.get("LUCID_0310", ROOT / ".venv/lucid-0.3.10"))
LUCID_TESTS = os.environ.get("LUCID_0310_TESTS")

needs_0310 = pytest.mark.skipif(
    not LUCID_0310.exists(),
    reason="Lucid 0.3.10 is not installed apart; `make bench` does it",
)
"""It pins numpy <= 1.19, so it cannot be installed beside current packages."""

USER = """
import sys
import tensorflow as theirs
import logging, warnings
before = (
    theirs.executing_eagerly(), logging.getLogger().handlers[:],
    logging.getLogger().level, warnings.filters[:], theirs.__name__,
)
"""
CHECKS = """
import tensorflow as again
assert again is theirs is sys.modules["tensorflow"]
assert again.__name__ == "tensorflow" and again.__version__[0] == "2"
assert not hasattr(again, "contrib") and not hasattr(again, "placeholder")
assert before == (
    again.executing_eagerly(), logging.getLogger().handlers[:],
    logging.getLogger().level, warnings.filters[:], again.__name__,
)
assert again.executing_eagerly()
assert float(again.constant(2.0) * 3) == 6
assert again.function(lambda x: x + 1)(1).numpy() == 2
"""


def run(program, *, lucid=None):
    """Runs a program; TensorFlow's own log is turned down."""
    path = os.pathsep.join(map(str, filter(None, (lucid, ROOT))))
    environment = {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = run_python("-c", program, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def lines_of_ours(text):
    """Without what TensorFlow's C++ part writes before it reads its log level."""
    return [
        line
        for line in text.splitlines()
        if line and not line.startswith(("I0000", "WARNING: All log messages"))
    ]


class TestTheUsersTensorFlow:
    def test_importing_the_package_imports_no_tensorflow(self):
        done = run("import lucid_rl, sys; assert 'tensorflow' not in sys.modules")
        assert (done.stdout, done.stderr) == ("", "")

    def test_importing_rl_util_changes_nothing(self):
        done = run(USER + "import lucid_rl, lucid_rl.rl_util\n" + CHECKS)
        assert done.stdout == "" and lines_of_ours(done.stderr) == []

    def test_working_with_a_model_and_lucid_changes_nothing(self, golden_folder):
        work = f"""
import numpy as np
import lucid_rl.rl_util as rl
from lucid_rl.interpret.attribution import attribute
from lucid_rl.model.loading import load
from lucid_rl.model.loading import load
from lucid_rl.model.lucid_network import lucid_model
model = load({str(golden_folder / "checkpoint_A.jd")!r})
attribute(model, np.zeros((1, 64, 64, 3), np.uint8), "4a")
rl.render, rl.param, rl.objectives, rl.transform, rl.Model, rl.ChannelReducer
images = rl.render.render_vis(
    lucid_model(model), "ppo2_model/pi/2a/Relu:3", thresholds=(2,),
    param_f=lambda: rl.param.image(16), verbose=False, print_objectives=False,
)
assert images[0].shape == (1, 16, 16, 3)
"""
        done = run(USER + work + CHECKS)
        assert done.stdout == "" and lines_of_ours(done.stderr) == []

    def test_a_user_who_turned_eager_execution_off_keeps_it_off(self):
        run("""
import tensorflow as tf
tf.compat.v1.disable_v2_behavior()
from lucid_rl.model import lucid_bridge
lucid_bridge.render
assert not tf.executing_eagerly()
""")

    def test_lucid_imported_before_is_imported_anew(self):
        run("""
import sys, types
sys.modules["lucid"] = stale = types.ModuleType("lucid")
from lucid_rl.model import lucid_bridge
assert lucid_bridge.import_lucid() is not stale
import lucid.optvis.render as render
assert render is lucid_bridge.render
""")


class TestNames:
    def test_without_lucid(self):
        run("""
import importlib.machinery
find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = (
    lambda name, *rest: None if name == "lucid" else find(name, *rest)
)
from lucid_rl.errors import ModelError
from lucid_rl.model import lucid_bridge
try:
    lucid_bridge.render
except ModelError as error:
    assert "pip install lucid" in str(error)
else:
    raise AssertionError
""")

    def test_unknown(self):
        from lucid_rl.model import lucid_bridge

        with pytest.raises(AttributeError, match="activations"):
            _ = lucid_bridge.activations


class TestLucid0310:
    @needs_0310
    @pytest.mark.slow
    def test_its_rl_util_runs(self, golden_folder):
        done = run(
            USER
            + f"""
import numpy as np
from lucid_rl.model import lucid_bridge
original = lucid_bridge.rl_util
assert original.__file__.startswith({str(LUCID_0310)!r})
with np.load({str(golden_folder / "arrays.npz")!r}) as golden:
    expected = golden["attr_value_4a_steps10"][:2]
    observations = golden["obs_u8"][:2] / np.float32(255)
model = lucid_bridge.load_model({str(golden_folder / "checkpoint_A.model.pb")!r})
found = original.get_attr(
    model, "ppo2_model/strided_slice", "ppo2_model/pi/4a/Relu", observations,
    integrate_steps=10,
)
assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
"""
            + CHECKS,
            lucid=LUCID_0310,
        )
        assert lines_of_ours(done.stdout + done.stderr) == []

    @needs_0310
    @pytest.mark.slow
    @pytest.mark.parametrize("architecture", ["clear", "impala", "nature"])
    def test_its_model_load_reads_our_files(self, tmp_path, architecture):
        from lucid_rl.model.architectures import build_graph_def
        from lucid_rl.model.model import Model
        from tests.model.numpy_networks import random_params

        params = random_params(architecture)
        path = tmp_path / "x.model.pb"
        model = Model(build_graph_def(params, architecture))
        model.save(path)
        run(
            f"""
import numpy as np
from lucid_rl.model import lucid_bridge
from lucid_rl.model.loading import load
loaded = lucid_bridge.Model.load({str(path)!r})
assert loaded.input_name == "Placeholder"
assert list(loaded.image_shape) == [64, 64, 3]
assert tuple(loaded.image_value_range) == (0, 1)
observations = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
found = lucid_bridge.rl_util.get_acts(loaded, "ppo2_model/pi_1/add", observations)
expected = load({str(path)!r})(observations)[0]
assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
""",
            lucid=LUCID_0310,
        )

    @needs_0310
    @pytest.mark.slow
    @pytest.mark.skipif(
        not LUCID_TESTS, reason="LUCID_0310_TESTS does not name Lucid's tests/ folder"
    )
    def test_its_own_tests_pass(self, tmp_path):
        """Those that need no download, in the graph mode that they were written for."""
        parts = ["misc", "optvis/param", "modelzoo"]
        without = {
            "modelzoo/test_wordnet.py": "",  # needs nltk
            "misc/io/test_showing.py": "",  # needs pytest-mock
            "misc/io/test_reading.py": "::test_read_remote_url",  # the same
            "modelzoo/test_InceptionV1.py": "",  # the others download models
            "modelzoo/test_vision_base.py": "",
        }
        tests = tmp_path / "tests"
        shutil.copytree(LUCID_TESTS, tests)
        options = ["-q", "-p", "no:cacheprovider"]
        for name, case in without.items():
            options.append(
                f"--deselect=tests/{name}{case}" if case else f"--ignore=tests/{name}"
            )
        code = f"""
import os, sys, pytest, tensorflow
from lucid_rl.model import lucid_finder
tensorflow.compat.v1.disable_v2_behavior()
lucid_finder.make_importable()
sys.modules["tensorflow"] = lucid_finder.tensorflow_1()
os.chdir({str(tmp_path)!r})
open("tox.ini", "w").write("[pytest]")
code = pytest.main({[f"tests/{part}" for part in parts] + options!r})
assert code == 0, code
"""
        assert " passed" in run(code, lucid=LUCID_0310).stdout

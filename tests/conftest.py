"""Fixtures shared by all tests: reference arrays and the model they were made with."""

import os
import pathlib
import shutil

# TensorFlow reads these when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import hypothesis
import numpy as np
import pytest

# The same examples in every run.
hypothesis.settings.register_profile(
    "tests", derandomize=True, database=None, deadline=None
)
hypothesis.settings.load_profile("tests")

DATA = pathlib.Path(__file__).parent / "data"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 120_000
"""How long, in ms, to wait for a browser or its page: machines may be slow and busy."""


@pytest.fixture(scope="session")
def golden():
    """Reference arrays of the original code by name; see tests/data/golden_A."""
    with np.load(DATA / "golden_A" / "arrays.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def observations(golden):
    return golden["obs_u8"]


@pytest.fixture(scope="session")
def golden_folder():
    """Folder of the reference arrays and the files in the article's formats."""
    return DATA / "golden_A"


@pytest.fixture(scope="session")
def checkpoint_a(golden_folder):
    """The checkpoint that the reference arrays were made with."""
    from lucid_rl.checkpoints.checkpoint import load_checkpoint

    return load_checkpoint(golden_folder / "checkpoint_A.jd")


@pytest.fixture(scope="session")
def model_a(checkpoint_a):
    """`checkpoint_a` as a Model, made once for all tests."""
    from lucid_rl.model.loading import load

    return load(checkpoint_a)


@pytest.fixture(scope="session")
def chromium():
    """A real headless browser; playwright can run once in a process."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    with playwright.sync_playwright() as api:
        if path is None and not pathlib.Path(api.chromium.executable_path).exists():
            pytest.skip(f"no browser: none of {', '.join(CHROMIUMS)} is installed")
        browser = api.chromium.launch(
            executable_path=path, args=["--no-sandbox"], timeout=PATIENCE
        )
        yield browser
        browser.close()

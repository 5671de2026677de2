"""A small engine with the interface of the original CoinRun's, compiled on the spot."""

import pathlib
import shutil
import subprocess

import pytest
from PIL import Image

from lucid_rl.games import assets, coinrun_original_files

SOURCE = pathlib.Path(__file__).with_name("fake_coinrun.c")


def compile_engine(folder, *options, name="coinrun_cpp.so", source=SOURCE):
    """The library's path; skips the test where nothing compiles C."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for the test's own engine")
    library = folder / name
    command = [compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1"]
    subprocess.run(
        [*command, "-shared", "-fPIC", "-o", library, source, *options], check=True
    )
    return library


def make_assets(folder):
    """A folder with the pictures that can be made invisible, all opaque."""
    for files in assets.INVISIBLE_OBJECTS.values():
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGBA", (8, 8), (200, 0, 0, 255)).save(folder / file)
    return folder


def use_engine(monkeypatch, library, pictures):
    """Has this process and its children play on an engine."""
    monkeypatch.setenv(coinrun_original_files.LIBRARY_VARIABLE, str(library))
    monkeypatch.setenv(coinrun_original_files.ASSETS_VARIABLE, str(pictures))

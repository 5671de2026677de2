"""A model with samples of its own, and the interface that is made of it."""

import shutil

import pytest

from lucid_rl.checkpoints.jd_format import write_jd


@pytest.fixture(scope="session")
def own_samples(golden, golden_folder, tmp_path_factory):
    """A checkpoint with observations and trajectories, in the article's layout."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copy(golden_folder / "checkpoint_A.jd", folder / "small.jd")
    beside = folder / "rl-clarity"
    beside.mkdir()
    shutil.copy(
        golden_folder / "checkpoint_A.metadata.jd", beside / "small.metadata.jd"
    )
    write_jd({"observations": golden["obs_u8"]}, beside / "small.observations.jd")
    names = ("observations", "actions", "rewards", "firsts")
    write_jd(
        {name: golden[f"traj_{name}"] for name in names},
        beside / "small.trajectories.jd",
    )
    return folder / "small.jd"


@pytest.fixture(scope="session")
def small_settings(own_samples, tmp_path_factory):
    """Settings of an interface that takes seconds and needs no game."""
    from lucid_rl.interface import InterfaceSettings
    from lucid_rl.interpret.attribution import AttributionSettings
    from lucid_rl.interpret.nmf import NMFSettings

    return InterfaceSettings(
        model=str(own_samples),
        output_dir=tmp_path_factory.mktemp("interface") / "page",
        layers=("2b", "4a"),
        policy_layers=("4a",),
        code_levels=255,
        attribution=AttributionSettings(n_steps=2),
        error_tolerance=0,
        nmf=NMFSettings(n_features=3, order="fraction"),
    )


@pytest.fixture(scope="session")
def small_page(small_settings):
    """The path of the interface made with `small_settings`."""
    from lucid_rl.interface import make_interface

    return make_interface(small_settings)

"""Pages of recorded data, of observations of any size and stack."""

import dataclasses

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import Checkpoint
from lucid_rl.checkpoints.from_torch import parameters
from lucid_rl.errors import InputError
from lucid_rl.interface import InterfaceSettings, make_interface, read_bundle
from lucid_rl.model.loading import load
from lucid_rl.sampling.observations import ObservationSettings
from lucid_rl.sampling.trajectories import TrajectorySettings

NAMES = ["noop", "fire", "left", "right"]
# Height and width, channels, positions of the last map.
SHAPES = [(84, 4, 49), (96, 3, 64), (64, 12, 16), (64, 1, 16)]


def agent_weights(channels, n_positions):
    """Mnih's network, small, as Stable-Baselines3 names its layers."""
    rng = np.random.default_rng(0)
    kernels = {
        "features_extractor.cnn.0": (4, channels, 8, 8),
        "features_extractor.cnn.2": (6, 4, 4, 4),
        "features_extractor.cnn.4": (6, 6, 3, 3),
        "features_extractor.linear.0": (16, 6 * n_positions),
        "action_net": (4, 16),
        "value_net": (1, 16),
    }
    weights = {}
    for name, shape in kernels.items():
        size = np.sqrt(2 / np.prod(shape[1:]))
        weights[f"{name}.weight"] = (size * rng.normal(size=shape)).astype(np.float32)
        weights[f"{name}.bias"] = np.full(shape[:1], 0.05, np.float32)
    return weights


def agent(side, channels, n_positions):
    """A model of such weights."""
    weights = agent_weights(channels, n_positions)
    found = parameters(weights, image_size=(side, side))
    return load(Checkpoint(found.params, found.settings))


def recording(path, side, channels, n=20, **arrays):
    """A bright square that moves, and what else is given."""
    frames = np.zeros((n, side, side, channels), np.uint8)
    for t in range(n):
        for c in range(channels):
            x = (3 * t + c) % (side - 8)
            frames[t, 20:28, x : x + 8, c] = 200
    np.savez(path, observations=frames, **arrays)
    return frames


@pytest.fixture
def settings(tmp_path):
    return InterfaceSettings(
        output_dir=tmp_path / "page",
        samples=tmp_path / "my.npz",
        trajectories=TrajectorySettings(n_envs=8, n_steps=10),
        observations=ObservationSettings(n_envs=8, n_per_env=1),
        error_tolerance=0,
        early_page=False,
    )


@pytest.mark.parametrize(("side", "channels", "n_positions"), SHAPES)
def test_a_page_of_observations_of_any_size(settings, side, channels, n_positions):
    frames = recording(settings.samples, side, channels)
    model = agent(side, channels, n_positions)
    assert model.image_shape == (side, side, channels)
    bundle = read_bundle(make_interface(settings, model=model))
    # Twenty steps are cut into two trajectories of ten.
    assert [t["length"] for t in bundle.manifest["trajectories"]] == [10, 10]
    shown = np.concatenate([bundle.observations(0), bundle.observations(1)])
    np.testing.assert_array_equal(shown, frames)
    assert bundle.layers() == ("input", "c1", "c2", "c3")
    logits, _ = model(frames)
    actions = bundle.part("manifest").array("actions")
    np.testing.assert_array_equal(actions, logits.argmax(axis=1))
    assert any("none were recorded" in note for note in bundle.manifest["notes"])


def test_actions_rewards_and_names_are_shown(settings):
    rng = np.random.default_rng(0)
    ends = np.arange(20) % 7 == 6
    arrays = {"actions": rng.integers(0, 4, 20), "rewards": np.arange(20) * 0.5}
    recording(settings.samples, 64, 1, ends=ends, action_names=NAMES, **arrays)
    model = agent(64, 1, 16)
    small = dataclasses.replace(settings, layers=("c3",))
    bundle = read_bundle(make_interface(small, model=model))
    manifest = bundle.manifest
    assert manifest["action_names"] == NAMES
    assert manifest["trajectories"][0]["title"].endswith("1 ended (return 10.5)")
    actions = bundle.part("manifest").array("actions")
    np.testing.assert_array_equal(actions, arrays["actions"])
    assert any("Mean return of the 2 episodes" in note for note in manifest["notes"])


@pytest.mark.parametrize(
    ("side", "channels", "arrays", "words"),
    [
        (64, 1, {"actions": np.full(20, 4)}, "has 5 actions: expected 4"),
        (64, 1, {"action_names": NAMES[:3]}, "has 3 actions: expected 4"),
        (84, 4, {}, r"shape \(20, 84, 84, 4\): expected \(N, 64, 64, 1\)"),
    ],
)
def test_what_the_model_cannot_see_is_refused(settings, side, channels, arrays, words):
    recording(settings.samples, side, channels, **arrays)
    with pytest.raises(InputError, match=words):
        make_interface(settings, model=agent(64, 1, 16))
    assert not settings.output_dir.exists()


def test_channels_first_are_told(settings):
    frames = recording(settings.samples, 84, 4)
    np.savez(settings.samples, observations=np.moveaxis(frames, -1, 1))
    with pytest.raises(InputError, match=r"channels last, np\.moveaxis"):
        make_interface(settings, model=agent(84, 4, 49))

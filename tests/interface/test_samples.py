"""What a page samples in the model's own game."""

import dataclasses

import numpy as np

from lucid_rl.interface.samples import get_samples
from lucid_rl.interface.settings import InterfaceSettings
from lucid_rl.interface.stages import StageCache
from lucid_rl.model.loading import load
from lucid_rl.sampling.observations import ObservationSettings
from lucid_rl.sampling.trajectories import TrajectorySettings


def test_the_outputs_of_the_agent_are_kept_with_its_trajectories(tmp_path):
    settings = dataclasses.replace(
        InterfaceSettings(),
        observations=ObservationSettings(n_envs=2, n_per_env=2, interval=1),
        trajectories=TrajectorySettings(n_envs=2, n_steps=6),
    )
    model = load("bundled")
    samples = get_samples(model, settings, StageCache(tmp_path))
    frames = samples.trajectories.observations.reshape(-1, *model.image_shape)
    assert samples.outputs is not None
    for kept, computed in zip(samples.outputs, model(frames), strict=True):
        np.testing.assert_allclose(kept, computed, atol=1e-4)

    cache = StageCache(tmp_path)
    again = get_samples(model, settings, cache)
    assert (cache.made, len(cache.reused)) == ([], 2)
    assert again.outputs is not None
    for kept, first in zip(again.outputs, samples.outputs, strict=True):
        np.testing.assert_array_equal(kept, first)
    for name in ("observations", "actions", "firsts"):
        np.testing.assert_array_equal(
            getattr(again.trajectories, name), getattr(samples.trajectories, name)
        )

"""Pictures of agents that see stacks of frames, or grey ones."""

import dataclasses

import numpy as np
import pytest

from lucid_rl.errors import SettingsError
from lucid_rl.interpret.attribution import attribute
from lucid_rl.interpret.attribution_sheet import attribution_sheet
from lucid_rl.interpret.nmf import NMF
from lucid_rl.interpret.visualization.image_statistics import measure_statistics
from lucid_rl.interpret.visualization.parametrizations import KINDS, Parametrization
from lucid_rl.interpret.visualization.visualize import VisualizationSettings, visualize
from lucid_rl.sampling.observations import pictures_of
from tests.interface.test_recorded_page import SHAPES, agent

QUICK = VisualizationSettings(steps=12)


@pytest.mark.parametrize(("side", "channels", "n_positions"), SHAPES)
def test_pictures_have_the_models_channels(side, channels, n_positions):
    model = agent(side, channels, n_positions)
    shape = (16, side, side, channels)
    observations = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    # Of so small a network, one that grey does not close.
    channel = model.activations(np.full((1, *shape[1:]), 0.5), "c1").max((0, 1, 2))
    objective = f"c1:{channel.argmax()}"
    found = visualize(model, objective, QUICK, observations=observations)
    assert found.images.shape == (1, side, side, channels)
    assert found.losses[-1] < found.losses[0]
    assert "<img" in found._repr_html_()
    attribution = attribute(model, observations, "c2")
    features = NMF(n_features=2).fit(attribution)
    assert features.plot(model, observations).images.shape[-1] == 4
    sheet = attribution_sheet(observations, attribution, features)
    assert sheet.positive.shape == (16, side, side, 3)
    np.testing.assert_array_equal(sheet.observations, pictures_of(observations))


@pytest.mark.parametrize("kind", KINDS)
def test_frames_of_a_stack_are_pictures_of_their_own(kind):
    model = agent(64, 12, 16)
    settings = dataclasses.replace(QUICK, parametrization=Parametrization(kind))
    (image,) = visualize(model, "c1:1", settings).images
    frames = np.split(image, 4, axis=-1)
    assert all(np.abs(frames[0] - frame).max() > 0.01 for frame in frames[1:])


def test_statistics_of_grey_games():
    frames = np.random.default_rng(0).random((8, 64, 64, 1))
    statistics = measure_statistics(frames)
    np.testing.assert_allclose(statistics.colour_matrix, [[frames.std()]], rtol=1e-4)
    model = agent(64, 1, 16)
    for kind in KINDS:
        parametrization = Parametrization(kind, statistics=statistics)
        settings = dataclasses.replace(QUICK, parametrization=parametrization)
        assert visualize(model, "c1:0", settings).images.shape == (1, 64, 64, 1)
    with pytest.raises(SettingsError, match="1 channels for frames of 3"):
        Parametrization(statistics=statistics).param_f(1, (64, 64), channels=12)

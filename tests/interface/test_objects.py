"""Objects by feature: what a page says a feature detects."""

import dataclasses

import numpy as np
import pytest

from lucid_rl.interface import make_interface, read_bundle
from lucid_rl.interface.objects import ObjectMaps, detected_objects
from lucid_rl.interface.samples import get_samples
from lucid_rl.interface.stages import StageCache
from lucid_rl.model.loading import load

CLASSES = ("coin", "saw", "absent", "everywhere")


@pytest.fixture(scope="module")
def objects():
    rng = np.random.default_rng(0)
    maps = np.zeros((40, 4, 16, 16), np.uint8)
    maps[:, :2] = rng.random((40, 2, 16, 16)) < 0.02
    maps[:, 3] = 1
    return ObjectMaps(CLASSES, maps)


def test_detectors_are_told_from_what_knows_nothing(objects):
    rng = np.random.default_rng(1)
    noise = 0.01 * rng.random((40, 16, 16)).astype(np.float32)
    coins = objects.maps[:, 0] + noise
    both = 3 * objects.maps[:, 1] + objects.maps[:, 0] + noise
    responses = np.stack([coins, both, noise, np.zeros_like(noise)], axis=-1)
    first, second, unsure, silent = detected_objects(responses, objects)
    assert [entry["object"] for entry in first] == ["coin"]
    assert first[0]["average_precision"] > 0.99
    mean = coins.mean()
    here = coins[objects.maps[:, 0] == 1].mean()
    assert first[0]["ratio"] == pytest.approx(here / mean, rel=1e-5)
    assert [entry["object"] for entry in second] == ["saw", "coin"]
    assert second[0]["average_precision"] > second[1]["average_precision"]
    assert unsure == silent == []


def test_a_layer_that_does_not_divide_into_cells_has_none(objects):
    assert detected_objects(np.zeros((40, 9, 9, 2), np.float32), objects) == []


def test_a_page_of_a_game_that_tells_its_objects_lists_them(small_settings, tmp_path):
    """Objects that are placed where one feature responds are found at that feature."""
    settings = dataclasses.replace(
        small_settings,
        output_dir=tmp_path / "page",
        layers=("4a",),
        policy_layers=(),
        input_gradients=False,
        early_page=False,
    )
    model = load(settings.model, samples=True)
    cache = StageCache(tmp_path / "stages")
    samples = get_samples(model, settings, cache)
    assert samples.objects is None  # the files tell no objects
    activations = model.activations(samples.observations, "4a")
    strongest = activations.sum(axis=-1) > np.quantile(activations.sum(axis=-1), 0.97)
    maps = strongest[:, None].repeat(2, axis=2).repeat(2, axis=3)
    samples = dataclasses.replace(samples, objects=ObjectMaps(("thing",), maps))
    page = make_interface(settings, cache, samples)
    (layer,) = read_bundle(page).manifest["models"][0]["layers"]
    listed = [entry["objects"] for entry in layer["features"]]
    assert any(found and found[0]["object"] == "thing" for found in listed)
    for found in listed:
        assert all(entry["ratio"] >= 2 for entry in found)

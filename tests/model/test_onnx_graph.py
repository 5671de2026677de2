"""Networks of ONNX files: outputs as onnxruntime computes them, layers, edits."""

import pathlib

import numpy as np
import pytest

from lucid_rl.errors import FileFormatError, ModelError
from lucid_rl.interpret.attribution import attribute
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

    with pytest.raises(FileFormatError, match="Round"):
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

"""`.model.pb` files: round trips, other writers' files, and what is refused."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from lucid_rl.checkpoints.architectures import ARCHITECTURES
from lucid_rl.errors import FileFormatError, SaveError
from lucid_rl.model.architectures import build_graph_def
from lucid_rl.model.loading import load
from lucid_rl.model.lucid_model import (
    METADATA_NAME,
    Metadata,
    read_model_and_metadata,
    write_model_pb,
)
from lucid_rl.model.model import Model
from tests.model.numpy_networks import random_params

METADATA = Metadata("Placeholder", (64, 64, 3))


@pytest.fixture(scope="module")
def graph_def():
    return build_graph_def(random_params("nature"), "nature")


def untyped(graph_def):
    """A copy without TensorFlow's notes on types, which files need not have."""
    copy = tf.GraphDef()
    copy.CopyFrom(graph_def)
    for node in copy.node:
        node.ClearField("experimental_type")
    return copy


def changed(graph_def, change):
    copy = tf.GraphDef()
    copy.CopyFrom(graph_def)
    change(copy)
    return copy


class TestRoundTrip:
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_model(self, architecture, tmp_path):
        model = Model(build_graph_def(random_params(architecture), architecture))
        path = tmp_path / "x.model.pb"
        model.save(path)
        again = load(path)
        assert again.graph_def() == untyped(model.graph_def())
        assert again.layers == model.layers
        observations = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
        for ours, theirs in zip(model(observations), again(observations), strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_metadata(self, graph_def, tmp_path):
        path = tmp_path / "x.model.pb"
        metadata = Metadata("Placeholder", (64, 64, 3), (0.0, 255.0))
        write_model_pb(graph_def, path, metadata)
        found, read = read_model_and_metadata(path)
        assert read == metadata
        assert found == untyped(graph_def)

    def test_same_bytes_each_time(self, graph_def, tmp_path):
        for name in ("a", "b"):
            write_model_pb(graph_def, tmp_path / name, METADATA)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_a_file_that_cannot_be_written(self, graph_def, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(SaveError):
            write_model_pb(graph_def, tmp_path / "file" / "x.model.pb", METADATA)


class TestOtherWriters:
    def test_the_articles_file(self, golden_folder):
        _, metadata = read_model_and_metadata(golden_folder / "checkpoint_A.model.pb")
        assert metadata.input_name == "Placeholder"
        assert metadata.image_shape == (64, 64, 3)
        assert metadata.image_value_range == (0.0, 1.0)

    def test_without_metadata_the_placeholder_tells(self, graph_def, tmp_path):
        path = tmp_path / "plain.pb"
        path.write_bytes(graph_def.SerializeToString())
        metadata = read_model_and_metadata(path)[1]
        assert metadata == METADATA._replace(image_value_range=None)

    def test_without_metadata_nor_shape(self, tmp_path):
        with tf.Graph().as_default() as graph:
            tf.identity(tf.placeholder(tf.float32, None))
        path = tmp_path / "plain.pb"
        path.write_bytes(graph.as_graph_def().SerializeToString())
        with pytest.raises(FileFormatError, match="input is unknown"):
            read_model_and_metadata(path)


class TestRefused:
    def refused(self, graph_def, tmp_path, message):
        path = tmp_path / "bad.model.pb"
        path.write_bytes(graph_def.SerializeToString())
        with pytest.raises(FileFormatError, match=message):
            read_model_and_metadata(path)

    def test_missing(self, tmp_path):
        with pytest.raises(FileFormatError, match="cannot read"):
            read_model_and_metadata(tmp_path / "none.pb")

    def test_empty(self, tmp_path):
        self.refused(tf.GraphDef(), tmp_path, "no graph")

    def test_truncated(self, graph_def, tmp_path):
        path = tmp_path / "x.model.pb"
        write_model_pb(graph_def, path, METADATA)
        data = path.read_bytes()
        for share in (0.1, 0.5, 0.99):
            path.write_bytes(data[: int(share * len(data))])
            with pytest.raises(FileFormatError):
                read_model_and_metadata(path)

    def test_something_else(self, tmp_path):
        path = tmp_path / "x.model.pb"
        path.write_bytes(b"<html>not found</html>")
        with pytest.raises(FileFormatError):
            read_model_and_metadata(path)

    @pytest.mark.parametrize("op", ["ReadFile", "PyFunc", "WriteFile", "MatchingFiles"])
    def test_operations_of_no_network(self, graph_def, tmp_path, op):
        def change(copy):
            copy.node.add(name="evil", op=op)

        self.refused(changed(graph_def, change), tmp_path, f"{op}.*not run")

    def test_functions(self, graph_def, tmp_path):
        def change(copy):
            copy.library.function.add().signature.name = "f"

        self.refused(changed(graph_def, change), tmp_path, "functions")

    def test_two_nodes_of_one_name(self, graph_def, tmp_path):
        def change(copy):
            copy.node.add().CopyFrom(copy.node[0])

        self.refused(changed(graph_def, change), tmp_path, "several nodes")

    def test_wires_to_nowhere(self, graph_def, tmp_path):
        def change(copy):
            copy.node.add(name="loose", op="Relu", input=["nothing"])

        self.refused(changed(graph_def, change), tmp_path, "no valid graph")

    def test_a_constant_larger_than_the_file(self, graph_def, tmp_path):
        def change(copy):
            node = copy.node.add(name="huge", op="Const")
            node.attr["dtype"].type = tf.float32.as_datatype_enum
            tensor = node.attr["value"].tensor
            tensor.dtype = tf.float32.as_datatype_enum
            tensor.tensor_shape.dim.add(size=10**10)
            tensor.float_val.append(1.0)

        self.refused(changed(graph_def, change), tmp_path, "more memory than a file")

    def test_text(self, graph_def, tmp_path):
        def change(copy):
            node = copy.node.add(name="text", op="Const")
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto("x"))

        self.refused(changed(graph_def, change), tmp_path, "of type string")

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"input_name": 3}', "null"])
    def test_metadata_that_says_nothing(self, graph_def, tmp_path, text):
        def change(copy):
            node = copy.node.add(name=METADATA_NAME, op="Const")
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(text))

        self.refused(changed(graph_def, change), tmp_path, METADATA_NAME)

    def test_an_input_that_is_not_there(self, graph_def, tmp_path):
        path = tmp_path / "x.model.pb"
        write_model_pb(graph_def, path, METADATA._replace(input_name="image"))
        with pytest.raises(FileFormatError, match="'image'"):
            read_model_and_metadata(path)

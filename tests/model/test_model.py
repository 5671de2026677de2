"""The compiled model: reference outputs, batches, bfloat16, bad input."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from lucid_rl.checkpoints.architectures import ARCHITECTURES
from lucid_rl.errors import CheckpointError, FileFormatError, InputError, ModelError
from lucid_rl.interpret.targets import logit, value
from lucid_rl.model.architectures import build_graph_def
from lucid_rl.model.batching import batch_slices, rows_within
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from tests.conftest import DATA
from tests.model.numpy_networks import random_params

LAYERS = ("1a", "2a", "2b", "3a", "4a")


@pytest.fixture(scope="module")
def impala():
    return Model(build_graph_def(random_params("impala"), "impala"))


class TestReference:
    """Arrays that Lucid's rl_util computed on TensorFlow 1.15."""

    @pytest.mark.parametrize(
        ("array", "name"),
        [(f"acts_{layer}", layer) for layer in LAYERS]
        + [(f"pool_{layer}", f"ppo2_model/pi/{layer}/Sqrt") for layer in LAYERS[::2]]
        + [
            ("pool_3a", "ppo2_model/pi/3a/Sqrt:0"),
            ("dense_relu", "ppo2_model/pi/dense/Relu"),
            ("dense_1_relu", "ppo2_model/pi/dense_1/Relu"),
        ],
    )
    def test_activations(self, model_a, golden, observations, array, name):
        expected = golden[array]
        found = model_a.activations(observations[: len(expected)], [name])[name]
        np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())

    def test_policy(self, model_a, golden, observations):
        logits, values = model_a(observations)
        np.testing.assert_allclose(logits, golden["logits"], atol=1e-5)
        np.testing.assert_allclose(values, golden["value"], atol=1e-5)

    def test_the_articles_own_graph(self, model_a, golden_folder, observations):
        saved = load(golden_folder / "checkpoint_A.model.pb")
        assert saved.layers == model_a.layers == LAYERS
        for ours, theirs in zip(
            model_a(observations), saved(observations), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


class TestBatches:
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_convolutions_are_equal_to_the_bit(self, architecture, observations):
        model = Model(build_graph_def(random_params(architecture), architecture))
        names = (*model.layers, "logits", "value")
        rows = observations[:9]
        whole = model.activations(rows, names, batch_size=9)
        for size in (1, 2, 4):
            parts = model.activations(rows, names, batch_size=size)
            for name in model.layers:
                np.testing.assert_array_equal(parts[name], whole[name])
            # Sums of matrix products may run in another order.
            for name in ("logits", "value"):
                scale = np.abs(whole[name]).max()
                np.testing.assert_allclose(parts[name], whole[name], atol=2e-6 * scale)

    def test_each_observation_by_itself(self, model_a, observations):
        order = np.random.default_rng(0).permutation(8)
        found = model_a.activations(observations[:8], ["2b"])["2b"]
        shuffled = model_a.activations(observations[:8][order], ["2b"])["2b"]
        np.testing.assert_array_equal(shuffled, found[order])

    def test_no_observations(self, model_a, observations):
        found = model_a.activations(observations[:0], ["4a", "value"])
        assert found["4a"].shape == (0, 8, 8, 32)
        assert found["value"].shape == (0,)

    def test_slices_cover_all_rows_once(self):
        slices = list(batch_slices(10, 4))
        assert [list(range(10))[s] for s in slices] == [
            [0, 1, 2, 3],
            [4, 5, 6, 7],
            [8, 9],
        ]
        assert (rows_within(100, 30), rows_within(10, 30)) == (3, 1)


class TestBfloat16:
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_error_is_as_stated(self, architecture, observations):
        graph_def = build_graph_def(random_params(architecture), architecture)
        rounded = Model(graph_def, bfloat16=True)
        names = (*rounded.layers, "logits")
        exact = Model(graph_def).activations(observations[:8], names)
        found = rounded.activations(observations[:8], names)
        for name in names:
            error = np.linalg.norm(found[name] - exact[name])
            assert 0 < error < 0.02 * np.linalg.norm(exact[name])

    def test_the_saved_graph_is_not_rounded(self, checkpoint_a, model_a):
        rounded = load(checkpoint_a, bfloat16=True)
        assert rounded.graph_def() == model_a.graph_def()


@pytest.mark.parametrize("ending", ["pt", "pth", "zip", "ckpt", "onnx"])
def test_formats_that_are_only_read(model_a, ending, tmp_path):
    path = tmp_path / f"edited.{ending}"
    with pytest.raises(InputError, match=r"ends in '\.model\.pb' or '\.jd'"):
        model_a.save(path)
    assert not path.exists()


def test_what_is_no_array_of_directions_is_named(model_a):
    with pytest.raises(InputError, match=r"shape dict: expected \[32\] or \[K, 32\]"):
        model_a.without({}, "2b")


def test_an_option_that_load_does_not_have_belongs_into_args():
    with pytest.raises(InputError, match=r"args=\{'distribution_mode': …\}"):
        load("bundled", distribution_mode="easy")


class TestNames:
    def test_short_and_full(self, model_a):
        assert model_a.tensor_name("2b") == "ppo2_model/pi/2b/Relu:0"
        assert model_a.tensor_name("value") == "ppo2_model/strided_slice:0"
        assert model_a.tensor_name("ppo2_model/pi/2b/Relu:0") == model_a.tensor_name(
            "2b"
        )
        assert model_a.layer_shape("3a") == (16, 16, 32)
        assert model_a.layer_shape("input") == model_a.image_shape == (64, 64, 3)

    def test_layers_are_bottlenecks(self, impala):
        """What a residual path goes around is no layer, but can be asked for."""
        numbers = (0, 2, 4, 5, 7, 9, 10, 12, 14)
        assert impala.layers == tuple(f"layer_{i}" for i in numbers)
        assert impala.layer_shape("layer_1") == (32, 32, 16)
        inner = impala.layer_function("layer_1", [value().tensor])
        outer = impala.layer_function("layer_2", [value().tensor])
        assert inner.needs_observations and not outer.needs_observations

    @pytest.mark.parametrize("name", ["5a", "", "ppo2_model/pi/2b", "2b:1"])
    def test_unknown_name_lists_layers(self, model_a, observations, name):
        with pytest.raises(ModelError, match="1a, 2a, 2b, 3a, 4a"):
            model_a.activations(observations[:1], [name])

    def test_outputs_of_another_name(self, model_a):
        graph_def = model_a.graph_def()
        with pytest.raises(ModelError, match="critic"):
            Model(graph_def, value_name="critic")

    def test_a_graph_without_one_input(self):
        with tf.Graph().as_default() as graph:
            tf.placeholder(tf.float32, (None, 64, 64, 3))
            tf.placeholder(tf.float32, (None, 2))
            with pytest.raises(ModelError, match="2 placeholders"):
                Model(graph.as_graph_def())


class TestBadInput:
    def test_bytes_are_divided_by_255(self, model_a, observations):
        floats = observations[:3] / np.float32(255)
        for ours, theirs in zip(
            model_a(observations[:3]), model_a(floats), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_what_is_not_finite(self, model_a, observations, bad):
        floats = observations[:3] / np.float32(255)
        floats[2, 5, 5, 1] = bad
        with pytest.raises(InputError, match="observation number 2"):
            model_a(floats)

    def test_floats_of_0_to_255(self, model_a, observations):
        with pytest.raises(InputError, match=r"range from 0 to 2.*divide"):
            model_a(observations[:2].astype(np.float32))

    def test_negative_floats(self, model_a):
        with pytest.raises(InputError, match=r"-0\.5"):
            model_a(np.full((1, 64, 64, 3), -0.5, np.float32))

    @pytest.mark.parametrize("dtype", [np.int64, bool, object, "U1", complex])
    def test_other_types(self, model_a, dtype):
        with pytest.raises(InputError, match="uint8 in 0 to 255"):
            model_a(np.zeros((1, 64, 64, 3), dtype))

    @pytest.mark.parametrize(
        "shape", [(64, 64, 3), (1, 64, 64), (1, 64, 64, 4), (1, 3, 64, 64), ()]
    )
    def test_shapes(self, model_a, shape):
        with pytest.raises(InputError, match=r"\(N, 64, 64, 3\)"):
            model_a(np.zeros(shape, np.uint8))

    def test_other_precisions_are_taken(self, model_a, observations):
        floats = observations[:2].astype(np.float64) / 255
        expected = model_a(observations[:2])[1]
        np.testing.assert_allclose(model_a(floats)[1], expected, atol=1e-6)
        half = model_a(floats.astype(np.float16))[1]
        np.testing.assert_allclose(half, expected, atol=1e-2)

    def test_no_checkpoint(self, tmp_path, golden_folder):
        with pytest.raises(FileFormatError):
            load(tmp_path / "none.jd")
        with pytest.raises(CheckpointError):
            load(golden_folder / "checkpoint_A.metadata.jd")


class TestLayerFunction:
    """The network from a layer onward."""

    @pytest.mark.parametrize("layer", ["input", *LAYERS])
    def test_going_on_from_a_layer_is_the_network(self, model_a, observations, layer):
        function = model_a.layer_function(layer, [value().tensor, logit(0).tensor])
        points = model_a.activations(observations[:3], [layer])[layer]
        values, logits = function.values(points)
        expected = model_a(observations[:3])
        np.testing.assert_allclose(logits, expected[0], atol=1e-5)
        np.testing.assert_allclose(values, expected[1], atol=1e-5)

    def test_built_once(self, model_a):
        targets = [value().tensor]
        first = model_a.layer_function("2b", targets)
        assert model_a.layer_function("ppo2_model/pi/2b/Relu", targets) is first
        n_operations = len(model_a.graph.get_operations())
        points = np.ones((1, 32, 32, 32), np.float32)
        seeds = [np.ones(1, np.float32)]
        for _ in range(2):
            first.gradients(points, seeds)
            after_first = len(model_a.graph.get_operations())
            first.values(points)
        assert len(model_a.graph.get_operations()) == after_first >= n_operations

    def test_gradients_are_slopes(self, observations):
        """Central differences in the network's own precision."""
        network = Model(build_graph_def(random_params("nature"), "nature"))
        function = network.layer_function("c2", [value().tensor])
        points = network.activations(observations[:2], ["c2"])["c2"]
        (gradient,) = function.gradients(points, [np.ones(2, np.float32)])
        rng = np.random.default_rng(2)
        for _ in range(3):
            way = rng.normal(size=points.shape).astype(np.float32)
            ahead, behind = (
                function.values(points + sign * 1e-3 * way)[0] for sign in (1, -1)
            )
            slope = (gradient * way).sum(axis=(1, 2, 3))
            np.testing.assert_allclose(
                (ahead - behind) / 2e-3, slope, rtol=0.05, atol=0.05
            )

    def test_gradients_of_parts_add_up(self, model_a, observations):
        function = model_a.layer_function("3a", [logit(0).tensor])
        points = model_a.activations(observations[:3], ["3a"])["3a"]
        one = np.zeros((3, 15), np.float32)
        other = one.copy()
        one[:, 2], other[:, 7] = 1, -2
        parts = [function.gradients(points, [s])[0] for s in (one, other, one + other)]
        np.testing.assert_allclose(parts[0] + parts[1], parts[2], atol=1e-6)

    @pytest.mark.parametrize("layer", ["2a", "4a"])
    def test_gradients_do_not_depend_on_the_batch(self, model_a, observations, layer):
        function = model_a.layer_function(layer, [value().tensor])
        points = model_a.activations(observations[:6], [layer])[layer]
        (whole,) = function.gradients(points, [np.ones(6, np.float32)])
        for i in range(6):
            (alone,) = function.gradients(points[i : i + 1], [np.ones(1, np.float32)])
            np.testing.assert_allclose(
                alone[0], whole[i], atol=1e-5 * np.abs(whole).max()
            )

    def test_what_goes_around_the_layer_is_seen(self, impala, observations):
        function = impala.layer_function("layer_1", [value().tensor])
        floats = observations[:3] / np.float32(255)
        points = impala.activations(floats, ["layer_1"])["layer_1"]
        (values,) = function.values(points, floats)
        np.testing.assert_allclose(values, impala(floats)[1], atol=1e-5)
        starts = function.starts(points, floats)[0]
        assert starts.shape == (3,) and np.ptp(starts) > 0

    def test_multiplications_by_hand(self, model_a):
        function = model_a.layer_function("4a", [value().tensor])
        dense = 4 * 4 * 32 * 256 + 256 * 512 + 512
        assert function.multiplications == 2 * dense
        conv_4a = 8 * 8 * 5 * 5 * 32 * 32
        function = model_a.layer_function("3a", [value().tensor])
        assert function.multiplications == 2 * (dense + conv_4a)


def test_a_released_checkpoint_needs_no_other_file(tmp_path, monkeypatch):
    monkeypatch.setenv("LUCID_RL_CACHE", str(tmp_path))
    monkeypatch.setenv("LUCID_RL_RELEASED_URL", "http://localhost:1")  # nobody answers
    given = DATA / "jd_files" / "released_kind.jd"
    path = tmp_path / "released" / "procgen" / "coinrun.jd"
    path.parent.mkdir(parents=True)
    path.write_bytes(given.read_bytes())
    model = load("released:procgen/coinrun")
    assert (model.name, model.gamma, model.lam) == ("coinrun", 0.999, 0.95)
    assert model.files.checkpoint == path

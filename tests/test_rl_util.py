import base64
import copy
import io
import os
import pathlib
import pickle
import re
import subprocess
import sys
import threading
from http.server import HTTPServer, SimpleHTTPRequestHandler

import joblib
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from lucid_rl import rl_util
from lucid_rl.checkpoints.architectures import parameter_shapes
from lucid_rl.checkpoints.checkpoint import Checkpoint
from lucid_rl.errors import DownloadError, FileFormatError, InputError, ModelError
from lucid_rl.interpret.targets import value
from lucid_rl.model import lucid_bridge, lucid_network
from lucid_rl.model.loading import load
from lucid_rl.rl_util.parameter_editor import ParameterEditor
from tests import rl_util_oracle
from tests.programs import ROOT, run_forked

VALUE = "ppo2_model/strided_slice"
LOGITS = "ppo2_model/pi_1/add"
RELU_3A = "ppo2_model/pi/3a/Relu"
KERNEL = "ppo2_model/pi/3a/conv2d/kernel"
RELU_4A = "ppo2_model/pi/4a/Relu"
LUCID_0310 = pathlib.Path(os.environ.get("LUCID_0310", ROOT / ".venv" / "lucid-0.3.10"))


@pytest.fixture(scope="module")
def obses(golden):
    return golden["obs_u8"][:16].astype(np.float32) / np.float32(255)


# Names.


def test_every_public_name_is_there():
    namespace = {}
    exec("from lucid_rl.rl_util import *", namespace)
    expected = """
        np tf Model ChannelReducer param objectives render transform show save
        _image_url _display_html lucid_svelte load_joblib save_joblib zoom_to get_var
        get_shape concatenate_horizontally hue_to_rgb channels_to_rgb conv2d
        norm_filter brightness_to_opacity gradient_override_map maxpool_override
        get_acts get_grad_or_attr get_attr get_grad get_paths get_multi_path_attr
        argmax_nd LayerNMF rescale_opacity all_ reload default_score_fn
    """.split()  # noqa: SIM905
    assert sorted(expected) == sorted(rl_util.all_())
    assert set(expected) <= set(namespace)
    for name in ("__init__", "transform", "inverse_transform", "vis_traditional"):
        assert callable(getattr(rl_util.LayerNMF, name))
    with pytest.raises(AttributeError, match="no attribute"):
        rl_util.no_such_name  # noqa: B018


def test_the_originals_submodules():
    from lucid_rl.rl_util import arch, attribution, joblib_wrapper, nmf, util

    assert nmf.LayerNMF is rl_util.LayerNMF
    assert joblib_wrapper.load_joblib is rl_util.load_joblib
    assert attribution.get_attr is rl_util.get_attr
    assert util.channels_to_rgb is rl_util.channels_to_rgb
    with tf.Graph().as_default():
        found = arch.clear_cnn(tf.placeholder(tf.float32, (None, 64, 64, 3)))
        shapes = {v.name: tuple(v.shape.as_list()) for v in tf.global_variables()}
    body = "ppo2_model/pi/"
    expected = {
        name.removeprefix(body): shape
        for name, shape in parameter_shapes("clear", 15).items()
        if name.startswith(body) and "/" in name.removeprefix(body)
    }
    assert shapes == expected
    assert found.shape.as_list() == [None, expected["dense_1/bias:0"][0]]


def assert_runs(code):
    """Runs code in a process that has imported none of the package."""
    done = run_forked(exec, code, {})
    assert done.returncode == 0, done.stderr


def test_importing_it_leaves_lucid_for_later():
    code = (
        "import sys, lucid_rl.rl_util as u; assert not any("
        "m == 'lucid' or m.startswith('lucid.') for m in sys.modules); u.param; "
        "assert 'lucid.optvis.param' in sys.modules; "
        "import tensorflow as tf; assert tf.executing_eagerly()"
    )
    assert_runs(code)


# Models.


def test_all_kinds_of_models_give_the_same(model_a, golden_folder, obses):
    as_path = golden_folder / "checkpoint_A.model.pb"
    kinds = [
        model_a,
        as_path,
        str(golden_folder / "checkpoint_A.jd"),
        lucid_bridge.load_model(as_path),
        rl_util.Model.load(str(as_path)),
    ]
    reference = rl_util.get_acts(model_a, RELU_4A, obses)
    for kind in kinds:
        np.testing.assert_allclose(
            rl_util.get_acts(kind, RELU_4A, obses), reference, rtol=1e-5, atol=1e-6
        )
    with pytest.raises(InputError, match="expected a Lucid model"):
        rl_util.get_acts(3, RELU_4A, obses)
    with pytest.raises(FileFormatError):
        rl_util.get_acts(golden_folder / "none.jd", RELU_4A, obses)


def test_graphs_are_made_once(model_a, obses, monkeypatch):
    rl_util.get_attr(model_a, VALUE, RELU_4A, obses[:2])
    made = []
    monkeypatch.setattr(tf, "Graph", lambda: made.append("graph"))
    monkeypatch.setattr(tf, "gradients", lambda *a, **k: made.append(a))
    rl_util.get_attr(model_a, VALUE, RELU_4A, obses[:2], integrate_steps=3)
    rl_util.LayerNMF(model_a, RELU_4A, obses[:4], features=2, attr_layer_name=VALUE)
    assert not made


def test_a_new_graph_def_is_seen(golden_folder, obses, checkpoint_a):
    model = lucid_bridge.load_model(golden_folder / "checkpoint_A.model.pb")
    before = rl_util.get_acts(model, VALUE, obses)
    bias = "ppo2_model/vf/b:0"
    changed = checkpoint_a.replace_params({bias: checkpoint_a.params[bias] + 1})
    attribute = "_graph_def" if hasattr(model, "_graph_def") else "graph_def"
    setattr(model, attribute, load(changed).graph_def())
    after = rl_util.get_acts(model, VALUE, obses)
    np.testing.assert_allclose(after, before + 1, rtol=1e-5)


def test_many_score_functions_do_not_pile_up(model_a, obses):
    sizes = []
    network = lucid_network.network_of(model_a)
    for i in range(lucid_network.MAX_SCORES + 3):
        attr = rl_util.get_attr(
            model_a,
            LOGITS,
            RELU_4A,
            obses[:1],
            score_fn=lambda t, i=i: (i + 1) * t[:, 0],
        )
        if i == 0:
            first = attr
        sizes.append(len(network.graph.get_operations()))
    np.testing.assert_allclose(attr, (i + 1) * first, rtol=1e-4, atol=1e-6)
    assert sizes[-1] < max(sizes)


# Attribution.


def test_batches_do_not_matter(model_a, golden, monkeypatch):
    obses = golden["obs_u8"][:10] / 255.0
    poses = np.arange(20).reshape(10, 2) % 8
    options = {"act_dir": np.ones(32, np.float32), "act_poses": poses}
    whole = rl_util.get_attr(model_a, RELU_4A, RELU_3A, obses, **options)
    monkeypatch.setattr(lucid_network, "BATCH_SIZE", 3)
    cut = rl_util.get_attr(model_a, RELU_4A, RELU_3A, obses, **options)
    np.testing.assert_allclose(whole, cut, atol=1e-5 * np.abs(whole).max())


def test_the_default_score_is_the_sum(model_a, obses):
    summed = rl_util.get_grad(model_a, RELU_4A, obses[:2])
    by_hand = rl_util.get_grad(
        model_a, RELU_4A, obses[:2], score_fn=lambda t: tf.reduce_sum(t, [1, 2, 3])
    )
    np.testing.assert_allclose(summed, by_hand, rtol=1e-4, atol=1e-5)


def test_max_pool_override_changes_gradients_only():
    shapes = parameter_shapes("impala", 15)
    model = random_model("impala", shapes, 0)
    obses = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
    plain = rl_util.get_grad(model, VALUE, obses)
    smooth = rl_util.get_grad(model, VALUE, obses, override=rl_util.maxpool_override())
    assert np.abs(plain - smooth).max() > 1e-3 * np.abs(plain).max()
    again = rl_util.get_grad(model, VALUE, obses)
    np.testing.assert_array_equal(plain, again)


def test_mistakes_are_named(model_a, obses):
    with pytest.raises(ModelError, match=r"3b/Relu.*3a/Relu"):
        rl_util.get_acts(model_a, "ppo2_model/pi/3b/Relu", obses)
    with pytest.raises(ModelError, match="does not depend"):
        rl_util.get_attr(model_a, RELU_3A, RELU_4A, obses[:1])
    with pytest.raises(InputError, match="divide uint8 by 255"):
        rl_util.get_acts(model_a, RELU_3A, (obses * 255).astype(np.uint8))
    with pytest.raises(InputError, match="NaN"):
        rl_util.get_acts(model_a, RELU_3A, obses * np.nan)
    with pytest.raises(InputError, match="N, H, W, C"):
        rl_util.get_acts(model_a, RELU_3A, obses[0])
    with pytest.raises(InputError, match="reduces the batch"):
        rl_util.get_attr(model_a, LOGITS, RELU_4A, obses, score_fn=tf.reduce_sum)
    with pytest.raises(InputError, match="grad_or_attr"):
        rl_util.get_grad_or_attr(model_a, VALUE, None, obses, grad_or_attr="both")


def test_constants_and_shapes(model_a, checkpoint_a):
    name = "ppo2_model/pi/3a/conv2d/kernel"
    np.testing.assert_array_equal(
        rl_util.get_var(model_a, name), checkpoint_a.params[f"{name}:0"]
    )
    assert rl_util.get_shape(model_a, RELU_3A)[-1] == 32
    assert rl_util.get_shape(model_a, LOGITS) == [None, 15]


# Paths.


def test_paths_lead_to_the_activations(model_a, obses):
    nmf = rl_util.LayerNMF(model_a, RELU_4A, obses, features=3)
    acts = rl_util.get_acts(model_a, RELU_4A, obses[:2])
    paths = list(rl_util.get_paths(acts, nmf, max_paths=None, integrate_steps=4))
    # Three ways to choose one of three, each with its complement.
    assert len(paths) == 6
    for path in paths:
        assert len(path) == 4
        np.testing.assert_allclose(path[-1], acts, atol=1e-5 * acts.max())
    np.random.seed(3)
    drawn = list(rl_util.get_paths(acts, nmf, max_paths=3, integrate_steps=1))
    assert len(drawn) == 3


def test_multi_path_attribution_is_nearly_complete(model_a, obses):
    nmf = rl_util.LayerNMF(model_a, RELU_4A, obses, features=4)
    attr = rl_util.get_multi_path_attr(
        model_a, VALUE, RELU_4A, obses[:4], nmf, max_paths=None, integrate_steps=50
    )
    change = rl_util.get_acts(model_a, VALUE, obses[:4])
    (start,) = model_a.layer_function("4a", [value().tensor]).values_at_zero
    np.testing.assert_allclose(
        attr.sum(axis=(1, 2, 3)), change - start, atol=0.05 * np.abs(change).max()
    )


# Features.


@pytest.fixture(scope="module")
def layer_nmf(model_a, obses):
    return rl_util.LayerNMF(model_a, RELU_4A, obses, features=3, attr_layer_name=VALUE)


def test_channels_can_stay_as_they_are(model_a, obses):
    nmf = rl_util.LayerNMF(model_a, RELU_4A, obses, features=None)
    acts = rl_util.get_acts(model_a, RELU_4A, obses)
    np.testing.assert_array_equal(nmf.acts_reduced, acts)
    np.testing.assert_array_equal(nmf.channel_dirs, np.eye(32))
    np.testing.assert_array_equal(nmf.inverse_transform(nmf.transform(-acts)), -acts)
    image, indices = nmf.vis_dataset(5)
    assert image.shape == (64, 64, 4) and np.shape(indices) == (8, 8)


def test_padding_grows_with_the_patches(model_a, obses):
    nmf = rl_util.LayerNMF(model_a, RELU_4A, obses, features=2)
    assert nmf.padded_obses.shape == obses.shape
    nmf.pad_obses(expand_mult=2)
    assert (nmf.pad_h, nmf.pad_w) == (16, 16)
    padded = nmf.padded_obses
    np.testing.assert_array_equal(padded[:, 16:-16, 16:-16], obses)
    assert set(np.unique(padded[:, :16])) == {0.75, 1.0}
    nmf.pad_obses(expand_mult=1)
    assert nmf.pad_h == 16


def test_patches_are_cut_from_the_full_observations(model_a, obses):
    full = obses.repeat(2, axis=1).repeat(2, axis=2)
    nmf = rl_util.LayerNMF(model_a, RELU_4A, obses, full, features=2)
    patch = nmf.get_patch(3, 4.5, 2.5, expand_mult=1)
    np.testing.assert_array_equal(patch, full[3, 64:80, 32:48])


def test_too_small_a_grid_is_refused(layer_nmf):
    with pytest.raises(InputError, match="subdiv_mult"):
        layer_nmf.vis_dataset(0, subdiv_mult=0.01)
    with pytest.raises(InputError, match="25 observations"):
        layer_nmf.vis_dataset_thumbnail(0, num_mult=5)


@pytest.mark.slow
def test_gradient_ascent_strengthens_the_feature(layer_nmf, model_a):
    images = layer_nmf.vis_traditional([2], transforms=[])
    assert images.shape == (1, 64, 64, 3)
    direction = layer_nmf.channel_dirs[2]
    noise = np.random.default_rng(0).random((8, 64, 64, 3))
    ours, others = (
        rl_util.get_acts(model_a, RELU_4A, x)[:, 4, 4] @ direction
        for x in (images, noise)
    )
    assert ours[0] > 2 * others.max()
    with pytest.raises(InputError, match="l2_layer_name"):
        layer_nmf.vis_traditional(0, l2_coeff=1.0)


# Arrays.


def test_zoom_and_strips():
    image = np.arange(12.0).reshape(1, 2, 2, 3)
    np.testing.assert_array_equal(
        rl_util.zoom_to(image, 6), image.repeat(3, axis=1).repeat(3, axis=2)
    )
    strip = rl_util.concatenate_horizontally([image[0], image[0] + 12])
    assert strip.shape == (1, 2, 4, 3)
    np.testing.assert_array_equal(strip[0, :, 2:], image[0] + 12)


def test_opacity_leaves_bright_colours_above_one():
    rgba = rl_util.brightness_to_opacity(np.array([[3.0, 0, 4], [0.3, 0, 0.4]]))
    np.testing.assert_allclose(rgba, [[3, 0, 4, 1], [0.6, 0, 0.8, 0.5]])


def test_argmax_needs_to_know_its_strictness():
    x = np.random.default_rng(0).normal(size=(4, 5))
    with pytest.raises(InputError, match="max_rep_strict"):
        rl_util.argmax_nd(x, [0], max_rep=1)
    with pytest.raises(InputError, match="max_rep must be"):
        rl_util.argmax_nd(x, [0], max_rep=0)
    np.testing.assert_array_equal(rl_util.argmax_nd(x, [0])[0], x.argmax(axis=0))


def test_filters_of_one_distance_at_a_time():
    import math

    np.testing.assert_allclose(
        rl_util.norm_filter(5, norm_func=lambda n: math.exp(-n)), rl_util.norm_filter(5)
    )


# Files.


class Trap:
    def __reduce__(self):
        return (os.mkdir, ("sprung",))


def test_load_joblib_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for trap in (Trap(), {"params": [Trap()]}, np.array([Trap()], dtype=object)):
        joblib.dump(trap, "trap.jd")
        for given in ("trap.jd", io.BytesIO(pathlib.Path("trap.jd").read_bytes())):
            with pytest.raises(FileFormatError):
                rl_util.load_joblib(given)
    pathlib.Path("trap.jd").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(FileFormatError):
        rl_util.load_joblib("trap.jd")
    assert not pathlib.Path("sprung").exists()


def test_saved_files_are_joblibs(tmp_path):
    value = {"observations": np.arange(6).reshape(2, 3), "args": {"seed": 1, "x": None}}
    path = tmp_path / "value.jd"
    rl_util.save_joblib(value, path)
    for loaded in (joblib.load(path), rl_util.load_joblib(str(path), cache=None)):
        np.testing.assert_array_equal(loaded["observations"], value["observations"])
        assert loaded["args"] == value["args"]
    handle = io.BytesIO()
    rl_util.save_joblib(value, handle)
    handle.seek(0)
    assert rl_util.load_joblib(handle)["args"] == value["args"]
    rl_util.save_joblib(value, str(path), compress=3)
    assert rl_util.load_joblib(path)["args"] == value["args"]
    with pytest.raises(InputError, match="mmap_mode"):
        rl_util.load_joblib(path, mmap_mode="r")
    with pytest.raises(InputError, match="cannot write to"):
        rl_util.save_joblib(value, "gs://bucket/value.jd")
    with pytest.raises(FileFormatError):
        rl_util.load_joblib(tmp_path / "none.jd")


def test_files_are_fetched_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "served"
    folder.mkdir()
    rl_util.save_joblib({"a": 1}, folder / "value.jd")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/value.jd"
    try:
        assert rl_util.load_joblib(url) == {"a": 1}
        rl_util.save_joblib({"a": 2}, folder / "value.jd")
        assert rl_util.load_joblib(url) == {"a": 1}
        assert rl_util.load_joblib(url, cache=False) == {"a": 2}
        assert rl_util.load_joblib(url, cache="purge") == {"a": 2}
        assert rl_util.load_joblib(url) == {"a": 2}
        with pytest.raises(DownloadError, match="missing"):
            rl_util.load_joblib(url.replace("value", "missing"))
    finally:
        server.shutdown()
        server.server_close()


# The original itself, on other models.


def random_model(architecture, shapes, seed, n_actions=15):
    rng = np.random.default_rng(seed)
    params = {}
    for name, shape in shapes.items():
        fan_in = np.prod(shape[:-1])
        scale = np.sqrt(2 / fan_in) if len(shape) > 1 and fan_in > 1 else 0.02
        params[name] = (scale * rng.normal(size=shape)).astype(np.float32)
    args = {"cnn": architecture}
    return load(Checkpoint(params, args, {}, 0.0, None))


@pytest.mark.slow
@pytest.mark.skipif(
    not LUCID_0310.exists(), reason="needs Lucid 0.3.10, which `make bench` fetches"
)
@pytest.mark.parametrize(
    "architecture, seed, layer, later",
    [("clear", 11, "3a", "4a"), ("clear", 12, "2b", "3a"), ("impala", 13, None, None)],
)
def test_parity_with_the_original(tmp_path, architecture, seed, layer, later):
    n_actions = 9
    model = random_model(architecture, parameter_shapes(architecture, n_actions), seed)
    if architecture == "impala":
        # Other layers are sums that may be negative, which NMF does not take.
        nodes = [node.name for node in model.graph_def().node if node.op == "Relu"]
        layer, later = [n for n in nodes if len(rl_util.get_shape(model, n)) == 4][
            -3::2
        ]
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (24, 8, 8, 3), np.uint8)
    inputs = {
        "observations": blocks.repeat(8, axis=1).repeat(8, axis=2) / np.float32(255),
        "layer": model.node_name(layer),
        "later_layer": model.node_name(later),
        "n_later_channels": model.layer_shape(later)[-1],
        "value": VALUE,
        "logits": LOGITS,
    }
    model.save(tmp_path / "model.pb")
    np.savez(tmp_path / "in.npz", **inputs)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.rl_util_oracle",
            *map(str, (LUCID_0310, tmp_path / "model.pb", tmp_path / "in.npz")),
            str(tmp_path / "out.npz"),
        ],
        check=True,
        cwd=ROOT,
    )
    ours = rl_util_oracle.outputs(rl_util, model, inputs)
    with np.load(tmp_path / "out.npz") as loaded:
        reference = dict(loaded)
    assert set(ours) == set(reference)
    # Cells where nothing responds hold any observation in the original.
    blank = {}
    for name in ("even", "odd"):
        blank[f"{name}_vis"] = reference[f"{name}_vis"][..., 3:] == 0
        size = len(reference[f"{name}_vis"]) // len(reference[f"{name}_indices"])
        blank[f"{name}_indices"] = blank[f"{name}_vis"][::size, ::size, 0]
    for name, expected in reference.items():
        where = ~blank.get(name, np.zeros(1, bool))
        assert ours[name].shape == expected.shape, name
        difference = np.abs(ours[name].astype(float) - expected) * where
        tolerance = 1e-3 * np.abs(expected).max() if expected.dtype.kind == "f" else 0
        assert difference.max() <= tolerance, (name, difference.max(), tolerance)


def test_lucid_can_be_imported_after_it():
    code = (
        "import lucid_rl.rl_util as rl, tensorflow; before = dict(vars(tensorflow));"
        "from lucid.modelzoo.vision_base import Model; import lucid.optvis.render;"
        "assert not hasattr(tensorflow, 'contrib') and tensorflow.executing_eagerly();"
        "assert set(vars(tensorflow)) == set(before)"
    )
    assert_runs(code)


def test_what_plain_pip_does_not_install_is_supplied():
    """Lucid 0.3.10 has more than 0.3.8, which pip takes beside today's numpy."""
    code = (
        "import lucid_rl;"
        "from lucid.modelzoo.vision_base import Model;"
        "from lucid.scratch.rl_util import *;"
        "from lucid.scratch.parameter_editor import ParameterEditor;"
        "import lucid.scratch.rl_util, lucid_rl.rl_util;"
        "assert LayerNMF is lucid_rl.rl_util.LayerNMF;"
        "assert lucid.scratch.rl_util is lucid_rl.rl_util"
    )
    assert_runs(code)


class TestShow:
    @pytest.fixture
    def shown(self, monkeypatch):
        pages = []
        monkeypatch.setattr(lucid_bridge.showing, "_display_html", pages.append)
        return pages

    def pictures(self, page):
        for found in re.findall(r"base64,([^\"]+)", page):
            yield np.asarray(Image.open(io.BytesIO(base64.b64decode(found))))

    def test_labels_stand_above_their_pictures(self, shown):
        rl_util.show(np.zeros((2, 4, 4, 3)), labels=["a<b", "0.5"])
        (page,) = shown
        assert page.count("<img") == 2
        assert page.index("a&lt;b") < page.index("<img") < page.index("0.5")

    def test_one_picture_has_no_label(self, shown):
        rl_util.show(np.full((4, 5), 0.5), w=80)
        (picture,) = self.pictures(shown[0])
        assert picture.shape[:2] == (4, 5) and "width: 80px" in shown[0]

    def test_domain_is_stretched_to_black_and_white(self, shown):
        rl_util.show(np.array([[[-1.0] * 3, [1.0] * 3]] * 2), domain=(-1, 1))
        (picture,) = self.pictures(shown[0])
        assert picture[0, 0].tolist() == [0] * 3 and picture[0, 1].tolist() == [255] * 3

    def test_many_channels_get_hues(self, shown):
        image = np.zeros((2, 2, 8))
        image[0, 0, 0] = 1
        image[1, 1, 4] = 1
        rl_util.show([image])
        (picture,) = self.pictures(shown[0])
        assert picture[0, 0].tolist() == [255, 0, 0]
        assert picture[1, 1].tolist() == [
            round(255 * c) for c in rl_util.hue_to_rgb(180)
        ]
        assert not picture[0, 1].any()

    def test_negative_values_have_hues_of_their_own(self, shown):
        rl_util.show(np.array([[[1.0, 0.0], [-1.0, 0.0]]] * 2))
        (picture,) = self.pictures(shown[0])
        assert picture[0, 0].any() and picture[0, 1].any()
        assert picture[0, 0].tolist() != picture[0, 1].tolist()


class TestParameterEditor:
    @pytest.fixture
    def graph_def(self, model_a):
        return copy.deepcopy(model_a.graph_def())

    def test_assignments_change_the_graph(self, graph_def):
        editor = ParameterEditor(graph_def)
        kernel = editor[KERNEL]
        kernel[:] = 1  # a copy
        assert not (editor[KERNEL] == 1).all()
        editor[KERNEL] = kernel
        editor[KERNEL, ..., 0] = 2
        again = ParameterEditor(graph_def)
        assert (again[KERNEL, ..., 0] == 2).all() and (
            again[KERNEL, ..., 1:] == 1
        ).all()

    def test_an_edited_graph_is_marked_once(self, graph_def):
        ParameterEditor(graph_def)
        ParameterEditor(graph_def)
        assert [n.name for n in graph_def.node].count("lucid_is_edited") == 1

    def test_mistakes(self, graph_def):
        editor = ParameterEditor(graph_def)
        with pytest.raises(InputError, match="no constant 'x'"):
            editor["x"]
        with pytest.raises(InputError, match="has shape"):
            editor[KERNEL] = np.zeros(3)

"""The main job on real frames: what the bundle holds is what was computed."""

import dataclasses
import json

import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import Checkpoint
from lucid_rl.errors import (
    BundleError,
    FileFormatError,
    InputError,
    ModelError,
    SaveError,
)
from lucid_rl.interface import make_interface, pipeline, read_bundle
from lucid_rl.interface.layers import layer_part
from lucid_rl.interface.parts import Part
from lucid_rl.interpret.attribution import AttributionSettings, attribute, logit
from lucid_rl.interpret.nmf import NMF
from lucid_rl.training.initialization import initial_parameters


@pytest.fixture(scope="module")
def bundle(small_page):
    return read_bundle(small_page.parent)


@pytest.fixture(scope="module")
def frames(golden):
    return golden["traj_observations"][0]


@pytest.fixture(scope="module")
def directions(small_settings, small_page):
    """The features' directions, from the stage that found them."""
    found = {}
    for layer in small_settings.layers:
        (path,) = small_settings.cache_path.glob(f"features_*_{layer}-*")
        found[layer] = Part.load(path).array("directions")
    return found


def _reduced(attributions, directions):
    features, residual = NMF.from_directions(directions).reduce(attributions)
    return np.moveaxis(np.concatenate([features, residual[..., None]], -1), -1, 0)


def _check_quantized(shown, exact, scales):
    error = np.abs(shown - exact).max(axis=(0, 2, 3))
    # float32 computes attributions of a batch within a few parts in a million.
    assert (error <= scales * (1 / 255 + 1e-5)).all()


@pytest.mark.parametrize("layer", ["2b", "4a"])
def test_attributions_are_those_computed(
    bundle, model_a, frames, directions, small_settings, layer
):
    found = attribute(model_a, frames, layer, settings=small_settings.attribution)
    exact = _reduced(found.values, directions[layer])
    part = bundle.part(f"model/{layer}")
    scales = part.array("frame_scale")
    np.testing.assert_allclose(scales, np.abs(exact).max(axis=(0, 2, 3)), rtol=1e-4)
    _check_quantized(bundle.attribution(layer, 0), exact, scales)
    np.testing.assert_allclose(
        part.array("totals"), exact.sum(axis=(2, 3)).T, atol=1e-4 * scales.max()
    )
    sums, totals = part.array("completeness").T
    np.testing.assert_allclose(totals, found.totals, atol=1e-5)
    np.testing.assert_allclose(sums, found.values.sum(axis=(1, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(part.array("totals").sum(axis=1), sums, atol=1e-5)
    assert part.meta["scale"] == pytest.approx(
        np.median(np.abs(exact[:-1]).max(axis=(0, 2, 3))), rel=1e-4
    )


def test_attributions_of_actions_share_one_scale(
    bundle, model_a, frames, directions, small_settings
):
    outputs = [logit(i) for i in range(model_a.n_actions)]
    found = attribute(
        model_a, frames, "4a", outputs, settings=small_settings.attribution
    )
    exact = [_reduced(values, directions["4a"]) for values in found.values]
    part = bundle.part("model/4a/policy")
    scales = part.array("frame_scale")
    np.testing.assert_allclose(scales, np.abs(exact).max(axis=(0, 1, 3, 4)), rtol=1e-4)
    for action in (0, 7, 14):
        shown = bundle.attribution("4a", 0, action=action)
        _check_quantized(shown, exact[action], scales)
    assert bundle.part("model/4a/policy/7").names == ("attribution/7",)
    for action in (-1, 15):
        with pytest.raises(BundleError, match="there are 15, from 0"):
            bundle.attribution("4a", 0, action=action)
    totals = part.array("totals")
    np.testing.assert_allclose(
        totals, np.sum(exact, axis=(3, 4)).swapaxes(1, 2), atol=1e-4
    )
    assert part.array("completeness").shape == (15, len(frames), 2)


def test_the_input_shows_gradients(bundle, golden):
    model_gradients = golden["grad_value_input"]  # of the observations, not the frames
    assert bundle.part("model/input").meta["kind"] == "gradient"
    assert bundle.attribution("input", 0).shape == (3, 24, 32, 32)
    assert model_gradients.shape[1:] == (64, 64, 3)


def test_fewer_levels_are_within_the_error_that_the_page_states(
    small_settings, tmp_path, bundle
):
    coarse = dataclasses.replace(
        small_settings,
        code_levels=31,
        output_dir=tmp_path / "page",
        cache_dir=tmp_path / "stages",
    )
    found = read_bundle(make_interface(coarse).parent)
    assert any("within 3.2%" in note for note in found.manifest["notes"])
    assert not any("levels" in note for note in bundle.manifest["notes"])
    for layer in ("input", "2b"):
        scales = bundle.part(f"model/{layer}").array("frame_scale")
        part = found.part(f"model/{layer}")
        np.testing.assert_allclose(part.array("frame_scale"), scales, rtol=1e-3)
        assert len(np.unique(part.array("attribution"))) == 31
        error = found.attribution(layer, 0) - bundle.attribution(layer, 0)
        largest = np.abs(error).max(axis=(0, 2, 3)) / scales
        assert largest.max() <= 1 / 31 + 1 / 255 + 1e-3
        assert len(part.data) < 0.8 * len(bundle.part(f"model/{layer}").data)


def test_a_page_of_the_middle_layer_comes_first(small_settings, tmp_path, capsys):
    settings = dataclasses.replace(small_settings, output_dir=tmp_path / "page")
    written = []
    write = pipeline.write_page

    def noting(parts, *args, **options):
        parts = list(parts)
        written.append({part.name for part in parts if "/" in part.name})
        return write(parts, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "write_page", noting)
        page = make_interface(settings)
    first, second = ({n for n in w if n.startswith("model/")} for w in written)
    assert "model/4a" in first and "model/2b" not in first and first < second
    assert "reload" in capsys.readouterr().out
    assert not any("reload" in n for n in read_bundle(page.parent).manifest["notes"])


def test_early_layers_are_stored_coarser(model_a, golden):
    frames = golden["obs_u8"][:6]
    nmf = NMF.from_directions(np.eye(3, 16, dtype=np.float32), layer="1a")
    whole, coarse = (
        layer_part(
            "model/1a",
            model_a,
            "1a",
            frames,
            [6],
            AttributionSettings(n_steps=1),
            factorization=nmf,
            max_side=side,
        )
        for side in (None, 24)
    )
    # Sums of 3 x 3 positions: 22 of them reach over the edge of 64.
    assert whole.array("attribution").shape[2:] == (64, 64)
    assert coarse.array("attribution").shape[2:] == (22, 22)
    for name in ("totals", "completeness"):
        found, expected = coarse.array(name), whole.array(name)
        np.testing.assert_allclose(found, expected, atol=1e-5 * abs(expected).max())
    codes = coarse.array("attribution").astype(np.float32).sum(axis=(2, 3)).T
    sums = codes * coarse.array("frame_scale")[:, None] / 127
    scale = np.abs(coarse.array("totals")).max()
    np.testing.assert_allclose(sums, coarse.array("totals"), atol=0.2 * scale)


@pytest.mark.parametrize("batch_bytes", [1, 2**24, 2**27])
def test_input_gradients_are_those_of_the_original(
    golden, model_a, monkeypatch, batch_bytes
):
    from lucid_rl.interface import layers
    from lucid_rl.interface.layers import layer_part
    from lucid_rl.interpret.attribution import AttributionSettings

    monkeypatch.setattr(layers, "BATCH_BYTES", batch_bytes)
    expected = np.moveaxis(golden["grad_value_input"], -1, 0)
    n = expected.shape[1]
    part = layer_part(
        "model/input",
        model_a,
        "input",
        golden["obs_u8"][:n],
        [n],
        AttributionSettings(),
        factorization=None,
    )
    scales = np.abs(expected).max(axis=(0, 2, 3))
    np.testing.assert_allclose(part.array("frame_scale"), scales, rtol=1e-3)
    codes = part.array("attribution") / 127.5 * scales[:, None, None]
    # Half a step of the codes, and what gradients in float32 differ by.
    error = np.abs(codes - expected).max(axis=(0, 2, 3))
    assert (error <= (1 / 255 + 1e-4) * scales).all()


def test_the_manifest_tells_what_there_is(bundle, golden, model_a):
    manifest = bundle.manifest
    assert bundle.models == ("model",)
    assert bundle.layers() == ("input", "2b", "4a")
    assert manifest["default_layer"] == "4a"
    assert manifest["trajectories"][0]["length"] == 24
    assert manifest["action_names"][:3] == ["↙", "←", "↖"]
    assert (manifest["gamma"], manifest["lambda"]) == (0.999, 0.95)
    part = bundle.part("manifest")
    np.testing.assert_allclose(bundle.values(), golden["traj_values"], atol=1e-4)
    np.testing.assert_allclose(
        part.array("model/logits"), golden["traj_logits"], atol=1e-4
    )
    np.testing.assert_allclose(
        part.array("model/advantages"), golden["traj_advantages"].ravel(), atol=1e-4
    )
    np.testing.assert_array_equal(part.array("actions"), golden["traj_actions"][0])
    np.testing.assert_array_equal(part.array("firsts"), golden["traj_firsts"][0])
    np.testing.assert_array_equal(
        bundle.observations(0), golden["traj_observations"][0]
    )
    features = manifest["models"][0]["layers"][1]["features"]
    assert len(features) == 3
    assert all(0 < feature["share"] < 1 for feature in features)
    assert sum(feature["share"] for feature in features) < 1


def test_legends_refer_to_the_observations(bundle, golden):
    examples = bundle.part("examples").array("observations")
    used = set()
    for layer, side in (("2b", 32), ("4a", 8)):
        part = bundle.part(f"model/{layer}")
        index = part.array("thumbnail_index")
        assert index.shape == (3, 4, 4)
        assert part.array("thumbnail_y").max() < side
        assert part.array("thumbnail_weight").max() == 255
        used |= set(index.ravel())
        for entry in part.meta["maps"]:
            grid = part.array(f"map{entry['multiple']:g}_index")
            assert grid.shape == (3, entry["rows"], entry["columns"])
            assert entry["rows"] == round(side * entry["multiple"])
            weight = part.array(f"map{entry['multiple']:g}_weight")
            assert ((grid == -1) == (weight == 0)).all()
            used |= set(grid[grid >= 0])
    for i in range(64):
        expected = golden["obs_u8"][i] if i in used else 0
        np.testing.assert_array_equal(
            examples[i], np.broadcast_to(expected, (64, 64, 3))
        )


def test_map_multiples_leave_out_what_no_page_can_show(bundle):
    multiples = {
        layer: [
            entry["multiple"] for entry in bundle.part(f"model/{layer}").meta["maps"]
        ]
        for layer in ("2b", "4a")
    }
    assert multiples == {"2b": [0.25, 0.5, 1, 2], "4a": [0.25, 0.5, 1, 2]}


def test_a_second_run_computes_nothing(small_settings, small_page, monkeypatch):
    before = {
        path: path.read_bytes()
        for path in small_page.parent.rglob("*")
        if path.is_file()
    }

    def forbidden(*args, **kwargs):
        raise AssertionError("a finished stage was made again")

    for name in ("layer_part", "fit_features", "observations_part"):
        monkeypatch.setattr(pipeline, name, forbidden)
    assert make_interface(small_settings) == small_page
    after = {path: path.read_bytes() for path in before}
    assert after == before


def test_an_interrupted_run_goes_on_where_it_stopped(
    small_settings, small_page, tmp_path, monkeypatch
):
    settings = dataclasses.replace(
        small_settings,
        output_dir=tmp_path / "page",
        policy_layers=(),
        early_page=False,
    )
    made = []
    compute = pipeline.layer_part

    def interrupting(name, *args, **kwargs):
        if name == "model/4a" and "model/2b" in made and "again" not in made:
            raise KeyboardInterrupt
        made.append(name)
        return compute(name, *args, **kwargs)

    monkeypatch.setattr(pipeline, "layer_part", interrupting)
    with pytest.raises(KeyboardInterrupt):
        make_interface(settings)
    assert not (tmp_path / "page").exists()
    made.append("again")
    make_interface(settings)
    assert made == ["model/input", "model/2b", "again", "model/4a"]
    whole = read_bundle(small_page.parent)
    resumed = read_bundle(tmp_path / "page")
    for layer in ("2b", "4a"):
        assert resumed.part(f"model/{layer}").data == whole.part(f"model/{layer}").data


def test_two_models_in_a_single_file_with_names(
    small_settings, small_page, own_samples, checkpoint_a, tmp_path
):
    from lucid_rl.checkpoints.checkpoint import save_checkpoint

    kernel = "ppo2_model/pi/3a/conv2d/kernel:0"
    edited = checkpoint_a.replace_params({kernel: checkpoint_a.params[kernel] * 0.5})
    save_checkpoint(edited, tmp_path / "edited.jd")
    (tmp_path / "names.json").write_text(json.dumps({"4a": {"1": "enemy"}}))
    settings = dataclasses.replace(
        small_settings,
        compare_to=str(tmp_path / "edited.jd"),
        output_dir=tmp_path / "page",
        cache_dir=small_settings.cache_path,
        names=tmp_path / "names.json",
        layers=("2b", "4a"),
        policy_layers=(),
        input_gradients=False,
        single_file=True,
        title="both",
    )
    page = make_interface(settings)
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]
    bundle = read_bundle(page)
    assert bundle.models == ("model", "compared")
    assert bundle.manifest["title"] == "both"
    # Below the edit nothing changed but what follows; features are the same.
    own = read_bundle(small_page.parent)
    np.testing.assert_array_equal(bundle.attribution("4a", 0), own.attribution("4a", 0))
    part, other = bundle.part("model/2b"), bundle.part("compared/2b")
    np.testing.assert_array_equal(
        part.array("thumbnail_index"), other.array("thumbnail_index")
    )
    assert part.array("totals").tolist() != other.array("totals").tolist()
    assert (bundle.values("model") != bundle.values("compared")).any()
    for model in bundle.manifest["models"]:
        features = model["layers"][1]["features"]
        assert [feature["name"] for feature in features] == [None, "enemy", None]


def test_as_many_steps_as_the_error_tolerance_asks_for(small_settings, tmp_path):
    found = {}
    for stated in (0.1, 0.02):
        settings = dataclasses.replace(
            small_settings,
            output_dir=tmp_path / "page",
            layers=("4a",),
            policy_layers=(),
            input_gradients=False,
            error_tolerance=stated,
        )
        bundle = read_bundle(make_interface(settings).parent)
        found[stated] = bundle.part("model/4a").meta["quadrature"]
        assert found[stated]["error"] <= stated
    assert found[0.02]["n_nodes"] > found[0.1]["n_nodes"]


def test_what_cannot_work_shows_before_anything_is_sampled(
    small_settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(pipeline, "get_samples", lambda *_: pytest.fail("sampled"))
    settings = dataclasses.replace(small_settings, layers=("5c",))
    with pytest.raises(ModelError, match="no layer '5c'; its layers are input, 1a"):
        make_interface(settings)
    params = initial_parameters("clear", 7, "glorot", np.random.default_rng(0))
    with pytest.raises(InputError, match=r"compare_to: .* has 7 actions and obs"):
        make_interface(small_settings, compare_to=Checkpoint(params))
    unnamed = NMF.from_directions(np.eye(8, 32))
    for nmf in (np.eye(8, 32), unnamed, {"2b": np.eye(8, 32)}):
        with pytest.raises(InputError, match="expected an NMF that knows its layer"):
            make_interface(small_settings, nmf=nmf)
    (tmp_path / "file").touch()
    settings = dataclasses.replace(small_settings, output_dir=tmp_path / "file" / "x")
    with pytest.raises(SaveError, match="cannot write to"):
        make_interface(settings)


def test_missing_files_are_named(small_settings, tmp_path):
    missing = dataclasses.replace(small_settings, model=str(tmp_path / "none.jd"))
    with pytest.raises(FileFormatError, match=r"none\.jd"):
        make_interface(missing)
    graph = dataclasses.replace(small_settings, model=str(tmp_path / "none.model.pb"))
    with pytest.raises(FileFormatError, match="no model"):
        make_interface(graph)


def test_data_of_an_earlier_page_goes_and_other_files_stay(
    small_settings, small_page, tmp_path
):
    settings = dataclasses.replace(
        small_settings, output_dir=tmp_path, cache_dir=small_settings.cache_path
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.js").write_text("mine")
    make_interface(settings)
    assert (tmp_path / "data" / "model_4a_policy.js").exists()
    make_interface(dataclasses.replace(settings, policy_layers=()))
    assert not (tmp_path / "data" / "model_4a_policy.js").exists()
    make_interface(dataclasses.replace(settings, single_file=True))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine.js"]
    with pytest.raises(BundleError):
        read_bundle(tmp_path / "data")

"""Bundles written and read back in every form; damage is found and named."""

import dataclasses
import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucid_rl.errors import BundleError, InputError
from lucid_rl.interface import bundle as bundles
from lucid_rl.interface import quantization
from lucid_rl.interface.encoding import ENCODINGS
from lucid_rl.interface.parts import Layout, Part

_LENGTHS = (3, 5)


@pytest.fixture(scope="module")
def attributions():
    return np.random.default_rng(0).normal(size=(4, 8, 6, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def parts(attributions):
    rng = np.random.default_rng(1)
    scales = quantization.frame_scales(attributions)
    frames = rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    manifest = {
        "title": 'a "title" with </script> and \u2028',
        "trajectories": [{"length": n} for n in _LENGTHS],
        "models": [{"id": "model", "layers": [{"id": "2b"}]}],
    }
    return [
        Part.encode("manifest", manifest, {"model/values": np.arange(8, dtype="f4")}),
        Part.encode(
            "frames",
            {},
            {"observations": frames},
            {"observations": Layout("webp", 0, _LENGTHS)},
        ),
        Part.encode(
            "model/2b",
            {"scale": 1.5},
            {
                "attribution": quantization.quantize(attributions, scales),
                "frame_scale": scales,
            },
            {"attribution": Layout("gzip", 1, _LENGTHS)},
        ),
    ]


def _write(parts, directory, form):
    if form == "single":
        page = directory / "index.html"
        elements = "".join(bundles.part_element(part) for part in parts)
        page.write_text(f"<!doctype html><body>{elements}</body>", encoding="utf-8")
        return page
    for part in parts:
        bundles.write_part(part, directory, form)
    return directory


@pytest.mark.parametrize("form", ["windows-1252", "base64", "single"])
def test_a_bundle_reads_back(parts, attributions, tmp_path, form):
    bundle = bundles.read_bundle(_write(parts, tmp_path, form))
    assert bundle.manifest["title"] == 'a "title" with </script> and \u2028'
    assert bundle.models == ("model",)
    assert bundle.layers() == ("2b",)
    assert "title" not in repr(bundle)
    np.testing.assert_array_equal(bundle.values(), np.arange(8))
    np.testing.assert_array_equal(
        np.concatenate([bundle.observations(i) for i in (0, 1)]),
        parts[1].array("observations"),
    )
    shown = np.concatenate([bundle.attribution("2b", i) for i in (0, 1)], axis=1)
    scales = np.abs(attributions).max(axis=(0, 2, 3))
    assert (np.abs(shown - attributions).max(axis=(0, 2, 3)) <= scales / 254.99).all()


def test_a_page_in_a_folder_opens_by_its_folder_and_by_its_file(parts, tmp_path):
    page = _write(parts, tmp_path, "single")
    assert bundles.read_bundle(tmp_path).layers() == ("2b",)
    assert bundles.read_bundle(page).layers() == ("2b",)


def test_one_entry_decodes_alone(parts):
    part = parts[2]
    assert part.names == ("attribution", "frame_scale")
    whole = part.array("attribution")
    for start, stop in ((3, 8), (0, 3), (2, 5), (0, 8), (4, 4), (8, 8)):
        np.testing.assert_array_equal(
            part.array("attribution", start, stop), whole[:, start:stop]
        )
    with pytest.raises(BundleError, match="asked for 3 to 9"):
        part.array("attribution", 3, 9)


def test_trajectories_of_several_segments_read_back(tmp_path):
    """512 frames a trajectory, as by default, in segments of 256; and odd ones."""
    lengths, pieces = (512, 300, 512), (256, 256, 256, 44, 256, 256)
    rng = np.random.default_rng(2)
    frames = rng.integers(0, 256, (sum(lengths), 4, 4, 3), dtype=np.uint8)
    maps = rng.normal(size=(3, sum(lengths), 4, 4)).astype(np.float32)
    scales = quantization.frame_scales(maps)
    codes = quantization.quantize(maps, scales)
    manifest = {
        "trajectories": [{"length": n} for n in lengths],
        "models": [{"id": "model", "layers": [{"id": "2b"}]}],
    }
    totals = np.zeros((2, sum(lengths), 3), np.float32)
    parts = [
        Part.encode("manifest", manifest, {}),
        Part.encode(
            *("frames", {}, {"observations": frames}),
            {"observations": Layout("webp", 0, pieces)},
        ),
        Part.encode(
            *("model/2b", {}, {"attribution": codes, "frame_scale": scales}),
            {"attribution": Layout("webp", 1, pieces)},
        ),
        Part.encode("model/2b/policy", {}, {"totals": totals, "frame_scale": scales}),
        *(
            Part.encode(
                *(f"model/2b/policy/{a}", {}, {f"attribution/{a}": codes}),
                {f"attribution/{a}": Layout("webp", 1, pieces)},
            )
            for a in range(2)
        ),
    ]
    for part in parts:
        bundles.write_part(part, tmp_path)
    bundle = bundles.read_bundle(tmp_path)
    expected = quantization.dequantize(codes, scales)
    for i in range(len(lengths)):
        rows = bundle.frames(i)
        np.testing.assert_array_equal(bundle.observations(i), frames[rows])
        for action in (None, 1):
            np.testing.assert_array_equal(
                bundle.attribution("2b", i, action=action), expected[:, rows]
            )


def test_a_stage_file_reads_back(parts, tmp_path):
    parts[2].save(tmp_path / "stage")
    assert Part.load(tmp_path / "stage") == parts[2]


@pytest.mark.parametrize("form", ENCODINGS)
def test_scripts_hold_one_call_that_nothing_can_close(parts, form):
    script = parts[0].to_script(form)
    text = script.decode("windows-1252", "replace")
    assert text.startswith('lucidRL.deliver({"version":3,')
    assert text.endswith('");\n')
    assert "</script" not in text
    assert "\n" not in text[:-1]


def test_every_cut_of_a_script_is_found(parts):
    for form in ENCODINGS:
        script = parts[0].to_script(form)
        for end in range(0, len(script) - 1, 7):
            with pytest.raises(BundleError):
                Part.from_script(script[:end])


@settings(max_examples=300)
@given(st.data())
def test_no_change_of_a_byte_goes_unnoticed(parts, data):
    """A flipped byte gives the package's own error, in the header too."""
    part = parts[2]
    script = bytearray(part.to_script(data.draw(st.sampled_from(ENCODINGS))))
    position = data.draw(st.integers(0, len(script) - 1))
    script[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = Part.from_script(bytes(script))
    except BundleError:
        return
    assert read == part  # an escape spelt otherwise


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [2**30, 2**20]}, "do not fill"),
        ({"shape": [-1]}, "shape"),
        ({"shape": [1.5]}, "shape"),
        ({"shape": None}, "shape"),
        ({"dtype": "object"}, "type or codec"),
        ({"codec": "zip"}, "type or codec"),
        ({"offset": "0"}, "offset"),
        ({"length": 10**9}, "outside the data"),
        ({"axis": 7}, "axis"),
        ({"columns": 0}, "columns"),
    ],
)
def test_headers_that_make_no_sense_are_refused(parts, change, words):
    """Under a checksum that fits: written by somebody, not damaged on the way."""
    entry = parts[0].entries[0] | change
    made = dataclasses.replace(parts[0], entries=(entry,))
    with pytest.raises(BundleError, match=words):
        Part.from_script(made.to_script()).array("model/values")


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "[1]", '{"version":3}', "null"])
def test_text_that_is_no_part_is_refused(text, tmp_path):
    with pytest.raises(BundleError):
        Part.from_script(f"lucidRL.deliver({text}".encode())
    with pytest.raises(BundleError):
        Part.from_element(f"{text}\n")
    (tmp_path / "stage").write_bytes(b"lucid_rl part\n" + text.encode() + b"\n\n")
    with pytest.raises(BundleError):
        Part.load(tmp_path / "stage")


@pytest.mark.parametrize(
    ("meta", "arrays", "words"),
    [
        ({"code_levels": "255"}, {}, "code levels"),
        ({}, {"frame_scale": np.ones((8, 2), "f4")}, "do not match"),
        ({}, {"attribution": np.zeros((2, 8), "i1")}, "do not match"),
        ({}, {"attribution": np.zeros((2, 5, 3, 3), "i1")}, "asked for"),
        ({}, {"attribution": np.zeros(8, "i1")}, "no axis 1|do not match"),
    ],
)
def test_layers_that_make_no_sense_are_refused(parts, tmp_path, meta, arrays, words):
    usual = {
        "attribution": np.zeros((2, 8, 3, 3), "i1"),
        "frame_scale": np.ones(8, "f4"),
    }
    arrays = usual | arrays
    layer = Part.encode("model/2b", meta, {"frame_scale": arrays["frame_scale"]})
    codes = Part.encode("model/2b", {}, {"attribution": arrays["attribution"]})
    axis = min(1, arrays["attribution"].ndim - 1)
    entry = codes.entries[0] | {"offset": len(layer.data), "axis": axis}
    made = dataclasses.replace(
        layer, entries=(*layer.entries, entry), data=layer.data + codes.data
    )
    bundles.write_part(parts[0], tmp_path)
    bundles.write_part(made, tmp_path)
    with pytest.raises(BundleError, match=words):
        bundles.read_bundle(tmp_path).attribution("2b", 1)


def test_a_page_of_unclosed_parts_is_read_in_linear_time(tmp_path):
    page = tmp_path / "index.html"
    page.write_text(bundles._ELEMENT * 50_000)
    start = time.process_time()
    with pytest.raises(BundleError, match="cut short"):
        bundles.read_bundle(page)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"models": [], "trajectories": [{"length": "3"}]},
        {"models": [{"id": 1, "layers": []}], "trajectories": []},
        {"models": [{"id": "m", "layers": [{}]}], "trajectories": []},
        {"models": ["m"], "trajectories": []},
    ],
)
def test_manifests_that_make_no_sense_are_refused(meta, tmp_path):
    bundles.write_part(Part.encode("manifest", meta, {}), tmp_path)
    with pytest.raises(BundleError, match="the manifest"):
        bundles.read_bundle(tmp_path)


def test_damage_names_the_file(parts, tmp_path):
    _write(parts, tmp_path, "windows-1252")
    path = tmp_path / "data" / "model_2b.js"
    script = bytearray(path.read_bytes())
    script[-40] ^= 1
    path.write_bytes(script)
    bundle = bundles.read_bundle(tmp_path)
    with pytest.raises(BundleError, match=r"model_2b\.js.*checksum"):
        bundle.attribution("2b", 0)
    path.unlink()
    with pytest.raises(BundleError, match=r"cannot read .*model_2b\.js"):
        bundle.attribution("2b", 0)
    path.write_bytes(parts[1].to_script())
    with pytest.raises(BundleError, match="holds part 'frames'"):
        bundle.part("model/2b")


def test_other_versions_are_refused(parts):
    script = parts[0].to_script("base64").replace(b'"version":3', b'"version":2')
    with pytest.raises(BundleError, match=r"version 2; .*Make the interface again"):
        Part.from_script(script)


def test_the_first_version_of_the_format_is_refused_by_its_number():
    script = 'lucidRL.deliver({"part":"manifest","version":1}, "\u4000");\n'
    with pytest.raises(BundleError, match=r"version 1; .*Make the interface again"):
        Part.from_script(b"\xff\xfe" + script.encode("utf-16-le"))


def test_what_is_not_there_is_named(parts, tmp_path):
    with pytest.raises(BundleError, match="make-page"):
        bundles.read_bundle(_write([], tmp_path / "..", "single"))
    bundle = bundles.read_bundle(_write(parts, tmp_path, "windows-1252"))
    with pytest.raises(BundleError, match="no trajectory 2"):
        bundle.attribution("2b", 2)
    with pytest.raises(BundleError, match="no array 'attribution/3'"):
        bundle.part("model/2b").array("attribution/3")
    with pytest.raises(BundleError, match="no model 'other'"):
        bundle.layers("other")


def test_meta_that_json_cannot_hold_is_refused():
    with pytest.raises(InputError, match="not plain JSON"):
        Part.encode("p", {"x": float("nan")}, {})
    with pytest.raises(InputError, match="do not make up axis"):
        Part.encode("p", {}, {"a": np.zeros(4, "f4")}, {"a": Layout(lengths=(1, 2))})


def test_the_same_part_is_the_same_bytes(parts):
    again = Part.encode(
        "model/2b",
        json.loads(json.dumps(parts[2].meta)),
        {name: parts[2].array(name) for name in parts[2].names},
        {"attribution": Layout("gzip", 1, _LENGTHS)},
    )
    assert again.to_script() == parts[2].to_script()

"""The page from disk, from a server and as one file; with data missing or damaged."""

import contextlib
import functools
import hashlib
import http.server
import json
import pathlib
import re
import shutil
import threading

import numpy as np
import pytest

from lucid_rl.interface.encoding import ENCODINGS
from lucid_rl.interface.page import template
from tests.interface.page.driver import number
from tests.interface.page_fixture import write_synthetic_page

ROOT = pathlib.Path(__file__).parents[3]
STATIC = ROOT / "lucid_rl" / "interface" / "static"


@pytest.fixture
def copy(site, tmp_path):
    """A copy of the page and its data, to be spoilt."""
    return shutil.copytree(site.parent, tmp_path / "copy") / "index.html"


@contextlib.contextmanager
def served(folder: pathlib.Path, script_type: str = "text/javascript"):
    """Serves a folder on the loopback; gives the address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = {".js": script_type, ".html": "text/html"}  # noqa: RUF012

        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/index.html"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.browser
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("single_file", [False, True])
def test_every_form_shows_the_same(
    open_page, bundle, viewer, tmp_path, encoding, single_file
):
    if single_file and encoding != "base64":
        pytest.skip("single files are always base64")
    path = write_synthetic_page(
        bundle, tmp_path, encoding=encoding, single_file=single_file
    )
    if single_file:
        assert [f.name for f in tmp_path.rglob("*") if f.is_file()] == ["index.html"]
    other = open_page(path)
    other.settle()
    assert (other.drawn("positive") == viewer.drawn("positive")).all()
    other.get("open-1").click()
    other.wait_for_text("density-text", "8")


@pytest.mark.browser
@pytest.mark.parametrize("charset", ["", "; charset=utf-8", "; charset=iso-8859-1"])
def test_a_server_may_declare_any_character_set(open_page, site, viewer, charset):
    with served(site.parent, f"text/javascript{charset}") as address:
        other = open_page(address)
        other.settle()
        assert (other.drawn("positive") == viewer.drawn("positive")).all()
        other.page.goto("about:blank")


@pytest.mark.browser
def test_a_missing_layer_says_so_and_the_rest_works(open_page, copy):
    (copy.parent / "data" / "model_4a.js").unlink()
    viewer = open_page(copy)
    viewer.expect_problem("ERR_FILE_NOT_FOUND")
    viewer.settle()
    viewer.get("layer-4a").check(force=True)
    message = viewer.get("attribution-error").first
    message.wait_for()
    assert "data/model_4a.js could not be loaded" in message.inner_text()
    assert "copy the whole output folder" in message.inner_text()
    assert viewer.pixels("observation").any()
    viewer.get("forward").click()
    assert viewer.frame() == 1
    viewer.get("layer-2b").check(force=True)
    viewer.settle()
    assert viewer.errors() == []


@pytest.mark.browser
def test_a_page_loads_the_actions_that_it_shows(open_page, copy, bundle):
    (copy.parent / "data" / "model_4a_policy_5.js").unlink()
    viewer = open_page(copy)
    asked = []
    viewer.page.on("request", lambda request: asked.append(request.url))
    viewer.settle()
    viewer.go("#trajectory=1&frame=1&layer=4a&rows=4+8")
    shown = sorted(url.rsplit("/", 1)[1] for url in asked if "policy" in url)
    assert shown == [f"model_4a_policy{end}.js" for end in ("", "_3", "_7")]
    values = np.stack([bundle.actions_4a[a].totals[0] for a in (3, 7)]).sum(0)
    total = number(viewer.get("total-0").inner_text())
    assert total == pytest.approx(values[0], rel=6e-3)
    viewer.expect_problem("ERR_FILE_NOT_FOUND")
    viewer.page.evaluate("location.hash = '#trajectory=1&frame=1&layer=4a&rows=6'")
    message = viewer.get("attribution-error").first
    message.wait_for()
    assert "data/model_4a_policy_5.js could not be loaded" in message.inner_text()


@pytest.mark.browser
def test_a_missing_file_can_be_put_back(open_page, copy):
    file = copy.parent / "data" / "model_2b.js"
    away = file.rename(file.with_suffix(".away"))
    viewer = open_page(copy)
    viewer.expect_problem("ERR_FILE_NOT_FOUND")
    viewer.get("attribution-error").first.wait_for()
    away.rename(file)
    viewer.get("attribution-error").first.get_by_role("button").click()
    viewer.settle()
    viewer.get("legend-error").get_by_role("button").click()
    viewer.get("legend-error").wait_for(state="detached")
    assert viewer.errors() == []


@pytest.mark.browser
def test_missing_frames_say_so(open_page, copy):
    (copy.parent / "data" / "frames.js").unlink()
    viewer = open_page(copy)
    viewer.expect_problem("ERR_FILE_NOT_FOUND")
    viewer.get("film-error").wait_for()
    assert "data/frames.js" in viewer.get("film-error").inner_text()
    viewer.settle()  # attribution is shown all the same


def _spoil_header(script: bytes) -> bytes:
    return script.replace(b"model/2b", b"model/9z")


def _spoil_version(script: bytes) -> bytes:
    return script.replace(b'"version":3', b'"version":9')


def _as_version_1(script: bytes) -> bytes:
    """The first version of the format was of UTF-16."""
    header = script[: script.index(b', "')].replace(b'"version":3', b'"version":1')
    text = header.decode("ascii") + ', "\u4000");\n'
    return b"\xff\xfe" + text.encode("utf-16-le")


def _spoil_byte(script: bytes) -> bytes:
    # A digit becomes another digit, so the script still runs.
    place = re.compile(rb"[0-9]").search(script, len(script) * 3 // 4).start()
    return script[:place] + bytes([script[place] ^ 1]) + script[place + 1 :]


@pytest.mark.browser
def test_a_part_in_place_of_another_is_told(open_page, copy):
    data = copy.parent / "data"
    shutil.copy(data / "model_4a.js", data / "model_2b.js")
    viewer = open_page(copy)
    message = viewer.get("attribution-error").first
    message.wait_for()
    assert "it holds the part “model/4a” in place of “model/2b”" in message.inner_text()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda script: script[: len(script) // 4 * 2], "ends before its data"),
        (lambda script: b"", "ends before its data"),
        (_spoil_byte, "checksum"),
        (_spoil_header, "checksum"),
        (_spoil_version, "version 9"),
        (_as_version_1, "version 1"),
    ],
    ids=["truncated", "empty", "flipped bit", "another header", "later", "version 1"],
)
def test_a_damaged_layer_says_what_is_wrong(open_page, copy, spoil, words):
    file = copy.parent / "data" / "model_2b.js"
    file.write_bytes(spoil(file.read_bytes()))
    viewer = open_page(copy)
    viewer.expect_problem("Invalid or unexpected token")  # of the truncated script
    message = viewer.get("attribution-error").first
    message.wait_for()
    assert words in message.inner_text()
    assert "data/model_2b.js" in message.inner_text()


@pytest.mark.browser
@pytest.mark.parametrize("served_too", [False, True])
def test_without_a_manifest_the_page_says_so(open_page, copy, served_too):
    manifest = copy.parent / "data" / "manifest.js"
    script = manifest.read_bytes()
    manifest.unlink()
    with served(copy.parent) if served_too else contextlib.nullcontext(copy) as at:
        viewer = open_page(at)
        viewer.expect_problem("ERR_FILE_NOT_FOUND")
        viewer.expect_problem("404")
        viewer.get("fatal").wait_for()
        assert (
            "data/manifest.js could not be loaded" in viewer.get("fatal").inner_text()
        )
        manifest.write_bytes(script)
        viewer.page.get_by_text("Try again").click()
        viewer.settle()
        viewer.page.goto("about:blank")


def test_the_template_takes_parts_once_and_fetches_nothing():
    text = template()
    assert "src=" not in text.split("<script")[0]
    assert 'rel="stylesheet"' not in text
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_the_committed_page_is_what_its_source_builds():
    """Compares hashes, without Node; `make web-check` builds and compares."""
    info = json.loads((STATIC / "BUILD_INFO.json").read_text())
    advice = "web/ or its build changed alone: run `make web` and commit both"
    for name, file in (("page", "index.html"), ("engine", "engine.js")):
        digest = hashlib.sha256((STATIC / file).read_bytes()).hexdigest()
        assert info[f"{name}_sha256"] == digest, advice
    assert info["sources_sha256"] == _sources_hash(ROOT / "web"), advice


def _sources_hash(web: pathlib.Path) -> str:
    """As web/inline.ts computes it."""
    entries = [
        "index.html",
        "inline.ts",
        "package-lock.json",
        "package.json",
        "src",
        "svelte.config.js",
        "tsconfig.json",
        "vite.config.ts",
    ]
    paths = []
    for entry in entries:
        path = web / entry
        paths += (
            [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
        )
    digest = hashlib.sha256()
    for name, path in sorted((p.relative_to(web).as_posix(), p) for p in paths):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()

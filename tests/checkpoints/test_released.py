import dataclasses
import hashlib
import pathlib
import re

import pytest

from lucid_rl.checkpoints import downloads
from lucid_rl.checkpoints.checkpoint import (
    bundled_checkpoint_path,
    load_checkpoint,
)
from lucid_rl.checkpoints.jd_format import read_jd
from lucid_rl.checkpoints.released import (
    FILES,
    fetch_released,
    fetch_with_samples,
    files_beside,
    resolve_model,
)
from lucid_rl.checkpoints.released_index import (
    RELEASED_URL,
    SERVER_ONLY,
    cache_folder,
    parse_index,
    released_names,
)
from lucid_rl.errors import DownloadError, FileFormatError, InputError, SaveError
from lucid_rl.folder_lock import folder_lock
from tests.checkpoints.jd_values import GOLDEN_CHECKPOINT
from tests.checkpoints.released_server import answering, serving

_ADDRESSES = {
    "checkpoint": "coinrun.jd",
    "model_pb": "rl-clarity/coinrun.model.pb",
    "metadata": "rl-clarity/coinrun.metadata.jd",
    "observations": "rl-clarity/coinrun.observations.jd",
    "trajectories": "rl-clarity/coinrun.trajectories.jd",
}


def _kept(folder):
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    )


def test_the_index_in_the_package_has_every_group_that_is_known(tmp_path):
    names = released_names(cache_dir=tmp_path)
    assert len(names) == len(set(names)) == 1 + 2 * 7 + 16
    assert names[0] == "coinrun"
    for run in (1, 2):
        for n_levels in (100, 300, 1000, 3000, 10000, 30000, 100000):
            assert f"finite_levels/run_{run}/coinrun_{n_levels}" in names
    assert len([name for name in names if name.startswith("procgen/")]) == 16
    assert not [name for name in names if name.startswith(SERVER_ONLY)]
    assert RELEASED_URL.startswith("https://openaipublic.blob.core.windows.net/")


@pytest.mark.parametrize(
    "page",
    [
        "<ul><li>coinrun</li><li>edit/a_b (edited)</li></ul>",
        '<a href="coinrun.jd">the model</a> <p>and</p> <a href="./edit/a_b.jd">b</a>',
        "<table><tr><td>coinrun</td><td>12 MB</td></tr><tr><td>edit/a_b</td></tr>",
        "<ul><li><b>coinrun</b>: first<li><a href='x.html'>edit/a_b</a></ul>",
        f'<a href="{RELEASED_URL}coinrun.jd">1</a>'
        f'<a href="{RELEASED_URL}edit/a_b.jd">2',
        "<ul><li>coinrun</li><li>coinrun</li><li>About</li><li>edit/a_b</li></ul>",
        "<li>coinrun</li><li>../../etc/passwd</li><li>/edit/x</li><li>edit/a_b</li>",
    ],
)
def test_names_are_read_from_index_pages_of_many_kinds(page):
    assert parse_index(page) == ["coinrun", "edit/a_b"]


def test_a_refreshed_index_is_kept_and_used_without_the_server(server):
    assert len(released_names()) == 31
    expected = [
        "coinrun",
        "finite_levels/run_1/coinrun_100",
        "edit/one_of_the_servers",
    ]
    assert released_names(refresh=True) == expected
    server.contents.clear()
    assert released_names() == expected
    (cache_folder() / "index.json").write_text("{broken")
    assert len(released_names()) == 31


def test_an_index_that_cannot_be_read_is_an_error_with_its_address(server):
    server.contents["index.html"] = b"<html>Under construction</html>"
    with pytest.raises(DownloadError, match=r"index\.html names no models"):
        released_names(refresh=True)
    server.contents["index.html"] = b"<li>coinrun" + bytes(2**23)
    with pytest.raises(DownloadError, match="longer than"):
        released_names(refresh=True)
    del server.contents["index.html"]
    with pytest.raises(DownloadError, match=r"index\.html is not on the server .*404"):
        released_names(refresh=True)
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9/index\.html"):
        released_names(refresh=True, base_url="http://127.0.0.1:9")


def test_a_model_comes_with_all_its_files_in_the_servers_layout(server):
    model = fetch_released("coinrun")
    for kind, address in _ADDRESSES.items():
        path = getattr(model, kind)
        assert path == cache_folder() / address
        assert path.read_bytes() == server.contents[address]
        recorded = path.with_name(path.name + ".sha256").read_text()
        digest = hashlib.sha256(server.contents[address]).hexdigest()
        assert recorded == f"{digest}  {path.name}\n"
    assert len(_kept(cache_folder())) == 10
    assert load_checkpoint(model.checkpoint).n_actions == 15
    assert read_jd(model.observations)["observations"].shape == (8, 64, 64, 3)


def test_a_second_call_asks_the_server_for_nothing(server):
    first = fetch_released("procgen/maze")
    n_asked = len(server.gets)
    assert n_asked == len(FILES)
    server.contents.clear()
    assert fetch_released("procgen/maze") == first
    assert len(server.gets) == n_asked


def test_only_the_files_asked_for_are_fetched(server):
    model = fetch_released("procgen/maze", ("metadata",))
    assert server.gets == ["procgen/rl-clarity/maze.metadata.jd"]
    assert model.metadata.is_file()
    assert model.checkpoint is None


def test_broken_transfers_start_again(server):
    server.breaks = dict.fromkeys(_ADDRESSES.values(), 2)
    model = fetch_released("coinrun")
    assert model.checkpoint.read_bytes() == GOLDEN_CHECKPOINT.read_bytes()
    assert server.gets.count("coinrun.jd") == 3


def test_transfers_that_always_break_leave_nothing(server):
    server.breaks = {"coinrun.jd": 99}
    with pytest.raises(DownloadError) as caught:
        fetch_released("coinrun")
    message = str(caught.value)
    assert f"{server.url}coinrun.jd" in message
    assert str(cache_folder() / "coinrun.jd") in message
    assert _kept(cache_folder()) == []


@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_truncated_on_the_server_are_not_kept(server, kind):
    address = _ADDRESSES[kind]
    server.contents[address] = server.contents[address][:-7]
    with pytest.raises(DownloadError, match="fetched whole but is not") as caught:
        fetch_released("coinrun", (kind,))
    assert f"{server.url}{address}" in str(caught.value)
    assert _kept(cache_folder()) == []
    assert server.gets == [address]


def test_a_page_instead_of_a_file_is_not_kept(server):
    server.contents["rl-clarity/coinrun.model.pb"] = b"<html>Please log in</html>"
    server.contents["coinrun.jd"] = b"<html>Please log in</html>"
    for kind in ("model_pb", "checkpoint"):
        with pytest.raises(DownloadError, match="not what it should be"):
            fetch_released("coinrun", (kind,))
    assert _kept(cache_folder()) == []


@pytest.mark.parametrize(
    ("pause", "limit", "message"),
    [
        (0, {"MAX_BYTES": 200_000}, "longer than 200000 bytes"),
        (0.05, {"GRACE_SECONDS": 0.3}, "sent too slowly: .* bytes in 0 seconds"),
        (0.05, {"MAX_SECONDS": 0.3}, "sent too slowly"),
    ],
)
def test_bodies_without_end_are_given_up_and_leave_nothing(
    server, monkeypatch, pause, limit, message
):
    for name, value in limit.items():
        monkeypatch.setattr(downloads, name, value)
    server.endless = {"coinrun.jd": pause, "index.html": pause}
    with pytest.raises(DownloadError, match=message):
        fetch_released("coinrun", ("checkpoint",))
    assert _kept(cache_folder()) == []
    assert server.gets == ["coinrun.jd"]
    with pytest.raises(DownloadError, match=r"longer than|too slowly"):
        released_names(refresh=True)


_OK = b"HTTP/1.1 200 OK\r\n"
_MOVED = b"HTTP/1.1 302 Found\r\nLocation: "
_ANSWERS = {
    "slow_status": (b"HTTP/1.1 200 O", b"K", 0.05),
    "slow_headers": (_OK + b"X: ", b"a", 0.05),
    "endless_interim_answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
    "endless_trailers": (
        _OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: a\r\n", 0.01
    ),
    "endless_chunk": (
        _OK + b"Transfer-Encoding: chunked\r\n\r\n0;", b"a" * 2**16, 0
    ),
    "endless_redirection": (_MOVED + b"/file\r\n\r\n", b"x" * 2**20, 0),
    "moved_nowhere": (_MOVED + b"http://[::1\r\n\r\n",),
    "moved_to_bytes": (_MOVED + b"\xff\xfe\r\n\r\n",),
    "moved_to_a_file": (_MOVED + b"file:///etc/passwd\r\n\r\n",),
    "a_part": (b"HTTP/1.1 206 Partial\r\nContent-Length: 2\r\n\r\nab",),
    "no_answer": (b"\0\xff" * 99,),
}  # fmt: skip


@pytest.mark.parametrize("answer", _ANSWERS)
def test_lying_servers_are_given_up_and_leave_nothing(answer, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(downloads, "_WAIT_SECONDS", 0)
    path = tmp_path / "file"
    with answering(*_ANSWERS[answer]) as url, pytest.raises(DownloadError):
        downloads.fetch_file(url, path)
    assert _kept(tmp_path) == []


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<!--", "<a href='", "<li>", "&amp", "<a href = href =", "</"]
)
def test_index_pages_take_linear_time(watched, piece):
    page = (piece * 2**20)[: 2**20] + "<li>coinrun"
    with watched(20):
        parse_index(page)


def test_two_processes_do_not_fetch_into_one_folder(server):
    with (
        folder_lock(cache_folder(), "a download"),
        pytest.raises(SaveError, match=r"in use by a download \(process \d+\)"),
    ):
        fetch_released("coinrun", ("checkpoint",))
    path = fetch_released("coinrun", ("checkpoint",)).checkpoint
    # What is there already needs no lock.
    with folder_lock(cache_folder(), "a download"):
        assert fetch_released("coinrun", ("checkpoint",)).checkpoint == path


def test_a_copy_that_changed_is_fetched_again(server):
    path = fetch_released("coinrun", ("checkpoint",)).checkpoint
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    fetch_released("coinrun", ("checkpoint",))
    assert path.read_bytes() == server.contents["coinrun.jd"]


def test_a_copy_that_changed_is_not_used_when_it_cannot_be_fetched_again(server):
    path = fetch_released("coinrun", ("checkpoint",)).checkpoint
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DownloadError, match="is not what was fetched first"):
        fetch_released("coinrun", ("checkpoint",), base_url="http://127.0.0.1:9")


def test_a_file_that_changed_on_the_server_is_not_taken_for_the_first(server):
    path = fetch_released("coinrun", ("metadata",)).metadata
    first = path.read_bytes()
    path.unlink()
    address = "rl-clarity/coinrun.metadata.jd"
    server.contents[address] = first.replace(b"coinrun", b"coinrum")
    with pytest.raises(DownloadError, match="is not the file whose checksum"):
        fetch_released("coinrun", ("metadata",))
    assert not path.exists()


def test_a_damaged_record_of_a_checksum_is_an_error(server):
    path = fetch_released("coinrun", ("metadata",)).metadata
    path.with_name(path.name + ".sha256").write_text("")
    with pytest.raises(DownloadError, match="holds no checksum"):
        fetch_released("coinrun", ("metadata",))


def test_without_network_the_error_says_where_from_and_where_to(server, tmp_path):
    with pytest.raises(DownloadError) as caught:
        fetch_released("coinrun", cache_dir=tmp_path, base_url="http://127.0.0.1:9/x/")
    assert re.search(
        r"cannot fetch http://127\.0\.0\.1:9/x/coinrun\.jd \(.*refused\).*"
        + re.escape(f"put the file at {tmp_path}/released/coinrun.jd."),
        str(caught.value),
    )


def test_an_address_that_is_none_is_not_taken_for_another_checksum(server, tmp_path):
    with pytest.raises(DownloadError, match="cannot fetch"):
        fetch_released("coinrun", cache_dir=tmp_path, base_url="openaipublic")


def test_files_put_there_by_hand_are_used_offline(tmp_path):
    path = tmp_path / "released" / "edit" / "mine.jd"
    path.parent.mkdir(parents=True)
    path.write_bytes(GOLDEN_CHECKPOINT.read_bytes())
    where = {"cache_dir": tmp_path, "base_url": "http://127.0.0.1:9"}
    assert fetch_released("edit/mine", ("checkpoint",), **where).checkpoint == path
    assert path.with_name("mine.jd.sha256").exists()


def test_damaged_files_put_there_by_hand_are_refused(tmp_path):
    path = tmp_path / "released" / "coinrun.jd"
    path.parent.mkdir(parents=True)
    path.write_bytes(GOLDEN_CHECKPOINT.read_bytes()[:-1])
    with pytest.raises(DownloadError, match=r"truncated.* Delete it"):
        fetch_released("coinrun", ("checkpoint",), cache_dir=tmp_path)
    assert not path.with_name("coinrun.jd.sha256").exists()


def test_an_unknown_name_is_an_error_with_those_that_are_close(server):
    with pytest.raises(
        DownloadError, match=r"not on the server \(answer 404"
    ) as caught:
        fetch_released("procgen/mase")
    assert "Did you mean procgen/maze" in str(caught.value)
    assert server.gets == []


@pytest.mark.parametrize("name", ["", "../coinrun", "/etc/passwd", "a//b", "a/../b"])
def test_names_cannot_lead_out_of_the_cache(tmp_path, name):
    with pytest.raises(InputError, match="not a name of a released model"):
        fetch_released(name, cache_dir=tmp_path)


def test_unknown_kinds_of_files_are_an_error(tmp_path):
    with pytest.raises(InputError, match="no released file 'weights'"):
        fetch_released("coinrun", ("weights",), cache_dir=tmp_path)


def test_another_servers_address_may_be_given(server, released_contents):
    with serving(released_contents) as other:
        fetch_released("coinrun", ("metadata",), base_url=other.url.rstrip("/"))
        assert (len(other.gets), len(server.gets)) == (1, 0)


def test_models_are_named_as_bundled_released_or_paths(server, tmp_path):
    assert resolve_model(GOLDEN_CHECKPOINT) == str(GOLDEN_CHECKPOINT)
    found = resolve_model("released:procgen/maze")
    assert found == str(cache_folder() / "procgen" / "maze.jd")
    assert pathlib.Path(found).read_bytes() == GOLDEN_CHECKPOINT.read_bytes()
    with pytest.raises(FileFormatError, match="or 'released:<name>'"):
        resolve_model(tmp_path / "missing.jd")
    if bundled_checkpoint_path().exists():
        assert resolve_model("bundled") == str(bundled_checkpoint_path())


def test_samples_that_cannot_be_fetched_bring_a_warning(server, released_contents):
    name, kinds = "procgen/maze", ("observations", "trajectories")
    found = fetch_with_samples(name, kinds)
    assert found.observations.is_file() and found.trajectories.is_file()
    assert fetch_with_samples(name, ()) == dataclasses.replace(
        found, observations=None, trajectories=None
    )
    del server.contents["procgen/rl-clarity/maze.observations.jd"]
    found.observations.unlink()
    with pytest.warns(UserWarning, match=r"maze.observations.jd is not on.* sampled"):
        without = fetch_with_samples(name, kinds)
    assert without == dataclasses.replace(found, observations=None)


def test_samples_that_are_not_what_was_fetched_are_refused(server, monkeypatch):
    found = fetch_with_samples("procgen/maze", ("observations",))
    found.observations.write_bytes(b"something else")
    monkeypatch.setenv("LUCID_RL_RELEASED_URL", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="is not what was fetched first"):
        fetch_with_samples("procgen/maze", ("observations",))


def test_files_beside_a_checkpoint_of_ones_own_are_found(server):
    fetched = fetch_released("procgen/maze", ("checkpoint", "metadata"))
    found = files_beside(fetched.checkpoint)
    assert (found.checkpoint, found.metadata) == (fetched.checkpoint, fetched.metadata)
    assert found.model_pb is found.observations is None

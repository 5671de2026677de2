import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucid_rl.errors import FileFormatError
from lucid_rl.evaluation.episodes import Episode, read_episodes, write_episodes

EPISODES = [
    Episode(4, 2**31 - 2, np.array([7, 8, 14], np.uint8), 10.0, "completed"),
    Episode(0, 0, np.array([], np.uint8), 0.0, "failed"),
    Episode(9, -1, np.arange(200, dtype=np.uint8), -0.5, "buzzsaw"),
]
HEADER = {
    "settings": {"seed": 3, "game": {"invisible": ["coin"]}},
    "model": {"name": "random", "sha256": None},
}


def test_what_is_written_is_read(tmp_path):
    write_episodes(EPISODES, HEADER, tmp_path / "e.npz")
    episodes, header = read_episodes(tmp_path / "e.npz")
    assert header == HEADER
    expected = sorted(EPISODES, key=lambda episode: episode.index)
    for mine, its in zip(episodes, expected, strict=True):
        assert (mine.index, mine.level_seed) == (its.index, its.level_seed)
        assert (mine.outcome, mine.reward) == (its.outcome, its.reward)
        np.testing.assert_array_equal(mine.actions, its.actions)
        assert mine.actions.dtype == np.uint8
    assert [episode.completed for episode in episodes] == [False, True, False]


def test_no_episodes(tmp_path):
    write_episodes([], {}, tmp_path / "e.npz")
    assert read_episodes(tmp_path / "e.npz") == ([], {})


def test_a_pickle_is_not_read(tmp_path):
    path = tmp_path / "e.npz"
    np.savez(path, format_version=np.array(1), header=np.array([{}], dtype=object))
    with pytest.raises(FileFormatError, match=str(path)):
        read_episodes(path)


def test_files_of_something_else(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "single.npy", np.zeros(3))
    for name in ("other.npz", "text.npz", "empty.npz", "single.npy", "missing.npz"):
        with pytest.raises(FileFormatError, match=name):
            read_episodes(tmp_path / name)


@pytest.mark.parametrize(
    "name, change, words",
    [
        ("format_version", lambda a: a + 1, "format 2"),
        ("index", lambda a: a[::-1], "order"),
        ("index", lambda a: a - 1, "order"),
        ("n_actions", lambda a: a[1:], "lengths"),
        ("n_actions", lambda a: a + 1, "add up"),
        ("n_actions", lambda a: np.array([-3, 6, 200]), "add up"),
        ("outcome", lambda a: a + 3, "outcome"),
        ("reward", lambda a: a.astype(complex), "episodes"),
        ("header", lambda a: np.array("[]"), "header"),
        ("header", lambda a: np.array("{"), "episodes"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, name, change, words):
    path = tmp_path / "e.npz"
    write_episodes(EPISODES, HEADER, path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays[name] = change(arrays[name])
    np.savez(path, **arrays)
    with pytest.raises(FileFormatError, match=words):
        read_episodes(path)


@pytest.fixture(scope="module")
def real_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("episodes") / "e.npz"
    write_episodes(EPISODES, HEADER, path)
    return path.read_bytes()


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_file_is_never_anything_worse(real_bytes, tmp_path_factory, data):
    damaged = bytearray(real_bytes)
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            place = data.draw(st.integers(0, len(damaged) - 1))
            damaged[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(damaged)
    try:
        episodes, _ = read_episodes(path)
    except FileFormatError:
        return
    assert all(isinstance(episode, Episode) for episode in episodes)


def test_equal_episodes_make_equal_arrays(tmp_path):
    for name in ("a.npz", "b.npz"):
        write_episodes(EPISODES, HEADER, tmp_path / name)
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert a.files == b.files
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])

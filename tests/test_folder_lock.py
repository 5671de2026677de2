"""Two runs never write into one folder: the second names the first and its process."""

import dataclasses
import errno
import fcntl
import os

import pytest

from lucid_rl.errors import SaveError
from lucid_rl.experiments.blind_scoring import make_blind_page
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.folder_lock import LOCK_NAME, folder_lock
from lucid_rl.interface import InterfaceSettings, make_interface
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.logs import TrainingLog


def _train(folder):
    from lucid_rl.training.run import train

    train(TrainConfig(output_dir=str(folder)))


def _page(folder):
    settings = InterfaceSettings(model="bundled", output_dir=folder / "page")
    make_interface(dataclasses.replace(settings, cache_dir=folder))


def _page_with_another_cache(folder):
    settings = InterfaceSettings(model="bundled", output_dir=folder)
    make_interface(dataclasses.replace(settings, cache_dir=folder.with_name("cache")))


def _blind_page(folder):
    make_blind_page({"bundled": "bundled"}, folder)


def _figures(folder):
    from lucid_rl.interpret.visualization.presets import choose_presets
    from lucid_rl.interpret.visualization.run import FigureSettings, make_figures
    from lucid_rl.interpret.visualization.visualize import VisualizationSettings

    presets = choose_presets(["layers"], (), VisualizationSettings(steps=1))
    make_figures("bundled", presets, folder, FigureSettings(n_observations=4))


def _experiment(folder):
    with ResultsFolder(folder, "comparison").locked():
        raise AssertionError("two runs in one folder")


@pytest.mark.parametrize(
    "run",
    [_train, _page, _page_with_another_cache, _blind_page, _figures, _experiment],
)
def test_the_second_run_is_refused(run, tmp_path):
    message = rf"in use by the first run \(process {os.getpid()}\)"
    with folder_lock(tmp_path, "the first run"):
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(SaveError, match=message):
            run(tmp_path)
        assert sorted(os.listdir(tmp_path)) == before


def test_the_lock_ends_with_the_block(tmp_path):
    for _ in range(2):
        with folder_lock(tmp_path, "a run"):
            pass


def _check_only_one_holds(folder):
    with (
        folder_lock(folder, "a run"),
        pytest.raises(SaveError, match="in use"),
        folder_lock(folder, "another"),
    ):
        raise AssertionError("two runs in one folder")


def _full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_still_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", _full)
    _check_only_one_holds(tmp_path)


@pytest.mark.parametrize("place", ["add_event", "flush", "close"])
def test_tensorboards_logs_on_a_full_disk_are_an_error(place, tmp_path, monkeypatch):
    log = TrainingLog(tmp_path / "log.jsonl", "steps", 10, 0)
    monkeypatch.setattr(log._board, place, _full)
    record = dict.fromkeys(
        ("steps_per_second", "learner_frames_per_second", "success_rate"), 1.0
    )
    with pytest.raises(SaveError, match="No space left"):
        log.write({"steps": 1, **record})
        log.close()


def test_nothing_is_left_of_a_run_that_wrote_nothing(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        folder_lock(tmp_path / "a" / "b", "a run"),
    ):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []
    with folder_lock(tmp_path / "a" / "b", "a run"):
        (tmp_path / "a" / "result").write_text("")
    assert os.listdir(tmp_path / "a") == ["result"]


def test_a_lock_that_its_holder_removes_is_made_anew(tmp_path, monkeypatch):
    lock, flock = tmp_path / LOCK_NAME, fcntl.flock

    def removed_before(handle, operation):
        monkeypatch.setattr(fcntl, "flock", flock)
        lock.unlink()
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", removed_before)
    _check_only_one_holds(tmp_path)


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "file").write_text("a file")
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "file")
    with pytest.raises(SaveError, match="cannot write"), folder_lock(tmp_path, "a run"):
        raise AssertionError("followed")
    assert (tmp_path / "file").read_text() == "a file"


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with folder_lock(tmp_path, "a run"):
        pass

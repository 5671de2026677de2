import numpy as np
import pytest

from lucid_rl.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from lucid_rl.checkpoints.jd_format import read_jd, write_jd
from lucid_rl.checkpoints.released import ReleasedModel, files_beside
from lucid_rl.sampling.released_check import check_model

_KERNEL = "ppo2_model/pi/2b/conv2d/kernel:0"


@pytest.fixture
def model(released_contents, tmp_path) -> ReleasedModel:
    """The released model "coinrun", as files of its own."""
    for address, data in released_contents.items():
        if "coinrun" in address:
            path = tmp_path / address
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
    return files_beside(tmp_path / "coinrun.jd")


def _found(model):
    report = check_model(model)
    return report, {result.what: result for result in report.results}


def _without_graph(model):
    """Spares what is not about the graph the time that TensorFlow takes."""
    return ReleasedModel(**{**vars(model), "model_pb": None})


def _changed(path, **changes):
    write_jd({**read_jd(path), **changes}, path)


def test_a_sound_model_passes_every_check(model):
    report, found = _found(model)
    assert report.passed
    assert list(found) == [
        "checkpoint",
        "metadata",
        "observations",
        "trajectories",
        "graph",
    ]
    assert found["checkpoint"].detail.startswith("clear, 15 actions, 18 tensors")
    assert found["observations"].detail == "8 of 64x64"
    assert found["trajectories"].detail == "1 of 24 steps, 2 episodes begin"
    assert "same outputs as the checkpoint on 8 observations" in found["graph"].detail
    assert str(report).count("\n  ok ") == 5


def test_a_graph_of_other_parameters_fails(model):
    checkpoint = load_checkpoint(model.checkpoint)
    kernel = checkpoint.params[_KERNEL].copy()
    kernel[0, 0, 0, 0] += 1.0
    save_checkpoint(checkpoint.replace_params({_KERNEL: kernel}), model.checkpoint)
    report, found = _found(model)
    assert not report.passed
    assert found["graph"].passed is False
    assert "differ from the checkpoint's by" in found["graph"].detail
    assert "FAILED  graph" in str(report)


def test_a_damaged_graph_fails(model):
    model.model_pb.write_bytes(model.model_pb.read_bytes()[:-9])
    report, found = _found(model)
    assert not report.passed
    assert found["graph"].passed is False
    assert str(model.model_pb) in found["graph"].detail


def test_what_cannot_be_checked_is_skipped_and_does_not_pass(model):
    report, found = _found(_without_graph(model))
    assert not report.passed
    assert found["graph"].passed is None
    assert "skipped graph" in str(report)


def test_a_damaged_checkpoint_skips_what_needs_it(model):
    model.checkpoint.write_bytes(model.checkpoint.read_bytes()[:9000])
    report, found = _found(model)
    assert not report.passed
    assert found["checkpoint"].passed is False
    assert "truncated" in found["checkpoint"].detail
    assert found["trajectories"].passed is True
    assert found["graph"].passed is None


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("metadata", {"action_combos": [()] * 9}, "9 action combos for 15 logits"),
        ("metadata", {"gae_gamma": 99.9}, "gae_gamma is 99.9, not within 0 and 1"),
        ("metadata", {"policy_logits_name": None}, "no policy_logits_name"),
        ("observations", {"observations": [1]}, "observations is list, expected uint8"),
        (
            "observations",
            {"observations": np.zeros((3, 64, 64, 3), np.float32)},
            "observations is float32, expected uint8",
        ),
        (
            "observations",
            {"observations_full": np.zeros((3, 512, 512, 3), np.uint8)},
            "observations_full of shape (3, 512, 512, 3), expected [8, ",
        ),
        (
            "trajectories",
            {"actions": np.full((1, 24), 15)},
            "actions up to 15, expected 0 to 14",
        ),
        (
            "trajectories",
            {"rewards": np.full((1, 24), np.nan, np.float32)},
            "rewards holds numbers that are not finite",
        ),
        ("trajectories", {"firsts": np.zeros((1, 23), bool)}, "of shape (1, 23)"),
        (
            "trajectories",
            {"actions": np.zeros((1, 24), np.float32)},
            "actions is float32, expected int64",
        ),
    ],
)
def test_each_file_is_held_against_what_the_articles_code_writes(
    model, file, changes, message
):
    path = getattr(model, file)
    _changed(path, **changes)
    _, found = _found(_without_graph(model))
    assert found[file].passed is False
    assert message in found[file].detail
    assert str(path) in found[file].detail


def test_files_that_hold_something_else_fail(model):
    write_jd([1, 2], model.metadata)
    _, found = _found(_without_graph(model))
    assert found["metadata"].detail.endswith("holds a list")

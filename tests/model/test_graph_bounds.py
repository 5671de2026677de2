"""Graphs from anywhere cost bounded memory and raise only the package's errors.

Each is loaded and used in a process whose memory is limited.
"""

import json

import pytest

from tests.memory_limit import check
from tests.model import hostile_graphs
from tests.programs import run_forked

# What is sound, beside what is refused: an analysis of it ends well.
_FINE = {
    *("plain", "rank_5", "one_row", "half", "bfloat", "double", "argument_axis"),
    *("power", "atrous", "large_window", "flattened", "positions", "device"),
    *("compiled", "control", "layer_called_input", "layer_called_logits"),
    *("debug_info", "batch_of_one", "channels_first", "training_norm", "chain"),
    *("onnx_plain", "onnx_power", "onnx_one_weight_often"),
}


def results(folder, n_mutated, seed):
    done = run_forked(hostile_graphs.main, folder, n_mutated, seed)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_handmade_and_some_mutated_graphs(tmp_path):
    found = results(tmp_path, 300, seed=0)
    for one in found:
        check(*one)
    fine = {name for name, result, _ in found if result == "fine"}
    assert fine >= _FINE
    assert not any(name.startswith(("tile", "pad", "outer", "shape_")) for name in fine)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_thousands_of_mutated_graphs(tmp_path, seed):
    for one in results(tmp_path, 2000, seed):
        check(*one)

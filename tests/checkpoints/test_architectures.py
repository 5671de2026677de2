import json

import pytest

from lucid_rl.checkpoints.architectures import (
    ARCHITECTURES,
    CONV_LAYERS,
    parameter_shapes,
)
from lucid_rl.errors import InputError
from tests.checkpoints.jd_values import DATA

_TABLES = json.loads((DATA / "jd_files" / "tensor_tables.json").read_text())


@pytest.mark.parametrize("architecture", _TABLES)
def test_names_shapes_and_order_are_those_of_the_articles_files(architecture):
    found = parameter_shapes(architecture, 15)
    expected = {name: tuple(shape) for name, shape in _TABLES[architecture].items()}
    assert list(found.items()) == list(expected.items())


def test_impala_for_pytorch_has_the_same_tensors():
    assert list(parameter_shapes("impala_torch", 9).items()) == list(
        parameter_shapes("impala", 9).items()
    )
    assert set(_TABLES) | {"impala_torch"} == set(ARCHITECTURES)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_actions_and_input_channels_reach_only_the_ends(architecture):
    small = parameter_shapes(architecture, 15)
    other = parameter_shapes(architecture, 9, n_input_channels=12)
    changed = [name for name in small if small[name] != other[name]]
    first = next(iter(small))
    assert changed == [first, "ppo2_model/pi/w:0", "ppo2_model/pi/b:0"]
    assert other[first][2] == 12
    assert other["ppo2_model/pi/b:0"] == (9,)


def test_convolutions_are_the_tensors_of_four_dimensions():
    for architecture, layers in CONV_LAYERS.items():
        kernels = [
            name.split("/")[2]
            for name, shape in parameter_shapes(architecture, 15).items()
            if len(shape) == 4 and not name.endswith("/b:0")
        ]
        assert tuple(kernels) == layers


def test_what_is_unknown_is_an_error():
    with pytest.raises(InputError, match="'alexnet'; known ones are clear"):
        parameter_shapes("alexnet", 15)
    with pytest.raises(InputError, match="at least 1"):
        parameter_shapes("clear", 0)

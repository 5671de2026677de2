"""Values for the tests of the `.jd` format, and how to compare and damage them."""

import collections
import pathlib

import numpy as np

DATA = pathlib.Path(__file__).parent.parent / "data"
GOLDEN_CHECKPOINT = DATA / "golden_A" / "checkpoint_A.jd"
FILES_OF_OTHER_AGES = sorted((DATA / "jd_files").glob("python*.jd"))


def value_of_other_ages():
    """What every file of `FILES_OF_OTHER_AGES` holds."""
    return {
        "args": {
            "env_name": "coinrun",
            "num_envs": 8,
            "gamma": 0.999,
            "none": None,
            "flag": True,
            "pair": (1, 2),
            "big": 2**100,
            "nested": [1, [2.5, "\u4e2d"]],
        },
        "float32": np.arange(24, dtype="f4").reshape(2, 3, 4),
        "fortran": np.asfortranarray(np.arange(6, dtype="f8").reshape(2, 3)),
        "bytes": np.arange(5, dtype="u1"),
        "booleans": np.array([True, False]),
        "big_endian": np.arange(6, dtype="i4").reshape(2, 3),
        "empty": np.zeros((0, 3), "f4"),
        "zero_dimensional": np.array(3.5),
        "scalar": np.float32(0.1),
        "ordered": collections.OrderedDict([("x", 1), ("y", 2)]),
    }


def assert_same(found, expected):
    """Equal in type, dtype, shape, memory order and content, all the way down."""
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.flags.c_contiguous or not expected.flags.c_contiguous
        assert found.flags.f_contiguous or not expected.flags.f_contiguous
        assert found.flags.writeable
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, dict):
        assert set(found) == set(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)
    elif isinstance(expected, (float, np.floating)):
        np.testing.assert_array_equal(found, expected)  # NaN is the same as NaN
    else:
        assert found == expected

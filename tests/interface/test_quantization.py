"""Quantized attributions: the promised error, on every shape of input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lucid_rl.errors import InputError, SettingsError
from lucid_rl.interface.quantization import dequantize, frame_scales, quantize


def _round_trip(values, levels):
    scales = frame_scales(values)
    return dequantize(quantize(values, scales, levels), scales, levels), scales


@settings(max_examples=200)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=4, max_dims=4, max_side=5),
        elements=st.floats(-(2.0**60), 2.0**60, width=32),
    ),
    st.sampled_from([255, 127, 31, 3]),
)
def test_error_is_at_most_a_level_of_the_frames_scale(values, levels):
    shown, scales = _round_trip(values, levels)
    # float32's own rounding; frames of nothing but the smallest numbers are blank.
    bound = np.maximum(scales / levels * (1 + 2e-5), 1e-30)
    assert (np.abs(shown - values).max(axis=(0, 2, 3)) <= bound).all()


def test_scale_is_per_frame_and_over_all_features_and_both_signs():
    values = np.zeros((2, 3, 1, 2), np.float32)
    values[1, 0, 0, 1] = -4.0
    values[0, 1, 0, 0] = 0.5
    np.testing.assert_allclose(frame_scales(values), [4.0, 0.5, 0.0], rtol=1e-5)
    codes = quantize(values, frame_scales(values))
    assert codes[1, 0, 0, 1] == -127
    assert codes[0, 1, 0, 0] == 127
    assert not codes[:, 2].any()


def test_codes_are_symmetric_so_signs_swap_exactly():
    values = np.random.default_rng(0).normal(size=(3, 4, 5, 5)).astype(np.float32)
    scales = frame_scales(values)
    np.testing.assert_array_equal(quantize(-values, scales), -quantize(values, scales))


def test_fewer_levels_are_all_used_and_no_others():
    values = np.linspace(-1, 1, 1001, dtype=np.float32).reshape(1, 1, 1, -1)
    codes = quantize(values, frame_scales(values), 5)
    assert sorted(set(codes.ravel().tolist())) == [-2, -1, 0, 1, 2]
    # Five bins of one width from -1 to 1: -0.6, -0.2, 0.2 and 0.6 divide them.
    counts = np.unique(codes, return_counts=True)[1]
    assert np.abs(counts - 200).max() <= 1


@pytest.mark.parametrize("levels", [257, 256, 30, 1, -3])
def test_impossible_numbers_of_levels_are_refused(levels):
    values = np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(SettingsError, match="odd number"):
        quantize(values, frame_scales(values), levels)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(InputError, match="not finite"):
        frame_scales(np.full((1, 1, 2, 2), bad, np.float32))

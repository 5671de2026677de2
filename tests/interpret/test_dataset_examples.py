import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucid_rl.errors import InputError
from lucid_rl.interpret.dataset_examples import (
    diverse_examples,
    examples_at,
    limited_argmax,
    spatial_examples,
)
from lucid_rl.interpret.patches import render_examples, rescale_opacity


def limited_argmax_one_by_one(scores, max_uses, strict):
    """The same rule, written as plainly as possible; needs scores without ties."""
    ranking = [sorted(range(len(row)), key=lambda j: -row[j]) for row in scores]
    chosen = [order[0] for order in ranking]
    n_columns = len(scores[0])
    for rank in range(1, n_columns if strict else n_columns + 1):
        moves = {}
        for column in range(n_columns):
            users = [i for i, j in enumerate(chosen) if j == column]
            users.sort(key=lambda i: scores[i][column])
            for i in users[: max(0, len(users) - max_uses)]:
                moves[i] = ranking[i][rank % n_columns]
        if not moves:
            break
        for i, column in moves.items():
            chosen[i] = column
    return chosen


@given(
    st.integers(1, 30),
    st.integers(1, 12),
    st.integers(1, 6),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=200)
def test_limited_argmax_follows_its_rule(n_rows, n_columns, max_uses, strict, seed):
    rng = np.random.default_rng(seed)
    # A column that most rows prefer makes the limit bind.
    scores = rng.random((n_rows, n_columns)) + 2 * (rng.random(n_columns) < 0.3)
    expected = limited_argmax_one_by_one(scores.tolist(), max_uses, strict)
    assert limited_argmax(scores, max_uses, strict).tolist() == expected


def test_limited_argmax_without_a_limit_is_argmax():
    scores = np.random.default_rng(0).random((50, 9))
    chosen = limited_argmax(scores, np.inf, strict=False)
    np.testing.assert_array_equal(chosen, scores.argmax(axis=1))


def test_limit_holds_where_there_is_room():
    scores = np.random.default_rng(1).random((200, 50)) + np.linspace(0, 3, 50)
    counts = np.bincount(limited_argmax(scores, 6, strict=True), minlength=50)
    assert counts.max() == 6


def test_rows_that_take_no_part_use_up_nothing():
    scores = np.random.default_rng(2).random((40, 8))
    live = np.arange(40) % 2 == 0
    with_dead = limited_argmax(np.where(live[:, None], scores, 0), 3, False, live)
    np.testing.assert_array_equal(
        with_dead[live], limited_argmax(scores[live], 3, strict=False)
    )


@pytest.mark.parametrize("n", [64, 32, 16, 8])
@pytest.mark.parametrize("subdivision", [0.25, 0.5, 1, 2])
def test_grids_have_exact_sizes(n, subdivision):
    weights = np.random.default_rng(0).random((5, n, n), np.float32)
    grid = spatial_examples(weights, subdivision)
    size = int(n * subdivision)
    assert grid.observations.shape == grid.weights.shape == (size, size)
    assert grid.centres.shape == (size, size, 2)
    # Cells share the observation evenly.
    expected = (np.arange(size) + 0.5) / size
    np.testing.assert_allclose(grid.centres[:, 0, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(grid.centres[0, :, 1], expected, rtol=1e-6)


def test_each_position_shows_the_strongest_observation():
    weights = np.random.default_rng(0).random((6, 4, 3), np.float32)
    # One of the six must be enough: every position may show the same.
    grid = spatial_examples(weights, top_fraction=1 / 6)
    np.testing.assert_array_equal(grid.observations, weights.argmax(axis=0))
    np.testing.assert_array_equal(grid.weights, weights.max(axis=0))


def test_an_observation_is_not_used_too_often():
    weights = np.random.default_rng(0).random((100, 8, 8), np.float32)
    weights[7] += 5
    grid = spatial_examples(weights, top_fraction=0.1)
    # 64 cells for 10 observations: 7 each at most.
    assert np.bincount(grid.observations.ravel()).max() == 7
    assert (grid.observations == 7).sum() == 7
    strongest = np.sort(weights[7].ravel())[-7:]
    np.testing.assert_array_equal(
        np.sort(grid.weights[grid.observations == 7]), strongest
    )


def test_positions_without_response_have_no_weight():
    weights = np.zeros((10, 4, 4), np.float32)
    weights[3, 1, 2] = 2
    grid = spatial_examples(weights)
    assert grid.weights.sum() == 2 and grid.weights[1, 2] == 2
    assert grid.observations[1, 2] == 3


def test_between_positions_responses_are_interpolated():
    ramp = np.broadcast_to(np.arange(8.0) + 1, (1, 6, 8))
    grid = spatial_examples(ramp, 2)
    inner = np.arange(16) / 2 + 0.75
    np.testing.assert_allclose(
        grid.weights, np.broadcast_to(np.clip(inner, 1, 8), (12, 16))
    )
    few = spatial_examples(ramp, 0.5)
    np.testing.assert_allclose(few.weights, [[1.5, 3.5, 5.5, 7.5]] * 3)


def test_places_may_be_chosen():
    weights = np.random.default_rng(0).random((4, 5, 5), np.float32)
    grid = examples_at(
        weights, np.array([0.5, 4.5]), np.array([2.5]), top_fraction=0.25
    )
    np.testing.assert_array_equal(grid.weights, weights.max(axis=0)[[0, 4]][:, 2:3])
    np.testing.assert_allclose(grid.centres[:, 0], [[0.1, 0.5], [0.9, 0.5]])


def test_diverse_examples_by_hand():
    weights = np.zeros((6, 3, 3), np.float32)
    weights[0, 2, 2] = 9
    weights[1, 0, 1] = 8
    weights[2, 2, 0] = 7
    weights[3, 0, 2] = 6
    weights[4, 1, 1] = 5  # the fifth strongest: left out
    grid = diverse_examples(weights, side=2)
    assert grid.observations.tolist() == [[1, 3], [2, 0]]
    assert grid.weights.tolist() == [[8, 6], [7, 9]]
    np.testing.assert_allclose(
        grid.centres * 3,
        [[[0.5, 1.5], [0.5, 2.5]], [[2.5, 0.5], [2.5, 2.5]]],
        rtol=1e-6,
    )


def test_one_position_gives_few_diverse_examples():
    rng = np.random.default_rng(0)
    weights = rng.random((50, 6, 6)).astype(np.float32)
    weights[:, 3, 3] += 2
    for limit in (1, 2, 3):
        grid = diverse_examples(weights, side=4, max_per_position=limit)
        at_favourite = (np.floor(grid.centres * 6) == 3).all(axis=-1)
        assert at_favourite.sum() == limit
        assert len(np.unique(grid.observations)) == 16


def test_diverse_examples_lie_in_reading_order():
    weights = np.random.default_rng(3).random((60, 8, 8), np.float32)
    centres = diverse_examples(weights, side=4).centres
    assert (np.diff(centres[..., 1], axis=1) >= 0).all()
    assert (centres[1:, :, 0].min(axis=1) >= centres[:-1, :, 0].max(axis=1)).all()


@pytest.mark.parametrize(
    "weights, message",
    [
        (np.ones((4, 4)), "expected one feature's"),
        (np.ones((0, 4, 4)), "expected one feature's"),
        (np.full((2, 4, 4), np.nan), "finite"),
        (-np.ones((2, 4, 4)), "not negative"),
    ],
)
def test_wrong_weights_are_refused(weights, message):
    for examples in (spatial_examples, diverse_examples):
        with pytest.raises(InputError, match=message):
            examples(weights)


def test_wrong_sizes_are_refused():
    weights = np.ones((3, 4, 4))
    with pytest.raises(InputError, match="leaves no cell"):
        spatial_examples(weights, 0.1)
    with pytest.raises(InputError, match="top_fraction"):
        spatial_examples(weights, top_fraction=0)
    with pytest.raises(InputError, match="needs 16 observations, got 3"):
        diverse_examples(weights, side=4)


# Pictures.


@pytest.fixture
def observations():
    return np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), np.uint8)


def test_patches_of_one_observation_make_it_whole_again(observations):
    for n, subdivision in ((32, 1), (16, 2), (8, 0.5)):
        grid = spatial_examples(np.ones((1, n, n), np.float32), subdivision)
        image = render_examples(grid, observations[:1], 64 // len(grid.weights))
        np.testing.assert_array_equal(
            image[..., :3], observations[0].astype(np.float32) / np.float32(255)
        )
        assert (image[..., 3] == 1).all()


def test_patches_show_what_lies_around_their_centre(observations):
    weights = np.random.default_rng(1).random((9, 16, 16), np.float32)
    grid = spatial_examples(weights)
    image = render_examples(grid, observations, 12)
    assert image.shape == (192, 192, 4) and image.dtype == np.float32
    i, j = 5, 9
    patch = image[i * 12 : i * 12 + 12, j * 12 : j * 12 + 12]
    top, left = 4 * i + 2 - 6, 4 * j + 2 - 6
    shown = observations[grid.observations[i, j], top : top + 12, left : left + 12]
    np.testing.assert_allclose(patch[..., :3], shown / 255, atol=1e-6)
    np.testing.assert_allclose(
        patch[..., 3], grid.weights[i, j] / grid.weights.max(), rtol=1e-6
    )


def test_a_checkerboard_lies_beyond_the_edge(observations):
    grid = spatial_examples(np.ones((9, 8, 8), np.float32))
    corner = render_examples(grid, observations, 32)[:12, :12, :3]
    assert set(np.unique(corner)) == {0.75, 1.0}
    assert (corner[1:] != corner[:-1]).all() and (corner[:, 1:] != corner[:, :-1]).all()


def test_patches_come_in_any_resolution(observations):
    weights = np.random.default_rng(1).random((9, 16, 16), np.float32)
    grid = spatial_examples(weights)
    large = observations.repeat(8, axis=1).repeat(8, axis=2)
    small = render_examples(grid, observations, (8, 4))
    np.testing.assert_array_equal(
        render_examples(grid, large, (64, 32))[4::8, 4::8, 3], small[..., 3]
    )
    inner = render_examples(grid, large, (64, 32))[64 * 4 : -64 * 4, 32 * 4 : -32 * 4]
    np.testing.assert_array_equal(
        inner[4::8, 4::8], small[8 * 4 : -8 * 4, 4 * 4 : -4 * 4]
    )


def test_floats_and_bytes_look_alike(observations):
    grid = diverse_examples(np.random.default_rng(1).random((9, 8, 8)), side=3)
    as_bytes = render_examples(grid, observations, 16)
    as_floats = render_examples(grid, observations / 255.0, 16)
    np.testing.assert_allclose(as_bytes, as_floats, atol=1e-6)


def test_pictures_that_cannot_be_are_refused(observations):
    grid = diverse_examples(np.random.default_rng(1).random((9, 8, 8)), side=3)
    with pytest.raises(InputError, match="N, H, W, 3"):
        render_examples(grid, observations[0], 8)
    with pytest.raises(InputError, match="only"):
        render_examples(grid, observations[: grid.observations.max()], 8)
    with pytest.raises(InputError, match="at least one pixel"):
        render_examples(grid, observations, 0)


def test_rescaling_opacity_by_hand():
    images = np.zeros((1, 1, 10, 4))
    images[0, 0, :, 3] = np.arange(10) / 100
    rescaled = rescale_opacity(images, min_opacity=0.2, opaque_frac=0.5, max_scale=10)
    # The median, 0.045, becomes opaque.
    expected = np.minimum(1, 0.2 + np.arange(10) / 100 * 0.8 / 0.045)
    np.testing.assert_allclose(rescaled[0, 0, :, 3], expected)
    kept = rescale_opacity(images, min_opacity=0.2, keep_zeros=True)
    assert kept[0, 0, 0, 3] == 0 and kept[0, 0, 1, 3] > 0.2
    assert (images[0, 0, :, 3] == np.arange(10) / 100).all()


def test_rescaling_nothing_gives_the_least_opacity():
    rescaled = rescale_opacity(np.zeros((2, 3, 3, 4)), min_opacity=0.1)
    np.testing.assert_allclose(rescaled[..., 3], 0.1)

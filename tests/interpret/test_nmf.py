import json
import tracemalloc

import numpy as np
import pytest
import scipy.optimize
import sklearn.decomposition
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lucid_rl.errors import FileFormatError, InputError, SaveError, SettingsError
from lucid_rl.interpret.attribution import Attribution
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.interpret.nnls import solve_nonnegative
from lucid_rl.interpret.row_sample import RowSample


def planted(n_rows=20_000, n_features=4, n_channels=16, seed=0, noise=0.01):
    """Rows that nearly one-hot directions explain, of sparse and uneven strength."""
    rng = np.random.default_rng(seed)
    directions = 0.1 * rng.random((n_features, n_channels))
    directions[np.arange(n_features), rng.permutation(n_channels)[:n_features]] += 1
    weights = rng.exponential(size=(n_rows, n_features)) ** 2
    weights *= rng.random(weights.shape) < 0.2
    rows = weights @ directions + noise * rng.random((n_rows, n_channels)) * (
        weights.sum(axis=1, keepdims=True) > 0
    )
    return rows.astype(np.float32), directions


def matched_cosines(a, b):
    """Cosine of each direction of `a` with its partner in `b`."""
    a = a / np.linalg.norm(a, axis=1, keepdims=True)
    b = b / np.linalg.norm(b, axis=1, keepdims=True)
    rows, columns = scipy.optimize.linear_sum_assignment(-a @ b.T)
    return (a @ b.T)[rows, columns]


# Exact least squares.


@pytest.mark.parametrize("n_unknowns, n_channels", [(1, 3), (4, 32), (8, 16), (18, 20)])
def test_nnls_equals_scipys(n_unknowns, n_channels):
    rng = np.random.default_rng(n_unknowns)
    h = rng.random((n_unknowns, n_channels)) * (
        rng.random((n_unknowns, n_channels)) < 0.6
    )
    h += 0.01 * rng.random(h.shape)
    x = rng.normal(size=(150, n_channels)) + 0.3
    ours = solve_nonnegative(h @ h.T, x @ h.T)
    expected = np.stack([scipy.optimize.nnls(h.T, row)[0] for row in x])
    np.testing.assert_allclose(ours, expected, atol=1e-9 * expected.max())


@example(9, 4, 9, 1e-20)
@given(
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-20, 1.0, 1e15]),
)
@settings(max_examples=300)
def test_nnls_solution_is_optimal(n_unknowns, n_channels, seed, scale):
    """Even where directions repeat, vanish, or outnumber the channels."""
    rng = np.random.default_rng(seed)
    h = rng.integers(0, 3, (n_unknowns, n_channels)) * rng.random((n_unknowns, 1))
    x = scale * rng.normal(size=(40, n_channels))
    w = solve_nonnegative(h @ h.T, x @ h.T)
    assert (w >= 0).all()
    assert (w[:, (h == 0).all(axis=1)] == 0).all()
    gradient = (w @ h - x) @ h.T
    tolerance = 1e-9 * max(1, np.abs(h).max()) * np.abs(x).max()
    assert gradient.min() > -tolerance
    assert np.abs(gradient[w > 1e-9 * w.max()]).max(initial=0) < tolerance


def test_nnls_rows_do_not_depend_on_each_other():
    rng = np.random.default_rng(0)
    h, x = rng.random((8, 16)), rng.normal(size=(10_000, 16))
    together = solve_nonnegative(h @ h.T, x @ h.T)
    alone = solve_nonnegative(h @ h.T, x[5000:5001] @ h.T)
    np.testing.assert_allclose(together[5000:5001], alone, rtol=1e-12)
    assert solve_nonnegative(h @ h.T, x[:0] @ h.T).shape == (0, 8)


def test_nnls_refuses_what_is_no_problem():
    with pytest.raises(InputError, match="K, K"):
        solve_nonnegative(np.eye(3), np.ones((5, 4)))
    with pytest.raises(InputError, match="NaN"):
        solve_nonnegative(np.eye(3), np.full((5, 3), np.nan))


# Fitting.


def test_fit_equals_scikit_learns():
    rows, _ = planted(noise=0.3)
    reference = sklearn.decomposition.NMF(4, init="nndsvd", random_state=0).fit(rows)
    fitted = NMF(settings=NMFSettings(n_features=4)).fit(rows)
    assert fitted.fit_info["n_iterations"] == reference.n_iter_
    np.testing.assert_allclose(
        fitted.directions, reference.components_, atol=1e-4 * fitted.directions.max()
    )
    error = np.sqrt((1 - fitted.explained) * np.square(rows, dtype=float).sum())
    np.testing.assert_allclose(error, reference.reconstruction_err_, rtol=1e-3)
    np.testing.assert_allclose(
        fitted.transform(rows), reference.transform(rows), atol=2e-3
    )


def test_planted_directions_are_found():
    rows, directions = planted()
    fitted = NMF(settings=NMFSettings(n_features=4)).fit(rows)
    assert matched_cosines(fitted.directions, directions).min() > 0.995
    assert fitted.explained > 0.999
    assert (fitted.directions >= 0).all() and fitted.directions.dtype == np.float32


def test_signs_are_rows_of_their_own():
    rows, _ = planted(n_rows=2000)
    signs = np.random.default_rng(1).choice([-1, 1], (len(rows), 1))
    doubled = np.concatenate(
        [np.maximum(signs * rows, 0), np.maximum(-signs * rows, 0)]
    )
    few = NMFSettings(n_features=4)
    signed, separate = (
        NMF(settings=few).fit(signs * rows),
        NMF(settings=few).fit(doubled),
    )
    np.testing.assert_allclose(
        signed.directions, separate.directions, atol=1e-3 * signed.directions.max()
    )


def test_rows_of_zeros_change_nothing():
    rows, _ = planted(n_rows=3000)
    with_zeros = np.zeros((2 * len(rows), rows.shape[1]), np.float32)
    with_zeros[::2] = rows
    few = NMFSettings(n_features=4)
    np.testing.assert_array_equal(
        NMF(settings=few).fit(rows).directions,
        NMF(settings=few).fit(with_zeros).directions,
    )


@pytest.mark.parametrize("max_rows", [1_000_000, 500])
def test_chunks_change_nothing(max_rows):
    rows, _ = planted(n_rows=3000)
    images = rows.reshape(30, 10, 10, -1)
    chosen = NMFSettings(n_features=4, max_rows=max_rows)
    whole = NMF(settings=chosen).fit(images)
    for sizes in ([1, 29], [13, 2, 15], [10, 10, 10]):
        chunks = np.split(images, np.cumsum(sizes)[:-1])
        cut = NMF(settings=chosen).fit(iter(chunks))
        np.testing.assert_array_equal(whole.directions, cut.directions)
        assert whole.explained == cut.explained
    assert whole.fit_info["n_rows_fitted"] == min(max_rows, np.any(rows, axis=1).sum())


def test_a_sample_of_rows_finds_the_same_directions():
    rows, _ = planted(n_rows=50_000)
    every = NMF(settings=NMFSettings(n_features=4)).fit(rows)
    for seed in range(3):
        few = NMF(settings=NMFSettings(n_features=4, max_rows=2000, seed=seed)).fit(
            rows
        )
        assert few.fit_info["n_rows_fitted"] == 2000
        assert matched_cosines(few.directions, every.directions).min() > 0.998
        # How much is explained is estimated from the sample without bias.
        assert abs(few.explained - every.explained) < 0.01


def test_same_seed_same_bytes():
    rows, _ = planted(n_rows=5000)
    chosen = NMFSettings(n_features=4, max_rows=600, seed=5)
    first, second = NMF(settings=chosen).fit(rows), NMF(settings=chosen).fit(rows)
    assert first.directions.tobytes() == second.directions.tobytes()
    other = NMF(settings=NMFSettings(n_features=4, max_rows=600, seed=6)).fit(rows)
    assert first.directions.tobytes() != other.directions.tobytes()


def test_memory_does_not_grow_with_the_rows():
    def chunks(n):
        for i in range(n):
            yield np.random.default_rng(i).random((1 << 15, 16), np.float32)

    def peak(n):
        tracemalloc.start()
        NMF(settings=NMFSettings(n_features=2, max_rows=1 << 15, max_iterations=1)).fit(
            chunks(n)
        )
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak(40) < 1.5 * peak(8)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_scale_of_the_values_does_not_matter(scale):
    rows, _ = planted(n_rows=3000)
    few = NMFSettings(n_features=4)
    fitted, scaled = NMF(settings=few).fit(rows), NMF(settings=few).fit(scale * rows)
    assert matched_cosines(fitted.directions, scaled.directions).min() > 0.9999
    assert np.isclose(fitted.explained, scaled.explained, atol=1e-4)


def test_order_by_share():
    rows, _ = planted()
    as_fitted = NMF(settings=NMFSettings(n_features=4)).fit(rows)
    by_share = NMF(settings=NMFSettings(n_features=4, order="fraction")).fit(rows)
    assert (np.diff(by_share.feature_fractions) <= 0).all()
    assert sorted(as_fitted.feature_fractions) == sorted(by_share.feature_fractions)
    assert 0.5 < by_share.feature_fractions.sum() < 1.5


def test_fewer_independent_rows_than_features():
    rows = np.outer(np.arange(1, 50), [0, 1, 2, 0]).astype(np.float32)
    fitted = NMF(settings=NMFSettings(n_features=3)).fit(rows)
    assert np.isclose(fitted.explained, 1, atol=1e-5)
    used = fitted.directions.any(axis=1)
    assert used.sum() == 1
    assert (fitted.transform(rows)[:, ~used] == 0).all()


@pytest.mark.parametrize(
    "values, message",
    [
        (np.ones((5, 2), np.float32), "8 features asked of 2 channels"),
        (np.full((5, 9), np.nan, np.float32), "NaN"),
        (np.full((5, 9), np.inf, np.float32), "NaN or infinity"),
        (np.zeros((5, 9), np.float32), "all zero"),
        ([], "all zero"),
        (None, "or chunks, got None"),
        (np.ones(9, np.float32), "expected values"),
        ([np.ones((5, 9)), np.ones((5, 8))], "one layer"),
    ],
)
def test_values_that_cannot_be_factorized(values, message):
    with pytest.raises(InputError, match=message):
        NMF().fit(values)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_features": 0},
        {"max_rows": 3},
        {"tolerance": -1},
        {"max_iterations": 0},
        {"order": "size"},
    ],
)
def test_settings_that_cannot_be(wrong):
    with pytest.raises(SettingsError):
        NMFSettings(**wrong)


# The sample of rows.


def test_sample_is_unbiased_and_keeps_the_heaviest():
    rng = np.random.default_rng(0)
    rows = rng.exponential(size=(400, 3)).astype(np.float32) ** 3
    gram = rows.T @ rows
    heaviest = np.square(rows).sum(axis=1).argmax()
    estimates = []
    for seed in range(300):
        sample = RowSample(60, np.random.default_rng(seed))
        sample.add_signed(rows[:250])
        sample.add_signed(rows[250:])
        kept = sample.rows()
        assert len(kept) == 60 and sample.n_seen == 400
        assert (np.abs(kept - rows[heaviest]).max(axis=1) < 1e-4).any()
        estimates.append(kept.T @ kept)
    spread = np.std(estimates, axis=0) / np.sqrt(300)
    assert (np.abs(np.mean(estimates, axis=0) - gram) < 5 * spread + 1e-6 * gram).all()


# What a factorization does.


@pytest.fixture(scope="module")
def fitted():
    rows, _ = planted(n_rows=5000)
    return NMF(settings=NMFSettings(n_features=4), layer="2b", model="a model").fit(
        rows
    )


def test_what_features_made_is_taken_apart(fitted):
    weights = np.random.default_rng(0).random((3, 5, 4)).astype(np.float32)
    values = fitted.inverse_transform(weights)
    assert values.shape == (3, 5, 16)
    np.testing.assert_allclose(fitted.transform(values), weights, atol=1e-5)
    np.testing.assert_allclose(fitted.transform_signed(-values), -weights, atol=1e-5)
    np.testing.assert_allclose(fitted.reduce(values)[1], 0, atol=1e-5 * values.max())


def test_features_and_residual_sum_to_the_attribution(fitted):
    attribution = np.random.default_rng(1).normal(size=(2, 6, 6, 16)).astype(np.float32)
    features, residual = fitted.reduce(attribution)
    assert features.shape == (2, 6, 6, 4) and residual.shape == (2, 6, 6)
    np.testing.assert_allclose(
        features.sum(axis=-1) + residual, attribution.sum(axis=-1), atol=1e-5
    )
    signed = fitted.transform_signed(attribution)
    np.testing.assert_allclose(
        residual,
        (attribution - fitted.inverse_transform(signed)).sum(axis=-1),
        atol=1e-4,
    )


def test_transform_of_many_rows_is_that_of_each(fitted):
    rows, _ = planted(n_rows=70_000, seed=3)
    together = fitted.transform(rows)
    np.testing.assert_array_equal(together[-10:], fitted.transform(rows[-10:]))


def test_fit_transform_is_fit_and_then_transform():
    rows = np.random.default_rng(3).random((200, 16), np.float32)
    weights = NMF(4).fit_transform(rows)
    np.testing.assert_array_equal(weights, NMF(4).fit(rows).transform(rows))


def test_attributions_are_reduced_and_not_transformed(fitted):
    values = np.ones((1, 2, 2, 16), np.float32)
    attribution = Attribution("2b", ("value",), values, np.ones(1), None)
    with pytest.raises(InputError, match=r"by reduce\(attribution\)"):
        fitted.transform(attribution)


def test_wrong_channels_are_refused(fitted):
    with pytest.raises(InputError, match="16 channels of layer 2b"):
        fitted.transform(np.ones((2, 15)))
    with pytest.raises(InputError, match="4 features"):
        fitted.inverse_transform(np.ones((2, 5)))
    with pytest.raises(InputError, match="NaN"):
        fitted.transform(np.full((2, 16), np.nan))
    with pytest.raises(InputError, match="not negative"):
        NMF.from_directions(-np.ones((2, 3)))
    with pytest.raises(InputError, match="features, channels"):
        NMF.from_directions(np.ones(3))


# Files.


def test_round_trip(fitted, tmp_path):
    path = tmp_path / "folder" / "features.npz"
    fitted.save(path)
    loaded = NMF.load(path)
    np.testing.assert_array_equal(loaded.directions, fitted.directions)
    np.testing.assert_array_equal(loaded.feature_fractions, fitted.feature_fractions)
    assert loaded.layer == "2b" and loaded.model == "a model"
    assert loaded.fit_info == fitted.fit_info and loaded.explained == fitted.explained
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays) == {"directions", "feature_shares", "metadata"}
    bare = NMF.from_directions(np.ones((2, 3)))
    bare.save(path)
    assert NMF.load(path).feature_fractions is None


def test_damaged_files_are_refused(fitted, tmp_path):
    path = tmp_path / "features.npz"
    fitted.save(path)
    whole = path.read_bytes()
    for end in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(FileFormatError, match=r"features\.npz"):
            NMF.load(path)
    rng = np.random.default_rng(0)
    for _ in range(200):
        changed = bytearray(whole)
        for position in rng.integers(0, len(whole), 3):
            changed[position] = rng.integers(256)
        path.write_bytes(bytes(changed))
        try:
            NMF.load(path)
        except FileFormatError:
            continue


def test_other_files_are_refused(fitted, tmp_path):
    path = tmp_path / "features.npz"
    with pytest.raises(FileFormatError, match="cannot read"):
        NMF.load(path)
    np.save(path.with_suffix(".npy"), np.zeros(3))
    with pytest.raises(FileFormatError):
        NMF.load(path.with_suffix(".npy"))
    np.savez(path, directions=np.ones((2, 3)))
    with pytest.raises(FileFormatError, match=r"NMF\.save"):
        NMF.load(path)
    fitted.save(path)
    with np.load(path) as arrays:
        content = dict(arrays)
    metadata = json.loads(str(content["metadata"]))
    for change in ({"version": 99}, {"format": "a cake"}, {"layer": None, "fit": 3}):
        content["metadata"] = np.array(json.dumps({**metadata, **change}))
        np.savez(path, **content)
        with pytest.raises(FileFormatError):
            NMF.load(path)


def test_pickles_are_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = tmp_path / "features.npz"
    np.savez(
        path,
        directions=np.array([Trap()], dtype=object),
        feature_shares=np.zeros(0),
        metadata=np.array("{}"),
    )
    with pytest.raises(FileFormatError):
        NMF.load(path)
    assert not (tmp_path / "sprung").exists()


def test_unwritable_place(fitted, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError):
        fitted.save(tmp_path / "file" / "features.npz")


def test_the_number_of_features_by_what_is_left(golden):
    values = golden["attr_value_2b_steps10"]
    found = {
        most: NMF(settings=NMFSettings("auto", max_residual=most)).fit(values)
        for most in (0.5, 0.1)
    }
    assert 1 < found[0.5].n_features < found[0.1].n_features < values.shape[-1]
    for most, nmf in found.items():
        assert nmf.residual_fraction(values) <= most
        assert nmf.fit_info["n_features"] == nmf.n_features
    features, residual = nmf.reduce(values)
    totals, left = np.abs(features.sum((1, 2))).sum(), np.abs(residual.sum((1, 2)))
    share = left.sum() / (left.sum() + totals)
    np.testing.assert_allclose(nmf.residual_fraction(values), share, rtol=1e-5)
    cut = NMF("auto").fit(iter(np.array_split(values, 5)))
    np.testing.assert_array_equal(cut.directions, NMF("auto").fit(values).directions)


def test_what_is_not_fitted_has_no_directions():
    with pytest.raises(InputError, match="call fit"):
        _ = NMF().directions
    with pytest.raises(SettingsError, match="n_features"):
        NMF("many")

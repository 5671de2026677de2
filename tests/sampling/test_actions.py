import numpy as np
from scipy import stats

from lucid_rl.sampling.actions import choose_actions, sample_at

LOGITS = np.array([0.0, 2.0, -1.0, 1.0, -30.0], np.float32)
PROBABILITIES = np.exp(LOGITS.astype(np.float64))


def assert_softmax(actions):
    """The actions' frequencies do not contradict the softmax of LOGITS."""
    counts = np.bincount(actions, minlength=5)
    assert counts[4] == 0
    expected = PROBABILITIES[:4] / PROBABILITIES[:4].sum() * len(actions)
    assert stats.chisquare(counts[:4], expected).pvalue > 1e-3


def test_sampled_actions_follow_the_softmax():
    logits = np.tile(LOGITS, (20_000, 1))
    actions = choose_actions(logits, np.random.default_rng(0))
    assert actions.dtype == np.int64
    assert_softmax(actions)
    again = choose_actions(logits, np.random.default_rng(0))
    np.testing.assert_array_equal(actions, again)


def test_actions_at_quantiles_follow_the_softmax():
    quantiles = np.random.default_rng(0).random(20_000)
    assert_softmax(sample_at(np.tile(LOGITS, (20_000, 1)), quantiles))


def test_quantiles_by_hand():
    # Probabilities 1/2, 1/4, 1/4.
    logits = np.log([[2.0, 1.0, 1.0]]).repeat(6, axis=0)
    quantiles = np.array([0.0, 0.49, 0.51, 0.74, 0.76, np.nextafter(1, 0)])
    np.testing.assert_array_equal(sample_at(logits, quantiles), [0, 0, 1, 1, 2, 2])


def test_quantiles_of_extreme_logits():
    logits = np.array([[1e4, 0, -1e4], [-1e4, 0, 1e4]], np.float32)
    for quantile in (0.0, 0.5, np.nextafter(1, 0)):
        np.testing.assert_array_equal(sample_at(logits, np.full(2, quantile)), [0, 2])


def test_greedy_actions_use_no_randomness():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert choose_actions(LOGITS[None], rng, greedy=True) == [1]
    assert rng.bit_generator.state == before

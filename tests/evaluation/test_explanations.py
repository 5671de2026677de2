"""Features at a moment: their changes add up, and each has its counterfactual."""

import numpy as np
import pytest

from lucid_rl.evaluation.explanations import explain
from lucid_rl.evaluation.moments import FAILURE, Moment
from lucid_rl.interpret.attribution import AttributionSettings, attribute
from lucid_rl.interpret.nmf import NMF


@pytest.fixture(scope="module")
def pairs(golden):
    return golden["obs_u8"][:6].reshape(3, 2, 64, 64, 3)


@pytest.fixture(scope="module")
def features(golden):
    return NMF.from_directions(golden["nmf2b_attr_channel_dirs"], layer="2b")


@pytest.fixture(scope="module")
def explained(model_a, pairs, features):
    found = [Moment(FAILURE, i, 7, 6, 0.0, "made up") for i in range(3)]
    return explain(model_a, found, pairs, features)


def test_changes_add_up_to_the_values_change(explained, model_a, pairs):
    flat = pairs.reshape(-1, 64, 64, 3)
    values = model_a(flat)[1].reshape(3, 2)
    # What the attributions miss of each value, which the changes must miss too.
    gaps = attribute(
        model_a, flat, "2b", settings=AttributionSettings()
    ).completeness_gap
    gaps = gaps.reshape(3, 2)
    at_nothing = []
    for m, explanation in enumerate(explained):
        assert explanation.jump == pytest.approx(values[m, 0] - values[m, 1], abs=1e-6)
        total = sum(f.change for f in explanation.features)
        total += explanation.residual_change
        missed = abs(explanation.jump - total)
        assert missed <= np.abs(gaps[m]).sum() + 1e-4
        at_nothing.append(missed)
    assert max(at_nothing) < 0.05 * max(abs(e.jump) for e in explained)


def test_the_feature_that_changed_most_comes_first(explained):
    for explanation in explained:
        sizes = [abs(feature.change) for feature in explanation.features]
        assert sizes == sorted(sizes, reverse=True)
        assert sorted(f.feature for f in explanation.features) == [0, 1, 2, 3]


def test_counterfactuals_belong_to_their_features(explained, model_a, pairs, features):
    flat = pairs.reshape(-1, 64, 64, 3)
    expected = model_a.outputs_without(features.directions, "2b", flat)[1].T
    expected = expected.reshape(3, 2, 4)
    for m, explanation in enumerate(explained):
        for feature in explanation.features:
            here, there = expected[m, :, feature.feature]
            assert feature.value_without == pytest.approx(here, abs=1e-5)
            assert feature.jump_without == pytest.approx(here - there, abs=1e-5)


def test_no_moments_need_no_explanation(model_a, features, pairs):
    assert explain(model_a, [], pairs[:0], features) == []

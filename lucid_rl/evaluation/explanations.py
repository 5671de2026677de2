"""Explanations of moments by features: attributions and counterfactual values."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.evaluation.moments import Moment
from lucid_rl.interpret.attribution import AttributionSettings, attribute
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.model import Model


@dataclasses.dataclass(frozen=True)
class FeatureChange:
    """One feature at a moment and at its reference frame.

    Attributes:
        feature: its number, from 0.
        attribution: of the value function at the moment, summed over positions.
        reference_attribution: the same at the other frame.
        value_without: the counterfactual: the value at the moment by the model with
            the feature edited out.
        reference_value_without: the same at the other frame.
    """

    feature: int
    attribution: float
    reference_attribution: float
    value_without: float
    reference_value_without: float

    @property
    def change(self) -> float:
        """Attribution at the moment minus attribution at the reference frame."""
        return self.attribution - self.reference_attribution

    @property
    def jump_without(self) -> float:
        """Difference of the two frames' values without the feature."""
        return self.value_without - self.reference_value_without


@dataclasses.dataclass(frozen=True)
class Explanation:
    """A moment in terms of features.

    Attributes:
        moment: which.
        value: the value function at it.
        reference_value: the value function at the frame it is compared with.
        features: every feature, the one whose attribution changed most first.
        residual_change: change of the attribution that no feature explains.
    """

    moment: Moment
    value: float
    reference_value: float
    features: tuple[FeatureChange, ...]
    residual_change: float

    @property
    def jump(self) -> float:
        """Value at the moment minus value at the reference frame."""
        return self.value - self.reference_value

    def as_dict(self) -> dict[str, Any]:
        """All fields as plain values, for a results file."""
        return {
            **dataclasses.asdict(self.moment),
            "value": self.value,
            "reference_value": self.reference_value,
            "residual_change": self.residual_change,
            "features": [
                {
                    **dataclasses.asdict(feature),
                    "change": feature.change,
                    "jump_without": feature.jump_without,
                }
                for feature in self.features
            ],
        }


def explain(
    model: Model,
    moments: Sequence[Moment],
    observations: np.ndarray,
    factorization: NMF,
    settings: AttributionSettings | None = None,
) -> list[Explanation]:
    """Computes features' changes of attribution and counterfactual values at moments.

    Args:
        model: the network.
        moments: M of them.
        observations: u8 [M, 2, H, W, 3], each moment's, and that of the frame which
            it is compared with.
        factorization: features of one layer.
        settings: of the attributions.

    Returns:
        An explanation of each moment. The changes of all features and of the residual
        add up to the change of the value, within the attributions' own error.
    """
    if not moments:
        return []
    flat = observations.reshape(-1, *observations.shape[2:])
    layer = factorization.layer
    # [M, 2, K] and [M, 2], the moment first.
    features, residuals = factorization.reduce(
        attribute(model, flat, layer, settings=settings).values
    )
    totals = features.sum(axis=(1, 2), dtype=np.float64).reshape(len(moments), 2, -1)
    left = residuals.sum(axis=(1, 2), dtype=np.float64).reshape(len(moments), 2)
    values = model(flat)[1].reshape(len(moments), 2)
    without = model.outputs_without(factorization.directions, layer, flat)[1]
    without = without.T.reshape(totals.shape)
    explanations = []
    for m, moment in enumerate(moments):
        order = np.argsort(-np.abs(totals[m, 0] - totals[m, 1]), kind="stable")
        explanations.append(
            Explanation(
                moment,
                float(values[m, 0]),
                float(values[m, 1]),
                tuple(
                    FeatureChange(
                        int(k),
                        *(float(total) for total in totals[m, :, k]),
                        *(float(value) for value in without[m, :, k]),
                    )
                    for k in order
                ),
                float(left[m, 0] - left[m, 1]),
            )
        )
    return explanations

"""How many steps attributions need for an error tolerance."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from lucid_rl.errors import InputError, SettingsError
from lucid_rl.interpret.attribution import AttributionSettings, attribute
from lucid_rl.interpret.nmf import NMF
from lucid_rl.interpret.targets import Target
from lucid_rl.model.model import Model

_NUMBERS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
# Its error is a few percent of that of a tenth as many steps.
_REFERENCE_STEPS = 64


def total_error(
    values: np.ndarray,
    reference: np.ndarray,
    totals: np.ndarray,
    features: NMF | None = None,
) -> float:
    """Computes the error of attributions' totals for each channel or feature.

    Args:
        values: attributions f32 [..., N, *positions, C].
        reference: the same, exact.
        totals: F(a) - F(0), f32 [..., N].
        features: reduces both to features and a residual; None for channels.

    Returns:
        The largest error of a total over positions, as a mean over observations,
        relative to the mean |F(a) - F(0)|; of several targets the largest.
    """
    errors = values - reference
    if features is not None:
        # Reducing is not linear.
        (found, rest), (exact, exact_rest) = (
            features.reduce(v) for v in (values, reference)
        )
        errors = np.concatenate([found - exact, (rest - exact_rest)[..., None]], -1)
    sums = errors.sum(axis=tuple(range(totals.ndim, errors.ndim - 1)))
    largest = np.abs(sums).max(axis=-1).mean(axis=-1)
    change = np.abs(totals).mean(axis=-1)
    return float(np.max(largest / np.maximum(change, np.finfo(np.float32).tiny)))


def settings_within(
    tolerance: float,
    model: Model,
    observations: np.ndarray,
    layer: str,
    target: Target | Sequence[Target] | None = None,
    settings: AttributionSettings | None = None,
    features: NMF | None = None,
    max_steps: int = _NUMBERS[-1],
) -> tuple[AttributionSettings, float]:
    """Finds the fewest steps whose attributions meet an error tolerance.

    Args:
        tolerance: of `total_error`, such as 0.01.
        model: the network.
        observations: a few that are typical, uint8 or floats in [0, 1].
        layer: name of the layer.
        target: as in `attribute`.
        settings: method and memory.
        features: what errors are measured on; None for channels.
        max_steps: the most steps, up to 32.

    Returns:
        The settings with their n_steps, and the error found, which is above the
        tolerance where max_steps do not suffice.

    Raises:
        SettingsError: the tolerance is not positive, or the method does not integrate.
        InputError: as in `attribute`, or there are no observations.
        ModelError: as in `attribute`.
    """
    settings = settings or AttributionSettings()
    if not len(observations):
        raise InputError("an error is measured on observations: there are none.")
    if not tolerance > 0:
        raise SettingsError(f"tolerance is {tolerance}: expected more than 0.")
    if settings.method not in ("difference_quotients", "integrated_gradients"):
        raise SettingsError(f"the method {settings.method!r} has no number of steps.")
    exact = dataclasses.replace(
        settings, method="difference_quotients", n_steps=_REFERENCE_STEPS
    )
    reference = attribute(model, observations, layer, target, settings=exact)
    for n_steps in [n for n in _NUMBERS if n <= max(1, max_steps)]:
        settings = dataclasses.replace(settings, n_steps=n_steps)
        found = attribute(model, observations, layer, target, settings=settings)
        error = total_error(found.values, reference.values, found.totals, features)
        if error <= tolerance:
            break
    return settings, error

"""How many cells or nodes attributions need for a stated error."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from lucid_rl.errors import InputError, SettingsError
from lucid_rl.interpret.attribution import AttributionSettings, attribute
from lucid_rl.interpret.factorization import Factorization
from lucid_rl.interpret.outputs import Output
from lucid_rl.model.model import Model

_NUMBERS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
# Its own error is a few hundredths of that of a tenth as many cells.
_REFERENCE_CELLS = 64


def total_error(
    values: np.ndarray,
    reference: np.ndarray,
    totals: np.ndarray,
    features: Factorization | None = None,
) -> float:
    """Error of what attributions say each channel or feature does in all.

    Args:
        values: attributions f32 [..., N, *positions, C].
        reference: the same, exact.
        totals: F(a) - F(0), f32 [..., N].
        features: reduces both to features and a residual; None for channels.

    Returns:
        The largest error of a total over positions, as a mean over observations,
        relative to the mean |F(a) - F(0)|; of several outputs the worst.
    """
    errors = values - reference
    if features is not None:
        # Reducing is not linear.
        (found, rest), (exact, exact_rest) = (
            features.reduce_attribution(v) for v in (values, reference)
        )
        errors = np.concatenate([found - exact, (rest - exact_rest)[..., None]], -1)
    sums = errors.sum(axis=tuple(range(totals.ndim, errors.ndim - 1)))
    largest = np.abs(sums).max(axis=-1).mean(axis=-1)
    change = np.abs(totals).mean(axis=-1)
    return float(np.max(largest / np.maximum(change, np.finfo(np.float32).tiny)))


def settings_within(
    stated_error: float,
    model: Model,
    observations: np.ndarray,
    layer: str,
    outputs: Output | Sequence[Output] | None = None,
    settings: AttributionSettings | None = None,
    features: Factorization | None = None,
) -> tuple[AttributionSettings, float]:
    """Finds the fewest cells or nodes whose attributions meet a stated error.

    Args:
        stated_error: bound of `total_error`, such as 0.01.
        model: the network.
        observations: a few that are typical, uint8 or floats in [0, 1].
        layer: name of the layer.
        outputs: as in `attribute`.
        settings: rule and memory; its number of nodes is what is looked for.
        features: what errors are measured on; None for channels.

    Returns:
        The settings with their number of nodes, and the error found, which is above
        the stated one where 32 do not suffice.

    Raises:
        SettingsError: the stated error is not positive, or the method integrates
            nothing.
        InputError: as in `attribute`, or there are no observations.
        ModelError: as in `attribute`.
    """
    settings = settings or AttributionSettings()
    if not len(observations):
        raise InputError("an error is measured on observations: there are none.")
    if not stated_error > 0:
        raise SettingsError(f"stated_error is {stated_error}: expected more than 0.")
    if settings.method != "integrated_gradients":
        raise SettingsError(
            f"the method {settings.method!r} integrates nothing: only "
            "'integrated_gradients' has a number of nodes."
        )
    exact = dataclasses.replace(settings, rule="secant", n_nodes=_REFERENCE_CELLS)
    reference = attribute(model, observations, layer, outputs, exact)
    for n_nodes in _NUMBERS:
        settings = dataclasses.replace(settings, n_nodes=n_nodes)
        found = attribute(model, observations, layer, outputs, settings)
        error = total_error(found.values, reference.values, found.totals, features)
        if error <= stated_error:
            break
    return settings, error

"""Non-negative matrix factorization of a layer's values into feature directions.

Article section "Dataset example-based feature visualization" and, for attribution,
"Attribution": values are flattened to rows of channels, positive and negative parts
are concatenated along the batch, and rows are explained by few directions.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from lucid_rl.errors import InputError, SettingsError
from lucid_rl.interpret.coordinate_descent import coordinate_descent, nndsvd
from lucid_rl.interpret.factorization import (
    Factorization,
    load_factorization,
    save_factorization,
)
from lucid_rl.interpret.row_sample import RowSample

__all__ = [
    "Factorization",
    "NMFSettings",
    "fit_nmf",
    "load_factorization",
    "save_factorization",
]

# Rows handled at once when values come in.
_CHUNK_ROWS = 1 << 18


@dataclasses.dataclass(frozen=True)
class NMFSettings:
    """How feature directions are fitted.

    The defaults follow the article's procedure (scikit-learn's coordinate descent
    from an NNDSVD start, 200 iterations at most), but for `max_rows`: the article
    kept every row.
    """

    n_features: int = 8
    """Number of directions; at most the number of channels."""
    max_rows: int = 300_000
    """Rows fitted. With more rows than this a weighted sample stands for all:
    directions then lie within a cosine of 0.999 of those of every row (measured by
    benchmarks/nmf.py); below 100,000 they may be others altogether."""
    seed: int = 0
    """Draws the sample; without effect when every row is kept."""
    tolerance: float = 1e-4
    """The fit ends when the projected gradient, relative to the first, is below."""
    max_iterations: int = 200
    """The fit ends here at the latest."""
    order: Literal["fit", "share"] = "fit"
    """Order of the features: as fitted (the article's), or largest share first."""

    def __post_init__(self) -> None:
        if self.n_features < 1:
            raise SettingsError(f"n_features must be at least 1, got {self.n_features}")
        if self.max_rows < self.n_features:
            raise SettingsError(
                f"max_rows must be at least n_features, got {self.max_rows} for "
                f"{self.n_features} features"
            )
        if self.tolerance < 0 or self.max_iterations < 1:
            raise SettingsError(
                "tolerance must not be negative and max_iterations at least 1, got "
                f"{self.tolerance} and {self.max_iterations}"
            )
        if self.order not in ("fit", "share"):
            raise SettingsError(f'order is "fit" or "share", got {self.order!r}')


def fit_nmf(
    values: np.ndarray | Iterable[np.ndarray],
    settings: NMFSettings | None = None,
    *,
    layer: str = "",
    model: str = "",
) -> Factorization:
    """Finds the directions that explain the values best.

    Minimises ||X - W H||² over W, H >= 0, where the rows of X are the positive and
    the negative parts of the values at each position.

    Args:
        values: activations or attributions f32 [..., C], or chunks of them in
            turn, so that all of them need never be in memory at once. How they are
            cut into chunks does not change the result.
        settings: by default `NMFSettings()`.
        layer: noted in the result.
        model: noted in the result.

    Returns:
        The directions and how well they explain the values.

    Raises:
        InputError: values are not finite, all zero, of differing channels, or
            have fewer channels than features are asked for.
    """
    settings = settings or NMFSettings()
    sample = RowSample(settings.max_rows, np.random.default_rng(settings.seed))
    for chunk in _checked_chunks(values, settings):
        sample.add_signed(chunk)
    rows = sample.rows()
    if not len(rows):
        raise InputError("the values to factorize are all zero: nothing to find")
    start = nndsvd(rows, settings.n_features)
    descent = coordinate_descent(
        rows, *start, settings.tolerance, settings.max_iterations
    )
    directions, shares = descent.directions, descent.shares
    if settings.order == "share":
        order = np.argsort(-shares, kind="stable")
        directions, shares = directions[order], shares[order]
    return Factorization(
        directions=directions,
        layer=layer,
        model=model,
        explained=descent.explained,
        feature_shares=shares,
        fit={
            **dataclasses.asdict(settings),
            "n_iterations": descent.n_iterations,
            "violation": descent.violation,
            "n_rows": sample.n_seen,
            "n_rows_fitted": len(rows),
        },
    )


def _checked_chunks(
    values: np.ndarray | Iterable[np.ndarray], settings: NMFSettings
) -> Iterator[np.ndarray]:
    n_channels = None
    for array in [values] if isinstance(values, np.ndarray) else values:
        if array.ndim < 2:
            raise InputError(f"expected values [..., C], got shape {array.shape}")
        if n_channels not in (None, array.shape[-1]):
            raise InputError(
                f"chunks have {n_channels} and {array.shape[-1]} channels; all must "
                "come from one layer"
            )
        n_channels = array.shape[-1]
        if settings.n_features > n_channels:
            raise InputError(
                f"{settings.n_features} features asked of {n_channels} channels; ask "
                f"for {n_channels} at most"
            )
        rows = array.reshape(-1, n_channels)
        for start in range(0, len(rows), _CHUNK_ROWS):
            chunk = np.asarray(rows[start : start + _CHUNK_ROWS], np.float32)
            if not np.isfinite(chunk).all():
                raise InputError("the values to factorize hold NaN or infinity")
            yield chunk

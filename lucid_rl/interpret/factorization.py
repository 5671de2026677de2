"""Feature directions of a layer: what NMF finds, and how values are put in them."""

import dataclasses
import json
from typing import Any

import numpy as np

from lucid_rl.errors import FileFormatError, InputError
from lucid_rl.files import PathLike, atomic_open
from lucid_rl.interpret.nnls import solve_nonnegative

_FORMAT = "lucid_rl factorization"
_VERSION = 1
# Values reduced at once, so that float64 copies stay small.
_BLOCK_ROWS = 1 << 16


@dataclasses.dataclass(frozen=True, eq=False)
class Factorization:
    """Non-negative directions in a layer's channels, one for each feature.

    Attributes:
        directions: f32 [K, C], values >= 0. A direction is all zero where the
            fitted values had fewer than K independent ones.
        layer: short name of the layer, "" if unknown.
        model: which model the values came from, "" if unknown.
        explained: share of the fitted values' sum of squares that is explained.
        feature_shares: f32 [K], sum of squares of each feature's own part of the
            reconstruction, as a share of that of the fitted values.
        fit: how the directions were found (settings, rows, iterations, ...);
            plain numbers and strings.
    """

    directions: np.ndarray
    layer: str = ""
    model: str = ""
    explained: float = float("nan")
    feature_shares: np.ndarray | None = None
    fit: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        directions = np.ascontiguousarray(self.directions, np.float32)
        if directions.ndim != 2 or 0 in directions.shape:
            raise InputError(
                f"directions must be [features, channels], got {directions.shape}"
            )
        if not np.isfinite(directions).all() or (directions < 0).any():
            raise InputError("directions must be finite and not negative")
        object.__setattr__(self, "directions", directions)

    @property
    def n_features(self) -> int:
        """K, the number of features."""
        return len(self.directions)

    @property
    def n_channels(self) -> int:
        """C, the number of channels of the layer."""
        return self.directions.shape[1]

    @property
    def norms(self) -> np.ndarray:
        """f32 [K]: the sum over channels that one unit of each feature stands for."""
        return self.directions.sum(axis=1)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """The non-negative weights that explain the values best (exact).

        Args:
            values: f32 [..., C], of any sign.

        Returns:
            w f32 [..., K] >= 0 that minimises ||values - w @ directions||² at
            each position.

        Raises:
            InputError: the last axis is not the layer's channels, or a value is
                not finite.
        """
        rows = self._rows(values)
        directions = self.directions.astype(np.float64)
        gram = directions @ directions.T
        weights = np.empty((len(rows), self.n_features), np.float32)
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            weights[block] = solve_nonnegative(gram, rows[block] @ directions.T)
        return weights.reshape(*np.shape(values)[:-1], self.n_features)

    def inverse_transform(self, weights: np.ndarray) -> np.ndarray:
        """Feature weights f32 [..., K], of any sign, to channels f32 [..., C]."""
        weights = np.asarray(weights, np.float32)
        if weights.shape[-1:] != (self.n_features,):
            raise InputError(
                f"expected weights of {self.n_features} features on the last axis, "
                f"got shape {weights.shape}"
            )
        return weights @ self.directions

    def transform_signed(self, values: np.ndarray) -> np.ndarray:
        """Weights f32 [..., K] of signed values: each sign is explained by itself.

        transform(max(x, 0)) - transform(max(-x, 0)), as the article treats
        attributions.
        """
        values = np.asarray(values, np.float32)
        return self.transform(np.maximum(values, 0)) - self.transform(
            np.maximum(-values, 0)
        )

    def residual(self, values: np.ndarray) -> np.ndarray:
        """f32 [...]: sum over channels of what `transform_signed` leaves out."""
        return self.reduce_attribution(values)[1]

    def reduce_attribution(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Splits attribution [..., C] among the features and a residual.

        Returns:
            Attribution of each feature f32 [..., K] (signed weights times `norms`)
            and the residual f32 [...]; together they sum to the attribution's sum
            over channels.
        """
        values = np.asarray(values, np.float32)
        features = self.transform_signed(values) * self.norms
        residual = values.sum(axis=-1, dtype=np.float64) - features.sum(
            axis=-1, dtype=np.float64
        )
        return features, residual.astype(np.float32)

    def _rows(self, values: np.ndarray) -> np.ndarray:
        values = np.asarray(values)
        if values.shape[-1:] != (self.n_channels,):
            raise InputError(
                f"expected {self.n_channels} channels"
                + (f" of layer {self.layer}" if self.layer else "")
                + f" on the last axis, got shape {values.shape}"
            )
        return values.reshape(-1, self.n_channels)


def save_factorization(factorization: Factorization, path: PathLike) -> None:
    """Writes an `.npz` without pickles (numpy's own loader reads it, too)."""
    shares = factorization.feature_shares
    metadata = {
        "format": _FORMAT,
        "version": _VERSION,
        "layer": factorization.layer,
        "model": factorization.model,
        "explained": factorization.explained,
        "fit": factorization.fit,
    }
    with atomic_open(path) as stream:
        np.savez(
            stream,
            directions=factorization.directions,
            feature_shares=np.zeros(0, np.float32) if shares is None else shares,
            metadata=np.array(json.dumps(metadata)),
        )


def load_factorization(path: PathLike) -> Factorization:
    """Reads what `save_factorization` wrote; a stranger's file runs no code.

    Raises:
        FileFormatError: the file is missing, damaged or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            metadata = json.loads(str(arrays["metadata"]))
            directions, shares = arrays["directions"], arrays["feature_shares"]
        if metadata["format"] != _FORMAT or metadata["version"] > _VERSION:
            raise FileFormatError(
                f"{path} holds {metadata['format']} of version {metadata['version']}; "
                f"expected {_FORMAT} of version {_VERSION} or older"
            )
        return Factorization(
            directions=directions,
            layer=str(metadata["layer"]),
            model=str(metadata["model"]),
            explained=float(metadata["explained"]),
            feature_shares=shares if len(shares) else None,
            fit=dict(metadata["fit"]),
        )
    except FileFormatError:
        raise
    except FileNotFoundError as error:
        raise FileFormatError(f"there is no factorization at {path}") from error
    # Whatever a damaged archive raises is the file's fault.
    except Exception as error:
        raise FileFormatError(
            f"{path} is no factorization written by save_factorization, or damaged: "
            f"{type(error).__name__}: {error}"
        ) from error

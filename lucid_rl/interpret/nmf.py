"""Non-negative matrix factorization of a layer's values into feature directions.

Article, sections "Dataset example-based feature visualization" and, for attribution,
"Attribution": values are flattened to rows of channels, positive and negative parts
are concatenated along the batch, and rows are explained by few directions.
"""

import dataclasses
import json
import numbers
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np

from lucid_rl.bounded import check_schema, parse_json, read_npz
from lucid_rl.errors import FileFormatError, InputError, LucidRLError
from lucid_rl.files import PathLike, atomic_open
from lucid_rl.interpret.attribution import Attribution
from lucid_rl.interpret.coordinate_descent import Descent, coordinate_descent, nndsvd
from lucid_rl.interpret.feature_sheet import FeatureSheet, feature_sheet
from lucid_rl.interpret.nnls import solve_nonnegative
from lucid_rl.interpret.row_sample import RowSample
from lucid_rl.validation import (
    Fraction,
    Natural,
    NonNegativeFloat,
    Positive,
    Settings,
    at_least,
    check,
)

_FORMAT = "lucid_rl factorization"
_VERSION = 1
_METADATA = {
    "format": str,
    "version": int,
    "layer": str,
    "model": str,
    "explained": numbers.Real,
    "fit": dict,
}
# Rows handled at once when values come in.
_CHUNK_ROWS = 1 << 18
# Values reduced at once, so that float64 copies stay small.
_BLOCK_ROWS = 1 << 16

# Numbers of features that "auto" tries, and observations that it judges them by.
_NUMBERS = (2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128)
_N_JUDGED = 128

Values = np.ndarray | Attribution | Iterable[np.ndarray | Attribution]


@dataclasses.dataclass(frozen=True)
class NMFSettings(Settings):
    """How feature directions are fitted.

    The defaults follow the article's procedure (scikit-learn's coordinate descent
    from an NNDSVD start, 200 iterations at most), but for `max_rows`: the article
    kept every row.
    """

    n_features: Positive | Literal["auto"] = 8
    """Number of directions, at most the number of channels. "auto" takes the fewest
    that leave `max_residual` in the residual, or as many as there are channels."""
    max_residual: Fraction = 0.15
    """For "auto": `residual_fraction` of whole observations among the fitted values."""
    max_rows: Positive = 300_000
    """Rows fitted. With more rows than this a weighted sample stands for all. It
    explains as much; directions are the same within a cosine of 0.99, or those of
    another local optimum (measured by benchmarks/nmf.py)."""
    seed: Natural = 0
    """Draws the sample; without effect when every row is kept."""
    tolerance: NonNegativeFloat = 1e-4
    """The fit ends when the projected gradient, relative to the first, is below."""
    max_iterations: Positive = 200
    """The fit ends here at the latest."""
    order: Literal["fit", "fraction"] = "fit"
    """Order of the features: as fitted (the article's), or largest fraction first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_features != "auto":
            check("max_rows", self.max_rows, at_least(self.n_features))


class NMF:
    """Non-negative directions in a layer's channels, one for each feature.

    Minimises ||X - W H||² over W, H >= 0, where the rows of X are the positive and
    the negative parts of a layer's values at each position. Conventions are
    scikit-learn's: `fit` returns the object, `transform` gives weights.

    Attributes:
        settings: how directions are fitted.
        layer: short name of the layer, "" if unknown.
        model: which model the values came from, "" if unknown.
        explained: fraction of the fitted values' sum of squares that is explained.
        feature_fractions: f32 [K], sum of squares of each feature's own part of the
            reconstruction, as a fraction of that of the fitted values; None if unknown.
        fit_info: settings, rows and iterations of the fit; plain values.

    Example:
        >>> nmf = NMF(n_features=8).fit(attribute(model, observations, "2b"))
        >>> weights = nmf.transform(model.activations(observations, "2b"))
        >>> features, residual = nmf.reduce(attribute(model, frames, "2b"))
    """

    def __init__(
        self,
        n_features: int | Literal["auto"] | None = None,
        *,
        settings: NMFSettings | None = None,
        layer: str = "",
        model: str = "",
    ):
        """Makes an unfitted NMF; `n_features` replaces that of the settings.

        `layer` and `model` are noted; an `Attribution` that is fitted brings its own
        layer.

        Raises:
            SettingsError: a setting is out of range.
        """
        self.settings = settings or NMFSettings()
        if n_features is not None:
            self.settings = dataclasses.replace(self.settings, n_features=n_features)
        self.layer = layer
        self.model = model
        self.explained = float("nan")
        self.feature_fractions: np.ndarray | None = None
        self.fit_info: dict[str, Any] = {}
        self._directions: np.ndarray | None = None

    @classmethod
    def from_directions(
        cls, directions: np.ndarray, *, layer: str = "", model: str = ""
    ) -> "NMF":
        """Makes an NMF of known directions [K, C].

        Raises:
            InputError: directions of another shape, negative or not finite.
        """
        directions = np.ascontiguousarray(directions, np.float32)
        if directions.ndim != 2 or 0 in directions.shape:
            raise InputError(
                f"directions must be [features, channels], got {directions.shape}"
            )
        if not np.isfinite(directions).all() or (directions < 0).any():
            raise InputError("directions must be finite and not negative")
        settings = NMFSettings(
            len(directions), max_rows=max(len(directions), NMFSettings.max_rows)
        )
        made = cls(settings=settings, layer=layer, model=model)
        made._directions = directions
        return made

    def fit(self, values: Values) -> "NMF":
        """Finds the directions that explain values best; memory is bounded.

        Args:
            values: activations or attributions f32 [..., C], an `Attribution`, or an
                iterable of chunks of these, so that all of them need never be in memory
                at once. How they are cut into chunks does not change the result.

        Raises:
            InputError: values are not finite, all zero, of differing channels, or have
                fewer channels than features are asked for.
        """
        settings = self.settings
        sample = RowSample(settings.max_rows, np.random.default_rng(settings.seed))
        judged = _Reservoir(_N_JUDGED, np.random.default_rng(settings.seed + 1))
        for array in self._checked(values):
            if settings.n_features == "auto":
                judged.add(array)
            rows = array.reshape(-1, array.shape[-1])
            for start in range(0, len(rows), _CHUNK_ROWS):
                chunk = np.asarray(rows[start : start + _CHUNK_ROWS], np.float32)
                if not np.isfinite(chunk).all():
                    raise InputError("the values to factorize hold NaN or infinity")
                sample.add_signed(chunk)
        rows = sample.rows()
        if not len(rows):
            raise InputError("the values to factorize are all zero: nothing to find")
        if settings.n_features == "auto":
            descent = self._fewest_features(rows, judged.items())
        else:
            descent = self._descend(rows, settings.n_features)
        directions, fractions = descent.directions, descent.fractions
        if settings.order == "fraction":
            order = np.argsort(-fractions, kind="stable")
            directions, fractions = directions[order], fractions[order]
        self._directions = directions
        self.explained = descent.explained
        self.feature_fractions = fractions
        self.fit_info = {
            **dataclasses.asdict(settings),
            "n_features": len(directions),
            "n_iterations": descent.n_iterations,
            "violation": descent.violation,
            "n_rows": sample.n_seen,
            "n_rows_fitted": len(rows),
        }
        return self

    @property
    def directions(self) -> np.ndarray:
        """f32 [K, C] >= 0; a direction is zero where fewer than K are independent.

        Raises:
            InputError: nothing was fitted yet.
        """
        if self._directions is None:
            raise InputError("this NMF has no directions yet: call fit(values) first")
        return self._directions

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

    def fit_transform(self, values: np.ndarray) -> np.ndarray:
        """Fits activations f32 [..., C] and returns their weights f32 [..., K]."""
        return self.fit(values).transform(values)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Computes the exact non-negative weights that explain values [..., C] best.

        Attributions have two signs: `reduce` splits them.

        Returns:
            w f32 [..., K] >= 0 that minimises ||values - w @ directions||² at each
            position.

        Raises:
            InputError: the last axis is not the layer's channels, or a value is not
                finite.
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

    def reduce(self, attribution: np.ndarray | Attribution) -> tuple[Any, Any]:
        """Splits attribution, f32 [..., C], among the features and a residual.

        Returns:
            Attribution of each feature f32 [..., K] (signed weights times `norms`) and
            the residual f32 [...]; together they sum to the attribution's sum over
            channels.
        """
        if isinstance(attribution, Attribution):
            attribution = attribution.values
        values = np.asarray(attribution, np.float32)
        features = self.transform_signed(values) * self.norms
        residual = values.sum(axis=-1, dtype=np.float64) - features.sum(
            axis=-1, dtype=np.float64
        )
        return features, residual.astype(np.float32)

    def residual_fraction(self, attribution: np.ndarray | Attribution) -> float:
        """The residual's part of attribution totals [..., h, w, C], between 0 and 1.

        Sums over positions, of the features and of the residual, are compared by their
        absolute values, added up over observations.
        """
        features, residual = self.reduce(attribution)
        explained = np.abs(features.sum(axis=(-3, -2))).sum(dtype=np.float64)
        left = np.abs(residual.sum(axis=(-2, -1))).sum(dtype=np.float64)
        return float(left / max(explained + left, np.finfo(np.float64).tiny))

    def plot(self, model: Any, observations: Any, **options: Any) -> FeatureSheet:
        """Draws dataset examples of each feature.

        Args:
            model: a `Model`, or what `load` takes.
            observations: uint8 [N, H, W, C] or `Observations`, sampled infrequently.
            **options: those of `interpret.feature_sheet.feature_sheet`: `side=4`
                examples along each side, `names`, `patch_positions`, or `spatial=True`
                for a spatially-aware map.
        """
        return feature_sheet(model, observations, self, **options)

    def save(self, path: PathLike) -> None:
        """Writes an `.npz` without pickles (numpy's own loader reads it, too)."""
        fractions = self.feature_fractions
        metadata = {
            "format": _FORMAT,
            "version": _VERSION,
            "layer": self.layer,
            "model": self.model,
            "explained": self.explained,
            "fit": self.fit_info,
        }
        directions = self.directions
        with atomic_open(path) as stream:
            np.savez(
                stream,
                directions=directions,
                feature_shares=np.zeros(0, np.float32)
                if fractions is None
                else fractions,
                metadata=np.array(json.dumps(metadata)),
            )

    @classmethod
    def load(cls, path: PathLike) -> "NMF":
        """Reads what `save` wrote; an untrusted file runs no code.

        Raises:
            FileFormatError: the file is missing, damaged or something else.
        """
        arrays = read_npz(path)
        kinds = {name: array.dtype.kind for name, array in arrays.items()}
        expected = {"directions": "f", "feature_shares": "f", "metadata": "U"}
        if not kinds.items() >= expected.items():
            raise FileFormatError(f"{path} is not a factorization written by NMF.save.")
        metadata = parse_json(str(arrays["metadata"]), path)
        check_schema(metadata, _METADATA, f"{path}, its metadata")
        if metadata["format"] != _FORMAT or metadata["version"] > _VERSION:
            raise FileFormatError(
                f"{path} holds {metadata['format']!r:.60} of version "
                f"{metadata['version']}; expected {_FORMAT} of version {_VERSION} "
                "or older"
            )
        try:
            loaded = cls.from_directions(
                arrays["directions"], layer=metadata["layer"], model=metadata["model"]
            )
        except LucidRLError as error:
            raise FileFormatError(f"{path}: {error}") from error
        fractions = arrays["feature_shares"]
        if fractions.shape not in [(0,), (loaded.n_features,)]:
            raise FileFormatError(
                f"{path}: feature_shares of shape {fractions.shape} for "
                f"{loaded.n_features} features"
            )
        loaded.explained = float(metadata["explained"])
        loaded.feature_fractions = fractions if len(fractions) else None
        loaded.fit_info = metadata["fit"]
        return loaded

    def __repr__(self) -> str:
        if self._directions is None:
            return f"NMF(n_features={self.settings.n_features})"
        where = f" of layer {self.layer}" if self.layer else ""
        return (
            f"NMF({self.n_features} features{where}, "
            f"explained {self.explained:.1%} of the squares)"
        )

    def _rows(self, values: np.ndarray) -> np.ndarray:
        if isinstance(values, Attribution):
            raise InputError(
                "transform takes activations [..., C]; an Attribution is split among "
                "the features by reduce(attribution)"
            )
        values = np.asarray(values)
        if values.shape[-1:] != (self.n_channels,):
            raise InputError(
                f"expected {self.n_channels} channels"
                + (f" of layer {self.layer}" if self.layer else "")
                + f" on the last axis, got shape {values.shape}"
            )
        return values.reshape(-1, self.n_channels)

    def _descend(self, rows: np.ndarray, n_features: int) -> Descent:
        settings = self.settings
        start = nndsvd(rows, n_features)
        return coordinate_descent(
            rows, *start, settings.tolerance, settings.max_iterations
        )

    def _fewest_features(self, rows: np.ndarray, judged: np.ndarray) -> Descent:
        """The fit of the fewest features that leave little enough."""
        n_channels = rows.shape[1]
        numbers = [n for n in _NUMBERS if n < n_channels]
        for n_features in [*numbers, n_channels]:
            descent = self._descend(rows, n_features)
            found = NMF.from_directions(descent.directions)
            if found.residual_fraction(judged) <= self.settings.max_residual:
                break
        return descent

    def _checked(self, values: Values) -> Iterator[np.ndarray]:
        """Checked arrays [..., C] in turn."""
        wanted = self.settings.n_features
        n_features = 1 if wanted == "auto" else wanted
        n_channels = None
        single = isinstance(values, np.ndarray | Attribution)
        if not single and not isinstance(values, Iterable):
            raise InputError(
                f"expected values [..., C], an Attribution, or chunks, got {values!r}"
            )
        chunks: Iterable[Any] = [values] if single else values  # type: ignore
        for entry in chunks:
            if isinstance(entry, Attribution):
                self.layer = self.layer or entry.layer
                entry = entry.values
            array = np.asarray(entry)
            if array.ndim < 2:
                raise InputError(f"expected values [..., C], got shape {array.shape}")
            if n_channels not in (None, array.shape[-1]):
                raise InputError(
                    f"chunks have {n_channels} and {array.shape[-1]} channels; all "
                    "must come from one layer"
                )
            n_channels = array.shape[-1]
            if n_features > n_channels:
                raise InputError(
                    f"{n_features} features asked of {n_channels} channels; ask for "
                    f"{n_channels} at most"
                )
            yield array


class _Reservoir:
    """A uniform sample of observations of a stream, in bounded memory."""

    def __init__(self, size: int, rng: np.random.Generator):
        self._size, self._rng = size, rng
        self._kept: list[np.ndarray] = []
        self._n_seen = 0

    def add(self, values: np.ndarray) -> None:
        """Adds observations [..., h, w, C]; rows [N, C] count as one each."""
        shape = (1, 1, *values.shape[-1:]) if values.ndim < 4 else values.shape[-3:]
        for item in values.reshape(-1, *shape):
            self._n_seen += 1
            place = int(self._rng.integers(self._n_seen))
            if len(self._kept) < self._size:
                self._kept.append(np.array(item, np.float32))
            elif place < self._size:
                self._kept[place] = np.array(item, np.float32)

    def items(self) -> np.ndarray:
        """What was kept, f32 [n, h, w, C]."""
        return np.stack(self._kept)

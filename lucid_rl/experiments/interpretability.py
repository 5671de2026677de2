"""How interpretable a model's features are, measured against the game's states.

The article let researchers judge whether a feature looks interpretable (section
"Interpretability and generalization"). Here four quantities are computed for each
feature, with CoinRun's states as ground truth:

* response concentration: the fraction of the feature's response that lies within reach
  of one kind of object, beyond what the covered area alone would give;
* attribution concentration: the same of its attribution, for the same object;
* consistency: the fraction of levels with the object in which most of the response
  lies within its reach;
* background sensitivity: how much the responses change when the same states are drawn
  before other backgrounds, 0 to 1; that of the attributions is reported, too.

A feature counts as interpretable if all four pass their thresholds. The score is the
fraction of such features, with a bootstrap interval over levels. Controls show that
the score can fail: random weights, weights shuffled within layers, random directions,
single channels and principal components.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import scipy.ndimage

from lucid_rl.errors import InputError
from lucid_rl.files import PathLike
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES, batch_object_maps
from lucid_rl.games.procgen_state import parse_state
from lucid_rl.games.registry import check_fits, game_settings, make_game
from lucid_rl.interpret.attribution import AttributionSettings, attribute
from lucid_rl.interpret.features import CHUNK, fit_features, value_attributions
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.model.batching import batch_slices
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.reports import figure, markdown_table
from lucid_rl.sampling.observations import (
    Observations,
    ObservationSettings,
    sample_observations,
)
from lucid_rl.statistics import bootstrap, percentile_interval
from lucid_rl.validation import Fraction, Natural, Positive, Settings, at_least

NAME = "interpretability"
CONTROLS = (
    "random weights",
    "shuffled weights",
    "random directions",
    "single channels",
    "principal components",
)
_QUANTITIES = (
    *("response", "attribution", "consistency", "background"),
    "background_attribution",
)
# Kinds of objects; edges of walls are left out, for they are nearly everywhere, and so
# within reach of any response.
_KINDS: dict[str, tuple[str, ...]] = {
    "agent": ("agent",),
    "coin": ("coin",),
    "buzzsaw": ("buzzsaw",),
    "enemy_left": ("enemy_left",),
    "enemy_right": ("enemy_right",),
    "enemy": ("enemy_left", "enemy_right"),
    "box": ("box",),
    "lava": ("lava",),
    "platform_left_end": ("platform_left_end",),
    "platform_right_end": ("platform_right_end",),
    "platform_end": ("platform_left_end", "platform_right_end"),
}
_MAX_ROWS = 200_000  # positions that principal components are fitted to


@dataclasses.dataclass(frozen=True)
class InterpretabilitySettings(Settings):
    """How features are scored."""

    layer: str = "2b"
    """Layer whose features are scored."""
    n_features: Positive = 8
    """Features of each model."""
    n_observations: Annotated[int, at_least(8)] = 512
    """Observations, from as many levels as there are environments."""
    reach: Natural = 3
    """Positions of the layer around an object that count as within its reach."""
    min_response: Fraction = 0.5
    """Least response concentration of an interpretable feature."""
    min_attribution: Fraction = 0.5
    """Least attribution concentration of an interpretable feature."""
    min_consistency: Fraction = 0.7
    """Least consistency of an interpretable feature."""
    max_background: Fraction = 0.4
    """Largest background sensitivity of an interpretable feature."""
    n_steps: Positive = 4
    """Steps of the attributions."""
    n_bootstrap: Positive = 1000
    """Resamples of levels for the interval."""
    seed: Natural = 0
    """Seed of levels, actions, controls and resamples."""

    @property
    def attribution(self) -> AttributionSettings:
        """How attributions are computed."""
        return AttributionSettings(n_steps=self.n_steps)


@dataclasses.dataclass(frozen=True)
class FeatureScore:
    """What was measured of one feature; docs/interpretability.md defines it."""

    feature: int
    object_class: str
    response: float
    attribution: float
    consistency: float
    background: float
    background_attribution: float
    interpretable: bool


@dataclasses.dataclass(frozen=True)
class InterpretabilityScore:
    """The score of one model, or of one control.

    Attributes:
        name: of the model or control.
        features: what was measured of each feature.
        score: fraction of interpretable features.
        interval: 95 % bootstrap interval of the score, over levels.
        n_levels: levels that observations come from.
    """

    name: str
    features: tuple[FeatureScore, ...]
    score: float
    interval: tuple[float, float]
    n_levels: int


@dataclasses.dataclass(frozen=True)
class _Scene:
    """Observations with what the game says of them."""

    observations: np.ndarray  # u8 [N, H, W, C]
    redrawn: np.ndarray  # the same states before other backgrounds
    levels: np.ndarray  # int [N], index of each observation's level
    reach: np.ndarray  # bool [N, classes, h, w], within reach of an object


def score_interpretability(
    model: Any,
    settings: InterpretabilitySettings | None = None,
    controls: tuple[str, ...] = CONTROLS,
) -> list[InterpretabilityScore]:
    """Scores the features of a model of Procgen's CoinRun, and controls.

    Args:
        model: a `Model`, or what `load` takes.
        settings: layer, numbers and thresholds.
        controls: of `CONTROLS`; all of them see the model's own observations.

    Returns:
        The model's score, then the controls'.

    Raises:
        InputError: the model plays another game, whose states are not known.
    """
    settings = settings or InterpretabilitySettings()
    unknown = set(controls) - set(CONTROLS)
    if unknown:
        raise InputError(
            f"no control {min(unknown)!r}: expected some of {', '.join(CONTROLS)}."
        )
    model = load(model)
    scene = _scene(model, settings)
    nmf = _fit_nmf(model, scene, settings)
    found = [_score(model.name, model, nmf, scene, settings)]
    for control in controls:
        subject, features = _control(control, model, scene, settings)
        found.append(_score(control, subject, features, scene, settings))
    return found


def score_with_features(
    model: Any, settings: InterpretabilitySettings | None = None
) -> tuple[InterpretabilityScore, NMF, np.ndarray]:
    """As `score_interpretability` without controls, with what was scored.

    Returns:
        The model's score, its features, and the observations u8 [N, H, W, C].
    """
    settings, model = settings or InterpretabilitySettings(), load(model)
    scene = _scene(model, settings)
    nmf = _fit_nmf(model, scene, settings)
    score = _score(model.name, model, nmf, scene, settings)
    return score, nmf, scene.observations


def concentration(
    within: np.ndarray, everything: np.ndarray, area: np.ndarray
) -> np.ndarray:
    """The fraction of a quantity near objects, beyond what their area alone gives.

    (within / everything - area) / (1 - area), f [K, kinds]: 1 if all of it is near, 0
    if it is spread evenly. `within`, f [K, kinds], is the quantity within reach of each
    kind of object, `everything`, f [K], that in all, `area`, f [kinds], the fraction of
    positions within reach.
    """
    fraction = within / np.maximum(everything, 1e-12)[:, None]
    return (fraction - area) / (1 - area)


def as_dict(
    results: Mapping[str, list[InterpretabilityScore]],
    settings: InterpretabilitySettings,
) -> dict[str, Any]:
    """Scores and settings as plain values, for a results file."""
    scores = {
        model: [*map(dataclasses.asdict, found)] for model, found in results.items()
    }
    return {"settings": dataclasses.asdict(settings), "models": scores}


def from_dict(values: Mapping[str, Any]) -> dict[str, list[InterpretabilityScore]]:
    """The scores that `as_dict` described."""
    return {
        model: [
            InterpretabilityScore(
                score["name"],
                tuple(FeatureScore(**feature) for feature in score["features"]),
                score["score"],
                tuple(score["interval"]),
                score["n_levels"],
            )
            for score in scores
        ]
        for model, scores in values["models"].items()
    }


def report(results: Mapping[str, list[InterpretabilityScore]]) -> str:
    """A table in Markdown: a row for each model, with its controls' scores."""
    controls = list(
        dict.fromkeys(s.name for found in results.values() for s in found[1:])
    )
    rows = []
    for model, (score, *others) in results.items():
        low, high = score.interval
        named = [f.object_class for f in score.features if f.interpretable]
        by_name = {other.name: f"{other.score:.3f}" for other in others}
        rows.append(
            (
                *(model, f"**{score.score:.3f}**", f"{low:.3f} to {high:.3f}"),
                ", ".join(named) or "none",
                *(by_name.get(control, "") for control in controls),
            )
        )
    titles = ("model", "score", "95 % interval", "interpretable features", *controls)
    return markdown_table(titles, rows)


def plot_scores(
    results: Mapping[str, list[InterpretabilityScore]], path: PathLike
) -> None:
    """Draws the scores with their intervals, and each feature's concentration."""
    names, scores = [], []
    for model, found in results.items():
        names += [pathlib.Path(model).stem.upper(), *(s.name for s in found[1:])]
        scores += found
    rows = np.arange(len(scores))
    values = np.array([score.score for score in scores])
    low, high = np.array([score.interval for score in scores]).T
    errors = np.maximum([values - low, high - values], 0)
    with figure(path, 2, (9, 1 + 0.24 * len(rows)), sharey=True) as (left, right):
        left.errorbar(values, rows, xerr=errors, fmt="o", capsize=3)
        left.set(xlim=(-0.03, 1.03), xlabel="fraction interpretable, 95 % interval")
        left.set_yticks(rows, names, fontsize=8)
        left.invert_yaxis()
        for row, score in zip(rows, scores, strict=True):
            for feature in score.features:
                colour = "C0" if feature.interpretable else "0.6"
                right.plot(feature.response, row, "o", color=colour, alpha=0.7, ms=5)
        title = "response concentration (blue: interpretable)"
        right.set(xlim=(-0.05, 1.03), xlabel=title)


def _scene(model: Model, settings: InterpretabilitySettings) -> _Scene:
    game = game_settings(model.args, model.n_actions, model.image_shape)
    if game.name != "coinrun":
        raise InputError(
            f"{model.name} plays {game.name}: objects are known from the states of "
            "Procgen's coinrun only."
        )
    n_per_env = min(8, settings.n_observations)
    sampling = ObservationSettings(
        n_envs=-(-settings.n_observations // n_per_env),
        n_per_env=n_per_env,
        interval=32,
        states=True,
    )
    rng = np.random.default_rng(settings.seed)
    with make_game(game.replace(n_envs=sampling.n_envs, seed=settings.seed)) as played:
        check_fits(played, model.n_actions, model.image_shape)
        sampled = sample_observations(played, model, sampling, rng)
        redrawn = _redraw(played, sampled, rng)
    assert sampled.states is not None and sampled.level_seeds is not None
    size = model.layer_shape(settings.layer)[0]
    maps = batch_object_maps(sampled.states, size)
    kinds = [
        maps[:, [OBJECT_CLASSES.index(name) for name in members]].max(axis=1)
        for members in _KINDS.values()
    ]
    side = 2 * settings.reach + 1
    reach = (
        scipy.ndimage.maximum_filter(np.stack(kinds, axis=1), (1, 1, side, side)) > 0
    )
    _, levels = np.unique(sampled.level_seeds, return_inverse=True)
    return _Scene(sampled.observations, redrawn, levels, reach)


def _redraw(game: Any, sampled: Observations, rng: np.random.Generator) -> np.ndarray:
    """The sampled states before the backgrounds of others, u8 [N, H, W, C]."""
    states = [parse_state(state) for state in sampled.states or []]
    others = np.roll(rng.permutation(len(states)), 1)
    drawn = [
        state.with_background_of(states[other]).to_bytes()
        for state, other in zip(states, others, strict=True)
    ]
    frames = []
    for rows in batch_slices(len(drawn), game.n_envs):
        part = drawn[rows]
        game.set_states(part, range(len(part)))
        frames.append(game.observe().observations[: len(part)].copy())
    return np.concatenate(frames)


class _Directions:
    """Directions whose responses are projections, where these are positive."""

    def __init__(self, directions: np.ndarray):
        norms = np.linalg.norm(directions, axis=1, keepdims=True)
        self.directions = (directions / norms).astype(np.float32)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Projections f32 [..., K] >= 0."""
        return np.maximum(values @ self.directions.T, 0)

    def transform_signed(self, values: np.ndarray) -> np.ndarray:
        """Projections of attributions, each sign by itself."""
        return self.transform(np.maximum(values, 0)) - self.transform(
            np.maximum(-values, 0)
        )


def _fit_nmf(model: Model, scene: _Scene, settings: InterpretabilitySettings) -> NMF:
    return fit_features(
        model,
        scene.observations,
        settings.layer,
        nmf=NMFSettings(n_features=settings.n_features, seed=settings.seed),
        attribution=settings.attribution,
    )


def _control(
    control: str, model: Model, scene: _Scene, settings: InterpretabilitySettings
) -> tuple[Model, Any]:
    """The network and the features of a control."""
    rng = np.random.default_rng([settings.seed, CONTROLS.index(control)])
    layer, n = settings.layer, settings.n_features
    if control in ("random weights", "shuffled weights"):
        other = _with_other_weights(model, control, rng)
        return other, _fit_nmf(other, scene, settings)
    if control == "random directions":
        directions = np.abs(rng.normal(size=(n, model.layer_shape(layer)[-1])))
    elif control == "single channels":
        values = value_attributions(
            model, scene.observations, layer, settings.attribution
        )
        # What NMF explains, too: sums of squares.
        energy = sum(np.einsum("nhwc,nhwc->c", v, v) for v in values)
        directions = np.eye(len(energy))[np.argsort(-energy)[:n]]
    else:
        # It takes a second to import.
        from sklearn.decomposition import PCA

        activations = model.activations(scene.observations, layer)
        rows = activations.reshape(-1, activations.shape[-1])
        rows = rows[rng.choice(len(rows), min(len(rows), _MAX_ROWS), replace=False)]
        found = PCA(n, random_state=0).fit(rows).components_
        directions = found * np.sign(found.sum(axis=1, keepdims=True))
    return model, _Directions(directions)


def _with_other_weights(model: Model, control: str, rng: np.random.Generator) -> Model:
    """The network with kernels drawn anew, or with their numbers shuffled."""
    if model.checkpoint is None:
        raise InputError(f"{model.name} is a graph: its weights cannot be shuffled.")
    changes = {}
    for name, array in model.checkpoint.params.items():
        if array.ndim < 2:
            continue
        if control == "shuffled weights":
            changes[name] = rng.permutation(array.ravel()).reshape(array.shape)
        else:
            std = np.sqrt(2 / np.prod(array.shape[:-1]))
            changes[name] = rng.normal(0, std, array.shape).astype(np.float32)
    return Model.from_checkpoint(model.checkpoint.replace_params(changes))


def _score(
    name: str,
    model: Model,
    features: Any,
    scene: _Scene,
    settings: InterpretabilitySettings,
) -> InterpretabilityScore:
    sums = _sums_by_level(model, features, scene, settings)
    n_levels = len(sums["observations"])
    measured = _measure(sums, np.ones(n_levels), settings)
    resampled = bootstrap(
        lambda times: _measure(sums, times, settings)["passes"].mean(),
        n_levels,
        np.random.default_rng([settings.seed, 100]),
        settings.n_bootstrap,
    )
    rows = tuple(
        FeatureScore(
            k,
            tuple(_KINDS)[measured["best"][k]],
            **{name: round(float(measured[name][k]), 4) for name in _QUANTITIES},
            interpretable=bool(measured["passes"][k]),
        )
        for k in range(len(measured["best"]))
    )
    score = float(measured["passes"].mean())
    return InterpretabilityScore(
        name, rows, score, percentile_interval(resampled), n_levels
    )


def _sums_by_level(
    model: Model, features: Any, scene: _Scene, settings: InterpretabilitySettings
) -> dict[str, np.ndarray]:
    """Sums over the positions and observations of each level, [levels, ...]."""
    n_levels = int(scene.levels.max()) + 1
    total: dict[str, np.ndarray] = {}
    attributions = value_attributions(
        model, scene.observations, settings.layer, settings.attribution
    )
    slices = batch_slices(len(scene.observations), CHUNK)
    for rows, values in zip(slices, attributions, strict=True):
        others = attribute(
            model, scene.redrawn[rows], settings.layer, settings=settings.attribution
        ).values
        reach = scene.reach[rows].astype(np.float32)  # [n, kinds, h, w]
        response, redrawn = (
            features.transform(model.activations(frames[rows], settings.layer))
            for frames in (scene.observations, scene.redrawn)
        )
        signed, changed = map(features.transform_signed, (values, others))
        attribution = np.abs(signed)
        sums = {
            "area": reach.mean(axis=(2, 3)),
            "observations": np.ones(len(values)),
        }
        for name, array, before, after in (
            ("response", response, response, redrawn),
            ("attribution", attribution, signed, changed),
        ):
            sums |= {
                f"{name}_within": np.einsum("nhwk,nchw->nkc", array, reach),
                f"{name}_all": array.sum(axis=(1, 2)),
                f"{name}_changed": np.abs(before - after).sum(axis=(1, 2)),
                f"{name}_both": (array + np.abs(after)).sum(axis=(1, 2)),
            }
        for name, found in sums.items():
            zeros = np.zeros((n_levels, *found.shape[1:]))
            np.add.at(total.setdefault(name, zeros), scene.levels[rows], found)
    return total


def _measure(
    sums: dict[str, np.ndarray],
    weights: np.ndarray,
    settings: InterpretabilitySettings,
) -> dict[str, np.ndarray]:
    """The four quantities of each feature, with levels weighted."""
    total = {key: np.tensordot(weights, values, axes=1) for key, values in sums.items()}

    area = total["area"] / total["observations"]
    response, attribution = (
        concentration(total[f"{kind}_within"], total[f"{kind}_all"], area)
        for kind in ("response", "attribution")
    )
    best = response.argmax(axis=1)
    index = np.arange(len(best))
    present = sums["area"][:, best] > 0  # [levels, k]
    fires = sums["response_all"] > 0.1 * sums["response_all"].mean(axis=0)
    most = sums["response_within"][:, index, best] > 0.5 * sums["response_all"]
    counted = weights[:, None] * (present & fires)
    consistency = (counted * most).sum(axis=0) / np.maximum(counted.sum(axis=0), 1e-12)
    background, background_attribution = (
        total[f"{kind}_changed"] / np.maximum(total[f"{kind}_both"], 1e-12)
        for kind in ("response", "attribution")
    )
    found = {
        "best": best,
        "response": response[index, best],
        "attribution": attribution[index, best],
        "consistency": consistency,
        "background": background,
        "background_attribution": background_attribution,
    }
    found["passes"] = (
        (found["response"] >= settings.min_response)
        & (found["attribution"] >= settings.min_attribution)
        & (consistency >= settings.min_consistency)
        & (background <= settings.max_background)
    )
    return found

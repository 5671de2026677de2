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
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.ndimage

from lucid_rl.errors import InputError
from lucid_rl.files import PathLike, atomic_open
from lucid_rl.games.coinrun_backgrounds import with_background_of
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES, batch_object_maps
from lucid_rl.games.procgen_state import parse_state
from lucid_rl.games.registry import check_fits, game_settings, make_game
from lucid_rl.interpret.attribution import AttributionSettings, attribute
from lucid_rl.interpret.features import CHUNK, fit_features, value_attributions
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.model.batching import batch_slices
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.sampling.observations import (
    Observations,
    ObservationSettings,
    sample_observations,
)
from lucid_rl.validation import at_least, between, check_fields

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
class InterpretabilitySettings:
    """How features are scored."""

    layer: str = "2b"
    """Layer whose features are scored."""
    n_features: int = 8
    """Features of each model."""
    n_observations: int = 512
    """Observations, from as many levels as there are environments."""
    reach: int = 3
    """Positions of the layer around an object that count as within its reach."""
    min_response: float = 0.5
    """Least response concentration of an interpretable feature."""
    min_attribution: float = 0.5
    """Least attribution concentration of an interpretable feature."""
    min_consistency: float = 0.7
    """Least consistency of an interpretable feature."""
    max_background: float = 0.4
    """Largest background sensitivity of an interpretable feature."""
    n_steps: int = 4
    """Steps of the attributions."""
    n_bootstrap: int = 1000
    """Resamples of levels for the interval."""
    seed: int = 0
    """Seed of levels, actions, controls and resamples."""

    @property
    def attribution(self) -> AttributionSettings:
        """How attributions are computed."""
        return AttributionSettings(n_steps=self.n_steps)

    def __post_init__(self) -> None:
        check_fields(
            self,
            n_features=at_least(1),
            n_observations=at_least(8),
            reach=at_least(0),
            min_response=between(0, 1),
            min_attribution=between(0, 1),
            min_consistency=between(0, 1),
            max_background=between(0, 1),
            n_steps=at_least(1),
            n_bootstrap=at_least(1),
            seed=at_least(0),
        )


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
        rng = np.random.default_rng([settings.seed, CONTROLS.index(control)])
        subject, fit = _control(control, model, rng)
        features = fit(subject, scene, settings)
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

    (within / everything - area) / (1 - area): 1 if all of it is near, 0 if it is spread
    evenly.

    Args:
        within: f [K, kinds], the quantity within reach of each kind of object.
        everything: f [K], the quantity in all.
        area: f [kinds], the fraction of positions within reach, below 1.

    Returns:
        f [K, kinds], at most 1.
    """
    fraction = within / np.maximum(everything, 1e-12)[:, None]
    return (fraction - area) / (1 - area)


def as_dict(
    results: Mapping[str, list[InterpretabilityScore]],
    settings: InterpretabilitySettings,
) -> dict[str, Any]:
    """Scores and settings as plain values, for a results file."""
    return {
        "settings": dataclasses.asdict(settings),
        "models": {
            model: [dataclasses.asdict(score) for score in scores]
            for model, scores in results.items()
        },
    }


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
    titles = ["model", "score", "95 % interval", "interpretable features", *controls]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for model, (score, *others) in results.items():
        low, high = score.interval
        named = [f.object_class for f in score.features if f.interpretable]
        by_name = {other.name: f"{other.score:.3f}" for other in others}
        cells = [
            *(model, f"**{score.score:.3f}**", f"{low:.3f} to {high:.3f}"),
            ", ".join(named) or "none",
            *(by_name.get(control, "") for control in controls),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot_scores(
    results: Mapping[str, list[InterpretabilityScore]], path: PathLike
) -> None:
    """Draws the scores with their intervals, and each feature's concentration.

    Args:
        results: models' scores with their controls.
        path: PNG file, written atomically.
    """
    # The object interface: pyplot would choose a backend for the whole process.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names, scores = [], []
    for model, found in results.items():
        names += [pathlib.Path(model).stem.upper(), *(s.name for s in found[1:])]
        scores += found
    rows = np.arange(len(scores))
    figure = Figure(figsize=(9, 1 + 0.24 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    values = np.array([score.score for score in scores])
    low, high = np.array([score.interval for score in scores]).T
    errors = np.maximum([values - low, high - values], 0)
    left.errorbar(values, rows, xerr=errors, fmt="o", capsize=3)
    left.set(xlim=(-0.03, 1.03), xlabel="score: interpretable features, 95 % interval")
    left.set_yticks(rows, names, fontsize=8)
    left.invert_yaxis()
    for row, score in zip(rows, scores, strict=True):
        for feature in score.features:
            colour = "C0" if feature.interpretable else "0.6"
            right.plot(feature.response, row, "o", color=colour, alpha=0.7, ms=5)
    right.set(xlim=(-0.05, 1.03), xlabel="response concentration (blue: interpretable)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    with atomic_open(path) as stream:
        figure.savefig(stream, format="png", dpi=100)


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
        with_background_of(state, states[other]).to_bytes()
        for state, other in zip(states, others, strict=True)
    ]
    frames = []
    for rows in batch_slices(len(drawn), game.n_envs):
        part = drawn[rows]
        game.set_states(part, range(len(part)))
        frames.append(game.observe().observations[: len(part)].copy())
    return np.concatenate(frames)


Fit = Callable[[Model, _Scene, InterpretabilitySettings], Any]


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


def _control(control: str, model: Model, rng: np.random.Generator) -> tuple[Model, Fit]:
    if control in ("random weights", "shuffled weights"):
        return _with_other_weights(model, control, rng), _fit_nmf
    if control == "random directions":

        def random(model, scene, settings):
            shape = settings.n_features, model.layer_shape(settings.layer)[-1]
            return _Directions(np.abs(rng.normal(size=shape)))

        return model, random
    if control == "single channels":

        def channels(model, scene, settings):
            values = value_attributions(
                model, scene.observations, settings.layer, settings.attribution
            )
            # What NMF explains, too: sums of squares.
            weights = sum(np.einsum("nhwc,nhwc->c", v, v) for v in values)
            largest = np.argsort(-weights)[: settings.n_features]
            return _Directions(np.eye(len(weights))[largest])

        return model, channels

    def components(model, scene, settings):
        activations = model.activations(scene.observations, settings.layer)
        rows = activations.reshape(-1, activations.shape[-1])
        rows = rows[rng.choice(len(rows), min(len(rows), _MAX_ROWS), replace=False)]
        # It takes a second to import.
        from sklearn.decomposition import PCA

        found = PCA(settings.n_features, random_state=0).fit(rows).components_
        return _Directions(found * np.sign(found.sum(axis=1, keepdims=True)))

    return model, components


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
    sums = _sums(model, features, scene, settings)
    n_levels = int(scene.levels.max()) + 1
    by_level = {
        key: _by_level(values, scene.levels, n_levels) for key, values in sums.items()
    }
    weights = np.ones(n_levels)
    measured = _measure(by_level, weights, settings)
    rng = np.random.default_rng([settings.seed, 100])
    draws = rng.multinomial(
        n_levels, np.full(n_levels, 1 / n_levels), settings.n_bootstrap
    )
    scores = [_measure(by_level, draw, settings)["passes"].mean() for draw in draws]
    low, high = np.quantile(scores, (0.025, 0.975))
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
    return InterpretabilityScore(name, rows, score, (float(low), float(high)), n_levels)


def _sums(
    model: Model, features: Any, scene: _Scene, settings: InterpretabilitySettings
) -> dict[str, np.ndarray]:
    """Sums over positions for each observation, from which everything follows."""
    parts: dict[str, list[np.ndarray]] = {
        key: []
        for key in (
            *("response_within", "response_all", "attribution_within"),
            *("attribution_changed", "attribution_both"),
            *("attribution_all", "changed", "both", "area", "observations"),
        )
    }
    attributions = value_attributions(
        model, scene.observations, settings.layer, settings.attribution
    )
    slices = batch_slices(len(scene.observations), CHUNK)
    for rows, values in zip(slices, attributions, strict=True):
        others = attribute(
            model, scene.redrawn[rows], settings.layer, settings=settings.attribution
        ).values
        reach = scene.reach[rows].astype(np.float32)  # [n, c, h, w]
        response, redrawn = (
            features.transform(model.activations(frames[rows], settings.layer))
            for frames in (scene.observations, scene.redrawn)
        )
        signed, changed = map(features.transform_signed, (values, others))
        attribution = np.abs(signed)
        parts["attribution_changed"].append(np.abs(signed - changed).sum(axis=(1, 2)))
        parts["attribution_both"].append(
            (attribution + np.abs(changed)).sum(axis=(1, 2))
        )
        for key, array in (("response", response), ("attribution", attribution)):
            within = np.einsum("nhwk,nchw->nkc", array, reach)
            parts[f"{key}_within"].append(within)
            parts[f"{key}_all"].append(array.sum(axis=(1, 2)))
        parts["changed"].append(np.abs(response - redrawn).sum(axis=(1, 2)))
        parts["both"].append((response + redrawn).sum(axis=(1, 2)))
        parts["area"].append(reach.mean(axis=(2, 3)))
        parts["observations"].append(np.ones(len(values)))
    return {key: np.concatenate(arrays) for key, arrays in parts.items()}


def _by_level(values: np.ndarray, levels: np.ndarray, n_levels: int) -> np.ndarray:
    """Sums of observations' values for each level."""
    total = np.zeros((n_levels, *values.shape[1:]), np.float64)
    np.add.at(total, levels, values)
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
    background = total["changed"] / np.maximum(total["both"], 1e-12)
    background_attribution = total["attribution_changed"] / np.maximum(
        total["attribution_both"], 1e-12
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

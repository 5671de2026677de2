"""The main job: from a model to a page that shows what it sees."""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lucid_rl.errors import InputError, ModelError
from lucid_rl.files import check_output_folder
from lucid_rl.folder_lock import folder_lock
from lucid_rl.interface.bundle import policy_parts
from lucid_rl.interface.layers import layer_part
from lucid_rl.interface.manifest import (
    LayerResults,
    ModelResults,
    default_layer,
    manifest_part,
)
from lucid_rl.interface.names import Names, read_names
from lucid_rl.interface.network import engine_part, network_part
from lucid_rl.interface.page import template, write_page
from lucid_rl.interface.parts import Part
from lucid_rl.interface.quantization import LEVELS
from lucid_rl.interface.samples import Samples, get_samples, observations_part
from lucid_rl.interface.settings import INPUT_LAYER, InterfaceSettings
from lucid_rl.interface.stages import StageCache
from lucid_rl.interface.without import without_part
from lucid_rl.interpret.accuracy import settings_within
from lucid_rl.interpret.attribution import AttributionSettings
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.nmf import NMF
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.sampling.trajectories import Trajectories

# Frames on which the number of steps is chosen.
_JUDGED_FRAMES = 16
_UNFINISHED = "Other layers are still being computed: reload the page to see them."
FIRST, SECOND = "model", "compared"
"""Ids of the models in a bundle."""


def make_interface(
    settings: InterfaceSettings | None = None,
    cache: StageCache | None = None,
    samples: Samples | None = None,
    *,
    model: Any = None,
    compare_to: Any = None,
    observations: np.ndarray | None = None,
    trajectories: Trajectories | None = None,
    nmf: NMF | Mapping[str, NMF] | None = None,
) -> pathlib.Path:
    """Makes an interface.

    Samples what is missing, finds features by NMF of value attributions, computes
    the attributions of every frame and writes the page with its data. Stages that
    an earlier run finished with the same settings and inputs are reused.

    Args:
        settings: of which model, and how; the bundled model by default.
        cache: keeps finished stages; in the settings' folder by default.
        samples: show these; by default they are read or sampled.
        model: a `Model` in memory, or what `load` takes, in place of `settings.model`.
        compare_to: likewise in place of `settings.compare_to`.
        observations: use these for features, in place of samples.
        trajectories: show these, likewise.
        nmf: features that were fitted before, of one layer or by layer; those of other
            layers are fitted.

    Returns:
        Path of the page.

    Raises:
        LucidRLError: what is wrong with the model, the settings or the disk.
    """
    settings = settings or InterfaceSettings()
    template()  # a missing page shows now, not after the work
    names = read_names(settings.names) if settings.names else {}
    first = load(settings.model if model is None else model, samples=True)
    compare_to = settings.compare_to if compare_to is None else compare_to
    second = None if compare_to is None else load(compare_to, samples=True)
    # What is wrong with models, layers or folders shows now, not after the sampling.
    if second is not None:
        _check_comparable(first, second)
    features = _given_features(nmf, first)
    trunks = [
        (source, default_layer(_layers(source, settings)))
        for source in filter(None, (first, second))
    ]
    own_folder = cache is None and settings.cache_dir is None
    cache = cache or StageCache(settings.cache_path)
    output = pathlib.Path(settings.output_dir)
    for folder in (cache.directory, output.parent):
        check_output_folder(folder)
    with contextlib.ExitStack() as stack:
        for path in sorted({os.path.realpath(f) for f in (cache.directory, output)}):
            stack.enter_context(folder_lock(path, "the making of a page"))
        for source, layer in trunks:
            if layer != INPUT_LAYER:
                stack.enter_context(source.cached_trunk(layer))
        samples = samples or get_samples(
            first, settings, cache, observations, trajectories
        )
        job = _Job(settings, cache, samples, features)
        page = _make(job, first, second, names)
        if own_folder:
            cache.prune()
    return page


def _check_comparable(first: Model, second: Model) -> None:
    """Checks that two models can be shown on the same frames."""
    ours, theirs = (
        f"{model.n_actions} actions and observations {list(model.image_shape)}"
        for model in (first, second)
    )
    if ours != theirs:
        raise InputError(
            f"compare_to: {second.name} has {theirs}, {first.name} {ours}: expected "
            "the same, for both are shown on the same frames"
        )


def _make(
    job: "_Job", first: Model, second: Model | None, names: Names
) -> pathlib.Path:
    """Computes and writes a page, perhaps one of its first layer before that."""
    settings = job.settings
    notes: tuple[str, ...] = ()
    if settings.code_levels < LEVELS:
        notes += (
            f"Pictures of attribution have {settings.code_levels} levels: they are "
            f"within {1 / settings.code_levels:.1%} of each frame's largest.",
        )
    features_of_second = first
    if second is not None:
        shared = settings.share_features
        if shared is None:
            shared = _mostly_equal(first, second)
        if not shared:
            features_of_second = second
        notes += (
            f"{first.name} acted; {second.name} was shown the same frames.",
            f"Both are seen through the features of {first.name}."
            if shared
            else "Each model has features of its own.",
        )

    def page_of(only: str | None, notes: tuple[str, ...]) -> pathlib.Path:
        models = [job.analyse(FIRST, first, first, only)]
        if second is not None:
            models.append(job.analyse(SECOND, second, features_of_second, only))
        manifest = manifest_part(
            models,
            job.samples,
            names,
            title=settings.title,
            created_with=_plain(settings),
            notes=(*notes, *job.notes),
        )
        return write_page(
            [manifest, *job.data_parts(models)],
            settings.output_dir,
            single_file=settings.single_file,
            encoding=settings.encoding,
        )

    default = default_layer(_layers(first, settings))
    in_both = second is None or default in _layers(second, settings)
    if settings.early_page and in_both and len(_layers(first, settings)) > 1:
        early = page_of(default, (*notes, _UNFINISHED))
        print(f"{early} shows layer {default}; reload it for the others", flush=True)
    return page_of(None, notes)


class _Job:
    """The stages of one run, on shared samples."""

    def __init__(
        self,
        settings: InterfaceSettings,
        cache: StageCache,
        samples: Samples,
        features: Mapping[str, NMF],
    ) -> None:
        self.settings = settings
        self.given_features = features
        self.cache = cache
        self.samples = samples
        observations = self.samples.trajectories.observations
        self.shape = observations.shape[:2]
        self.frames = observations.reshape(-1, *observations.shape[2:])
        self.notes: list[str] = []
        self.lengths = [self.shape[1]] * self.shape[0]
        if samples.clips is not None:
            self.lengths = [entry["length"] for entry in samples.clips.entries]

    def analyse(
        self, key: str, source: Model, features_of: Model, only: str | None = None
    ) -> ModelResults:
        """Everything about one model, or one layer of it, by the features of one."""
        chosen = _layers(source, self.settings)
        default = default_layer(chosen)
        if only is not None:
            chosen = (only,)
        policy = self._policy(key, source)
        values, logits = policy.array("values"), policy.array("logits")
        last_values = None
        if "last_values" in policy.names:
            last_values = policy.array("last_values")
        layers = tuple(
            self._layer(
                key, source, features_of, layer, only is None and layer == default
            )
            for layer in chosen
        )
        return ModelResults(
            key=key,
            name=source.name,
            gamma=source.gamma,
            lam=source.lam,
            reward_scale=source.reward_scale,
            values=values.reshape(self.shape),
            logits=logits.reshape(*self.shape, -1),
            last_values=last_values,
            layers=layers,
            # The early page does without.
            network_part=self._network(key, source, layers) if only is None else None,
        )

    def data_parts(self, models: Sequence[ModelResults]) -> Iterator[Part]:
        """All parts but the manifest."""
        layers = [entry for model in models for entry in model.layers]
        networks = [model.network_part for model in models if model.network_part]
        inputs = {"frames": self.samples.frames_digest, "lengths": self.lengths}
        yield self.cache.get(
            "frames",
            inputs,
            lambda: observations_part("frames", self.frames, self.lengths),
        )
        used = _shown_examples([entry.part for entry in layers])
        yield self.cache.get(
            "examples",
            {"observations": self.samples.observations_digest, "used": used.tolist()},
            lambda: self._examples(used),
        )
        if self.samples.frames is not None:
            yield self.samples.frames
        if networks:
            yield engine_part()
            yield from networks
        for entry in layers:
            yield entry.part
            if entry.policy_part is not None:
                yield from policy_parts(entry.policy_part)
            if entry.without_part is not None:
                yield entry.without_part

    def _examples(self, used: np.ndarray) -> Part:
        """Observations by index, black where nothing shows them: that costs nothing."""
        shown = np.zeros_like(self.samples.observations)
        shown[used] = self.samples.observations[used]
        return observations_part("examples", shown)

    def _policy(self, key: str, source: Model) -> Part:
        last = self.samples.trajectories.last_observations

        outputs = self.samples.outputs if key == FIRST else None

        def make() -> Part:
            logits, values = outputs or source(self.frames)
            arrays = {"logits": logits, "values": values}
            if last is not None:
                arrays["last_values"] = source(last)[1]
            return Part.encode(f"policy/{key}", {}, arrays)

        inputs = {"model": source.digest, "frames": self.samples.frames_digest}
        return self.cache.get(f"policy/{key}", inputs, make)

    def _features(self, source: Model, layer: str) -> NMF:
        settings = self.settings
        if layer in self.given_features:
            return self.given_features[layer]
        nmf = settings.nmf
        if nmf.n_features != "auto":
            n_features = min(nmf.n_features, source.layer_shape(layer)[-1])
            nmf = dataclasses.replace(nmf, n_features=n_features)
        inputs = {
            "model": source.digest,
            "observations": self.samples.observations_digest,
            "attribution": settings.attribution,
            "nmf": nmf,
            "positions": settings.fit_positions,
        }

        def make() -> Part:
            found = fit_features(
                source,
                self.samples.observations,
                layer,
                nmf=nmf,
                attribution=settings.attribution,
                positions=settings.fit_positions,
            )
            meta = {"explained": found.explained, "fit": found.fit_info}
            return Part.encode(
                f"features/{layer}", meta, {"directions": found.directions}
            )

        part = self.cache.get(f"features/{source.digest[:8]}/{layer}", inputs, make)
        return NMF.from_directions(part.array("directions"), layer=layer)

    def _quadrature(
        self, key: str, source: Model, factorization: NMF
    ) -> tuple[AttributionSettings, float | None]:
        """How a layer's attributions are computed, and their error if it is known."""
        settings = self.settings
        if not settings.error_tolerance:
            return settings.attribution, None
        layer = factorization.layer
        inputs = {
            "model": source.digest,
            "frames": self.samples.frames_digest,
            "directions": factorization.directions.tolist(),
            "attribution": settings.attribution,
            "error_tolerance": settings.error_tolerance,
            "max_steps": settings.max_steps,
        }
        name = f"quadrature/{key}/{layer}"

        def make() -> Part:
            n = min(_JUDGED_FRAMES, len(self.frames))
            rows = np.linspace(0, len(self.frames) - 1, n).round().astype(int)
            found, error = settings_within(
                settings.error_tolerance,
                source,
                self.frames[rows],
                layer,
                settings=settings.attribution,
                features=factorization,
                max_steps=settings.max_steps,
            )
            return Part.encode(name, {"n_steps": found.n_steps, "error": error}, {})

        found = self.cache.get(name, inputs, make).meta
        chosen = dataclasses.replace(settings.attribution, n_steps=found["n_steps"])
        return chosen, found["error"]

    def _layer(
        self,
        key: str,
        source: Model,
        features_of: Model,
        layer: str,
        is_default: bool,
    ) -> LayerResults:
        settings = self.settings
        factorization, attribution, error = None, settings.attribution, None
        if layer != INPUT_LAYER:
            if not _fits(features_of, source, layer):
                features_of = source
            factorization = self._features(features_of, layer)
            attribution, error = self._quadrature(key, source, factorization)
        inputs: dict[str, Any] = {
            "model": source.digest,
            "frames": self.samples.frames_digest,
            "lengths": self.lengths,
            "directions": None
            if factorization is None
            else factorization.directions.tolist(),
            "attribution": None if factorization is None else attribution,
            "code_levels": settings.code_levels,
            "max_side": settings.max_side,
        }
        objects = self.samples.objects
        with_legend = inputs | {
            "observations": self.samples.observations_digest,
            "examples": settings.examples,
            "objects": objects and list(objects.classes),
        }
        name = f"{key}/{layer}"

        def make(name: str, **options: Any) -> Part:
            return layer_part(
                name,
                source,
                layer,
                self.frames,
                self.lengths,
                attribution,
                factorization=factorization,
                code_levels=settings.code_levels,
                max_side=settings.max_side,
                **options,
            )

        examples = self.samples.observations, settings.examples, objects
        part = self.cache.get(
            name,
            inputs if factorization is None else with_legend,
            lambda: make(name, error=error, examples=examples),
        )
        policy_part = None
        if layer in settings.policy_layers:
            policy_part = self.cache.get(
                f"{name}/policy",
                inputs,
                lambda: make(f"{name}/policy", n_actions=source.n_actions),
            )
        without = None
        if is_default and factorization is not None and _is_read(source, layer):
            without = self.cache.get(
                f"{name}/without",
                {key: inputs[key] for key in ("model", "frames", "directions")},
                lambda: without_part(
                    f"{name}/without", source, layer, self.frames, factorization
                ),
            )
        return LayerResults(
            layer,
            source.layer_shape(layer),
            part,
            policy_part,
            without_part=without,
            directions=None if factorization is None else factorization.directions,
        )

    def _network(
        self, key: str, source: Model, layers: Sequence[LayerResults]
    ) -> Part | None:
        """The model itself; None, and a note, where the page cannot compute it."""
        if not self.settings.live_model:
            return None
        directions = {
            entry.layer: entry.directions
            for entry in layers
            if entry.directions is not None
        }
        name = f"{key}/network"
        listed = {layer: rows.tolist() for layer, rows in directions.items()}
        try:
            return self.cache.get(
                name,
                {"model": source.digest, "directions": listed},
                lambda: network_part(name, source, directions),
            )
        except ModelError as error:
            self.notes.append(f"{source.name} does not run in the page: {error}")
            return None


def _layers(source: Model, settings: InterfaceSettings) -> tuple[str, ...]:
    """The layers to show, in the model's order."""
    known = (INPUT_LAYER, *source.layers)
    asked = {*settings.layers, *settings.policy_layers}
    unknown = sorted(asked - set(known))
    if unknown:
        raise ModelError(
            f"{source.name} has no layer {unknown[0]!r}; its layers are "
            f"{', '.join(known)}"
        )
    own = source.layers_of("value")
    chosen = asked if settings.layers else {*own, *asked}
    if settings.input_gradients:
        chosen.add(INPUT_LAYER)
    return tuple(layer for layer in known if layer in chosen)


def _is_read(source: Model, layer: str) -> bool:
    """Whether features of a layer can be removed from the kernels that read it."""
    try:
        return bool(source.kernels_reading(layer))
    except ModelError:
        return False


def _fits(features_of: Model, source: Model, layer: str) -> bool:
    """Whether a layer has its like in the model whose features are used."""
    theirs = features_of
    return (
        layer in theirs.layers
        and theirs.layer_shape(layer)[-1] == source.layer_shape(layer)[-1]
    )


def _given_features(nmf: NMF | Mapping[str, NMF] | None, model: Model) -> dict:
    """Features by layer, checked against the model's layers."""
    if nmf is None:
        return {}
    found = {nmf.layer: nmf} if isinstance(nmf, NMF) else nmf
    if not isinstance(found, Mapping) or not all(
        layer and isinstance(features, NMF) for layer, features in found.items()
    ):
        raise InputError(
            f"nmf is {type(nmf).__name__}: expected an NMF that knows its layer, "
            "as one fitted to an Attribution does, or several by layer, {'2b': nmf}"
        )
    for layer, features in found.items():
        n_channels = model.layer_shape(layer)[-1]
        if features.n_channels != n_channels:
            raise InputError(
                f"the features of layer {layer!r} have {features.n_channels} channels: "
                f"the layer has {n_channels}."
            )
    return dict(found)


def _shown_examples(parts: Sequence[Part]) -> np.ndarray:
    """Indices of the observations that legends and maps refer to."""
    indices = [
        np.unique(part.array(name))
        for part in parts
        for name in part.names
        if name.endswith("_index")
    ]
    used = np.unique(np.concatenate(indices)) if indices else np.zeros(0, int)
    return used[used >= 0]


def _plain(settings: InterfaceSettings) -> dict[str, Any]:
    """Settings as plain values, without the folders of this machine."""
    values = dataclasses.asdict(settings)
    for key in ("output_dir", "cache_dir", "names"):
        values.pop(key)
    for key in ("model", "compare_to", "samples"):
        if values[key] is not None:
            values[key] = os.path.basename(values[key])
    return json.loads(json.dumps(values))


def _mostly_equal(first: Model, second: Model) -> bool:
    """Whether most parameters of two models are the same numbers, as after an edit."""
    if first.checkpoint is None or second.checkpoint is None:
        return first.digest == second.digest
    ours, theirs = first.checkpoint.params, second.checkpoint.params
    if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in theirs.items()}:
        return False
    equal = sum(int(np.count_nonzero(ours[key] == theirs[key])) for key in ours)
    return 2 * equal > sum(array.size for array in ours.values())

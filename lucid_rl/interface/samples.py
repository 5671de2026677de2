"""What an interface shows the model at: sampled, or as it came with the model."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.games import procgen_engine
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES, batch_object_maps
from lucid_rl.games.registry import (
    check_fits,
    describe,
    game_settings,
    make_game,
    own_options,
)
from lucid_rl.games.vector_game import GameSettings, VectorGame
from lucid_rl.interface import encoding
from lucid_rl.interface.objects import ObjectMaps
from lucid_rl.interface.parts import Layout, Part
from lucid_rl.interface.settings import InterfaceSettings
from lucid_rl.interface.stages import StageCache, digest
from lucid_rl.model.model import Model
from lucid_rl.sampling.observations import read_observations, sample_observations
from lucid_rl.sampling.recorded import RecordedSamples, load_samples
from lucid_rl.sampling.trajectories import (
    Trajectories,
    check_trajectories,
    read_trajectories,
    sample_trajectories,
)

_TELLS_OBJECTS = "coinrun"  # the game whose states say where objects are
# Pictures in one sheet: few enough that sheets stay within what browsers draw.
_PER_SHEET = 1024
# Full-resolution pictures in one sheet, which the page decodes as a whole.
FRAMES_PER_SHEET = 64
# Stages that no page holds are not compressed: that takes longer than it saves.
_STAGE_LAYOUT = Layout("none")


@dataclasses.dataclass(frozen=True)
class Clips:
    """Parts of episodes, each up to its end, to be shown as trajectories.

    Attributes:
        entries: the manifest's "trajectories" (docs/bundle_format.md).
        moments: the manifest's "moments".
    """

    entries: list[dict[str, Any]]
    moments: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Samples:
    """Observations and trajectories.

    Attributes:
        observations: u8 [N, H, W, 3], for features and their examples.
        trajectories: what the timeline shows; full-resolution frames are left out.
        frames: part "frames_full", if full-resolution frames were asked for.
        environment: what is known of the game; plain values.
        action_combos: keys that each action presses; None if unknown.
        notes: where the samples come from, in sentences.
        clips: if `trajectories` is one row of clips, one after the other: what they
            are.
        objects: where the game's objects are in the observations, if it tells.
        outputs: of the model that acted in the trajectories, if it was recorded:
            logits f32 [n * T, A] and values f32 [n * T].
    """

    observations: np.ndarray
    trajectories: Trajectories
    frames: Part | None
    environment: dict[str, Any]
    action_combos: list[list[str]] | None
    notes: tuple[str, ...]
    clips: Clips | None = None
    objects: ObjectMaps | None = None
    outputs: tuple[np.ndarray, np.ndarray] | None = None

    @functools.cached_property
    def observations_digest(self) -> str:
        """A hash of the observations."""
        return digest(self.observations)

    @functools.cached_property
    def frames_digest(self) -> str:
        """A hash of the trajectories' observations."""
        return digest(self.trajectories.observations)


def get_samples(
    source: Model,
    settings: InterfaceSettings,
    cache: StageCache,
    observations: np.ndarray | None = None,
    trajectories: Trajectories | None = None,
) -> Samples:
    """Reads recorded data or what comes with the model, and samples what is missing.

    Args:
        source: the model.
        settings: what to sample.
        cache: keeps what was sampled.
        observations: use these, u8 [N, H, W, C], for features and their examples.
        trajectories: show these.

    Raises:
        GameError: a game is needed and not installed.
        InputError: the model cannot see what the files hold.
    """
    if settings.samples is not None:
        if observations is not None or trajectories is not None:
            raise InputError(
                f"settings.samples={settings.samples!r} and observations or "
                "trajectories: give the file, or the arrays"
            )
        return recorded_samples(source, settings, load_samples(settings.samples))
    if observations is not None:
        observations = _as_pixels(source, source.check_observations(observations))
        if not len(observations):
            raise InputError("observations: there are none to find features in")
    if trajectories is not None:
        trajectories = check_trajectories(trajectories, source.n_actions)
        source.check_observations(trajectories.observations[0])
    own = source.files if settings.own_samples else None
    notes = []
    frames = None
    if observations is None and own is not None and own.observations is not None:
        wanted = settings.observations.n_envs * settings.observations.n_per_env
        observations = read_observations(own.observations).observations[:wanted]
        notes.append("The observations for features come with the model.")
    if trajectories is None and own is not None and own.trajectories is not None:
        trajectories = _shortened(read_trajectories(own.trajectories), settings)
        notes.append("The trajectories come with the model.")
        if settings.full_resolution and trajectories.frames is not None:
            frames = frames_part(trajectories.frames)
        elif settings.full_resolution:
            notes.append("Its files hold no full-resolution frames.")
        trajectories = dataclasses.replace(trajectories, frames=None)
    game: GameSettings | None = None
    objects: ObjectMaps | None = None
    combos: list[list[str]] | None = None
    outputs: tuple[np.ndarray, np.ndarray] | None = None
    if observations is None or trajectories is None:
        game = _game_settings(source, settings)
        print(describe(game))
    if observations is None:
        assert game is not None
        part = _sampled_observations(source, settings, game, cache)
        observations, combos = part.array("observations"), part.meta["action_combos"]
        if "objects" in part.names:
            objects = ObjectMaps(tuple(part.meta["objects"]), part.array("objects"))
    if trajectories is None:
        assert game is not None
        part, frames = _sampled_trajectories(source, settings, game, cache)
        trajectories, combos = _from_part(part), part.meta["action_combos"]
        outputs = part.array("logits"), part.array("values")
    name = settings.game or source.args.get("env_name")
    environment = {"name": "unknown" if name is None else str(name)}
    if combos is not None and game is not None:
        environment = own_options(game)
    if "action_combos" in source.metadata:
        combos = [[str(k) for k in keys] for keys in source.metadata["action_combos"]]
    return Samples(
        observations,
        trajectories,
        frames,
        environment,
        combos,
        tuple(notes),
        objects=objects,
        outputs=outputs,
    )


def _as_pixels(source: Model, observations: np.ndarray) -> np.ndarray:
    """Observations as u8, which a page stores."""
    if observations.dtype == np.uint8:
        return observations
    return np.rint(255 * source.float_observations(observations)).astype(np.uint8)


def recorded_samples(
    source: Model, settings: InterfaceSettings, found: RecordedSamples
) -> Samples:
    """Recorded data, as much of it as the settings ask for.

    Observations for features are spread evenly over all that there are. A recording
    longer than a trajectory is cut into several.

    Raises:
        InputError: the model cannot see the observations, or has not the actions.
    """
    observations = source.check_observations(found.observations.observations)
    n = min(settings.observations.n_observations, len(observations))
    rows = np.linspace(0, len(observations) - 1, n).round().astype(int)
    trajectories = found.trajectories
    notes = ["Observations are recorded data."]
    if trajectories is None:
        frames = observations.reshape(found.n_recordings, -1, *source.image_shape)
        nothing = np.zeros(frames.shape[:2])
        trajectories = Trajectories(frames, nothing, nothing, nothing)
        trajectories = _cut(trajectories, settings)
        logits, _ = source(trajectories.observations.reshape(-1, *source.image_shape))
        shape = trajectories.observations.shape[:2]
        trajectories = dataclasses.replace(
            trajectories, actions=logits.argmax(axis=1).reshape(shape)
        )
        notes.append("Actions are the model's most probable, as none were recorded.")
    else:
        trajectories = _cut(trajectories, settings)
    names = found.action_names
    if names is None:
        n_actions = max(source.n_actions, 1 + int(trajectories.actions.max()))
    else:
        n_actions = len(names)
    if n_actions != source.n_actions:
        raise InputError(
            f"{settings.samples} has {n_actions} actions: expected {source.n_actions}, "
            f"as {source.name} chooses among."
        )
    if not trajectories.rewards.any():
        notes.append("No rewards were recorded: advantages are those of none.")
    return Samples(
        observations[rows],
        trajectories,
        None,
        {"name": "recorded data"},
        None if names is None else [[name] for name in names],
        tuple(notes),
    )


def _cut(trajectories: Trajectories, settings: InterfaceSettings) -> Trajectories:
    """At most as many trajectories and steps as the settings ask for, of long ones."""
    n, n_steps = trajectories.rewards.shape
    length = min(settings.trajectories.n_steps, n_steps)
    pieces = n_steps // length
    arrays = {
        name: getattr(trajectories, name)[:, : pieces * length].reshape(
            n * pieces, length, *getattr(trajectories, name).shape[2:]
        )[: settings.trajectories.n_envs]
        for name in ("observations", "actions", "rewards", "firsts")
    }
    if pieces == 1 and length == n_steps and trajectories.last_firsts is not None:
        arrays["last_firsts"] = trajectories.last_firsts[: len(arrays["actions"])]
    return Trajectories(**arrays)


def observations_part(
    name: str, observations: np.ndarray, lengths: Sequence[int] | None = None
) -> Part:
    """A part that holds pictures u8 [N, H, W, 3] without loss.

    `lengths` are those of the entries, by default as many pictures as a sheet takes
    well.
    """
    lengths = lengths or _lengths(len(observations), _PER_SHEET)
    layout = Layout("webp", 0, tuple(lengths))
    return Part.encode(
        name, {}, {"observations": observations}, {"observations": layout}
    )


def frames_part(frames: np.ndarray) -> Part:
    """Part "frames_full" of full-resolution frames u8 [n, T, R, R, 3]."""
    flat = frames.reshape(-1, *frames.shape[2:])
    lengths = _lengths(
        len(flat), min(FRAMES_PER_SHEET, encoding.largest_sheet(*flat.shape[1:3]))
    )
    return Part.encode(
        "frames_full",
        {"frames": None},
        {"observations_full": flat},
        {"observations_full": Layout("webp_lossy", 0, tuple(lengths))},
    )


def _make_game(settings: GameSettings) -> VectorGame:
    """Makes a game; Procgen's in a process of its own.

    Its engine holds half a gigabyte until its process ends. Gymnasium's environments
    may be registered in this process only.
    """
    isolated = settings.name in procgen_engine.NAMES
    return make_game(settings.replace(isolated=isolated))


def _game_settings(source: Model, settings: InterfaceSettings) -> GameSettings:
    return game_settings(
        source.args,
        source.n_actions,
        source.image_shape,
        name=settings.game,
        distribution_mode=settings.distribution_mode,
        wrappers=settings.wrappers,
        n_levels=settings.n_levels,
        start_level=settings.start_level,
        seed=settings.seed,
    )


def _sampled_observations(
    source: Model,
    settings: InterfaceSettings,
    game_settings: GameSettings,
    cache: StageCache,
) -> Part:
    states = game_settings.name == _TELLS_OBJECTS
    sampling = dataclasses.replace(settings.observations, states=states)
    game_settings = game_settings.replace(n_envs=sampling.n_envs)

    def make() -> Part:
        rng = np.random.default_rng([settings.seed, 0])
        # Most of what is played is not seen again.
        with source.cached_trunk(None), _make_game(game_settings) as game:
            check_fits(game, source.n_actions, source.image_shape)
            found = sample_observations(game, source, sampling, rng)
            combos = [list(keys) for keys in game.action_combos]
        meta: dict[str, Any] = {"action_combos": combos}
        arrays = {"observations": found.observations}
        if found.states is not None:
            meta["objects"] = list(OBJECT_CLASSES)
            arrays["objects"] = batch_object_maps(found.states)
        layouts = {"observations": _STAGE_LAYOUT}
        return Part.encode("observations", meta, arrays, layouts)

    inputs = {"model": source.digest, "game": game_settings, "sampling": sampling}
    return cache.get("observations", inputs, make)


def _sampled_trajectories(
    source: Model,
    settings: InterfaceSettings,
    game_settings: GameSettings,
    cache: StageCache,
) -> tuple[Part, Part | None]:
    size = settings.full_resolution
    sampling = dataclasses.replace(settings.trajectories, frame_size=size)
    # Another stream of levels than the observations'.
    game_settings = game_settings.replace(
        n_envs=sampling.n_envs,
        seed=game_settings.seed + 1,
        full_resolution=bool(size),
    )
    inputs = {"model": source.digest, "game": game_settings, "sampling": sampling}

    logits: list[np.ndarray] = []
    values: list[np.ndarray] = []

    def policy(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = source(observations)
        for kept, array in zip((logits, values), found, strict=True):
            kept.append(array)
        return found

    @functools.cache
    def sample() -> tuple[Trajectories, list[list[str]]]:
        rng = np.random.default_rng([settings.seed, 1])
        with _make_game(game_settings) as game:
            check_fits(game, source.n_actions, source.image_shape)
            found = sample_trajectories(game, policy, sampling, rng)
            return found, [list(keys) for keys in game.action_combos]

    def make() -> Part:
        found, combos = sample()
        outputs = {
            "logits": np.stack(logits, axis=1).reshape(-1, source.n_actions),
            "values": np.stack(values, axis=1).reshape(-1),
        }
        return _to_part(found, combos, outputs)

    # A stage that was kept before outputs were is made again.
    part = cache.get("trajectories", inputs | {"outputs": True}, make)
    if not size:
        return part, None
    return part, cache.get("frames_full", inputs, lambda: _frames_part(sample()[0]))


def _frames_part(trajectories: Trajectories) -> Part:
    assert trajectories.frames is not None
    return frames_part(trajectories.frames)


def _to_part(
    trajectories: Trajectories,
    combos: list[list[str]],
    outputs: dict[str, np.ndarray],
) -> Part:
    n, length = trajectories.actions.shape
    flat = trajectories.observations.reshape(
        n * length, *trajectories.observations.shape[2:]
    )
    arrays: dict[str, np.ndarray | None] = {
        "observations": flat,
        "actions": trajectories.actions.astype(np.int32),
        "rewards": trajectories.rewards,
        "firsts": trajectories.firsts.astype(np.uint8),
        "level_seeds": trajectories.level_seeds,
        "last_observations": trajectories.last_observations,
        "last_firsts": trajectories.last_firsts,
    }
    kept = {name: array for name, array in arrays.items() if array is not None}
    if "level_seeds" in kept:
        kept["level_seeds"] = kept["level_seeds"].astype(np.int32)
    if "last_firsts" in kept:
        kept["last_firsts"] = kept["last_firsts"].astype(np.uint8)
    meta = {"action_combos": combos}
    layouts = {"observations": _STAGE_LAYOUT}
    return Part.encode("trajectories", meta, kept | outputs, layouts)


def _from_part(part: Part) -> Trajectories:
    arrays: dict[str, Any] = {
        name: part.array(name)
        for name in part.names
        if name not in ("logits", "values")
    }
    shape = arrays["actions"].shape
    flat = arrays["observations"]
    for name in ("firsts", "last_firsts"):
        if name in arrays:
            arrays[name] = arrays[name].astype(bool)
    for name in ("actions", "level_seeds"):
        if name in arrays:
            arrays[name] = arrays[name].astype(np.int64)
    return Trajectories(
        **arrays | {"observations": flat.reshape(*shape, *flat.shape[1:])}
    )


def _shortened(trajectories: Trajectories, settings: InterfaceSettings) -> Trajectories:
    """At most as many trajectories and steps as the settings ask for."""
    n, length = settings.trajectories.n_envs, settings.trajectories.n_steps
    cut = length < trajectories.actions.shape[1]
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(trajectories):
        value = getattr(trajectories, field.name)
        if value is None:
            continue
        if field.name.startswith("last_"):
            # What follows the last kept action is then a kept observation's own.
            value = None if cut else value[:n]
        elif isinstance(value, np.ndarray):
            value = value[:n, :length]
        changes[field.name] = value
    return dataclasses.replace(trajectories, **changes)


def _lengths(total: int, most: int) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]

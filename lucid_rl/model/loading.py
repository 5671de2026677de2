"""Making a `Model` of a file, a name or a checkpoint."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from lucid_rl.checkpoints.byte_reader import EXPORT
from lucid_rl.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lucid_rl.checkpoints.from_torch import import_torch
from lucid_rl.checkpoints.jd_format import read_jd
from lucid_rl.checkpoints.released import (
    RELEASED_PREFIX,
    ReleasedModel,
    fetch_released,
    fetch_with_samples,
    files_beside,
    resolve_model,
)
from lucid_rl.errors import CheckpointError, FileFormatError, InputError
from lucid_rl.files import open_input
from lucid_rl.games.registry import check_name
from lucid_rl.model import architectures
from lucid_rl.model.graph_input import (
    expected_range,
    with_flat_value,
    with_unit_range,
)
from lucid_rl.model.lucid_model import read_model_and_metadata
from lucid_rl.model.model import Model
from lucid_rl.model.onnx_graph import LOGITS_NAME, VALUE_NAME, read_onnx

ONNX_SUFFIX = ".onnx"
_OPTIONS = ("bfloat16", "logits_name", "value_name", "input_range", "name")
_SAMPLES = ("observations", "trajectories")
TORCH_SUFFIXES = (".pt", ".pth", ".zip", ".ckpt")

_OTHER_FORMATS = {
    ".safetensors": "Save its tensors by torch.save(load_file(path), 'agent.pt')",
    ".tflite": EXPORT,
    "saved_model.pb": EXPORT,
}


def load(
    spec: "Model | Checkpoint | str | os.PathLike",
    *,
    game: str | None = None,
    args: Mapping[str, Any] | None = None,
    samples: bool = False,
    **options: Any,
) -> Model:
    """Loads a model of any file or name.

    Args:
        spec: "bundled" or another of `BUNDLED`; "released:<name>"; the path of
            a `.jd`, a Lucid `.model.pb`, an `.onnx`, or a file of PyTorch's; a
            `Checkpoint`; or a `Model`, which is returned as it is.
        game: what the model plays, where its file does not say so; recorded data can
            be analysed without.
        args: more that the file does not say, in the words of a checkpoint's args:
            `wrappers`, `distribution_mode`, `paint_vel_info`, `gamma`, `lambda`,
            `reward_scale`, ….
        samples: fetch a released model's own observations and trajectories, too;
            there is a warning where they cannot be fetched.
        **options: `bfloat16=True` convolves in bfloat16; `logits_name` and
            `value_name` name the outputs of a graph; `input_range=(0, 255)` says which
            pixels a graph (ONNX, `.model.pb`) takes, where the file does not show it;
            `name` is shown on pages.

    Returns:
        The model.

    Raises:
        FileFormatError: a file is missing or damaged.
        CheckpointError: the parameters make no known network, and no graph is there.
        ModelError: the graph lacks an output, or shows another range of pixels.
        SettingsError: there is no such game.
        InputError: an option is unknown or does not fit the file.
        DownloadError: a released file cannot be fetched.

    Example:
        >>> model = lucid_rl.load("released:procgen/coinrun")
        >>> args = {"paint_vel_info": False}
        >>> model = lucid_rl.load("agent.pt", game="maze", args=args)
    """
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise InputError(
            f"load has no option {unknown[0]!r}: expected {', '.join(_OPTIONS)}. What "
            f"the model's file does not say is given as args={{{unknown[0]!r}: …}}."
        )
    if isinstance(spec, Model):
        if game or args or options.keys() - {"bfloat16"}:
            raise InputError(
                f"{spec.name} is loaded already: what its file does not say is given "
                "with the file, as in load('agent.pt', game='maze')"
            )
        return spec
    if not isinstance(spec, Checkpoint | str | os.PathLike):
        raise InputError(
            f"a model of type {type(spec).__name__}: expected a Model, a Checkpoint or "
            "what names a file, such as 'bundled' or a path"
        )
    args = {**(args or {}), **({"env_name": check_name(game)} if game else {})}
    if isinstance(spec, Checkpoint):
        return _of_checkpoint(spec, args, options)
    text = os.fspath(spec)
    if _is_torch(text):
        checkpoint = import_torch(text, args=args)
        assumed = checkpoint.extra.get("assumed", ())
        notes = tuple(f"Assumed: {sentence}." for sentence in assumed)
        said = {"name": pathlib.Path(text).stem, "notes": notes}
        return _of_checkpoint(checkpoint, {}, {**said, **options})
    if text.endswith(ONNX_SUFFIX):
        return _load_onnx(text, args, options)
    for ending, advice in _OTHER_FORMATS.items():
        if text.endswith(ending):
            raise FileFormatError(f"{text} cannot be loaded as it is. {advice}.")
    return _load_files(text, args, samples, options)


def _load_files(
    text: str, args: dict[str, Any], samples: bool, options: dict[str, Any]
) -> Model:
    """Loads a checkpoint or a graph with the files beside it."""
    if text.startswith(RELEASED_PREFIX):
        # A checkpoint says all that the metadata file does.
        name = text.removeprefix(RELEASED_PREFIX)
        files = fetch_with_samples(name, _SAMPLES if samples else ())
    elif text.endswith(".pb"):
        files = _files_beside_graph(pathlib.Path(text))
    else:
        files = files_beside(resolve_model(text))
    name = pathlib.Path(files.name).name.removesuffix(".jd")
    checkpoint = None
    if files.checkpoint is not None:
        try:
            checkpoint = load_checkpoint(files.checkpoint)
        except CheckpointError:
            # An unknown architecture may still come with its graph.
            if text.startswith(RELEASED_PREFIX):
                graph = fetch_released(
                    text.removeprefix(RELEASED_PREFIX), ("model_pb", "metadata")
                )
                files = dataclasses.replace(
                    files, model_pb=graph.model_pb, metadata=graph.metadata
                )
            if files.model_pb is None:
                raise
    metadata = _read_metadata(files) | args
    options = {"name": name, "metadata": metadata, "files": files, **options}
    if checkpoint is not None:
        return _of_checkpoint(checkpoint, args, options)
    assert files.model_pb is not None
    return _load_graph(files.model_pb, options)


def _read_metadata(files: ReleasedModel) -> dict[str, Any]:
    metadata = read_jd(files.metadata) if files.metadata else {}
    if not isinstance(metadata, dict):
        raise FileFormatError(
            f"{files.metadata}: expected a dictionary, found {type(metadata).__name__}"
        )
    return metadata


def _of_checkpoint(
    checkpoint: Checkpoint, args: dict[str, Any], options: dict[str, Any]
) -> Model:
    if options.pop("input_range", None) is not None:
        raise InputError(
            f"input_range is for graphs (ONNX, .model.pb); networks such as "
            f"{checkpoint.path or 'this checkpoint'} divide their pixels by 255."
        )
    if args:
        checkpoint = checkpoint.replace_params({}, args=args)
    return Model.from_checkpoint(checkpoint, **options)


def _load_graph(path: pathlib.Path, options: dict[str, Any]) -> Model:
    graph_def, found = read_model_and_metadata(path)
    given = options.pop("input_range", None)
    pixels, note = expected_range(
        graph_def, found.input_name, given, found.image_value_range
    )
    graph_def = with_unit_range(graph_def, found.input_name, pixels)
    value = options.pop("value_name", None) or architectures.VALUE_NAME
    if any(node.name == value for node in graph_def.node):
        graph_def, value = with_flat_value(graph_def, value)
    return Model(graph_def, value_name=value, notes=(note,), **options)


def _load_onnx(path: str, args: dict[str, Any], options: dict[str, Any]) -> Model:
    reading = ("logits_name", "value_name", "input_range")
    chosen = {key: options.pop(key) for key in reading if key in options}
    network = read_onnx(path, **chosen)
    return Model(
        network.graph_def,
        logits_name=LOGITS_NAME,
        value_name=VALUE_NAME,
        name=pathlib.Path(path).stem,
        metadata=args,
        onnx=network,
        notes=network.notes,
        **options,
    )


def _is_torch(text: str) -> bool:
    """Whether a path is PyTorch's, or of a kind that its reader knows to refuse."""
    if text.endswith(TORCH_SUFFIXES) or os.path.isdir(text):
        return True
    try:
        with open_input(text) as stream:
            return stream.read(2) == b"PK"
    except OSError:
        return False


def _files_beside_graph(path: pathlib.Path) -> ReleasedModel:
    if not os.path.isfile(path):
        raise FileFormatError(f"there is no model {path}")
    name = path.name.removesuffix(".pb").removesuffix(".model")
    found = {
        kind: path.with_name(f"{name}.{kind}.jd")
        for kind in ("metadata", "observations", "trajectories")
    }
    existing = {kind: file for kind, file in found.items() if os.path.isfile(file)}
    return ReleasedModel(name, model_pb=path, **existing)

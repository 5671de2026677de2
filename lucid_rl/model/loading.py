"""Making a `Model` of whatever a user has: a file, a name, a checkpoint."""

import os
import pathlib
from typing import Any

from lucid_rl.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lucid_rl.checkpoints.from_torch import import_torch
from lucid_rl.checkpoints.jd_format import read_jd
from lucid_rl.checkpoints.released import (
    FILES,
    RELEASED_PREFIX,
    ReleasedModel,
    fetch_released,
    files_beside,
    resolve_model,
)
from lucid_rl.errors import CheckpointError, FileFormatError
from lucid_rl.model.lucid_model import read_model_pb
from lucid_rl.model.model import Model
from lucid_rl.model.onnx_graph import LOGITS_NAME, VALUE_NAME, read_onnx

PB_SUFFIX = ".model.pb"
ONNX_SUFFIX = ".onnx"
TORCH_SUFFIXES = (".pt", ".pth", ".zip", ".ckpt")


def load(
    spec: "Model | Checkpoint | str | os.PathLike",
    *,
    game: str | None = None,
    samples: bool = False,
    **options: Any,
) -> Model:
    """Loads a model of any file or name.

    Args:
        spec: "bundled" or "bundled:100_levels"; "released:<name>"; the path of
            a `.jd`, a Lucid `.model.pb`, an `.onnx`, or a file of PyTorch's; a
            `Checkpoint`; or a `Model`, which is returned as it is.
        game: what the model plays, where its file does not say so.
        samples: fetch a released model's own observations and trajectories, too.
        **options: `bfloat16=True` convolves in bfloat16; `logits_name` and
            `value_name` name the outputs of a graph; `input_range=(0, 255)` says which
            pixels an ONNX network expects, where the file does not show it.

    Returns:
        The model.

    Raises:
        FileFormatError: a file is missing or damaged.
        CheckpointError: the parameters make no known network, and no graph is there.
        ModelError: the graph lacks an output.
        DownloadError: a released file cannot be fetched.

    Example:
        model = lucid_rl.load("released:procgen/coinrun")
    """
    if isinstance(spec, Model):
        return spec
    if isinstance(spec, Checkpoint):
        return Model.from_checkpoint(spec, **options)
    text = os.fspath(spec)
    if text.endswith(TORCH_SUFFIXES):
        args = {"env_name": game} if game else None
        return Model.from_checkpoint(import_torch(text, args=args), **options)
    if text.endswith(ONNX_SUFFIX):
        return _load_onnx(text, game, options)
    if text.startswith(RELEASED_PREFIX):
        kinds = FILES if samples else ("checkpoint", "metadata")
        files = fetch_released(text.removeprefix(RELEASED_PREFIX), kinds)
    elif text.endswith(PB_SUFFIX):
        files = _files_beside_graph(pathlib.Path(text))
    else:
        files = files_beside(resolve_model(text))
    name = pathlib.Path(files.name).name.removesuffix(".jd")
    metadata = read_jd(files.metadata) if files.metadata else {}
    if not isinstance(metadata, dict):
        raise FileFormatError(
            f"{files.metadata}: expected a dictionary, found {type(metadata).__name__}"
        )
    if game:
        metadata = {**metadata, "env_name": game}
    options = {"name": name, "metadata": metadata, "files": files, **options}
    if files.checkpoint is not None:
        try:
            checkpoint = load_checkpoint(files.checkpoint)
        except CheckpointError:
            # An unknown architecture may still come with its graph.
            if files.model_pb is None:
                raise
        else:
            return Model.from_checkpoint(checkpoint, **options)
    assert files.model_pb is not None
    return Model(read_model_pb(files.model_pb), **options)


def _load_onnx(path: str, game: str | None, options: dict[str, Any]) -> Model:
    reading = ("logits_name", "value_name", "input_range")
    chosen = {key: options.pop(key) for key in reading if key in options}
    network = read_onnx(path, **chosen)
    return Model(
        network.graph_def,
        logits_name=LOGITS_NAME,
        value_name=VALUE_NAME,
        name=pathlib.Path(path).stem,
        metadata={"env_name": game} if game else {},
        onnx=network,
        **options,
    )


def _files_beside_graph(path: pathlib.Path) -> ReleasedModel:
    if not path.is_file():
        raise FileFormatError(f"there is no model {path}")
    name = path.name.removesuffix(PB_SUFFIX)
    found = {
        kind: path.with_name(f"{name}.{kind}.jd")
        for kind in ("metadata", "observations", "trajectories")
    }
    existing = {kind: file for kind, file in found.items() if file.is_file()}
    return ReleasedModel(name, model_pb=path, **existing)

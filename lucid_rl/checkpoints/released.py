"""The article's released models: fetched with all their files, and kept.

Each model comes with its checkpoint, its graph for Lucid, and the observations and
trajectories that the article sampled, so that it can be analysed with no game
installed.
"""

import dataclasses
import difflib
import os
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from lucid_rl.checkpoints.checkpoint import (
    BUNDLED,
    bundled_checkpoint_path,
    load_checkpoint,
)
from lucid_rl.checkpoints.downloads import fetch_file
from lucid_rl.checkpoints.jd_format import read_jd
from lucid_rl.checkpoints.released_index import (
    cache_folder,
    is_released_name,
    released_names,
    released_url,
)
from lucid_rl.errors import CheckpointError, DownloadError, FileFormatError, InputError
from lucid_rl.files import read_input

RELEASED_PREFIX = "released:"

_SUFFIXES = {
    "checkpoint": ".jd",
    "model_pb": ".model.pb",
    "metadata": ".metadata.jd",
    "observations": ".observations.jd",
    "trajectories": ".trajectories.jd",
}

FILES: tuple[str, ...] = tuple(_SUFFIXES)
"""The files of a model."""


@dataclasses.dataclass(frozen=True)
class ReleasedModel:
    """Paths of a model's files, in the article's layout."""

    name: str
    """As in "coinrun" or "finite_levels/run_1/coinrun_100"."""

    checkpoint: pathlib.Path | None = None
    """Parameters and settings."""

    model_pb: pathlib.Path | None = None
    """Lucid's frozen graph."""

    metadata: pathlib.Path | None = None
    """Output names, discounts and the keys of each action."""

    observations: pathlib.Path | None = None
    """Observations sampled far apart, for features and dataset examples."""

    trajectories: pathlib.Path | None = None
    """Whole trajectories with actions, rewards and firsts."""


def fetch_released(
    name: str,
    files: Sequence[str] = FILES,
    *,
    cache_dir: str | os.PathLike | None = None,
    base_url: str | None = None,
) -> ReleasedModel:
    """Fetches a released model, or finds it where it was fetched before.

    Each file is read through once when it arrives, so that a truncated one is never
    kept, and its checksum is recorded then and verified at every later call.

    Args:
        name: as `released_names` lists them.
        files: which of `FILES` to fetch; paths of the others are None.
        cache_dir: where to keep them; LUCID_RL_CACHE or the user's cache folder by
            default (`released_index.cache_folder`). A file put there by hand, under the
            server's own path, is not fetched.
        base_url: another server with the same layout; LUCID_RL_RELEASED_URL or OpenAI's
            by default.

    Raises:
        InputError: the name or a file's kind is malformed.
        DownloadError: a file cannot be fetched or is not what it should be; says from
            where and what to do.
    """
    unknown = sorted(set(files) - set(FILES))
    if unknown or not is_released_name(name):
        raise InputError(
            f"no released file {unknown[0]!r}; the files are {', '.join(FILES)}."
            if unknown
            else f"{name!r} is not a name of a released model, as in 'procgen/maze'."
        )
    folder = cache_folder(cache_dir)
    root = (base_url or released_url()).rstrip("/")
    paths: dict[str, Any] = {}
    for kind in files:
        relative = _relative_path(name, kind)
        paths[kind] = folder / relative
        try:
            fetch_file(f"{root}/{relative}", paths[kind], _CHECKS[kind])
        except DownloadError as error:
            raise DownloadError(f"{error}{_suggestion(name, cache_dir)}") from error
    return ReleasedModel(name, **paths)


def files_beside(checkpoint_path: str | os.PathLike) -> ReleasedModel:
    """Finds the files that exist beside a user's checkpoint, in the article's layout.

    The article's code puts them into a folder "rl-clarity" beside the checkpoint.
    """
    path = pathlib.Path(checkpoint_path)
    name = path.name.removesuffix(".jd")
    candidates = {kind: path.parent / _relative_path(name, kind) for kind in FILES}
    candidates["checkpoint"] = path
    existing = {
        kind: found for kind, found in candidates.items() if os.path.isfile(found)
    }
    return ReleasedModel(str(path), **existing)


def resolve_model(spec: str | os.PathLike, samples: Sequence[str] = ()) -> str:
    """Path of a model of `BUNDLED`, of "released:<name>" (fetched), or of a file.

    `samples` of a released model are fetched as by `fetch_with_samples`.

    Raises:
        DownloadError: a released model cannot be fetched.
        FileFormatError: there is no such file.
    """
    text = os.fspath(spec)
    if text.startswith(RELEASED_PREFIX):
        name = text.removeprefix(RELEASED_PREFIX)
        return str(fetch_with_samples(name, samples).checkpoint)
    path = bundled_checkpoint_path(text) if text in BUNDLED else pathlib.Path(text)
    if not os.path.isfile(path):
        raise FileFormatError(
            f"there is no file {path}. Give the path of a .jd, .model.pb, .onnx, .pt, "
            f".pth or .zip file, {', '.join(map(repr, BUNDLED))} or "
            f"'{RELEASED_PREFIX}<name>' (`lucid-rl released-models` lists them)."
        )
    return str(path)


def fetch_with_samples(name: str, samples: Sequence[str]) -> ReleasedModel:
    """Fetches a checkpoint, and those of its samples that can be fetched.

    There is a warning for each of the others: they can be sampled if the model's game
    is installed.

    Raises:
        DownloadError: the checkpoint cannot be fetched, or a file that is there is not
            what it should be.
    """
    found = fetch_released(name, ("checkpoint",))
    for kind in samples:
        try:
            fetched = fetch_released(name, (kind,))
        except DownloadError as error:
            if os.path.lexists(cache_folder() / _relative_path(name, kind)):
                raise
            warnings.warn(f"{error} Until then {kind} are sampled.", stacklevel=3)
        else:
            found = dataclasses.replace(found, **{kind: getattr(fetched, kind)})
    return found


def _relative_path(name: str, kind: str) -> str:
    folder, _, leaf = name.rpartition("/")
    parts = [folder] if folder else []
    if kind != "checkpoint":
        parts.append("rl-clarity")
    return "/".join([*parts, leaf + _SUFFIXES[kind]])


def _suggestion(name: str, cache_dir: str | os.PathLike | None) -> str:
    known = released_names(cache_dir=cache_dir)
    if name in known:
        return ""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(close)}?" if close else ""
    return f" The index has no {name!r}; refresh it to see all names.{hint}"


def _check_checkpoint(path: pathlib.Path) -> None:
    # A whole file may still hold an architecture that is not known here: its graph
    # can be analysed all the same.
    try:
        load_checkpoint(path)
    except CheckpointError:
        value = read_jd(path)
        if not isinstance(value, dict) or "params" not in value:
            raise


def _check_protobuf(path: pathlib.Path) -> None:
    """Makes sure that a file is a whole protocol buffer, of whatever fields."""
    # Imported late, as it comes with TensorFlow.
    from google.protobuf import empty_pb2, message

    data = read_input(path)
    try:
        empty_pb2.Empty.FromString(data)
        is_whole = bool(data)
    except message.DecodeError:
        is_whole = False
    if not is_whole:
        raise FileFormatError(f"{path} is not a frozen graph, or truncated.")


_CHECKS: dict[str, Callable[[pathlib.Path], Any]] = {
    "checkpoint": _check_checkpoint,
    "model_pb": _check_protobuf,
    "metadata": read_jd,
    "observations": read_jd,
    "trajectories": read_jd,
}

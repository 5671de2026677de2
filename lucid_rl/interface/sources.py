"""The model that an interface is made of, with whatever comes with it."""

import dataclasses
import functools
import hashlib
import pathlib
from typing import Any

import numpy as np

from lucid_rl.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lucid_rl.checkpoints.jd_format import read_jd
from lucid_rl.checkpoints.released import (
    RELEASED_PREFIX,
    ReleasedModel,
    fetch_released,
    files_beside,
    resolve_model,
)
from lucid_rl.errors import CheckpointError, FileFormatError
from lucid_rl.interface import stages
from lucid_rl.model.model import Model

_PB_SUFFIX = ".model.pb"


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """A model's files, and what they say.

    Attributes:
        name: for display.
        files: paths of what there is.
        checkpoint: parameters and settings; None where only the graph is known.
        metadata: what the article's metadata file says; empty if there is none.
        digest: a hash of the network.
    """

    name: str
    files: ReleasedModel
    checkpoint: Checkpoint | None
    metadata: dict[str, Any]
    digest: str

    @functools.cached_property
    def model(self) -> Model:
        """The network, built when first asked for."""
        if self.checkpoint is not None:
            return Model.from_checkpoint(self.checkpoint)
        assert self.files.model_pb is not None
        return Model.from_model_pb(self.files.model_pb)

    @property
    def args(self) -> dict[str, Any]:
        """The training script's settings, as far as they are known."""
        if self.checkpoint is not None:
            return self.checkpoint.args
        named = {"env_name": self.metadata.get("env_name")}
        return {key: value for key, value in named.items() if value is not None}

    @property
    def gamma(self) -> float:
        """Discount of a step."""
        return float(self.metadata.get("gae_gamma", self.args.get("gamma", 0.999)))

    @property
    def reward_scale(self) -> float:
        """What rewards were multiplied by when the value function was trained."""
        return float(self.args.get("reward_scale", 1.0))

    @property
    def lam(self) -> float:
        """Discount of a step's own error."""
        return float(self.metadata.get("gae_lambda", self.args.get("lambda", 0.95)))


def open_source(spec: str) -> ModelSource:
    """Finds a model and all that comes with it.

    Args:
        spec: a checkpoint's path, a `.model.pb`, "released:<name>" or "bundled".

    Returns:
        The model; of a released one all files are fetched.

    Raises:
        FileFormatError: a file is missing or damaged.
        CheckpointError: the checkpoint makes no known model and no graph is there.
        DownloadError: a released file cannot be fetched.
    """
    text = str(spec)
    if text.startswith(RELEASED_PREFIX):
        name = text.removeprefix(RELEASED_PREFIX)
        files = fetch_released(name)
    elif text.endswith(_PB_SUFFIX):
        name = pathlib.Path(text).name.removesuffix(_PB_SUFFIX)
        files = _beside_graph(pathlib.Path(text))
    else:
        path = resolve_model(text)
        name = pathlib.Path(path).name.removesuffix(".jd")
        files = files_beside(path)
    checkpoint = None
    if files.checkpoint is not None:
        try:
            checkpoint = load_checkpoint(files.checkpoint)
        except CheckpointError:
            # An architecture that is not known here may still come with its graph.
            if files.model_pb is None:
                raise
    if checkpoint is not None:
        names = sorted(checkpoint.params)
        architecture = np.frombuffer(checkpoint.architecture.encode(), np.uint8)
        arrays = (checkpoint.params[key] for key in names)
        digest = stages.digest(architecture, *arrays)
    else:
        assert files.model_pb is not None
        digest = hashlib.sha256(files.model_pb.read_bytes()).hexdigest()
    metadata = read_jd(files.metadata) if files.metadata else {}
    if not isinstance(metadata, dict):
        raise FileFormatError(
            f"{files.metadata}: expected a dictionary, found {type(metadata).__name__}"
        )
    return ModelSource(name, files, checkpoint, metadata, digest)


def mostly_equal(first: ModelSource, second: ModelSource) -> bool:
    """Whether most parameters of two models are the same numbers, as after an edit."""
    if first.checkpoint is None or second.checkpoint is None:
        return first.digest == second.digest
    ours, theirs = first.checkpoint.params, second.checkpoint.params
    if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in theirs.items()}:
        return False
    equal = sum(int(np.count_nonzero(ours[key] == theirs[key])) for key in ours)
    return 2 * equal > sum(array.size for array in ours.values())


def _beside_graph(path: pathlib.Path) -> ReleasedModel:
    if not path.is_file():
        raise FileFormatError(f"there is no model {path}")
    name = path.name.removesuffix(_PB_SUFFIX)
    found = {
        kind: path.with_name(f"{name}.{kind}.jd")
        for kind in ("metadata", "observations", "trajectories")
    }
    existing = {kind: file for kind, file in found.items() if file.is_file()}
    return ReleasedModel(name, model_pb=path, **existing)

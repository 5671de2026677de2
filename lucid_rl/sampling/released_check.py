"""Verification of a released model's files, one by one and against each other.

Parameters must make a network, observations and trajectories must be what the
article's code samples, and the graph for Lucid must compute the checkpoint's outputs
on the model's own observations.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from lucid_rl.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lucid_rl.checkpoints.jd_format import read_jd
from lucid_rl.checkpoints.released import ReleasedModel
from lucid_rl.errors import FileFormatError, LucidRLError
from lucid_rl.model.loading import load
from lucid_rl.sampling.array_files import check_shapes, read_arrays
from lucid_rl.sampling.trajectories import Trajectories, read_trajectories

MAX_COMPARED = 512
"""Observations on which graph and checkpoint are compared."""

TOLERANCE = 1e-4
"""Largest admitted difference of their outputs, as a part of the largest output;
float32 rounding in another order gives about 1e-6."""


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """Result of one check."""

    what: str
    """A few words: what was checked."""

    passed: bool | None
    """None where it could not be done, because a file is missing or damaged."""

    detail: str
    """What was found."""

    def __str__(self) -> str:
        word = {True: "ok", False: "FAILED", None: "skipped"}[self.passed]
        return f"{word:8}{self.what:14}{self.detail}"


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """Results of all checks of one model."""

    name: str
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every check was done and passed."""
        return all(result.passed is True for result in self.results)

    def __str__(self) -> str:
        return "\n".join([self.name, *(f"  {result}" for result in self.results)])


def check_model(model: ReleasedModel) -> CheckReport:
    """Verifies a model's files completely; needs TensorFlow for the last check.

    The report has one result for each file and one for graph against checkpoint; what
    needs a missing file is skipped. Nothing is raised for faults of the files.
    """
    results: list[CheckResult] = []

    def attempt(what: str, path: Any, check: Callable[..., Any], *given: Any) -> Any:
        passed: bool | None = None
        detail, value = "no file", None
        if path is not None:
            try:
                detail, value = check(path, *given)
                passed = True
            except LucidRLError as error:
                passed, detail = False, str(error)
        results.append(CheckResult(what, passed, detail))
        return value

    checkpoint = attempt("checkpoint", model.checkpoint, _check_checkpoint)
    n_actions = checkpoint.n_actions if checkpoint else None
    names = attempt("metadata", model.metadata, _check_metadata, n_actions)
    observations = attempt("observations", model.observations, _check_observations)
    attempt("trajectories", model.trajectories, _check_trajectories, n_actions)
    if checkpoint is None or observations is None:
        why = "needs a sound checkpoint and observations"
        results.append(CheckResult("graph", None, why))
    else:
        given = checkpoint, observations, names or {}
        attempt("graph", model.model_pb, _check_graph, *given)
    return CheckReport(model.name, tuple(results))


def _require(condition: Any, path: Any, message: str) -> None:
    if not condition:
        raise FileFormatError(f"{path}: {message}")


def _check_checkpoint(path: Any) -> tuple[str, Checkpoint]:
    checkpoint = load_checkpoint(path)
    return (
        f"{checkpoint.architecture}, {checkpoint.n_actions} actions, "
        f"{len(checkpoint.params)} tensors, {checkpoint.n_parameters:,} parameters, "
        "all finite",
        checkpoint,
    )


def _check_metadata(path: Any, n_actions: int | None) -> tuple[str, dict]:
    metadata: Any = read_jd(path)
    _require(isinstance(metadata, dict), path, f"holds a {type(metadata).__name__}")
    for key in ("policy_logits_name", "value_function_name"):
        _require(isinstance(metadata.get(key), str), path, f"no {key}")
    for key in ("gae_gamma", "gae_lambda"):
        value = metadata.get(key)
        found = isinstance(value, (int, float)) and 0 <= value <= 1
        _require(found, path, f"{key} is {value!r:.80}, not within 0 and 1")
    combos = metadata.get("action_combos")
    _require(isinstance(combos, (list, tuple)), path, "no action_combos")
    fits = n_actions is None or len(combos) == n_actions
    _require(fits, path, f"{len(combos)} action combos for {n_actions} logits")
    return f"{metadata.get('env_name')}, keys of {len(combos)} actions", metadata


def _check_observations(path: Any) -> tuple[str, np.ndarray]:
    arrays = read_arrays(path, {"observations": "u1"}, {"observations_full": "u1"})
    axes = {"observations": "Nhw3", "observations_full": "Nyx3"}
    check_shapes(path, arrays, axes)
    n, height, width, _ = arrays["observations"].shape
    detail = f"{n} of {height}x{width}"
    if "observations_full" in arrays:
        detail += ", also at {1}x{2}".format(*arrays["observations_full"].shape)
    return detail, arrays["observations"]


def _check_trajectories(path: Any, n_actions: int | None) -> tuple[str, Trajectories]:
    found = read_trajectories(path)
    n, n_steps = found.actions.shape
    last = found.actions.max()
    fits = n_actions is None or last < n_actions
    _require(fits, path, f"actions up to {last}, expected 0 to {(n_actions or 0) - 1}")
    return f"{n} of {n_steps} steps, {found.firsts.sum()} episodes begin", found


def _check_graph(
    path: Any, checkpoint: Checkpoint, observations: np.ndarray, names: dict[str, Any]
) -> tuple[str, None]:
    compared = observations[:MAX_COMPARED]
    outputs = {}
    if "policy_logits_name" in names:
        outputs["logits_name"] = names["policy_logits_name"]
        outputs["value_name"] = names["value_function_name"]
    found, expected = load(path, **outputs)(compared), load(checkpoint)(compared)
    gaps = []
    for what, a, b in zip(("logits", "values"), found, expected, strict=True):
        _require(a.shape == b.shape, path, f"{what} of {a.shape}, not {b.shape}")
        gap = float(np.max(np.abs(a - b)) / max(float(np.max(np.abs(b))), 1e-12))
        _require(
            gap <= TOLERANCE,
            path,
            f"{what} differ from the checkpoint's by {gap:.2g} of the largest, on "
            f"{len(compared)} observations",
        )
        gaps.append(gap)
    return (
        f"same outputs as the checkpoint on {len(compared)} observations (differences "
        f"{gaps[0]:.1g} of the largest logit, {gaps[1]:.1g} of the largest value)",
        None,
    )

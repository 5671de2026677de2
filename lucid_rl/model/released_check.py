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
from lucid_rl.errors import LucidRLError
from lucid_rl.model.loading import load

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
            except _Wrong as error:
                passed, detail = False, f"{path}: {error}"
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


class _Wrong(Exception):
    """A file does not hold what it should."""


def _require(condition: Any, message: str) -> None:
    if not condition:
        raise _Wrong(message)


def _check_checkpoint(path: Any) -> tuple[str, Checkpoint]:
    checkpoint = load_checkpoint(path)
    return (
        f"{checkpoint.architecture}, {checkpoint.n_actions} actions, "
        f"{len(checkpoint.params)} tensors, {checkpoint.n_parameters:,} parameters, "
        "all finite",
        checkpoint,
    )


def _check_metadata(path: Any, n_actions: int | None) -> tuple[str, dict]:
    metadata = _read_dict(path)
    for key in ("policy_logits_name", "value_function_name"):
        _require(isinstance(metadata.get(key), str), f"no {key}")
    for key in ("gae_gamma", "gae_lambda"):
        value = metadata.get(key)
        found = isinstance(value, (int, float)) and 0 <= value <= 1
        _require(found, f"{key} is {value!r:.80}, not within 0 and 1")
    combos: Any = metadata.get("action_combos")
    _require(isinstance(combos, (list, tuple)), "no action_combos")
    fits = n_actions is None or len(combos) == n_actions
    _require(fits, f"{len(combos)} action combos for {n_actions} logits")
    return f"{metadata.get('env_name')}, keys of {len(combos)} actions", metadata


def _check_observations(path: Any) -> tuple[str, np.ndarray]:
    value = _read_dict(path)
    observations = _images(value, "observations", 4)
    n = len(observations)
    detail = f"{n} of {observations.shape[1]}x{observations.shape[2]}"
    if value.get("observations_full") is not None:
        full = _images(value, "observations_full", 4)
        _require(len(full) == n, f"{len(full)} observations_full for {n}")
        detail += f", also at {full.shape[1]}x{full.shape[2]}"
    return detail, observations


def _check_trajectories(path: Any, n_actions: int | None) -> tuple[str, dict]:
    value = _read_dict(path)
    shape = _images(value, "observations", 5).shape[:2]
    for key, kind in (("actions", "iu"), ("rewards", "f"), ("firsts", "b")):
        array = _array(value, key)
        _require(
            array.shape == shape and array.dtype.kind in kind,
            f"{key} is {array.dtype} of shape {array.shape}, expected one value for "
            f"each of {shape} steps",
        )
    _require(np.isfinite(value["rewards"]).all(), "rewards are not finite")
    actions = value["actions"]
    if n_actions is not None and actions.size:
        _require(
            actions.min() >= 0 and actions.max() < n_actions,
            f"actions from {actions.min()} to {actions.max()}, expected 0 to "
            f"{n_actions - 1}",
        )
    n_episodes = int(value["firsts"].sum())
    return f"{shape[0]} of {shape[1]} steps, {n_episodes} episodes begin", value


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
        _require(a.shape == b.shape, f"{what} of {a.shape}, not {b.shape}")
        gap = float(np.max(np.abs(a - b)) / max(float(np.max(np.abs(b))), 1e-12))
        _require(
            gap <= TOLERANCE,
            f"{what} differ from the checkpoint's by {gap:.2g} of the largest, on "
            f"{len(compared)} observations",
        )
        gaps.append(gap)
    return (
        f"same outputs as the checkpoint on {len(compared)} observations (differences "
        f"{gaps[0]:.1g} of the largest logit, {gaps[1]:.1g} of the largest value)",
        None,
    )


def _read_dict(path: Any) -> dict[str, Any]:
    value = read_jd(path)
    _require(isinstance(value, dict), f"holds a {type(value).__name__}")
    return value


def _array(value: dict[str, Any], key: str) -> np.ndarray:
    array: Any = value.get(key)
    _require(isinstance(array, np.ndarray), f"no array {key}")
    return array


def _images(value: dict[str, Any], key: str, n_dimensions: int) -> np.ndarray:
    array = _array(value, key)
    _require(
        array.dtype == np.uint8
        and array.ndim == n_dimensions
        and array.shape[-1] == 3
        and array.size > 0,
        f"{key} is {array.dtype} of shape {array.shape}, expected uint8 pictures of "
        "three channels",
    )
    return array

"""Evaluations of many models: one after the other, or at once on Ray's machines."""

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lucid_rl.errors import FileFormatError, InputError
from lucid_rl.evaluation.evaluation import Evaluation, evaluate, read_evaluation
from lucid_rl.evaluation.replay import write_film
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.files import PathLike, write_json
from lucid_rl.reports import command_line

EPISODES_FILE = "episodes.npz"
RESULTS_FILE = "evaluation.json"


def evaluate_into(
    model: Any,
    settings: EvaluationSettings,
    folder: PathLike,
    n_workers: int | None = None,
    command: str | None = None,
) -> Evaluation:
    """Evaluates a model; writes `episodes.npz` and `evaluation.json` into a folder.

    An evaluation begun there is resumed; `command` is noted in place of this process's;
    the other arguments are those of `evaluate`.
    """
    folder = pathlib.Path(folder)
    evaluation = evaluate(
        model, settings=settings, path=folder / EPISODES_FILE, n_workers=n_workers
    )
    kinds = evaluation.completed_by_kind.items()
    results = {
        "command": command or command_line(),
        **evaluation.as_dict(),
        "completed_by_kind": {kind: {**p.as_dict(), "of": p.n} for kind, p in kinds},
    }
    write_json(folder / RESULTS_FILE, results)
    return evaluation


def evaluate_many(
    models: Mapping[str, tuple[Any, EvaluationSettings]],
    folder: PathLike,
    n_workers: int | None = None,
    ray_address: str | None = None,
) -> dict[str, Evaluation]:
    """Evaluates several models, each into a folder of its own.

    Args:
        models: model and settings by name; the name is that of the folder.
        folder: holds all the folders. With Ray, all machines must share it.
        n_workers: processes for each model; with Ray also the cores it reserves.
        ray_address: a Ray cluster's address, "auto" or "local"; None for none.

    Returns:
        Evaluations by name.

    Raises:
        InputError: Ray is asked for and not installed.
    """
    folder = pathlib.Path(folder).absolute()
    if ray_address is None:
        return {
            name: evaluate_into(model, settings, folder / name, n_workers)
            for name, (model, settings) in models.items()
        }
    ray = connected_ray(ray_address)
    remote = ray.remote(num_cpus=n_workers or 1)(evaluate_into)
    tasks = {
        name: remote.remote(
            model, settings, folder / name, n_workers or 1, command_line()
        )
        for name, (model, settings) in models.items()
    }
    return {name: ray.get(task) for name, task in tasks.items()}


def evaluation_in(folder: PathLike) -> Evaluation:
    """Reads the evaluation that `evaluate_into` wrote into a folder.

    Raises:
        FileFormatError: there is none.
    """
    path = pathlib.Path(folder, EPISODES_FILE)
    if not os.path.exists(path):
        raise FileFormatError(
            f"there is no {path}: evaluate a model into that folder first "
            "(lucid-rl evaluate --output_dir=...)"
        )
    return read_evaluation(path)


def film_episodes(
    folder: PathLike,
    numbers: Sequence[int],
    full_resolution: bool = False,
    kind: str = "gif",
) -> Iterator[tuple[pathlib.Path, str]]:
    """Films episodes of an evaluation into `replays/` of its folder.

    `numbers` count from 0; `kind` is "gif" or "mp4".

    Yields:
        Path and outcome of each film that was written.

    Raises:
        FileFormatError: the folder holds no evaluation.
        InputError: there is no such episode.
        GameError: the game cannot repeat it.
    """
    folder = pathlib.Path(folder).absolute()
    evaluation = evaluation_in(folder)
    for number in numbers:
        path = folder / "replays" / f"episode_{number}.{kind}"
        write_film(evaluation.replay(number, full_resolution), path)
        yield path, evaluation.episodes[number].outcome


def connected_ray(address: str) -> Any:
    """Ray, connected to a cluster: its address, "auto" or "local".

    Raises:
        InputError: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "Ray is not installed: pip install ray, or give no Ray address"
        ) from error
    if not ray.is_initialized():
        ray.init(address=address)
    return ray
